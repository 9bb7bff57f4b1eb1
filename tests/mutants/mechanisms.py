"""Mechanisms that a slip of the hand adds to a file, or gets wrong. Versions without one refuse it."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

from hypothesis import assume
from hypothesis import strategies as st

from tests.mutants.places import Draw, at, choose, parent, section, walk

COUNTS = ("after", "before", "every", "period", "warmup", "iterations")
NUMBERS = ("weight", "weight_decay", "decay", "lr", "clip_grad_norm", "momentum")


def schedule_number(tree: Any, draw: Draw) -> str:
    """Let a number change."""
    path, old = choose(draw, tree, lambda path, value: path[-1] in NUMBERS and isinstance(value, int | float))
    kind, until = draw(st.sampled_from(("linear", "cosine", "ramp"))), draw(st.integers(0, 12))
    ends = draw(st.sampled_from(((0, old), (old, 0), (old, -old), (old, 2 * old), (old, None))))
    new = {"type": kind} if kind == "ramp" else {"type": kind, "start": ends[0], "end": ends[1], "iterations": until}
    parent(tree, path)[path[-1]] = {key: value for key, value in new.items() if value is not None}
    return f"{kind} at {at(path)} until {until}"


def count_otherwise(tree: Any, draw: Draw) -> str:
    """Write a number of iterations in epochs or samples."""
    path, _ = choose(draw, tree, lambda path, value: path[-1] in COUNTS and type(value) is int)
    number = draw(st.sampled_from(("0", "1", "2", "0.5", "8", "1k", "-1")))
    new = f"{number} {draw(st.sampled_from(('epoch', 'epochs', 'samples', 'iterations')))}"
    parent(tree, path)[path[-1]] = new
    return f"write {new} at {at(path)}"


def open_at_remainder(tree: Any, draw: Draw) -> str:
    """Open a gate at a remainder."""
    path, entry = choose(
        draw, tree, lambda path, value: path[0] == "steps" and len(path) in (2, 4) and isinstance(value, dict)
    )
    entry["every"] = every = {"of": draw(st.integers(0, 4)), "at": draw(st.integers(0, 4))}
    return f"every {every} at {at(path)}"


def repeat(tree: Any, draw: Draw) -> str:
    """Run a step several times."""
    name, step = _step(tree, draw)
    step["repeat"] = count = draw(st.integers(0, 3))
    return f"repeat {name} {count} times"


def stream(tree: Any, draw: Draw) -> str:
    """Feed the training from one more data set, which a step takes for itself or reads by its name."""
    data = section(tree, "data")
    assume("train" in data)
    data["plain"] = deepcopy(data["train"]) | {"batch_size": draw(st.sampled_from((2, 4)))}
    name, step = _step(tree, draw)
    if draw(st.booleans()):
        step["data"] = source = draw(st.sampled_from(("plain", "train", "val", ["train", "plain"])))
        return f"data {source} of {name}"
    reads = [
        (path, value)
        for path, value in walk(step)
        if isinstance(value, str) and {"in", "real"} & set(path) and value in ("image", "label", "noise")
    ]
    assume(reads)
    path, key = draw(st.sampled_from(reads))
    parent(step, path)[path[-1]] = f"plain.{key}"
    return f"read plain.{key} at {name}.{at(path)}"


def average(tree: Any, draw: Draw) -> str:
    """Keep several averages of a network, or another kind of one."""
    networks = sorted(section(tree, "networks"))
    of, name = draw(st.sampled_from(networks)), draw(st.sampled_from((*networks, "slow")))
    entry = {"of": of, "decay": draw(st.sampled_from((0.0, 0.9, 1.0))), "start": draw(st.sampled_from((0, 5, 50)))}
    entry["buffers"] = draw(st.sampled_from(("copy", "average", "own")))
    tree["ema"] = {"decay": 0.9, "networks": {of: 0.9, name: entry}}
    return f"average {name}: {entry}"


def share_optimizer(tree: Any, draw: Draw) -> str:
    """Let a step use the optimizer of another one."""
    steps = section(tree, "steps")
    name, step = _step(tree, draw)
    owner = draw(st.sampled_from(sorted(steps)))
    step["optimizer"] = {"of": owner}
    if draw(st.booleans()) and isinstance(steps[owner], dict) and "trains" in steps[owner]:
        step["trains"] = steps[owner]["trains"]
    step.pop("schedule", None)
    return f"{name} uses the optimizer of {owner}"


def train_while(tree: Any, draw: Draw) -> str:
    """Let a value decide whether a step trains."""
    name, step = _step(tree, draw)
    losses = [f"{path[1]}/{path[3]}" for path, _ in walk(tree) if len(path) == 4 and path[2] == "losses"]
    value = draw(st.sampled_from((*losses, "label", "drawn", "nothing")))
    limit = draw(st.sampled_from(({"below": 0.5}, {"above": 0.5}, {"above": 0.5, "until": 0.2}, {})))
    step["while"] = {"value": value, **limit} if draw(st.booleans()) else value
    return f"{name} trains while {step['while']}"


def write_loss(tree: Any, draw: Draw) -> str:
    """Write the value of a loss to a key, and weigh a loss by a key."""
    path, loss = choose(draw, tree, _is_loss)
    loss["out"] = key = draw(st.sampled_from(("value", "image", "_")))
    other, weighed = choose(draw, tree, _is_loss)
    weighed["weight"] = draw(st.sampled_from((key, "label", 1.0)))
    return f"{at(path)} writes {key}, which weighs {at(other)}"


def adapt(tree: Any, draw: Draw) -> str:
    """Train small additions of a network."""
    name, network = _network(tree, draw)
    match = draw(st.sampled_from((["*"], ["*.0"], ["layers.*"], ["nothing.*"])))
    network["adapters"] = {"type": "lora", "match": match, "rank": draw(st.sampled_from((0, 1, 4)))}
    return f"adapters of {name} match {match}"


def leave_out(tree: Any, draw: Draw) -> str:
    """Leave a network out of checkpoints, or a part of it."""
    name, network = _network(tree, draw)
    network["saved"] = saved = draw(st.sampled_from((True, "trained", False)))
    return f"save {saved} of {name}"


MECHANISMS = (
    schedule_number, count_otherwise, open_at_remainder, repeat, stream, average, share_optimizer, train_while,
    write_loss, adapt, leave_out,
)  # fmt: skip


def _is_loss(path: tuple[str | int, ...], value: Any) -> bool:
    return isinstance(value, dict) and len(path) == 4 and path[2] == "losses"


def _step(tree: Any, draw: Draw) -> tuple[str, Any]:
    return _entry(tree, draw, "steps")


def _network(tree: Any, draw: Draw) -> tuple[str, Any]:
    return _entry(tree, draw, "networks")


def _entry(tree: Any, draw: Draw, name: str) -> tuple[str, Any]:
    entries = section(tree, name)
    chosen = draw(st.sampled_from(sorted(entries)))
    assume(isinstance(entries[chosen], dict))
    return chosen, entries[chosen]
