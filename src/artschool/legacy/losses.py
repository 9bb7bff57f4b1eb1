"""The reference's losses."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy import audio, diffusion, gan, video
from artschool.legacy.injectors import refuse_unknown
from artschool.legacy.rules import Fields, Notes, Rule, apply, loss_rule, mapping, rebuilt, same, text

GENERAL: dict[str, Rule] = {
    "cross_entropy": loss_rule(
        "cross_entropy",
        {
            **same("logits", "labels", "mask"),
            "subtype": "kind",
            "rescale": "resize_labels",
            "swap_channels": "class_dim",
        },
        values={"subtype": {"ce": "ce", "bce": "bce", "soft_ce": "soft"}, "swap_channels": {True: 1, False: -1}},
        constants={"class_dim": -1},
        changed={"mask": "leaves places out of the mean; in the reference it multiplied the logits"},
    ),
    "direct": loss_rule("mean", {"key": "in", "inverted": "maximize", "annealing_termination_step": "ramp_iterations"}),
    "distillation": loss_rule("distillation", same("teacher", "student", "temperature")),
    "pix": loss_rule(
        "",
        {"criterion": "type", **same("real", "fake")},
        values={"criterion": {"l1": "l1", "l2": "l2"}},
        harmless={"real_scale": (1,), "real_offset": (0,)},
        dropped={"report_metrics": "the loss itself is all that is logged"},
        silent=("type",),
    ),
}
LOSSES: dict[str, Rule] = {**GENERAL, **gan.LOSSES, **audio.LOSSES, **diffusion.LOSSES, **video.LOSSES}
_NAMES = (
    "feature",
    "for_element",
    "geometric",
    "interpreted_feature",
    "lightweight_gan_divergence",
    "mixture_of_experts",
    "nv_tacotron2_loss",
    "recurrent",
    "recursive",
    "sr_pix",
    "stylegan2_divergence",
    "stylegan2_pathlen",
    "switch_transformer_balance",
    "teco_gan",
    "teco_pingpong",
    "translational",
)
PENDING = tuple(name for name in _NAMES if name not in LOSSES)
"""Losses of the reference that wait for a native component."""


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
    """One loss. One without a counterpart is a fault, and stays as it is.

    Args:
        trained: The network that its step trains: the discriminator of `discriminator_gan`, if none is named.
    """
    name = text(node.get("type"))
    if name not in LOSSES:
        refuse_unknown("loss", name, node, path, notes, known=LOSSES, pending=PENDING)
        return mapping(node)
    fields = apply(LOSSES[name], node, path, notes, what=f"loss {name!r}")
    if name == "discriminator_gan" and trained is not None:
        fields.setdefault("network", rebuilt(trained, trained.value))
    return fields
