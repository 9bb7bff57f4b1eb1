"""Progress, speed and size of a run in words."""

from __future__ import annotations

from artschool.show.folder import Best, Status


def progress(status: Status) -> str:
    """`1,200/5,000`, or the first number if the second is unknown."""
    total = "" if status.iterations is None else f"/{status.iterations:,}"
    return f"{status.iteration:,}{total}"


def pace(status: Status) -> str:
    """`12.3/s`, or `4.1 s` for an iteration that takes longer than a second."""
    if not status.speed:
        return "-"
    return f"{status.speed:.3g}/s" if status.speed >= 1 else f"{1 / status.speed:.3g} s"


def size_in_words(size: float) -> str:
    """`12 kB`, `3.4 GB`: of 1,000 bytes each."""
    for unit in ("B", "kB", "MB", "GB"):
        if size < 1000:
            return f"{size:.3g} {unit}"
        size /= 1000
    return f"{size:.3g} TB"


def best_in_words(best: Best | None) -> str:
    """`photos/psnr 28.8 at 900`, `photos/psnr 28.7 (last)`; empty if there is none."""
    if best is None:
        return ""
    return f"{best.name} {best.value:.4g} {'(last)' if best.is_last else f'at {best.iteration:,}'}"
