"""All rules, by name."""

from __future__ import annotations

from artschool.lint import (
    adversarial,
    diffusion,
    evaluation,
    networks,
    numerics,
    optimization,
    parts,
    ranges,
    rates,
    timing,
)
from artschool.lint.rule import Rule

RULES: dict[str, Rule] = {
    rule.name: rule
    for module in (adversarial, optimization, parts, timing, rates, networks, numerics, diffusion, evaluation, ranges)
    for rule in module.RULES
}
