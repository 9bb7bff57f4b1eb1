"""The reference's losses."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy import audio, diffusion, gan, video
from artschool.legacy.features import FEATURES
from artschool.legacy.injectors import refuse_unknown
from artschool.legacy.own import is_own, own_loss
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    apply,
    as_node,
    items,
    loss_rule,
    mapping,
    rebuilt,
    same,
    text,
)

_CRITERIA = {"criterion": {"l1": "l1", "l2": "l2", "cosine": "cosine"}}
_ALTERED = {
    "generator": "network",
    "real": "output",
    "input_alteration_index": "input_index",
    "generator_output_index": "output_index",
    **same("criterion"),
}
_PATCHES = ("top_right", "bottom_left", "bottom_right")
_ADJUSTMENTS = {"real_scale": 1, "real_offset": 0, "log_statistics": False}
_ROUTERS = "reads `routing()` of the network's routers, a method that they have to define"


def _plain_pixel(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Use the plain loss if there are no adjustments."""
    for name, neutral in _ADJUSTMENTS.items():
        if name in fields and fields[name].value == neutral:
            del fields[name]
    if "criterion" in fields and not _ADJUSTMENTS.keys() & fields.keys():
        fields["type"] = fields.pop("criterion")


def _other_inputs(fields: Fields, node: Node, path: str, notes: Notes) -> Node | None:
    """Split the inputs of a network call: return the input to alter, and write the others to the fields."""
    inputs, index = items(node.get("fake")), fields.get("input_index")
    position = 0 if index is None else index.value
    if not isinstance(position, int) or not 0 <= position < len(inputs):
        notes.refuse(node, path, f"requires 'fake', a list with an input {position}")
        return None
    others = [rebuilt(part, None) if part.value == "None" else part for part in inputs]
    altered = others.pop(position)
    if others:
        fields["other_inputs"] = Node(others, altered.place)
    return altered


def _altered(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    altered = _other_inputs(fields, node, path, notes)
    if altered is not None:
        fields["x"] = altered


def _patches(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Name the keys of the corners, as `image_patch` wrote them."""
    altered = _other_inputs(fields, node, path, notes)
    if altered is not None:
        fields |= {corner: rebuilt(altered, f"{altered.value}_{corner}") for corner in _PATCHES}


def _drop_altered(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    _other_inputs(fields, node, path, notes)


def _weights_of_elements(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Drop a number in place of a list, which was never applied."""
    weights = fields.get("element_weights")
    if weights is not None and not isinstance(weights.value, list):
        del fields["element_weights"]


def _soft_labels(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """The reference applies a softmax to the labels of `soft_ce`, and takes dimension 1 for the classes."""
    if text(node.get("subtype")) != "soft_ce":
        return
    fields.pop("resize_labels", None)
    fields["class_dim"] = as_node(1, node.place)
    for name, problem in _NEVER_SOFT.items():
        option = node.get(name)
        if option is not None and option.value is not False:
            notes.refuse(option, f"{path}.{name}", f"with soft_ce, {problem}", "Fix: write false.")


_NEVER_SOFT = {
    "rescale": "the reference rounds the labels to whole numbers and fails",
    "swap_channels": "the reference compares the rows of an image instead of its classes",
}
_CROSS_ENTROPY = loss_rule(
    "cross_entropy",
    {
        **same("logits", "labels", "mask"),
        "subtype": "kind",
        "rescale": "resize_labels",
        "swap_channels": "class_dim",
    },
    values={"subtype": {"ce": "ce", "bce": "bce", "soft_ce": "soft_logits"}, "swap_channels": {True: 1, False: -1}},
    constants={"class_dim": -1},
    changed={"mask": "excludes positions from the mean; in the reference it multiplied the logits"},
    finish=_soft_labels,
)
GENERAL: dict[str, ConversionRule] = {
    **FEATURES,
    "cross_entropy": _CROSS_ENTROPY,
    "crossentropy": _CROSS_ENTROPY,
    "direct": loss_rule("mean", {"key": "in", "inverted": "maximize", "annealing_termination_step": "ramp_iterations"}),
    "distillation": loss_rule("distillation", same("teacher", "student", "temperature")),
    "geometric": loss_rule(
        "geometric", {**_ALTERED, "detach_fake": "detach"}, values=_CRITERIA, silent=("fake",), finish=_altered
    ),
    "mixture_of_experts": loss_rule(
        "mixture_of_experts",
        same("importance_weight", "load_weight"),
        changed={
            "type": f"{_ROUTERS}; the reference squared the variance of gates and loads, not its ratio to the mean"
        },
    ),
    "pix": loss_rule(
        "adjusted_pixel",
        {**same("criterion", "real", "fake", "real_scale", "real_offset"), "report_metrics": "log_statistics"},
        values=_CRITERIA,
        changed={"report_metrics": "logs means and standard deviations; the reference logged histograms of means"},
        finish=_plain_pixel,
    ),
    "recursive": loss_rule(
        "recursive",
        {**_ALTERED, "recursive_depth": "depth", "downsample_factor": "scale_factor"},
        values=_CRITERIA,
        silent=("fake",),
        finish=_drop_altered,
    ),
    "sr_pix": loss_rule(
        "detail_l2",
        same("real", "fake", "scale"),
        constants={"power": 0},
        silent=("base_loss", "exp"),
        changed={
            "type": "its weights cancelled out of the value and the gradient, so it equals a plain l2, as before; "
            "write `base: 0.2, power: 2` to apply `base_loss` and `exp`"
        },
    ),
    "switch_transformer_balance": loss_rule("switch_transformer_balance", changed={"type": _ROUTERS}),
    "translational": loss_rule(
        "translational",
        {**_ALTERED, **same("overlap"), "detach_fake": "detach"},
        values=_CRITERIA,
        dropped={"patch_size": "the size of the output applies"},
        silent=("fake",),
        finish=_patches,
    ),
}
NESTING: dict[str, ConversionRule] = {
    "for_element": loss_rule("for_element", same("real", "fake", "index")),
    "recurrent": loss_rule(
        "for_each", {**same("real", "fake"), "recurrent_weights": "element_weights"}, finish=_weights_of_elements
    ),
}
"""Losses that contain another: `subtype` is the inner type, and the options of both are in one mapping."""
LOSSES: dict[str, ConversionRule] = {
    **GENERAL,
    **NESTING,
    **gan.LOSSES,
    **audio.LOSSES,
    **diffusion.LOSSES,
    **video.LOSSES,
}


OF_TRAINED = ("discriminator_gan", "mixture_of_experts", "switch_transformer_balance")
"""Losses that use the network that their step trains if they name none."""


def convert_losses(step: Node, path: str, notes: Notes) -> Node | None:
    """The native `losses:` of a step."""
    section, trained = step.get("losses"), step.get("training")
    if section is None:
        return None
    converted: Fields = {}
    for name, node in mapping(section).items():
        where = f"{path}.losses.{name}"
        fields = convert_loss(node, where, notes, trained=trained)
        converted[name] = rebuilt(node, fields)
        if (penalty := gan.penalty_of(node, fields, where, notes)) is not None:
            converted[f"{name}_penalty"] = rebuilt(node, penalty)
    return rebuilt(section, converted)


def convert_loss(node: Node, path: str, notes: Notes, *, trained: Node | None) -> Fields:
    """Convert one loss. One without a counterpart is a fault and stays unchanged.

    Args:
        trained: The network that the step trains. It is the discriminator of `discriminator_gan` if that names none.
    """
    name = text(node.get("type"))
    if is_own("losses", name):
        return apply(own_loss(name, node), node, path, notes, what=f"loss {name!r}")
    if name not in LOSSES:
        refuse_unknown("loss", name, node, path, notes, known=LOSSES)
        return mapping(node)
    if name in NESTING:
        return _convert_nesting(name, node, path, notes, trained=trained)
    fields = apply(LOSSES[name], node, path, notes, what=f"loss {name!r}")
    if name in OF_TRAINED and trained is not None:
        fields.setdefault("network", rebuilt(trained, trained.value))
    return fields


def _convert_nesting(name: str, node: Node, path: str, notes: Notes, *, trained: Node | None) -> Fields:
    own = {"type", *NESTING[name].options}
    outer = {key: value for key, value in mapping(node).items() if key in own}
    inner = {key: value for key, value in mapping(node).items() if key not in own and key != "subtype"}
    subtype = node.get("subtype")
    if subtype is None:
        notes.refuse(node, path, "requires 'subtype', the type of its inner loss")
        return mapping(node)
    fields = apply(NESTING[name], rebuilt(node, outer), path, notes, what=f"loss {name!r}")
    held = convert_loss(rebuilt(node, {"type": subtype, **inner}), path, notes, trained=trained)
    fields["loss"] = Node(held, subtype.place, subtype.key_place)
    return fields
