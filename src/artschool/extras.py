"""Optional packages, which the extras of artschool install."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager

from artschool.errors import ResourceError

DISTRIBUTIONS = {"skimage": "scikit-image", "sklearn": "scikit-learn", "pytorch_optimizer": "pytorch-optimizer"}
"""How packages are called where they are installed from, if not by the name by which they are imported."""


@contextmanager
def extra(name: str, needed_by: str = "") -> Iterator[None]:
    """Import optional packages in the block. Of one that is missing, or lacks one itself, an error says what to do.

    Args:
        name: The extra that installs them, such as `demo`.
        needed_by: What cannot be done without them, for an error that does not get the location of a component.

    Raises:
        ResourceError: A package is not installed.
    """
    try:
        yield
    except ModuleNotFoundError as error:
        module = error.name or str(error)
        package = module.partition(".")[0]
        # Of a package that is there, in a version without a part of it, the part is named.
        missing = DISTRIBUTIONS.get(package, package) if sys.modules.get(package) is None else module
        problem = f"{needed_by} requires {missing}, which" if needed_by else missing
        raise ResourceError(f"{problem} is not installed. Fix: pip install 'artschool[{name}]'") from error
