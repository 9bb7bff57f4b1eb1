"""The reference's evaluators: entries of `evaluate:` where their options suffice, otherwise advice."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from artschool.config.source import Node
from artschool.legacy.datasets import convert_dataset
from artschool.legacy.features import DOWNLOADED, VGG
from artschool.legacy.injectors import convert_injector
from artschool.legacy.own import is_own
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
_CALLED = ConversionRule(silent=("type", "for", "batch_size", "dataset", "scale", "gen_index"))
_HEARD = ConversionRule(
    silent=("type", "for", "clip_key", "clip_lengths_key", "text_seq_key", "text_seq_lengths_key"),
    harmless={"kenlm_path": (None,)},
)
TACOTRON = "-!'(),.:;? ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
"""The reference's characters, from class 1 on."""
_REAL = "hq"
_TO_UNIT = {"type": "denormalize", "in": _REAL, "shift": 0.5, "scale": 0.5, "out": f"{_REAL}_0_to_1"}


def convert_evaluators(section: Node, every: Node | None, notes: Notes) -> Fields:
    """The native `evaluate:` of the evaluators that can be converted, and a warning with advice for each other."""
    entries: Fields = {}
    for name, node in mapping(section.get("evaluators")).items():
        kind, path = text(node.get("type")), f"eval.evaluators.{name}"
        if is_own("metrics", kind):
            entries[name] = _own(name, kind, node, every, path, notes)
        elif kind in CONVERTED and CONVERTED[kind].needs <= mapping(node).keys():
            entries[name] = CONVERTED[kind].convert(name, node, every, path, notes)
        elif kind in ADVICE:
            hint = f"Fix: write `evaluate.{name}` with its data: {ADVICE[kind]}. See docs/evaluation.md."
            notes.warn(node, path, f"is dropped: the evaluator {kind!r} has no automatic conversion", hint)
        else:
            notes.warn(node, path, f"unknown evaluator {kind!r}")
    return entries


def _own(name: str, kind: str, node: Node, every: Node | None, path: str, notes: Notes) -> Node:
    """A metric of a plugin over the steps on the data set of the evaluator, or on `val`."""
    options = {
        key: value for key, value in mapping(node).items() if key not in ("type", "for", "dataset", "batch_size")
    }
    fields = _on_data(name, node, every, path, notes) if node.get("dataset") is not None else _on_val(node, every)
    metric: Fields = {"type": as_node(kind, node.place), **options}
    return rebuilt(node, {**fields, "metrics": Node({name: Node(metric, node.place)}, node.place)})


def _on_val(node: Node, every: Node | None) -> Fields:
    fields: Fields = {"data": as_node("val", node.place)}
    return fields | ({} if every is None else {"every": every})


def _on_data(name: str, node: Node, every: Node | None, path: str, notes: Notes) -> Fields:
    """The data set that the evaluator created itself, which becomes one of the file."""
    data = mapping(node)["dataset"]
    held = convert_dataset(rebuilt(data, {**mapping(data), **_batch_size(node)}), f"{path}.dataset", notes)
    notes.datasets[name] = rebuilt(data, held)
    fields: Fields = {"data": as_node(name, node.place)}
    return fields | ({} if every is None else {"every": every})


def _features(name: str, node: Node, path: str, notes: Notes) -> str:
    """The network of features that a Frechet distance compares."""
    features = f"{name}_features"
    message = f"compares features of {features!r}, a frozen VGG19 whose weights you supply; the reference's came"
    hint = f"The values differ. Weights: https://download.pytorch.org/models/{DOWNLOADED}; or use another network."
    notes.warn(node, path, f"{message} from Inception", hint)
    notes.networks[features] = as_node({**VGG, "weights": DOWNLOADED}, node.place)
    return features


def _fid_of_results(name: str, node: Node, every: Node | None, path: str, notes: Notes) -> Node:
    """The large images that a network makes of small ones. `sr_fid` takes their low frequencies from the small ones."""
    apply(_CALLED, node, path, notes, what="evaluator")
    index = node.get("gen_index")
    position = index.value if index is not None and isinstance(index.value, int) else None
    out: Any = "fake" if position is None else ["_"] * position + ["fake"]
    call = {"type": "forward", "network": text(node.get("for")), "in": "lq", "out": out}
    injectors: dict[str, Any] = {"call": call}
    fake = "fake"
    if text(node.get("type")) == "sr_fid":
        scale: Any = mapping(node)["scale"].plain()
        enlarge = {"type": "interpolate", "scale_factor": scale, "mode": "nearest"}
        injectors["shrink"] = {
            "type": "interpolate",
            "in": "fake",
            "scale_factor": 1 / scale,
            "mode": "area",
            "out": "s",
        }
        injectors["coarse"] = {**enlarge, "in": "s", "out": "coarse"}
        injectors["fine"] = {"type": "difference_channels", "in": ["coarse", "fake"], "out": ["_", "fine"]}
        injectors["enlarge"] = {**enlarge, "in": "lq", "out": "enlarged"}
        injectors["sum"] = {"type": "add", "in": ["enlarged", "fine"], "out": "mixed"}
        fake = "mixed"
    fields = _on_data(name, node, every, path, notes)
    metric = {"type": "fid", "network": _features(name, node, path, notes), "fake": fake, "real": _REAL}
    more = as_node({"injectors": injectors, "metrics": {"fid": metric}}, node.place)
    return rebuilt(node, {**fields, **mapping(more)})


def _word_errors(name: str, node: Node, every: Node | None, path: str, notes: Notes) -> Node:
    """The words that a network hears in the recordings of `val`, compared with their texts."""
    apply(_HEARD, node, path, notes, what="evaluator 'wer'")
    hint = "Fix: write the key of the texts in `real`, and `lengths` of `ctc_decode` if clips are padded."
    notes.warn(node, path, "compares with 'real_text', the texts of the recordings, letter by letter", hint)
    call = {"type": "forward", "network": text(node.get("for")), "method": "inference_logits"}
    injectors = {
        "logits": {**call, "in": text(node.get("clip_key")), "out": "logits"},
        "heard": {"type": "ctc_decode", "in": "logits", "alphabet": TACOTRON, "out": "heard"},
    }
    metrics = {"wer": {"type": "wer", "fake": "heard", "real": "real_text"}}
    more = as_node({"injectors": injectors, "metrics": metrics}, node.place)
    return rebuilt(node, {**_on_val(node, every), **mapping(more)})


def _fid_of_samples(name: str, node: Node, every: Node | None, path: str, notes: Notes) -> Node:
    """Samples for the small images of a data set, compared with its large ones, both in 0..1."""
    apply(_SAMPLED, node, path, notes, what="evaluator 'sr_diffusion_fid'")
    features, parameters = _features(name, node, path, notes), mapping(node)["diffusion_params"]
    fields = _on_data(name, node, every, path, notes)
    held = mapping(notes.datasets[name])
    sample = convert_injector(parameters, f"{path}.diffusion_params", notes)
    injectors: Fields = {"sample": rebuilt(parameters, sample)}
    fake, real = sample["out"], as_node(_REAL, node.place)
    if "values" in held or "unit_range" in sample:
        sample["unit_range"] = sample.get("unit_range", as_node(True, node.place))
    if "values" in held:
        injectors["real"], real = as_node(_TO_UNIT, node.place), as_node(_TO_UNIT["out"], node.place)
    metric = {"type": as_node("fid", node.place), "network": as_node(features, node.place), "fake": fake, "real": real}
    fields["injectors"] = Node(injectors, node.place)
    fields["metrics"] = Node({"fid": Node(metric, node.place)}, node.place)
    return rebuilt(node, fields)


def _batch_size(node: Node) -> Fields:
    size = node.get("batch_size")
    return {} if size is None else {"batch_size": size}


@dataclass(frozen=True)
class _Conversion:
    """How an evaluator is converted, and the options that it needs for that."""

    needs: frozenset[str]
    convert: Callable[[str, Node, Node | None, str, Notes], Node]


CONVERTED = {
    "fid_for_structural_nets": _Conversion(frozenset({"for", "dataset"}), _fid_of_results),
    "sr_diffusion_fid": _Conversion(frozenset({"dataset", "diffusion_params"}), _fid_of_samples),
    "sr_fid": _Conversion(frozenset({"for", "dataset", "scale"}), _fid_of_results),
    "wer": _Conversion(frozenset({"for", "clip_key"}), _word_errors),
}
