"""The line of a plugin at which building one of its components failed."""

from __future__ import annotations

import sysconfig
import traceback
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import Any

_LIBRARIES = tuple(Path(sysconfig.get_path(name)).resolve() for name in ("stdlib", "purelib", "platlib"))
_PACKAGE = "artschool"


def plugin_line(error: BaseException, target: Callable[..., Any]) -> str:
    """The last line of plugin code that an exception has passed, as a line of a message. Empty: there is none.

    Code of plugins is everything outside of this package and of installed packages, except for the package that
    defines the component.

    Args:
        target: The class or function of the component.
    """
    lines = [
        summary
        for (frame, _), summary in zip(
            traceback.walk_tb(error.__traceback__), traceback.extract_tb(error.__traceback__), strict=True
        )
        if _is_of_plugin(frame, _top(getattr(target, "__module__", "")))
    ]
    return f"\n    at {lines[-1].filename}:{lines[-1].lineno}: {lines[-1].line}" if lines else ""


def _is_of_plugin(frame: FrameType, package: str) -> bool:
    top = _top(str(frame.f_globals.get("__name__", "")))
    if top in (_PACKAGE, "torch"):
        return False
    file = Path(frame.f_code.co_filename).resolve()
    return top == package or not any(file.is_relative_to(library) for library in _LIBRARIES)


def _top(module: str) -> str:
    return module.partition(".")[0]
