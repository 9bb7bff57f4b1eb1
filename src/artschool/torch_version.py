"""Refuses a torch that is too old, before it is imported: `weights_only` of earlier versions can run code of a file."""

from __future__ import annotations

import re
from importlib.metadata import PackageNotFoundError, version

from artschool.errors import ResourceError

OLDEST = (2, 10)
"""Also in `pyproject.toml`, which binds only what pip installs."""


def check_torch() -> None:
    """Compare the installed version of torch with the oldest one that artschool works with, without importing torch.

    Raises:
        ResourceError: It is too old.
    """
    try:
        found = version("torch")
    except PackageNotFoundError:
        return  # Its import says more.
    oldest = ".".join(map(str, OLDEST))
    if tuple(map(int, re.findall(r"\d+", found)[:2])) < OLDEST:
        raise ResourceError(
            f"torch {found} is too old (expected {oldest} or later). Fix: `pip install 'torch>={oldest}'`"
        )
