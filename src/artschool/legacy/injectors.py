"""The reference's injectors."""

from __future__ import annotations

from collections.abc import Iterable

from artschool.config.source import Node
from artschool.errors import allowed
from artschool.legacy.networks import network_of_file
from artschool.legacy.rules import Fields, Notes, Rule, apply, items, mapping, rebuilt, same, text

COMMON = same("in", "out", "after", "before", "every")
ONCE_EACH = {"no_accum": (False,), "no_grad": (False,)}
MODES = ("train", "eval")
"""Flags that let an injector run only when training, or only when not."""

INJECTORS: dict[str, Rule] = {
    "add_noise": Rule("add_noise", {**COMMON, "scale": "scale", "mode": "kind"}, harmless=ONCE_EACH),
    "concatenate": Rule("concatenate", {**COMMON, **same("dim")}, harmless=ONCE_EACH),
    "denormalize": Rule("denormalize", {**COMMON, **same("shift", "scale")}, harmless=ONCE_EACH),
    "direct": Rule("alias", COMMON, harmless=ONCE_EACH),
    "discriminator": Rule("forward", {**COMMON, "discriminator": "network"}, harmless=ONCE_EACH),
    "generator": Rule(
        "forward",
        {**COMMON, "generator": "network", **same("method", "args", "grad")},
        harmless={**ONCE_EACH, "fp16": (True, False)},
    ),
    "grey": Rule("grey", COMMON, harmless=ONCE_EACH),
    "interpolate": Rule("interpolate", {**COMMON, **same("scale_factor", "size", "mode")}, harmless=ONCE_EACH),
    "normalize": Rule("normalize", {**COMMON, **same("shift", "scale")}, harmless=ONCE_EACH),
    "pad": Rule(
        "pad",
        {**COMMON, **same("multiple")},
        harmless=ONCE_EACH,
        changed={"multiple": "a length that is a multiple already is not padded; the reference added a whole multiple"},
    ),
    "squeeze": Rule("squeeze", {**COMMON, **same("dim")}, harmless=ONCE_EACH),
}
PENDING = (
    "audio_clip",
    "audio_resample",
    "audio_unshuffle",
    "batch_rotate",
    "channel_clip",
    "combine_mel",
    "constant",
    "decompose_dimension",
    "for_each",
    "frequency_bin_normalize",
    "gaussian_diffusion",
    "gaussian_diffusion_inference",
    "gpt_voice_latent",
    "image_patch",
    "indices_extractor",
    "kmeans_quantizer",
    "margin_removal",
    "mel_mask",
    "mel_spectrogram",
    "mix_and_label",
    "multi_frame_combiner",
    "noise",
    "normalize_mel",
    "progressive_zoom_generator",
    "random_audio_crop",
    "random_crop",
    "random_scale",
    "random_shift",
    "recompose_dimension",
    "scheduled_scalar",
    "sr_diffs",
    "step_interleave",
    "stereoscopic_flow2image",
    "stereoscopic_resample",
    "stylegan2_noise",
    "teco_flow_adjustment",
    "teco_recurrent_generated_sequence",
    "torch_mel_spectrogram",
)
"""Injectors of the reference that wait for a native component. One that gets it moves into the table above."""


def convert_injectors(step: Node, path: str, notes: Notes, frozen: Fields) -> Node | None:
    """The native `injectors:` of a step; those for evaluation alone are left out, for an evaluation lists its own.

    Args:
        frozen: Takes the networks that an injector of the reference loaded itself.
    """
    section = step.get("injectors")
    if section is None:
        return None
    converted: Fields = {}
    for name, node in mapping(section).items():
        where = f"{path}.injectors.{name}"
        flag = node.get("eval")
        if flag is not None and flag.value is True:
            notes.warn(node, where, "is left out: it runs in evaluation alone, which lists its own injectors here")
            continue
        entry = {key: value for key, value in mapping(node).items() if key not in MODES}
        converted[name] = rebuilt(node, convert_injector(rebuilt(node, entry), where, notes, frozen))
    return rebuilt(section, converted)


def convert_injector(node: Node, path: str, notes: Notes, frozen: Fields) -> Fields:
    """One injector. One without a counterpart is a fault, and stays as it is."""
    name = text(node.get("type"))
    if name == "discrete_token":
        return _discrete_token(node, path, notes, frozen)
    if name not in INJECTORS:
        refuse_unknown("injector", name, node, path, notes, known=INJECTORS, pending=PENDING)
        return mapping(node)
    fields = apply(INJECTORS[name], node, path, notes, what=f"injector {name!r}")
    if INJECTORS[name].type == "forward":
        _call_as_before(fields, node, path, notes)
    return fields


def refuse_unknown(
    kind: str, name: str, node: Node, path: str, notes: Notes, *, known: Iterable[str], pending: Iterable[str]
) -> None:
    """A fault for a component that cannot be converted."""
    at = node.get("type") or node
    if name in pending:
        notes.refuse(at, path, f"the reference's {kind} {name!r} has no counterpart yet")
    else:
        hint = allowed("There are", name, [*known, *pending])
        notes.refuse(at, path, f"{name!r} is no {kind} of the reference", hint)


def _call_as_before(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """What a network call of the reference does beyond its options."""
    grad, inputs, half = fields.get("grad"), fields.get("in"), node.get("fp16")
    if grad is not None and grad.value is False:
        fields["mode"] = Node("eval", grad.place)
    if inputs is not None:
        given = [rebuilt(part, None) if part.value == "None" else part for part in items(inputs)]
        fields["in"] = rebuilt(inputs, given) if isinstance(inputs.value, list) else given[0] if given else inputs
    if half is not None and half.value is False:
        notes.warn(half, f"{path}.fp16", "is left out: the call runs in the precision of the whole training")


TOKENS = Rule("forward", COMMON, harmless=ONCE_EACH, silent=("dvae_config", "dvae_name"), constants={"grad": False})


def _discrete_token(node: Node, path: str, notes: Notes, frozen: Fields) -> Fields:
    """Codes of a frozen network that stands in another file: a call of one of this file's own networks."""
    source, network = node.get("dvae_config"), node.get("dvae_name")
    fields = apply(TOKENS, node, path, notes, what="injector 'discrete_token'")
    if network is None or source is None:
        notes.refuse(node, path, "needs 'dvae_config' and 'dvae_name'")
        return fields
    name = text(network)
    frozen[name] = network_of_file(source, network, path, notes)
    fields["network"] = network
    fields["method"] = Node("get_codebook_indices", network.place)
    return fields
