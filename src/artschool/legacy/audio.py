"""Audio of the reference: its injectors and losses."""

from __future__ import annotations

from artschool.legacy.rules import Rule

INJECTORS: dict[str, Rule] = {}
LOSSES: dict[str, Rule] = {}
