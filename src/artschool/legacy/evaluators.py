"""The reference's evaluators: entries of `evaluate:` where their options suffice, otherwise advice."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.datasets import convert_dataset
from artschool.legacy.features import DOWNLOADED, VGG
from artschool.legacy.injectors import convert_injector
from artschool.legacy.rules import ConversionRule, Fields, Notes, apply, as_node, mapping, rebuilt, text

CALL = "call the network in its injectors (`forward`)"
ADVICE = {
    "audio_diffusion_fid": "sample in its injectors (`diffusion_sample`), metric `fid` over a frozen network of audio",
    "fid": "sample in its injectors (`noise`, `forward`), metric `fid`",
    "fid_for_structural_nets": f"{CALL}, metric `fid`",
    "flow_gaussian_nll": f"{CALL}, metric `flow_nll`",
    "mel": "list the step whose losses it reports, `steps: [...]`",
    "single_point_pair_contrastive_eval": f"{CALL}, metric `point_pair_contrast`",
    "sr_diffusion_fid": "sample in its injectors (`diffusion_sample`), metric `fid`",
    "sr_fid": f"{CALL}, metric `fid`",
    "sr_style_transfer": f"{CALL}, metric `style`",
    "style_transfer": f"{CALL}, metric `style`",
    "wer": f"{CALL}, metric `wer`",
}
"""The reference's evaluators, and how `evaluate:` expresses each."""
_SAMPLED = ConversionRule(silent=("type", "for", "batch_size", "dataset", "diffusion_params", "fid_batch_size"))
_REAL = "hq"
_TO_UNIT = {"type": "denormalize", "in": _REAL, "shift": 0.5, "scale": 0.5, "out": f"{_REAL}_0_to_1"}


def convert_evaluators(section: Node, every: Node | None, notes: Notes) -> Fields:
    """The native `evaluate:` of the evaluators that can be converted, and a warning with advice for each other."""
    entries: Fields = {}
    for name, node in mapping(section.get("evaluators")).items():
        kind, path = text(node.get("type")), f"eval.evaluators.{name}"
        whole = mapping(node.get("diffusion_params")).get("out") is not None and node.get("dataset") is not None
        if kind == "sr_diffusion_fid" and whole:
            entries[name] = _fid_of_samples(name, node, every, path, notes)
        elif kind in ADVICE:
            hint = f"Fix: write `evaluate.{name}` with its data: {ADVICE[kind]}. See docs/evaluation.md."
            notes.warn(node, path, f"is dropped: the evaluator {kind!r} has no automatic conversion", hint)
        else:
            notes.warn(node, path, f"unknown evaluator {kind!r}")
    return entries


def _fid_of_samples(name: str, node: Node, every: Node | None, path: str, notes: Notes) -> Node:
    """Samples for the small images of a data set, compared with its large ones, both in 0..1."""
    apply(_SAMPLED, node, path, notes, what="evaluator 'sr_diffusion_fid'")
    features = f"{name}_features"
    message = f"compares features of {features!r}, a frozen VGG19 whose weights you supply; the reference's came"
    hint = f"The values differ. Weights: https://download.pytorch.org/models/{DOWNLOADED}; or use another network."
    notes.warn(node, path, f"{message} from Inception", hint)
    notes.networks[features] = as_node({**VGG, "weights": DOWNLOADED}, node.place)
    data, parameters = mapping(node)["dataset"], mapping(node)["diffusion_params"]
    held = convert_dataset(rebuilt(data, {**mapping(data), **_batch_size(node)}), f"{path}.dataset", notes)
    notes.datasets[name] = rebuilt(data, held)
    sample = convert_injector(parameters, f"{path}.diffusion_params", notes)
    injectors: Fields = {"sample": rebuilt(parameters, sample)}
    fake, real = sample["out"], as_node(_REAL, node.place)
    if "values" in held or "unit_range" in sample:
        sample["unit_range"] = sample.get("unit_range", as_node(True, node.place))
    if "values" in held:
        injectors["real"], real = as_node(_TO_UNIT, node.place), as_node(_TO_UNIT["out"], node.place)
    metric = {"type": as_node("fid", node.place), "network": as_node(features, node.place), "fake": fake, "real": real}
    fields: Fields = {"data": as_node(name, node.place)}
    if every is not None:
        fields["every"] = every
    fields["injectors"] = Node(injectors, node.place)
    fields["metrics"] = Node({"fid": Node(metric, node.place)}, node.place)
    return rebuilt(node, fields)


def _batch_size(node: Node) -> Fields:
    size = node.get("batch_size")
    return {} if size is None else {"batch_size": size}
