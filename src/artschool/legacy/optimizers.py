"""The reference's optimizers: `optimizer:` and `optimizer_params:` of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from artschool.config.source import Node
from artschool.errors import allowed
from artschool.legacy.rules import ConversionRule, Fields, Notes, apply, as_node, mapping, rebuilt, same

GATES = same("after", "before")
ADAM = {**GATES, **same("lr", "weight_decay", "beta1", "beta2", "param_groups")}
MOMENTUM = {**GATES, **same("lr", "weight_decay", "momentum", "param_groups")}
ONCE = "each parameter is updated once; the reference updated one inside d nested modules d times"
NO_DECAY: dict[str, Any] = {"no_decay": ["layer_bias", "norm", "embedding"]}

OPTIMIZERS: dict[str, ConversionRule] = {
    "adamw": ConversionRule("adamw", ADAM, constants=NO_DECAY),
    "adamw_zero": ConversionRule("adamw", ADAM, constants={**NO_DECAY, "shard": True}),
    "lamb": ConversionRule("lamb", ADAM, constants={**NO_DECAY, "weight_decay": 0.01}),
    "lars": ConversionRule(
        "lars",
        {**MOMENTUM, "lars_coefficient": "trust_coefficient"},
        constants={"param_groups": [{"kinds": ["norm"], "momentum": 0.0}]},
        changed={"type": ONCE},
    ),
    "lion": ConversionRule(
        "pytorch_optimizer",
        ADAM,
        constants={"name": "lion", **NO_DECAY},
        dropped={"triton": "it only selected an implementation"},
        changed={"type": "needs another package: pip install 'artschool[optim]'"},
    ),
    "adam": ConversionRule("adam", ADAM),
    "sgd": ConversionRule("sgd", MOMENTUM, changed={"type": ONCE}),
}
GROUP = ConversionRule(options=same("lr"))
BY_NAME = ("adam", "sgd", "lars")
"""Optimizers for which the reference followed `param_groups`. Its first group held all other parameters."""
RATES = f"each group has its rate here; the reference followed 'param_groups' with {', '.join(BY_NAME)} alone"
DEFAULT = "adamw"
DEFAULT_BETAS = {"lion": (0.9, 0.99)}
EIGHT_BITS = "Fix: use 'adamw', or register that of bitsandbytes: `optimizers.register('adamw_8bit', AdamW8bit)`."
WIDTHS = "Fix: use 'adamw', and set the rate of each matrix by its width: `param_groups: [{match: ..., lr: ...}]`."
ADVICE = {"adamw_8bit": EIGHT_BITS, "adamw8bit": EIGHT_BITS, "mu_adamw": WIDTHS, "muadamw": WIDTHS}
"""Optimizers of forks, and the suggested replacement."""
FOREIGN = {"triton": "lion", "lars_coefficient": "lars"}
"""Options of one optimizer that files keep when they switch to another, and the optimizer they belong to."""
NAMES = {"lr", "weight_decay", "beta1", "beta2", "momentum", "lars_coefficient"}
"""Options that old files write next to `optimizer_params:`, where the reference ignored them."""


def convert_optimizer(step: Node, path: str, notes: Notes, starts: Sequence[Node] = ()) -> Node | None:
    """The native `optimizer:` of a step; None if the step has no optimizer options.

    Args:
        starts: First iteration of the schedule for each parameter group, in the reference's order; empty if
            all are equal.
    """
    chosen, params = step.get("optimizer"), step.get("optimizer_params")
    if chosen is not None and chosen.value == "none":
        return rebuilt(chosen, "none")
    if not mapping(params):
        params = _misplaced(step, path, notes)
    name = chosen.value if chosen is not None else DEFAULT
    rule = OPTIMIZERS.get(str(name))
    if params is None:
        return None
    if rule is None:
        at = chosen or step
        hint = ADVICE.get(str(name), allowed("Available", str(name), OPTIMIZERS))
        notes.refuse(at, f"{path}.optimizer", f"the reference's optimizer {name!r} has no counterpart", hint)
        return params
    if "type" in rule.changed:
        notes.warn(chosen or params, f"{path}.optimizer", rule.changed["type"])
    known = {
        key: value
        for key, value in mapping(params).items()
        if key != "param_groups" and not _is_foreign(key, value, str(name), path, notes)
    }
    fields = apply(
        rule, rebuilt(params, known), f"{path}.optimizer_params", notes, what=f"optimizer {name!r}", strict=True
    )
    fields = _with_betas(fields, params, DEFAULT_BETAS.get(str(name), (0.9, 0.999)))
    if "betas" in fields and rule.type == "pytorch_optimizer":
        betas = fields.pop("betas")
        fields["options"] = Node({"betas": betas}, betas.place, betas.key_place)
    groups = _groups(str(name), params, starts, f"{path}.optimizer_params", notes)
    if groups:
        fields["param_groups"] = Node([Node(group, params.place) for group in groups], params.place)
    return rebuilt(params, fields)


def _groups(name: str, params: Node, starts: Sequence[Node], path: str, notes: Notes) -> list[Fields]:
    """The native `param_groups`: by the marks of parameters, or by kinds where their starts differ."""
    given = params.get("param_groups")
    named: list[Fields] = []
    for mark, group in mapping(given).items():
        own = apply(GROUP, group, f"{path}.param_groups.{mark}", notes, what="parameter groups")
        named.append({"marked": Node(mark, group.start), **own})
    if given is not None and named and name not in BY_NAME:
        notes.warn(given, f"{path}.param_groups", RATES)
    if name == "lars" and (named or starts):
        hint = "Fix: write them natively, each preceded by a group with `kinds: [norm], momentum: 0.0`."
        notes.refuse(given or params, f"{path}.param_groups", "lars already uses parameter groups for norms", hint)
        return []
    return _with_starts(named, name, params, starts, path, notes) if starts else named


def _with_starts(
    named: list[Fields], name: str, params: Node, starts: Sequence[Node], path: str, notes: Notes
) -> list[Fields]:
    """Each group with its start. Groups without a start or other options are dropped."""
    groups: list[Fields] = []
    if name in BY_NAME:
        groups = [{}, *named]
    elif name == "adamw" and not named:
        groups = [{"kinds": as_node(kinds, params.place)} for kinds in (["weight"], ["bias", "norm", "embedding"])]
    if len(groups) != len(starts):
        message = f"'progressive_starts' has {len(starts)} starts, which do not match the parameter groups of {name!r}"
        hint = "Fix: write `param_groups: [{match: ..., schedule_from: ...}]` natively."
        notes.refuse(params, path, message, hint)
        return named
    pairs = zip(groups, starts, strict=True)
    whole = [{**group, **({"schedule_from": start} if start.value else {})} for group, start in pairs]
    if name in BY_NAME:
        whole = [
            *whole[1:],
            whole[0],
        ]  # The group of all other parameters comes last, since the first matching group applies.
    return [group for group in whole if "marked" in group or "schedule_from" in group]


def _misplaced(step: Node, path: str, notes: Notes) -> Node | None:
    """Report missing `optimizer_params:` as a fault. Returns the options written next to it instead, if any."""
    found = {name: node for name, node in mapping(step).items() if name in NAMES}
    if not found:
        hint = "Fix: write `optimizer_params: {lr: ...}`, or `optimizer: none` if the step has none."
        notes.refuse(step, path, "has no 'optimizer_params', so the reference trained nothing in this step", hint)
        return None
    names = ", ".join(repr(name) for name in found)
    message = f"misplaced option {names}: the reference ignored it here and trained nothing in this step"
    first = next(iter(found.values()))
    notes.refuse(first, path, message, "Fix: move it into `optimizer_params:`.")
    return Node(found, first.place, first.key_place)


def _is_foreign(key: str, value: Node, name: str, path: str, notes: Notes) -> bool:
    if key not in FOREIGN or FOREIGN[key] == name:
        return False
    where = f"{path}.optimizer_params.{key}"
    notes.refuse(value, where, f"{key!r} is an option of the optimizer {FOREIGN[key]!r}, not of {name!r}; remove it")
    return True


def _with_betas(fields: Fields, params: Node, defaults: tuple[float, float]) -> Fields:
    betas = [fields.pop(name, None) for name in ("beta1", "beta2")]
    given = next((beta for beta in betas if beta is not None), None)
    if given is not None:
        pair = [beta or Node(default, params.place) for beta, default in zip(betas, defaults, strict=True)]
        fields["betas"] = Node(pair, given.place, given.key_place)
    return fields
