"""The reference's learning-rate schemes: options of `train:` that apply to every step."""

from __future__ import annotations

from collections.abc import Callable
from itertools import zip_longest
from typing import Any

from artschool.config.source import Node
from artschool.faults import FaultKind
from artschool.legacy.own import is_own, takes
from artschool.legacy.rules import Fields, Notes, items, mapping, rebuilt
from artschool.wording.names import allowed

OPTIONS = {
    "MultiStepLR": ("gen_lr_steps", "lr_gamma", "warmup_steps", "clear_state", "force_lr"),
    "CosineAnnealingLR_Restart": ("T_period", "warmup", "eta_min"),
    "ProgressiveMultiStepLR": ("gen_lr_steps", "lr_gamma", "progressive_starts"),
}
SHARED = ("default_lr_scheme", "warmup_iter", "restarts", "restart_weights")
ALL_OPTIONS = {*SHARED, *(name for names in OPTIONS.values() for name in names)}
"""Options of `train:` that the schemes read. Old files keep the options of several schemes."""
ADVICE = {
    "clear_state": "The optimizer keeps its state at a restart; remove the option to accept that. For a fresh state, "
    "end the run at the restart and start another from its `weights`.",
    "force_lr": "It kept each optimizer at its `lr`: remove it together with `gen_lr_steps` and `restarts`.",
}
HARMLESS: dict[str, tuple[Any, ...]] = {"clear_state": (False,), "force_lr": (None, False, [])}


def convert_schedule(train: Node, notes: Notes) -> Node | None:
    """The native `schedule:` of each optimizer; None if the rate is constant."""
    chosen = train.get("default_lr_scheme")
    name = "MultiStepLR" if chosen is None else str(chosen.value)
    phases: list[Fields] = []
    if chosen is not None and is_own("schedules", name):
        phases = [{"type": chosen, **takes("schedules", name, mapping(train))}]
    elif name in SCHEMES:
        phases = SCHEMES[name](train, notes)
    else:
        hint = allowed("Available", name, SCHEMES)
        message = f"unknown scheme {name!r}: neither the reference nor a plugin of the file has it"
        notes.refuse(chosen or train, "train.default_lr_scheme", message, hint, kind=FaultKind.UNKNOWN_COMPONENT)
    for option, harmless in HARMLESS.items():
        node = train.get(option)
        if node is not None and node.plain() not in harmless:
            message = f"{option!r} of the reference's schemes has no counterpart"
            notes.refuse(node, f"train.{option}", message, ADVICE[option])
    phases = _with_warmup(phases, name, train, notes)
    at = chosen or train
    nodes = [Node(fields, fields["type"].place, at.key_place) for fields in phases]
    return nodes[0] if len(nodes) == 1 else Node([*nodes], at.place, at.key_place) if nodes else None


def group_starts(train: Node) -> list[Node]:
    """First iteration of the schedule for each parameter group; empty if all start at 0."""
    scheme, starts = train.get("default_lr_scheme"), items(train.get("progressive_starts"))
    progressive = scheme is not None and scheme.value == "ProgressiveMultiStepLR"
    return [start for start in starts if isinstance(start.value, int)] if progressive else []


def starts_differ(train: Node) -> bool:
    """Whether groups start at different iterations."""
    return len({start.value for start in group_starts(train)}) > 1


def _progressive(train: Node, notes: Notes) -> list[Fields]:
    """Milestones relative to a start. If the starts of groups differ, `schedule_from` of each group holds them."""
    milestones = {name: node for name, node in mapping(train).items() if name != "restarts"}
    phases = _multi_step(rebuilt(train, milestones), notes)
    starts, at = group_starts(train), train.get("progressive_starts")
    if at is None or not starts:
        message = "the scheme 'ProgressiveMultiStepLR' requires 'progressive_starts'"
        notes.refuse(
            at or train, "train.progressive_starts", message, "Fix: write the first iteration of each parameter group."
        )
    elif not starts_differ(train) and starts[0].value:
        phases = [{"type": fields["type"], "from": starts[0], **fields} for fields in phases]
    return phases


def _multi_step(train: Node, notes: Notes) -> list[Fields]:
    """Milestone m took effect at iteration m - 1 and restart r at r; a milestone applies to the phase running then."""
    steps = train.get("gen_lr_steps")
    if steps is None or not (items(steps) or items(train.get("restarts"))):
        return []
    if items(steps):
        written = ", ".join(str(item.value) for item in items(steps))
        message = f"milestones {written} took effect one iteration early in the reference, so each is reduced by one"
        notes.remark(steps, "train.gen_lr_steps", f"{message}; the rates are the same")
    milestones = [(max(at - 1, 0), item) for at, item in _iterations(steps, "train.gen_lr_steps", notes)]
    gamma = train.get("lr_gamma")
    phases = []
    starts = _restarts(train, notes)
    for (start, head), following in zip_longest(starts, starts[1:]):
        end = following[0] if following else None
        inside = [(at, item) for at, item in milestones if at >= start and (end is None or at < end)]
        fields = {"type": Node("multi_step", steps.place), **head}
        fields["milestones"] = rebuilt(steps, [rebuilt(item, at - start) for at, item in inside])
        phases.append(fields | ({"gamma": gamma} if gamma is not None else {}))
    return phases


def _cosine(train: Node, notes: Notes) -> list[Fields]:
    """The rate is constant for `warmup` iterations, then follows half a cosine for each period."""
    periods, hold, eta_min = items(train.get("T_period")), train.get("warmup"), train.get("eta_min")
    length = hold.value if hold is not None and isinstance(hold.value, int) else 0
    phases: list[Fields] = []
    starts = _restarts(train, notes)
    if len(periods) < len(starts):
        message = f"has {len(periods)} periods for {len(starts)} phases; write one for each phase, restarts included"
        notes.refuse(train.get("T_period") or train, "train.T_period", message)
    for index, ((start, head), period) in enumerate(zip(starts, periods, strict=False)):
        at = start + length if index else max(length - 1, 0)
        place = (hold or period).place
        fields = {"type": Node("cosine_annealing", period.place), **head}
        fields |= {"from": Node(at, head["from"].place if "from" in head else place)} if at else {}
        fields["period"] = period
        phases.append(fields | ({"eta_min": eta_min} if eta_min is not None else {}))
        following = starts[index + 1][0] + length if index + 1 < len(starts) else _number(train.get("niter"))
        if isinstance(period.value, int) and following > at + period.value + 1:
            message = f"after {period.value} iterations the rate stays at eta_min; in the reference it rose again"
            notes.warn(period, "train.T_period", message, "Fix: write a period for each part, with `restarts`.")
    return phases


def _number(node: Node | None) -> int:
    return node.value if node is not None and isinstance(node.value, int) else 0


SCHEMES: dict[str, Callable[[Node, Notes], list[Fields]]] = {
    "MultiStepLR": _multi_step,
    "CosineAnnealingLR_Restart": _cosine,
    "ProgressiveMultiStepLR": _progressive,
}


def _restarts(train: Node, notes: Notes) -> list[tuple[int, Fields]]:
    """The start and the options of each phase. The first starts at 0."""
    starts = _iterations(train.get("restarts"), "train.restarts", notes)
    weights = items(train.get("restart_weights"))
    phases: list[tuple[int, Fields]] = [(0, {})]
    for (start, item), weight in zip_longest(starts, weights[: len(starts)]):
        if start:
            phases.append((start, {"from": item, **({"scale": weight} if weight is not None else {})}))
    return phases


def _iterations(listed: Node | None, path: str, notes: Notes) -> list[tuple[int, Node]]:
    """Each whole number of a list with its node."""
    found = []
    for item in items(listed):
        if isinstance(item.value, int | float) and float(item.value).is_integer():
            found.append((int(item.value), item))
        else:
            notes.refuse(item, path, f"expected an iteration (a whole number), got {item.value!r}")
    return found


def _with_warmup(phases: list[Fields], name: str, train: Node, notes: Notes) -> list[Fields]:
    """Add the linear warm-up, written in either form, to the first phase."""
    late, early = train.get("warmup_iter"), train.get("warmup_steps") if name == "MultiStepLR" else None
    found = next((n for n in (late, early) if n is not None and isinstance(n.value, int) and n.value > 0), None)
    if found is None:
        return phases
    if found is late:
        message = "the warm-up reaches the full rate; the reference stayed at (n - 1) / n of it"
        notes.warn(found, "train.warmup_iter", message)
    if starts_differ(train):
        message = "a warm-up cannot be combined with different 'progressive_starts'"
        notes.refuse(found, "train.warmup_iter", message, "Fix: remove it; each group keeps its `lr` until its start.")
    if not phases or "from" in phases[0]:
        phases = [{"type": Node("constant", found.place)}, *phases]
    return [phases[0] | {"warmup": found}, *phases[1:]]
