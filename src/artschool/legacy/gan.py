"""The reference's adversarial losses."""

from __future__ import annotations

import math

from artschool.config.source import Node
from artschool.legacy.rules import ConversionRule, Fields, Notes, items, loss_rule, mapping, rebuilt, same

PENALTIES = ("gradient_penalty", "gradient_penalty_frequency")
NONE = "None"
"""What an old file writes for an input that is None."""
PENALTY_WEIGHT = 10
"""Factor that the reference applied to its gradient penalties."""


def penalty_of(node: Node, fields: Fields, path: str, notes: Notes) -> Fields | None:
    """The gradient penalty inside an old critic loss, as a separate loss; None if there is none.

    Args:
        fields: The converted loss.
    """
    option = next((name for name in PENALTIES if name in mapping(node)), None)
    if option is None or _is_on(node, "gen_loss") or not _is_on(node, option):
        return None
    given, weight, name = mapping(node)[option], fields.get("weight"), path.rpartition(".")[2]
    only = "; the reference omitted it with `logistic`" if _is_on(node, "logistic") else ""
    notes.warn(given, f"{path}.{option}", f"becomes a separate loss, {name}_penalty, at samples without noise{only}")
    penalty: Fields = {
        "type": rebuilt(given, "gradient_penalty"),
        **{name: fields[name] for name in ("network", "real") if name in fields},
        "kind": rebuilt(given, "wgan_gp_real"),
        **{name: fields[name] for name in ("after", "before", "every") if name in fields},
    }
    if weight is not None and isinstance(weight.value, int | float):
        penalty["weight"] = rebuilt(weight, PENALTY_WEIGHT * weight.value)
    if option == "gradient_penalty_frequency" and isinstance(given.value, int):
        every = fields.get("every")
        own = every.value if every is not None and isinstance(every.value, int) else 1
        penalty["every"] = rebuilt(given, math.lcm(given.value, own))
    return penalty


def _is_on(node: Node, option: str) -> bool:
    given = node.get(option)
    return given is not None and bool(given.value)


def _finish_gan(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Remove options that are off, and warn of changed behaviour."""
    for name in ("noise", "min_loss"):
        if not _is_on(node, name):
            fields.pop(name, None)
    for name in ("real", "fake"):
        _leave_out_none(fields, name, path, notes)
    if "min_loss" in fields:
        message = (
            "applies to the loss of each micro-batch over all processes; the reference used the mean of the last ten"
        )
        notes.warn(mapping(node)["min_loss"], f"{path}.min_loss", message)
    kind = node.get("gan_type")
    if kind is not None and kind.value == "pixgan_fea":
        message = "is the plain loss of all logits, as in the reference; add `feature_matching` to match features"
        notes.warn(kind, f"{path}.gan_type", message)


def _leave_out_none(fields: Fields, name: str, path: str, notes: Notes) -> None:
    """Leave out the last inputs of a critic that the old file gives as None: they have that default."""
    given = [*items(fields.get(name))]
    while given and given[-1].value == NONE:
        given.pop()
    if not given:
        fields.pop(name, None)
    elif isinstance(fields[name].value, list):
        fields[name] = rebuilt(fields[name], given)
    for part in given:
        if part.value == NONE:
            notes.refuse(part, f"{path}.{name}", "an input of a critic that is None, before others, has no counterpart")


def _finish_generator(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """The reference's relativistic generator loss was half of the native one."""
    _finish_gan(fields, node, path, notes)
    kind, weight = node.get("gan_type"), fields.get("weight")
    if kind is not None and kind.value == "ragan" and weight is not None and isinstance(weight.value, int | float):
        fields["weight"] = rebuilt(weight, weight.value / 2)
        notes.warn(weight, f"{path}.weight", "is halved: the loss is a sum, and the reference's was a mean")


def _finish_divergence(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Choose the generator's or the critic's loss. The logistic loss is the vanilla GAN loss."""
    kind = mapping(node)["type"]
    for_generator = _is_on(node, "gen_loss")
    if not _is_on(node, "noise"):
        fields.pop("noise", None)
    if _is_on(node, "logistic"):
        fields["type"] = rebuilt(kind, "generator_gan" if for_generator else "discriminator_gan")
        fields["kind"] = rebuilt(kind, "vanilla")
    else:
        fields["role"] = rebuilt(kind, "generator" if for_generator else "critic")
    if kind.value == "lightweight_gan_divergence":
        message = "sums over the list of logits that the critic returns, without its self-supervised loss"
        hint = "For that, add a method to the critic, call it with `forward`, and add a loss of type `mean`."
        notes.warn(kind, f"{path}.type", message, hint)


_GAN = {"gan_type": "kind", "discriminator": "network", **same("real", "fake", "noise", "min_loss")}
_DIVERGENCE = loss_rule(
    "stylegan2_divergence",
    {"discriminator": "network", **same("real", "fake", "noise")},
    silent=("gen_loss", "gradient_penalty_frequency", "logistic"),
    finish=_finish_divergence,
)
LOSSES: dict[str, ConversionRule] = {
    "discriminator_gan": loss_rule(
        "discriminator_gan",
        _GAN,
        values={"gan_type": {"gan": "vanilla", "pixgan": "vanilla", "ragan": "ragan", "max_spread": "max_spread"}},
        silent=("gradient_penalty",),
        finish=_finish_gan,
    ),
    "generator_gan": loss_rule(
        "generator_gan",
        {**_GAN, **same("detach_real")},
        values={"gan_type": {"gan": "vanilla", "pixgan": "vanilla", "pixgan_fea": "vanilla", "ragan": "ragan"}},
        finish=_finish_generator,
    ),
    "lightweight_gan_divergence": _DIVERGENCE,
    "stylegan2_divergence": _DIVERGENCE,
    "stylegan2_pathlen": loss_rule(
        "path_length",
        {"w_styles": "styles", "gen": "images"},
        changed={
            "type": "its moving average is updated at every iteration; the reference's was constant after the first"
        },
    ),
}
