"""Adversarial losses and critics of the reference."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.legacy.losses import convert_loss, convert_losses
from artschool.legacy.networks import convert_network
from artschool.legacy.rules import Notes
from tests.legacy.old_text import node, plain, silent, told

load_builtins()
GENERATOR = {"type": "generator_gan", "network": "d", "real": "r", "fake": "f", "weight": 1}
CRITIC = {**GENERATOR, "type": "discriminator_gan"}
DIVERGENCE = {**GENERATOR, "type": "stylegan2_divergence"}
SHARED = "discriminator: d, real: r, fake: f, weight: 1"
ROWS = {
    f"{{type: generator_gan, gan_type: gan, {SHARED}, noise: 0, min_loss: 0}}": {**GENERATOR, "kind": "vanilla"},
    f"{{type: generator_gan, gan_type: pixgan, {SHARED}, noise: .1, detach_real: false}}": {
        **GENERATOR,
        "kind": "vanilla",
        "noise": 0.1,
        "detach_real": False,
    },
    f"{{type: discriminator_gan, gan_type: pixgan, {SHARED}, gradient_penalty: false}}": {**CRITIC, "kind": "vanilla"},
    f"{{type: discriminator_gan, gan_type: max_spread, {SHARED}, noise: .1}}": {
        **CRITIC,
        "kind": "max_spread",
        "noise": 0.1,
    },
    "{type: discriminator_gan, gan_type: gan, discriminator: d, real: [r, c], fake: [f, c], weight: 1}": {
        **CRITIC,
        "kind": "vanilla",
        "real": ["r", "c"],
        "fake": ["f", "c"],
    },
    "{type: discriminator_gan, gan_type: gan, discriminator: d, real: [r, c, None], fake: [f, None], weight: 1}": {
        **CRITIC,
        "kind": "vanilla",
        "real": ["r", "c"],
        "fake": ["f"],
    },
    "{type: generator_gan, gan_type: gan, discriminator: d, real: None, fake: f, weight: 1}": {
        **{name: value for name, value in GENERATOR.items() if name != "real"},
        "kind": "vanilla",
    },
    "{type: discriminator_gan, gan_type: ragan, real: r, fake: f, weight: 1}": {
        **CRITIC,
        "kind": "ragan",
        "network": "trained",
    },
    f"{{type: stylegan2_divergence, {SHARED}, gen_loss: true, gradient_penalty_frequency: 4, noise: .1}}": {
        **DIVERGENCE,
        "role": "generator",
        "noise": 0.1,
    },
    f"{{type: stylegan2_divergence, {SHARED}, gen_loss: false, gradient_penalty_frequency: 4, noise: 0}}": {
        **DIVERGENCE,
        "role": "critic",
    },
    f"{{type: stylegan2_divergence, {SHARED}, gen_loss: true, gradient_penalty_frequency: 4, logistic: true}}": {
        **GENERATOR,
        "kind": "vanilla",
    },
    f"{{type: stylegan2_divergence, {SHARED}, gen_loss: false, gradient_penalty_frequency: 4, logistic: true}}": {
        **CRITIC,
        "kind": "vanilla",
    },
}


@pytest.mark.parametrize("old", ROWS)
def test_loss_becomes_ours(old: str) -> None:
    notes = Notes()
    assert plain(convert_loss(node(old), "here", notes, trained=node("trained"))) == ROWS[old]
    assert silent(notes)


TOLD: dict[str, tuple[dict[str, Any], list[str]]] = {
    f"{{type: generator_gan, gan_type: ragan, {SHARED}}}": (
        {**GENERATOR, "kind": "ragan", "weight": 0.5},
        ["1:76: here.weight: is halved: the loss is a sum, and the reference's was a mean"],
    ),
    f"{{type: generator_gan, gan_type: pixgan_fea, {SHARED}}}": (
        {**GENERATOR, "kind": "vanilla"},
        [
            "1:23: here.gan_type: is the plain loss of all logits, as in the reference; add `feature_matching` "
            "to match features"
        ],
    ),
    f"{{type: discriminator_gan, gan_type: gan, {SHARED}, min_loss: .4}}": (
        {**CRITIC, "kind": "vanilla", "min_loss": 0.4},
        [
            "1:89: here.min_loss: applies to the loss of each micro-batch over all processes; the reference used "
            "the mean of the last ten"
        ],
    ),
    f"{{type: lightweight_gan_divergence, {SHARED}, gen_loss: true, gradient_penalty_frequency: 4}}": (
        {**DIVERGENCE, "role": "generator"},
        ["1:2: here.type: sums over the list of logits that the critic returns, without its self-supervised loss"],
    ),
    "{type: stylegan2_pathlen, w_styles: w, gen: x, weight: 2}": (
        {"type": "path_length", "styles": "w", "images": "x", "weight": 2},
        [
            "1:2: here.type: its moving average is updated at every iteration; the reference's was constant "
            "after the first"
        ],
    ),
}


@pytest.mark.parametrize("old", TOLD)
def test_a_changed_meaning_is_told(old: str) -> None:
    expected, warnings = TOLD[old]
    notes = Notes()
    assert plain(convert_loss(node(old), "here", notes, trained=None)) == expected
    assert told(notes.warnings) == warnings
    assert notes.faults == []


def penalties(old: str) -> tuple[dict[str, Any], list[str]]:
    """What the losses of a step become, and the warnings."""
    notes = Notes()
    converted = convert_losses(node(f"{{training: d, losses: {{gan: {old}}}}}"), "s", notes)
    assert converted is not None
    assert notes.faults == []
    losses: dict[str, Any] = converted.plain()
    return losses, told(notes.warnings)


PENALTY = {"type": "gradient_penalty", "network": "d", "real": "r", "kind": "wgan_gp_real"}


def test_a_gradient_penalty_is_a_loss_of_its_own() -> None:
    losses, warnings = penalties(
        "{type: discriminator_gan, gan_type: gan, real: r, fake: f, weight: .5, gradient_penalty: true, after: 9}"
    )
    assert list(losses) == ["gan", "gan_penalty"]
    assert "gradient_penalty" not in losses["gan"]
    assert losses["gan_penalty"] == {**PENALTY, "weight": 5.0, "after": 9}
    assert warnings == [
        "1:100: s.losses.gan.gradient_penalty: becomes a separate loss, gan_penalty, at samples without noise"
    ]


@pytest.mark.parametrize("gating", ["", ", every: 6"])
def test_a_lazy_penalty_runs_when_both_did(gating: str) -> None:
    losses, _ = penalties(
        f"{{type: stylegan2_divergence, {SHARED}, gen_loss: false, gradient_penalty_frequency: 4{gating}}}"
    )
    assert losses["gan_penalty"] == {**PENALTY, "weight": 10, "every": 12 if gating else 4}


def test_a_logistic_loss_has_its_penalty_now() -> None:
    losses, warnings = penalties(
        f"{{type: stylegan2_divergence, {SHARED}, gen_loss: false, gradient_penalty_frequency: 4, logistic: true}}"
    )
    assert losses["gan_penalty"]["every"] == 4
    assert warnings == [
        "1:122: s.losses.gan.gradient_penalty_frequency: becomes a separate loss, gan_penalty, at samples "
        "without noise; the reference omitted it with `logistic`"
    ]


def test_a_generator_has_no_penalty() -> None:
    losses, _ = penalties(f"{{type: stylegan2_divergence, {SHARED}, gen_loss: true, gradient_penalty_frequency: 4}}")
    assert list(losses) == ["gan"]


def test_a_missing_input_before_others_is_refused() -> None:
    notes = Notes()
    old = "{type: discriminator_gan, gan_type: gan, discriminator: d, real: [r, c], fake: [None, c], weight: 1}"
    convert_loss(node(old), "here", notes, trained=None)
    said = "1:81: here.fake: an input of a critic that is None, before others, has no counterpart"
    assert told(notes.faults) == [said]


def test_an_unknown_kind_is_refused_by_name() -> None:
    notes = Notes()
    convert_loss(node("{type: generator_gan, gan_type: crossgan, weight: 1}"), "here", notes, trained=None)
    assert told(notes.faults) == [
        "1:23: here.gan_type: gan_type 'crossgan' is not converted for the reference's loss 'generator_gan'"
    ]


VGG = {"type": "vgg_critic", "width": 32, "in_channels": 3, "image_size": 96, "norm": "group"}


@pytest.mark.parametrize(
    ("which", "more", "expected", "warnings"),
    [
        ("discriminator_vgg_128_gn", "", VGG, []),
        ("discriminator_vgg_128_gn", ", extra_conv: true, trainable: false", {**VGG, "stages": 6, "frozen": True}, []),
        ("discriminator_vgg_128_gn_checkpointed", ", extra_conv: false", VGG, []),
        (
            "discriminator_vgg_128",
            ", do_checkpointing: true",
            {**VGG, "norm": "batch"},
            ["1:74: net.do_checkpointing: is dropped: it only saved memory"],
        ),
    ],
)
def test_critics_become_vgg_critics(which: str, more: str, expected: dict[str, Any], warnings: list[str]) -> None:
    notes = Notes()
    old = node(f"{{which_model_D: {which}, nf: 32, in_nc: 3, image_size: 96{more}}}")
    assert plain(convert_network(old, "net", notes)) == expected
    assert told(notes.warnings) == warnings
    assert notes.faults == []
