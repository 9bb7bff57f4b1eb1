"""Print the changelog's section of a release, for `.github/workflows/release.yml`.

Usage: python .github/release_notes.py TAG DIST
"""

from __future__ import annotations

import re
import sys
from pathlib import Path


def check_files(version: str, dist: Path) -> None:
    """Require that `dist` holds the sdist and the wheel of `version`, and nothing else.

    Raises:
        SystemExit: It holds other files, so the tag does not match the package's version.
    """
    expected = [f"artschool-{version}-py3-none-any.whl", f"artschool-{version}.tar.gz"]
    found = sorted(path.name for path in dist.iterdir())
    if found != expected:
        sys.exit(f"{dist}: expected {', '.join(expected)} for tag v{version}, got {', '.join(found) or 'no file'}")


def section(version: str, changelog: str) -> str:
    """The text below the heading `## VERSION (DATE)`.

    Raises:
        SystemExit: There is no such heading, or no text below it.
    """
    match = re.search(rf"^## {re.escape(version)} \([\d-]+\)\n(.*?)(?=^## |\Z)", changelog, re.MULTILINE | re.DOTALL)
    if match is None or not match[1].strip():
        sys.exit(f"CHANGELOG.md has no section {version}. Fix: towncrier build --version {version}")
    return match[1].strip() + "\n"


def main(tag: str, dist: str) -> None:
    """Check the built files against the tag, then print the notes."""
    version = tag.removeprefix("v")
    check_files(version, Path(dist))
    sys.stdout.write(section(version, Path("CHANGELOG.md").read_text()))


if __name__ == "__main__":
    main(*sys.argv[1:])
