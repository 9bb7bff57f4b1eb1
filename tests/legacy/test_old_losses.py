"""Each row of the table of losses."""

from __future__ import annotations

import pytest
from old_text import node, plain, silent, told

from artschool.legacy.losses import LOSSES, PENDING, convert_loss, convert_losses
from artschool.legacy.rules import Notes
from artschool.registry import load_builtins, losses

load_builtins()
ROWS = {
    "{type: direct, key: a, weight: 2, inverted: true, annealing_termination_step: 9, after: 3}": {
        "type": "mean",
        "in": "a",
        "weight": 2,
        "maximize": True,
        "ramp_iterations": 9,
        "after": 3,
    },
    "{type: pix, criterion: l2, real: r, fake: f, weight: 1, real_scale: 1, real_offset: 0}": {
        "type": "l2",
        "real": "r",
        "fake": "f",
        "weight": 1,
    },
    "{type: cross_entropy, logits: x, labels: y, weight: 1}": {
        "type": "cross_entropy",
        "logits": "x",
        "labels": "y",
        "weight": 1,
        "class_dim": -1,
    },
    "{type: cross_entropy, subtype: soft_ce, logits: x, labels: y, weight: 1, swap_channels: true, rescale: true}": {
        "type": "cross_entropy",
        "kind": "soft",
        "logits": "x",
        "labels": "y",
        "weight": 1,
        "class_dim": 1,
        "resize_labels": True,
    },
    "{type: distillation, teacher: t, student: s, weight: 1, temperature: 2}": {
        "type": "distillation",
        "teacher": "t",
        "student": "s",
        "weight": 1,
        "temperature": 2,
    },
}


@pytest.mark.parametrize("old", ROWS)
def test_loss_becomes_ours(old: str) -> None:
    notes = Notes()
    assert plain(convert_loss(node(old), "here", notes, trained=node("trained"))) == ROWS[old]
    assert silent(notes)


@pytest.mark.parametrize("name", LOSSES)
def test_row_names_options_that_exist(name: str) -> None:
    rule = LOSSES[name]
    types = [rule.type] if rule.type else list(rule.values["criterion"].values())
    for native in types:
        assert {*rule.options.values(), *rule.constants} <= {*losses.get(native).takes, "type"}
    assert name not in PENDING


@pytest.mark.parametrize(
    ("old", "fault"),
    [
        ("{type: sr_pix, weight: 1}", "1:2: here: the reference's loss 'sr_pix' has no counterpart yet"),
        ("{type: pixx, weight: 1}", "1:2: here: 'pixx' is no loss of the reference"),
        (
            "{type: pix, criterion: cosine, weight: 1}",
            "1:13: here.criterion: criterion 'cosine' of the reference's loss 'pix' has no counterpart yet",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(old: str, fault: str) -> None:
    notes = Notes()
    convert_loss(node(old), "here", notes, trained=None)
    assert told(notes.faults) == [fault]


def test_a_mask_tells_what_changed() -> None:
    notes = Notes()
    convert_loss(node("{type: cross_entropy, logits: x, labels: y, mask: m, weight: 1}"), "here", notes, trained=None)
    assert told(notes.warnings) == [
        "1:45: here.mask: leaves places out of the mean; in the reference it multiplied the logits"
    ]


def test_losses_of_a_step_know_the_network_that_it_trains() -> None:
    step = node("{training: d, losses: {a: {type: discriminator_gan, gan_type: gan, weight: 1}}}")
    converted = convert_losses(step, "steps.s", Notes())
    assert converted is not None
    assert converted.plain()["a"]["network"] == "d"
