"""Each row of the table of losses."""

from __future__ import annotations

import pytest

from artschool.components.builtins import load_builtins
from artschool.legacy.losses import LOSSES, convert_loss, convert_losses
from artschool.legacy.rules import Notes
from artschool.registry import losses
from tests.legacy.old_text import node, plain, silent, told

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
    "{type: pix, criterion: cosine, real: r, fake: f, weight: 1, report_metrics: false}": {
        "type": "cosine",
        "real": "r",
        "fake": "f",
        "weight": 1,
    },
    "{type: pix, criterion: l1, real: r, fake: f, weight: 1, real_scale: 2, real_offset: -1}": {
        "type": "adjusted_pixel",
        "criterion": "l1",
        "real": "r",
        "fake": "f",
        "weight": 1,
        "real_scale": 2,
        "real_offset": -1,
    },
    "{type: geometric, criterion: l2, generator: g, real: r, fake: [a], weight: 1, before: 9}": {
        "type": "geometric",
        "criterion": "l2",
        "network": "g",
        "output": "r",
        "x": "a",
        "weight": 1,
        "before": 9,
    },
    "{type: geometric, criterion: l1, generator: g, real: r, fake: [a, None, b, 3], input_alteration_index: 2,"
    " generator_output_index: 1, detach_fake: true, weight: 1}": {
        "type": "geometric",
        "criterion": "l1",
        "network": "g",
        "output": "r",
        "x": "b",
        "other_inputs": ["a", None, 3],
        "input_index": 2,
        "output_index": 1,
        "detach": True,
        "weight": 1,
    },
    "{type: translational, criterion: l1, generator: g, generator_output_index: 0, detach_fake: false,"
    " overlap: 64, real: r, fake: ['low', mask], weight: 2}": {
        "type": "translational",
        "criterion": "l1",
        "network": "g",
        "output_index": 0,
        "detach": False,
        "overlap": 64,
        "output": "r",
        "top_right": "low_top_right",
        "bottom_left": "low_bottom_left",
        "bottom_right": "low_bottom_right",
        "other_inputs": ["mask"],
        "weight": 2,
    },
    "{type: recursive, criterion: l1, generator: g, generator_output_index: 0, recursive_depth: 2,"
    " downsample_factor: .25, real: r, fake: [a, b], weight: 1}": {
        "type": "recursive",
        "criterion": "l1",
        "network": "g",
        "output_index": 0,
        "depth": 2,
        "scale_factor": 0.25,
        "output": "r",
        "other_inputs": ["b"],
        "weight": 1,
    },
    "{type: recurrent, subtype: pix, criterion: l1, real: r, fake: f, recurrent_weights: [1, 2], weight: 3}": {
        "type": "for_each",
        "loss": {"type": "l1"},
        "real": "r",
        "fake": "f",
        "element_weights": [1, 2],
        "weight": 3,
    },
    "{type: recurrent, subtype: discriminator_gan, gan_type: gan, real: r, fake: f, recurrent_weights: 1, weight: 3}": {
        "type": "for_each",
        "loss": {"type": "discriminator_gan", "kind": "vanilla", "network": "trained"},
        "real": "r",
        "fake": "f",
        "weight": 3,
    },
    "{type: for_element, index: 2, subtype: pix, criterion: l2, real_scale: 2, real: r, fake: f, weight: 1}": {
        "type": "for_element",
        "loss": {"type": "adjusted_pixel", "criterion": "l2", "real_scale": 2},
        "index": 2,
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
    "{type: cross_entropy, subtype: ce, logits: x, labels: y, weight: 1, swap_channels: true, rescale: true}": {
        "type": "cross_entropy",
        "kind": "ce",
        "logits": "x",
        "labels": "y",
        "weight": 1,
        "class_dim": 1,
        "resize_labels": True,
    },
    "{type: cross_entropy, subtype: soft_ce, logits: x, labels: y, weight: 1, swap_channels: false, rescale: false}": {
        "type": "cross_entropy",
        "kind": "soft_logits",
        "logits": "x",
        "labels": "y",
        "weight": 1,
        "class_dim": 1,
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
    # A temporal loss holds an adversarial one, which takes its options.
    held = ["discriminator", "kind", "noise", "min_loss"] if rule.type == "temporal_gan" else []
    assert {*rule.options.values(), *rule.constants} <= {*losses.get(rule.type).takes, *held}


@pytest.mark.parametrize(
    ("old", "fault"),
    [
        (
            "{type: pixx, weight: 1}",
            "1:2: here: loss 'pixx' is not converted, and no plugin of the file registers it",
        ),
        (
            "{type: pix, criterion: l3, weight: 1}",
            "1:13: here.criterion: criterion 'l3' is not converted for the reference's loss 'pix'",
        ),
        ("{type: recurrent, weight: 1}", "1:1: here: requires 'subtype', the type of its inner loss"),
        (
            "{type: for_element, subtype: pixx}",
            "1:21: here: loss 'pixx' is not converted, and no plugin of the file registers it",
        ),
        ("{type: geometric, generator: g, real: r}", "1:1: here: requires 'fake', a list with an input 0"),
        (
            "{type: recursive, fake: [a], input_alteration_index: 1}",
            "1:1: here: requires 'fake', a list with an input 1",
        ),
        (
            "{type: cross_entropy, subtype: soft_ce, logits: x, labels: y, rescale: true, weight: 1}",
            "1:63: here.rescale: with soft_ce, the reference rounds the labels to whole numbers and fails",
        ),
        (
            "{type: crossentropy, subtype: soft_ce, logits: x, labels: y, swap_channels: true, weight: 1}",
            "1:62: here.swap_channels: with soft_ce, the reference compares the rows of an image instead of its "
            "classes",
        ),
        (
            "{type: feature, which_model_F: wide_resnet, load_path: a.pth}",
            "1:17: here.which_model_F: feature network 'wide_resnet' has no counterpart",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(old: str, fault: str) -> None:
    notes = Notes()
    convert_loss(node(old), "here", notes, trained=None)
    assert told(notes.faults) == [fault]


CHANGED = {
    "{type: cross_entropy, logits: x, labels: y, mask: m, weight: 1}": (
        "mask",
        "excludes positions from the mean; in the reference it multiplied the logits",
    ),
    "{type: pix, criterion: l1, real: r, fake: f, weight: 1, report_metrics: true}": (
        "report_metrics",
        "logs means and standard deviations; the reference logged histograms of means",
    ),
    "{type: sr_pix, real: r, fake: f, weight: 1, scale: 2, base_loss: .1, exp: 3}": (
        "type",
        "its weights cancelled out of the value and the gradient, so it equals a plain l2, as before; write "
        "`base: 0.2, power: 2` to apply `base_loss` and `exp`",
    ),
    "{type: switch_transformer_balance, weight: 1}": (
        "type",
        "reads `routing()` of the network's routers, a method that they have to define",
    ),
    "{type: mixture_of_experts, weight: 1, importance_weight: 1, load_weight: 2}": (
        "type",
        "reads `routing()` of the network's routers, a method that they have to define; the reference squared the "
        "variance of gates and loads, not its ratio to the mean",
    ),
    "{type: translational, generator: g, real: r, fake: [a], overlap: 2, patch_size: 4, weight: 1}": (
        "patch_size",
        "is dropped: the size of the output applies",
    ),
}


@pytest.mark.parametrize("old", CHANGED)
def test_what_means_something_else_is_told(old: str) -> None:
    notes = Notes()
    convert_loss(node(old), "here", notes, trained=node("trained"))
    option, message = CHANGED[old]
    (found,) = told(notes.warnings)
    assert notes.faults == []
    assert found.split(": ", 1)[1] == f"here.{option}: {message}"


def test_statistics_ask_for_the_loss_that_has_them_and_sr_pix_weighs_nothing() -> None:
    fields = [plain(convert_loss(node(old), "here", Notes(), trained=None)) for old in [*CHANGED][1:3]]
    common = {"real": "r", "fake": "f", "weight": 1}
    assert fields == [
        {"type": "adjusted_pixel", "criterion": "l1", "log_statistics": True, **common},
        {"type": "detail_l2", "scale": 2, "power": 0, **common},
    ]


def test_losses_about_a_network_are_about_the_one_that_is_trained() -> None:
    for old in ("{type: switch_transformer_balance, weight: 1}", "{type: mixture_of_experts, weight: 1}"):
        assert plain(convert_loss(node(old), "here", Notes(), trained=node("g")))["network"] == "g"


def test_losses_of_a_step_know_the_network_that_it_trains() -> None:
    step = node("{training: d, losses: {a: {type: discriminator_gan, gan_type: gan, weight: 1}}}")
    converted = convert_losses(step, "steps.s", Notes())
    assert converted is not None
    assert converted.plain()["a"]["network"] == "d"
