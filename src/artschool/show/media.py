"""Finds the images, sounds and videos of a run folder: files named after their number of finished iterations."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

TYPES: Mapping[str, str] = {
    ".png": "image/png",
    ".jpg": "image/jpeg",
    ".jpeg": "image/jpeg",
    ".webp": "image/webp",
    ".gif": "image/gif",
    ".wav": "audio/wav",
    ".flac": "audio/flac",
    ".ogg": "audio/ogg",
    ".mp3": "audio/mpeg",
    ".mp4": "video/mp4",
    ".webm": "video/webm",
}
"""The media type of each suffix."""
ELSEWHERE = ("checkpoints", "incidents")
DEEPEST = 5
"""Maximum number of folders between the run folder and a file."""
_NAME = re.compile(r"(?P<iteration>\d{4,12})(?P<rest>\D.*)?")


def media(folder: Path) -> dict[str, dict[int, str]]:
    """The files of each group by iteration, as paths relative to the run folder.

    A group is a folder such as `pictures/sr`. Files such as `00000100.wav` and `00000100-2.png` in it are groups of
    their own, by what follows the number. Links are left out.
    """
    found: dict[str, dict[int, str]] = {}
    for parent, folders, files in os.walk(folder):
        depth = len(Path(parent).relative_to(folder).parts)
        folders[:] = sorted(folders) if depth < DEEPEST else []
        if depth == 0:
            folders[:] = [name for name in folders if name not in ELSEWHERE]
            continue
        for name in sorted(files):
            path = Path(parent, name)
            match = _NAME.fullmatch(path.stem)
            if match and path.suffix.lower() in TYPES and not path.is_symlink():
                group = path.parent.relative_to(folder).as_posix() + (match["rest"] or "")
                kind = TYPES[path.suffix.lower()].partition("/")[0]
                group = group if kind == "image" else f"{group} ({kind})"
                found.setdefault(group, {})[int(match["iteration"])] = path.relative_to(folder).as_posix()
    return {group: dict(sorted(files.items())) for group, files in sorted(found.items())}
