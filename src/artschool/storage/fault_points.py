"""Points of a durable write at which tests simulate a failure."""

from __future__ import annotations

import errno
import os
import re
import signal
import time
from collections import Counter

FAULT_POINTS = (
    "before_write",
    "after_write",
    "before_fsync",
    "before_manifest",
    "before_rename",
    "after_rename",
    "before_rotate",
    "mid_rotate",
)
_FAULT = re.compile(r"(?P<name>\w+)(:(?P<nth>[1-9]\d*))?=(?P<action>\w+)(:(?P<seconds>\d+(\.\d+)?))?", re.ASCII)
_calls: Counter[str] = Counter()


def fault_point(name: str) -> None:
    """Simulate a failure at this point if the environment variable `ARTSCHOOL_FAULT` asks for it.

    Only tests set it, to `name[:nth]=action`: at the nth call with that name, or at every call without `nth`.
    Actions: `kill` (SIGKILL to this process), `disk_full`, `io_error`, `raise`, and `sleep[:seconds]` (default 1 s).

    Raises:
        ValueError: The variable has another form.
    """
    armed = os.environ.get("ARTSCHOOL_FAULT")
    if not armed:
        return
    match = _FAULT.fullmatch(armed)
    if not match or match["name"] not in FAULT_POINTS or (match["seconds"] and match["action"] != "sleep"):
        raise ValueError(f"ARTSCHOOL_FAULT={armed!r}: expected name[:nth]=action; names: {', '.join(FAULT_POINTS)}")
    if match["name"] == name:
        _calls[armed] += 1
        if match["nth"] is None or int(match["nth"]) == _calls[armed]:
            _fail(name, match["action"], float(match["seconds"] or 1))


def _fail(name: str, action: str, seconds: float) -> None:
    match action:
        case "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        case "disk_full":
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        case "io_error":
            raise OSError(errno.EIO, os.strerror(errno.EIO))
        case "raise":
            raise RuntimeError(f"fault point {name}")
        case "sleep":
            time.sleep(seconds)
        case _:
            raise ValueError(
                f"ARTSCHOOL_FAULT: unknown action {action!r}; actions: kill, disk_full, io_error, raise, sleep"
            )
