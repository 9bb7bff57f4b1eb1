"""Adversarial losses of the reference."""

from __future__ import annotations

from artschool.legacy.rules import Rule, loss_rule, same

_GAN = {"gan_type": "kind", "discriminator": "network", **same("real", "fake")}
_KINDS = {"gan": "vanilla", "ragan": "ragan"}

LOSSES: dict[str, Rule] = {
    "discriminator_gan": loss_rule(
        "discriminator_gan",
        _GAN,
        values={"gan_type": _KINDS},
        harmless={"noise": (0,), "gradient_penalty": (False,), "min_loss": (0,)},
    ),
    "generator_gan": loss_rule(
        "generator_gan",
        _GAN,
        values={"gan_type": _KINDS},
        harmless={"noise": (0,), "detach_real": (True,), "min_loss": (0,)},
    ),
}
