"""The reference's evaluation: `eval:`, and how often, which `train:` says."""

from __future__ import annotations

import math

from artschool.config.source import Node
from artschool.legacy.datasets import DATASETS
from artschool.legacy.injectors import convert_injectors
from artschool.legacy.rules import Fields, Notes, as_node, mapping, rebuilt, text

FREQUENCIES = ("val_freq", "val_freq_megasamples")
EVALUATORS = {
    "audio_diffusion_fid": "sample in its injectors, metric `fid` over a network of audio features",
    "fid": "sample in its injectors (`noise`, `forward`), metric `fid`",
    "fid_for_structural_nets": "call the network in its injectors (`forward`), metric `fid`",
    "flow_gaussian_nll": "call the flow in its injectors (`forward`), metric `flow_nll`",
    "mel": "call the network in its injectors, metric `mel_l1`",
    "single_point_pair_contrastive_eval": "call the network in its injectors, metric `point_pair_contrast`",
    "sr_diffusion_fid": "sample in its injectors (`diffusion_sample`), metric `fid`",
    "sr_fid": "call the network in its injectors (`forward`), metric `fid`",
    "sr_style_transfer": "call the network in its injectors (`forward`), metric `style_distance`",
    "style_transfer": "call the network in its injectors (`forward`), metric `style_distance`",
    "wer": "call the network in its injectors (`forward`), metric `wer`",
}
"""The reference's evaluators, and how `evaluate:` says each."""
NAME = "val"


def convert_evaluation(tree: Node, steps: Node | None, notes: Notes) -> Node | None:
    """The native `evaluate:`; None where the file evaluates nothing."""
    section, train = tree.get("eval") or Node({}, tree.place), tree.get("train") or Node({}, tree.place)
    _tell_evaluators(section, notes)
    data = (tree.get("datasets") or tree).get(NAME)
    every = _every(tree, train, notes)
    if data is None:
        for name in ("pure", "injectors", "output_state"):
            if (asked := section.get(name)) is not None and asked.value:
                notes.warn(asked, f"eval.{name}", f"is left out: there is no `datasets.{NAME}` to evaluate on")
        return None
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
        notes.warn(own, "eval.injectors", "what they write needs metrics to be reported: add `metrics:`")
        return None
    return rebuilt(data, {NAME: Node(fields, data.place, data.key_place)})


def _every(tree: Node, train: Node, notes: Notes) -> Node | None:
    """Iterations between evaluations."""
    count, millions = (train.get(name) for name in FREQUENCIES)
    if millions is None or not isinstance(millions.value, int | float) or not millions.value:
        return count
    batch = ((tree.get("datasets") or tree).get("train") or tree).get("batch_size")
    size = batch.value if batch is not None and isinstance(batch.value, int) and batch.value else 1
    every = math.ceil(millions.value * 1e6 / size)
    message = f"{millions.value} million samples in batches of {size} are {every} iterations"
    notes.warn(millions, "train.val_freq_megasamples", message)
    return rebuilt(millions, every)


def _tell_evaluators(section: Node, notes: Notes) -> None:
    for name, node in mapping(section.get("evaluators")).items():
        kind = text(node.get("type"))
        advice = EVALUATORS.get(kind)
        message = (
            f"is left out: the reference's evaluator {kind!r}"
            if advice
            else f"{kind!r} is no evaluator of the reference"
        )
        hint = f"Write `evaluate.{name}` with its data: {advice}. See docs/evaluation.md." if advice else ""
        notes.warn(node, f"eval.evaluators.{name}", message, hint)
