"""The version of artschool. It is also that of the package, and needs no installed one."""

import platform

VERSION = "0.1.0"


def versions() -> dict[str, str]:
    """What the bits of a run depend on, with the version that is installed."""
    import torch

    return {"artschool": VERSION, "torch": str(torch.__version__), "python": platform.python_version()}
