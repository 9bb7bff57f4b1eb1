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
ONCE = "each parameter moves once; the reference moved one inside d nested modules d times"
NO_DECAY: dict[str, Any] = {"no_decay": ["bias", "norm", "embedding"]}

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
        dropped={"triton": "it only chose how the same numbers are computed"},
        changed={"type": "it comes from another package: pip install 'artschool[optim]'"},
    ),
    "adam": ConversionRule("adam", ADAM),
    "sgd": ConversionRule("sgd", MOMENTUM, changed={"type": ONCE}),
}
GROUP = ConversionRule(options=same("lr"))
BY_NAME = ("adam", "sgd", "lars")
"""Where the reference followed `param_groups`; its first group is that of all other parameters."""
RATES = f"each group has its rate here; the reference followed 'param_groups' with {', '.join(BY_NAME)} alone"
DEFAULT = "adamw"
DEFAULT_BETAS = {"lion": (0.9, 0.99)}
EIGHT_BITS = "Take 'adamw', or register the one of bitsandbytes: `optimizers.register('adamw_8bit', AdamW8bit)`."
WIDTHS = "Take 'adamw', and give each matrix the rate of its width: `param_groups: [{match: ..., lr: ...}]`."
ADVICE = {"adamw_8bit": EIGHT_BITS, "adamw8bit": EIGHT_BITS, "mu_adamw": WIDTHS, "muadamw": WIDTHS}
"""Optimizers of forks that need more than a name."""
FOREIGN = {"triton": "lion", "lars_coefficient": "lars"}
"""Options that belong to one optimizer, and which; files carry them along when they change the optimizer."""
NAMES = {"lr", "weight_decay", "beta1", "beta2", "momentum", "lars_coefficient"}
"""Options that old files write beside `optimizer_params:`, where nothing read them."""


def convert_optimizer(step: Node, path: str, notes: Notes, starts: Sequence[Node] = ()) -> Node | None:
    """The native `optimizer:` of a step; None where there is nothing to make one of.

    Args:
        starts: Where the schedule begins for each parameter group, in the reference's order, if not alike for all.
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
        hint = ADVICE.get(str(name), allowed("There are", str(name), OPTIMIZERS))
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
    """The native `param_groups`: by the names with which networks mark parameters, or by kinds for their starts."""
    given = params.get("param_groups")
    named: list[Fields] = []
    for mark, group in mapping(given).items():
        own = apply(GROUP, group, f"{path}.param_groups.{mark}", notes, what="parameter groups")
        named.append({"marked": Node(mark, group.start), **own})
    if given is not None and named and name not in BY_NAME:
        notes.warn(given, f"{path}.param_groups", RATES)
    if name == "lars" and (named or starts):
        hint = "Write them natively, for each `kinds: [norm], momentum: 0.0` in a group of its own before it."
        notes.refuse(given or params, f"{path}.param_groups", "lars has groups of its own for norms", hint)
        return []
    return _with_starts(named, name, params, starts, path, notes) if starts else named


def _with_starts(
    named: list[Fields], name: str, params: Node, starts: Sequence[Node], path: str, notes: Notes
) -> list[Fields]:
    """Each group with its start. Those without one that say nothing else are left out."""
    groups: list[Fields] = []
    if name in BY_NAME:
        groups = [{}, *named]
    elif name == "adamw" and not named:
        groups = [{"kinds": as_node(kinds, params.place)} for kinds in (["weight"], ["bias", "norm", "embedding"])]
    if len(groups) != len(starts):
        message = f"'progressive_starts' has {len(starts)} starts, and the groups of {name!r} here are others"
        hint = "Write `param_groups: [{match: ..., schedule_from: ...}]` natively."
        notes.refuse(params, path, message, hint)
        return named
    pairs = zip(groups, starts, strict=True)
    whole = [{**group, **({"schedule_from": start} if start.value else {})} for group, start in pairs]
    if name in BY_NAME:
        whole = [*whole[1:], whole[0]]  # The group of all others comes last, since the first that fits counts.
    return [group for group in whole if "marked" in group or "schedule_from" in group]


def _misplaced(step: Node, path: str, notes: Notes) -> Node | None:
    """The options that stand beside `optimizer_params:` instead of below it, if any do. Either way it is a fault."""
    found = {name: node for name, node in mapping(step).items() if name in NAMES}
    if not found:
        hint = "Write `optimizer_params: {lr: ...}`, or `optimizer: none` if that is meant."
        notes.refuse(step, path, "has no 'optimizer_params', so the reference trained nothing here", hint)
        return None
    names = ", ".join(repr(name) for name in found)
    message = f"{names} stand in the step itself, so the reference did not read them and trained nothing here"
    first = next(iter(found.values()))
    notes.refuse(first, path, message, "Put them below `optimizer_params:`.")
    return Node(found, first.place, first.key_place)


def _is_foreign(key: str, value: Node, name: str, path: str, notes: Notes) -> bool:
    if key not in FOREIGN or FOREIGN[key] == name:
        return False
    where = f"{path}.optimizer_params.{key}"
    notes.refuse(value, where, f"{key!r} is an option of the optimizer {FOREIGN[key]!r}, not of {name!r}; take it out")
    return True


def _with_betas(fields: Fields, params: Node, defaults: tuple[float, float]) -> Fields:
    betas = [fields.pop(name, None) for name in ("beta1", "beta2")]
    given = next((beta for beta in betas if beta is not None), None)
    if given is not None:
        pair = [beta or Node(default, params.place) for beta, default in zip(betas, defaults, strict=True)]
        fields["betas"] = Node(pair, given.place, given.key_place)
    return fields
