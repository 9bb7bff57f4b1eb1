"""The reference's evaluation: `eval:`, and its frequency in `train:`."""

from __future__ import annotations

import math

from artschool.config.source import Node
from artschool.legacy.datasets import DATASETS
from artschool.legacy.evaluators import convert_evaluators
from artschool.legacy.injectors import convert_injectors
from artschool.legacy.rules import Fields, Notes, as_node, mapping, rebuilt, text

FREQUENCIES = ("val_freq", "val_freq_megasamples")
NAME = "val"


def convert_evaluation(tree: Node, steps: Node | None, notes: Notes) -> Node | None:
    """The native `evaluate:`; None if the file evaluates nothing."""
    section, train = tree.get("eval") or Node({}, tree.place), tree.get("train") or Node({}, tree.place)
    data = (tree.get("datasets") or tree).get(NAME)
    every = _every(tree, train, notes) if data is not None or mapping(section.get("evaluators")) else None
    entries: Fields = {}
    if data is not None:
        entry = _validation(data, section, steps, every, notes)
        entries |= {} if entry is None else {NAME: entry}
    else:
        for name in ("pure", "injectors", "output_state"):
            if (asked := section.get(name)) is not None and asked.value:
                notes.warn(asked, f"eval.{name}", f"is dropped: there is no `datasets.{NAME}` to evaluate on")
    entries |= convert_evaluators(section, every, notes)
    return Node(entries, section.place) if entries else None


def _validation(data: Node, section: Node, steps: Node | None, every: Node | None, notes: Notes) -> Node | None:
    """The reference's own evaluation, on the data set `val`."""
    fields: Fields = {"data": Node(NAME, data.place, data.key_place)}
    if every is not None:
        fields["every"] = every
    own = convert_injectors(section, "eval", notes) if section.get("injectors") is not None else None
    if own is not None:
        fields["injectors"] = own
    else:
        fields["steps"] = as_node(list(mapping(steps)), data.place)
    output = section.get("output_state")
    if output is not None and text(data.get("mode")) in DATASETS and text(output) != "hq":
        entry = {"type": "psnr", "in": [text(output), "hq"]}
        fields["metrics"] = as_node({"psnr": entry}, output.place)
    elif own is not None:
        notes.warn(own, "eval.injectors", "no metric reads their output; add `metrics:`")
        return None
    return Node(fields, data.place, data.key_place)


def _every(tree: Node, train: Node, notes: Notes) -> Node | None:
    """Iterations between evaluations."""
    count, millions = (train.get(name) for name in FREQUENCIES)
    if millions is None or not isinstance(millions.value, int | float) or not millions.value:
        return count
    batch = ((tree.get("datasets") or tree).get("train") or tree).get("batch_size")
    size = batch.value if batch is not None and isinstance(batch.value, int) and batch.value else 1
    every = math.ceil(millions.value * 1e6 / size)
    message = f"{millions.value} million samples in batches of {size} equal {every} iterations"
    notes.warn(millions, "train.val_freq_megasamples", message)
    return rebuilt(millions, every)
