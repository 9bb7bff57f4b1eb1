"""Lets tests import the modules beside them, such as toys."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(folder) for folder in (Path(__file__).parent, Path(__file__).parent / "engine")]
