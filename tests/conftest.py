"""Lets tests import the modules beside them, such as toys."""

from __future__ import annotations

import sys
from pathlib import Path

HERE = Path(__file__).parent
sys.path += [str(folder) for folder in (HERE, HERE / "engine", HERE / "legacy")]
