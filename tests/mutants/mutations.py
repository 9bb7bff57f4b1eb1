"""Sound files, and what a slip of the hand makes of them: a strategy for hypothesis."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from copy import deepcopy
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from hypothesis import HealthCheck, Phase, assume, settings
from hypothesis import strategies as st

from artschool.config.source import read_file
from tests.mutants.places import Draw, Keys, at, choose, parent, section, walk

ITERATIONS = 10
BASES = Path(__file__).parent / "bases"
RECIPES = Path(__file__).parents[2] / "recipes"
CHEAP = ("digits_gan", "digits_distill", "digits_byol", "faces_vqvae")
"""Recipes of which ten iterations take less than half a second, once their batches are small."""
DRAWING = settings(deadline=None, database=None, phases=[Phase.generate], suppress_health_check=list(HealthCheck))
"""How mutants are drawn: each once, however long it takes; none is made smaller."""
Operator = Callable[[Any, Draw], str]
GATES = ("after", "before", "every")


@dataclass(frozen=True)
class Mutant:
    """A changed file, and what was changed."""

    base: str
    changes: tuple[str, ...]
    text: str

    def __str__(self) -> str:
        return f"{self.base}: {'; '.join(self.changes)}"


def bases() -> dict[str, Any]:
    """Every sound file that is mutated, as plain values."""
    files = {path.stem: read_file(path).plain() for path in sorted(BASES.glob("*.yml"))}
    return files | {name: shrunk(read_file(RECIPES / f"{name}.yml").plain()) for name in CHEAP}


def link_plugins(folder: Path) -> None:
    """Put the plugins of all bases beside the files to come."""
    for plugin in (*BASES.glob("*.py"), *RECIPES.glob("*.py")):
        (folder / plugin.name).symlink_to(plugin)


def shrunk(tree: Any) -> Any:
    """A recipe whose whole plan takes place within ten iterations, on small batches."""
    whole = tree["train"]["iterations"]
    for path, value in list(walk(tree)):
        if (
            path[-1] in ("after", "before", "from", "period", "every", "warmup")
            and isinstance(value, int)
            and value > ITERATIONS
        ):
            # What begins after what ends still does.
            parent(tree, path)[path[-1]] = max(1, -(-value * ITERATIONS // whole) - (path[-1] == "before"))
    for data in tree["data"].values():
        data["batch_size"] = 6
    tree["train"]["iterations"] = ITERATIONS
    return tree


@st.composite
def mutants(draw: Draw, operators: Sequence[Operator] | None = None) -> Mutant:
    """A sound file with one change, seldom two. `operators` make them; None: those of `OPERATORS`."""
    base = draw(st.sampled_from(sorted(_bases())))
    tree = deepcopy(_bases()[base])
    count = draw(st.sampled_from((1, 1, 1, 2)))
    changes = tuple(draw(st.sampled_from(operators or OPERATORS))(tree, draw) for _ in range(count))
    assume(tree != _bases()[base])
    return Mutant(base, changes, yaml.safe_dump(tree, sort_keys=False, default_flow_style=None, width=1000))


_bases = cache(bases)


def _is_entry(path: Keys, value: Any) -> bool:
    return isinstance(value, dict) and "type" in value


def _is_component(path: Keys, value: Any) -> bool:
    return _is_entry(path, value) and path[-2] in ("injectors", "losses")


def _names(tree: Any) -> list[str]:
    """Every name that the file mentions: of networks, keys, steps, types."""
    return sorted(
        {value for path, value in walk(tree) if isinstance(value, str) and path[0] not in ("name", "plugins")}
    )


def drop(tree: Any, draw: Draw) -> str:
    """Leave out an option, an entry or an item."""
    path, _ = choose(draw, tree, lambda path, value: True)
    del parent(tree, path)[path[-1]]
    return f"drop {at(path)}"


def rename(tree: Any, draw: Draw) -> str:
    """Give an entry or an option another name, where it stands."""
    path, _ = choose(draw, tree, lambda path, value: isinstance(path[-1], str))
    holder, old = parent(tree, path), str(path[-1])
    new = draw(st.sampled_from((old + old[-1], old[:-1] or "x", *holder)))
    items = [(new if key == old else key, value) for key, value in holder.items()]
    holder.clear()
    holder.update(items)
    return f"rename {at(path)} to {new}"


def refer(tree: Any, draw: Draw) -> str:
    """Mention another name instead of one."""
    path, old = choose(draw, tree, lambda path, value: isinstance(value, str))
    new = draw(st.sampled_from((old + old[-1], old[:-1] or "x", *_names(tree))))
    parent(tree, path)[path[-1]] = new
    return f"write {new} at {at(path)}"


def connect(tree: Any, draw: Draw) -> str:
    """Let a component read another key than it did."""
    keys = {"noise", "image", "label"} | {
        name
        for path, value in walk(tree)
        if path[-1] == "out"
        for name in (value if isinstance(value, list) else [value])
    }
    path, _ = choose(
        draw, tree, lambda path, value: isinstance(value, str) and bool({"in", "fake", "real"} & set(path))
    )
    new = draw(st.sampled_from(sorted(keys)))
    parent(tree, path)[path[-1]] = new
    return f"read {new} at {at(path)}"


def swap_types(tree: Any, draw: Draw) -> str:
    """Exchange the types of two entries of a kind."""
    one, _ = choose(draw, tree, _is_entry)
    other, _ = choose(draw, tree, lambda path, value: _is_entry(path, value) and path != one and path[-2] == one[-2])
    first, second = parent(tree, one)[one[-1]], parent(tree, other)[other[-1]]
    first["type"], second["type"] = second["type"], first["type"]
    return f"exchange the types of {at(one)} and {at(other)}"


def swap_inputs(tree: Any, draw: Draw) -> str:
    """Exchange two names inside a component."""
    whole, entry = choose(draw, tree, _is_component)
    names = [path for path, value in walk(entry) if isinstance(value, str)]
    one, other = draw(st.sampled_from(names)), draw(st.sampled_from(names))
    first, second = parent(entry, one), parent(entry, other)
    first[one[-1]], second[other[-1]] = second[other[-1]], first[one[-1]]
    return f"exchange {at(one)} and {at(other)} of {at(whole)}"


def shift(tree: Any, draw: Draw) -> str:
    """Move a gate, or set one."""
    path, value = choose(
        draw,
        tree,
        lambda path, value: isinstance(value, dict) and path[0] in ("steps", "networks") and len(path) in (2, 3, 4),
    )
    gate, begin = draw(st.sampled_from(GATES)), draw(st.integers(1, ITERATIONS + 1))
    value[gate] = begin
    return f"set {at((*path, gate))} to {begin}"


def detach(tree: Any, draw: Draw) -> str:
    """Cut a gradient."""
    path, value = choose(draw, tree, lambda path, value: _is_component(path, value) and path[-2] == "injectors")
    way, on = draw(
        st.sampled_from((("grad", False), ("grad", True), ("no_grad", True), ("once", True), ("mode", "eval")))
    )
    value[way] = on
    return f"set {at((*path, way))} to {on}"


def freeze(tree: Any, draw: Draw) -> str:
    """Freeze a network, or parts of it."""
    networks = section(tree, "networks")
    name = draw(st.sampled_from(sorted(networks)))
    assume(isinstance(networks[name], dict))
    patterns: tuple[Any, ...] = (
        True,
        ["*"],
        ["*.weight"],
        ["*.bias"],
        ["*.0.*"],
        ["layers.*"],
        ["layers.1.*"],
        ["last.*"],
        ["classes.*"],
        ["nothing.*"],
    )
    networks[name]["frozen"] = frozen = draw(st.sampled_from(patterns))
    return f"freeze {frozen} of {name}"


def outdate(tree: Any, draw: Draw) -> str:
    """Give a step a schedule, which may end before the step begins."""
    steps = section(tree, "steps")
    step, end = draw(st.sampled_from(sorted(steps))), draw(st.integers(1, ITERATIONS))
    schedules = (("linear", "iterations"), ("polynomial", "iterations"), ("cosine_annealing", "period"))
    kind, option = draw(st.sampled_from(schedules))
    steps[step]["schedule"] = {"type": kind, option: end}
    if draw(st.booleans()):
        steps[step]["after"] = draw(st.integers(0, ITERATIONS - 1))
    return f"let {kind} of {step} end at {end}"


def spoil(tree: Any, draw: Draw) -> str:
    """Make a mistake in the code of a network."""
    networks = section(tree, "networks")
    tiny = [
        name for name, entry in networks.items() if isinstance(entry, dict) and str(entry.get("type"))[:5] == "tiny_"
    ]
    assume(tiny)
    name = draw(st.sampled_from(sorted(tiny)))
    networks[name]["flaw"] = flaw = draw(st.sampled_from(("in_a_list", "in_place", "extra_state", "late_buffer")))
    return f"{flaw} in {name}"


def rescale(tree: Any, draw: Draw) -> str:
    """Give the images of a data set another range, or tell a metric so."""
    data = section(tree, "data")
    names = [name for name, entry in data.items() if isinstance(entry, dict) and entry.get("type") == "tiny_images"]
    assume(names)
    name = draw(st.sampled_from(sorted(names)))
    data[name]["white"] = white = 2.0
    metrics = [entry for path, entry in walk(tree) if path[-2:-1] == ("metrics",) and "psnr" in str(entry)]
    if metrics and draw(st.booleans()):
        draw(st.sampled_from(metrics))["data_range"] = white
    return f"let the images of {name} end at {white:g}"


def change_out(tree: Any, draw: Draw) -> str:
    """Name results otherwise."""
    path, old = choose(draw, tree, lambda path, value: path[-1] == "out")
    names = old if isinstance(old, list) else [old]
    assume(names)
    ways: list[Any] = [
        names[0],
        [*names],
        [*names, "more"],
        names[:-1],
        names[::-1],
        "_",
        ["_"] * len(names),
        names[1:] + names[:1],
    ]
    new = draw(st.sampled_from([way for way in ways if way != old]))
    parent(tree, path)[path[-1]] = new
    return f"name {new} at {at(path)}"


def remove_loss(tree: Any, draw: Draw) -> str:
    """Leave out a loss."""
    path, _ = choose(draw, tree, lambda path, value: _is_component(path, value) and path[-2] == "losses")
    del parent(tree, path)[path[-1]]
    return f"drop {at(path)}"


def train_others(tree: Any, draw: Draw) -> str:
    """Let a step train other networks, or more of them."""
    steps, networks = section(tree, "steps"), sorted(section(tree, "networks"))
    step = draw(st.sampled_from(sorted(steps)))
    steps[step]["trains"] = trains = draw(st.lists(st.sampled_from(networks), min_size=1, max_size=3))
    return f"train {', '.join(trains)} in {step}"


def duplicate(tree: Any, draw: Draw) -> str:
    """Write an entry twice, under two names."""
    path, _ = choose(draw, tree, lambda path, value: isinstance(value, dict) and isinstance(path[-1], str))
    holder, new = parent(tree, path), f"{path[-1]}_again"
    items = [
        pair
        for key, entry in holder.items()
        for pair in ([(key, entry), (new, deepcopy(entry))] if key == path[-1] else [(key, entry)])
    ]
    holder.clear()
    holder.update(items)
    return f"duplicate {at(path)}"


def move(tree: Any, draw: Draw) -> str:
    """Put an entry at the end of its section."""
    path, _ = choose(
        draw, tree, lambda path, value: path[-1] != "type" and isinstance(path[-1], str) and isinstance(value, dict)
    )
    holder = parent(tree, path)
    holder[path[-1]] = holder.pop(path[-1])
    return f"move {at(path)} to the end"


def cut_batches(tree: Any, draw: Draw) -> str:
    """Take other batches, or more parts of them."""
    if draw(st.booleans()):
        section(tree, "train")["accumulate"] = parts = draw(st.integers(1, 9))
        return f"accumulate {parts}"
    data = section(tree, "data")
    name, size = draw(st.sampled_from(sorted(data))), draw(st.integers(1, 9))
    data[name] |= {"batch_size": size, "drop_last": draw(st.booleans())}
    return f"batches of {size} of {name}"


OPERATORS = (
    rescale,
    drop, rename, refer, connect, swap_types, swap_inputs, shift, detach, freeze, outdate, spoil, change_out,
    remove_loss, train_others, duplicate, move, cut_batches,
)  # fmt: skip
