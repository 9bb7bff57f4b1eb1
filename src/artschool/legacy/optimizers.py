"""The reference's optimizers: `optimizer:` and `optimizer_params:` of a step."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from artschool.config.source import Node
from artschool.config.write import flow
from artschool.legacy.own import is_own
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    apply,
    as_node,
    known_options,
    mapping,
    rebuilt,
    same,
)
from artschool.registry import REGISTRIES
from artschool.wording.names import allowed

GATES = same("after", "before")
ADAM = {**GATES, **same("lr", "weight_decay", "beta1", "beta2", "param_groups")}
MOMENTUM = {**GATES, **same("lr", "weight_decay", "momentum", "param_groups")}
ONCE = "each parameter is updated once; the reference updated one inside d nested modules d times"
NO_DECAY: dict[str, Any] = {"no_decay": ["layer_bias", "norm", "embedding"]}

OPTIMIZERS: dict[str, ConversionRule] = {
    "adamw": ConversionRule("adamw", ADAM, constants={**NO_DECAY, "weight_decay": 0.0}),
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
    **dict.fromkeys(
        ("adamw_8bit", "adamw8bit"),
        ConversionRule(
            "bitsandbytes",
            ADAM,
            constants={"name": "adamw8bit", **NO_DECAY, "weight_decay": 0.0},
            changed={"type": "needs another package: pip install 'artschool[bitsandbytes]'"},
        ),
    ),
    "adam": ConversionRule("adam", ADAM),
    "sgd": ConversionRule("sgd", MOMENTUM, changed={"type": ONCE}),
}
GROUP = ConversionRule(options=same("lr"))
BY_NAME = ("adam", "sgd", "lars")
"""Optimizers for which the reference followed `param_groups`. Its first group held all other parameters."""
RATES = (
    "each group has its rate here; later versions of the reference followed 'param_groups' with "
    f"{', '.join(BY_NAME)} alone"
)
DEFAULT = "adamw"
DEFAULT_BETAS = {"lion": (0.9, 0.99)}
WIDTHS = "Fix: use 'adamw', and set the rate of each matrix by its width: `param_groups: [{match: ..., lr: ...}]`."
ADVICE = {"mu_adamw": WIDTHS, "muadamw": WIDTHS}
"""Optimizers of forks, and the suggested replacement."""
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
    rule = _own_rule(str(name), params) or OPTIMIZERS.get(str(name))
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
        if key != "param_groups" and not _is_foreign(rule, key, value, str(name), path, notes)
    }
    fields = apply(
        rule, rebuilt(params, known), f"{path}.optimizer_params", notes, what=f"optimizer {name!r}", strict=True
    )
    if "beta1" not in _taken(rule.type):
        fields = _with_betas(fields, params, DEFAULT_BETAS.get(str(name), (0.9, 0.999)))
    if "betas" in fields and rule.type == "pytorch_optimizer":
        betas = fields.pop("betas")
        fields["options"] = Node({"betas": betas}, betas.place, betas.key_place)
    groups = _groups(str(name), params, starts, f"{path}.optimizer_params", notes)
    if groups:
        fields["param_groups"] = Node([Node(group, params.place) for group in groups], params.place)
    return rebuilt(params, fields)


def _own_rule(name: str, params: Node | None) -> ConversionRule | None:
    """The rule of an optimizer of a plugin. It takes its options as they are, but not those of other optimizers."""
    if not is_own("optimizers", name):
        return None
    foreign = {option for rule in OPTIMIZERS.values() for option in known_options(rule)} - {"beta1", "beta2"}
    own = [option for option in mapping(params) if option in _taken(name) or option not in foreign]
    return ConversionRule(name, {**GATES, **same(*own)})


def _taken(name: str) -> list[str]:
    """The options that a native optimizer takes."""
    return REGISTRIES["optimizers"].get(name).takes if name in REGISTRIES["optimizers"] else []


def _groups(name: str, params: Node, starts: Sequence[Node], path: str, notes: Notes) -> list[Fields]:
    """The native `param_groups`: by the marks of parameters, or by kinds where their starts differ."""
    given = params.get("param_groups")
    named: list[Fields] = []
    for mark, group in mapping(given).items():
        own = apply(GROUP, group, f"{path}.param_groups.{mark}", notes, what="parameter groups")
        named.append({"marked": Node(mark, group.start), **own})
    if given is not None and named and name in OPTIMIZERS and name not in BY_NAME:
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
        notes.refuse(
            step, path, "has no 'optimizer_params', so the reference's last versions train nothing in this step", hint
        )
        return None
    names = ", ".join(repr(name) for name in found)
    message = f"misplaced option {names}: the reference's last versions ignore it here and train nothing in this step"
    first = next(iter(found.values()))
    notes.refuse(first, path, message, "Fix: move it into `optimizer_params:`.")
    return Node(found, first.place, first.key_place)


def _is_foreign(rule: ConversionRule, key: str, value: Node, name: str, path: str, notes: Notes) -> bool:
    """Whether the optimizer does not read an option that others read. Files keep it when they switch to another."""
    if key in known_options(rule):
        return False
    where = f"{path}.optimizer_params.{key}"
    readers = [reader for reader, other in OPTIMIZERS.items() if key in known_options(other)]
    if key in _taken(rule.type):
        hint = f"To use it, convert the file and write `{key}: {flow(value.plain())}` in the optimizer."
        notes.warn(value, where, f"is dropped: the reference's {name!r} did not read {key!r}", hint)
    elif readers:
        message = f"is dropped: it is an option of {' and '.join(map(repr, readers))}, which {name!r} does not read"
        notes.warn(value, where, message)
    else:
        return False
    return True


def _with_betas(fields: Fields, params: Node, defaults: tuple[float, float]) -> Fields:
    betas = [fields.pop(name, None) for name in ("beta1", "beta2")]
    given = next((beta for beta in betas if beta is not None), None)
    if given is not None:
        pair = [beta or Node(default, params.place) for beta, default in zip(betas, defaults, strict=True)]
        fields["betas"] = Node(pair, given.place, given.key_place)
    return fields
