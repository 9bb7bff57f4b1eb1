"""Lets tests import the modules beside them, such as toys."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path += [str(Path(__file__).parent / folder) for folder in (".", "config", "engine", "legacy")]
