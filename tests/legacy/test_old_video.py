"""Rows of video, and the files that they become."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.config.source import read_text
from artschool.config.structure import structure
from artschool.config.write import dump
from artschool.legacy.injectors import convert_injector
from artschool.legacy.losses import convert_loss
from artschool.legacy.rules import Notes
from tests.legacy.old_text import node, plain, told

load_builtins()
TECO = (
    "{type: teco_recurrent_generated_sequence, generator: g, flow_network: f, scale: 2, recurrent_index: 1, "
    "in: [l, r], "
)
GAN = (
    "{type: teco_gan, gan_type: %s, discriminator: d, image_flow_generator: f, lr_inputs: l, real: r, fake: s, "
    "scale: 2, "
)
CALLS = "calls its flow network with two images; the reference passed both in one tensor, (B, C, 2, H, W)"
GUIDE = "are the images between which the flow is computed; the reference used the judged images"
INJECTORS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "{type: stereoscopic_resample, in: a, flowfield: f, out: b}": (
        {"type": "warp", "x": "a", "flow": "f", "out": "b"},
        [],
    ),
    "{type: stereoscopic_flow2image, in: a, out: b}": ({"type": "flow_to_image", "in": "a", "out": "b"}, []),
    "{type: teco_flow_adjustment, flow_network: f, flow_target: t, flowed: x, in: n, out: b}": (
        {"type": "align_by_flow", "flow": "f", "target": "t", "x": "x", "out": "b"},
        ["here.type: calls its flow network with two images, and multiplies an enlarged flow by its scale"],
    ),
    "{type: multi_frame_combiner, mode: combine, flow: f, in: l, in_hq: h, out: b, out_hq: c}": (
        {"type": "combine_frames", "flow": "f", "in": ["l", "h"], "out": ["b", "c"]},
        [f"here.type: {CALLS}", "here.out: 'b_flow_sample', which the reference wrote"],
    ),
    "{type: multi_frame_combiner, mode: synthesize, dim: 3, flow: f, in: l, in_hq: h, out: b, out_hq: c}": (
        {"type": "concatenate", "in": ["l", "l", "l"], "out": "b"},
        [],
    ),
    TECO + "do_backwards: false, out: s}": (
        {
            "type": "recurrent_generate",
            "network": "g",
            "flow": "f",
            "scale": 2,
            "previous": "argument",
            "in": "l",
            "out": "s",
        },
        ["here.type: computes the flow between inputs"],
    ),
    TECO + "flow_input_key: k, input_lq_index: 1, hq_batched_key: q, out: [s]}": (
        {
            "type": "recurrent_generate",
            "network": "g",
            "flow": "f",
            "scale": 2,
            "previous": "argument",
            "ping_pong": True,
            "in": ["r", "k"],
            "out": "s",
        },
        ["here.hq_batched_key: is dropped: fold `hq`", "here.type: computes the flow between inputs"],
    ),
    "{type: progressive_zoom_generator, generator: g, in: l, hq: h, hq_output: t, output_hq_index: 0, depth: 3, "
    "num_branches: 4, feed_gen_output_into_input: true, out: s}": (
        {"type": "progressive_zoom", "network": "g", "depth": 3, "in": ["l", "h"], "out": ["s", "t"]},
        ["here.type: takes one small image", "here.num_branches: is dropped: uses one window"],
    ),
}
LOSSES: dict[str, tuple[dict[str, Any], list[str]]] = {
    "{type: teco_pingpong, criterion: l2, fake: s, weight: 2}": (
        {"type": "ping_pong", "criterion": "l2", "fake": "s", "weight": 2},
        [],
    ),
    GAN % "ragan" + "margin: 4, for_generator: false, fast_forward: true, noise: 0.1, weight: 1}": (
        {
            "type": "temporal_gan",
            "loss": {"type": "discriminator_gan", "network": "d", "kind": "ragan", "noise": 0.1},
            "flow": "f",
            "guide": "l",
            "real": "r",
            "fake": "s",
            "margin": 4,
            "weight": 1,
        },
        [f"here.lr_inputs: {GUIDE}", f"here.type: {CALLS}"],
    ),
    GAN % "gan" + "margin: 4, for_generator: true, min_loss: 0, gradient_penalty: false, weight: 1, after: 9}": (
        {
            "type": "temporal_gan",
            "loss": {"type": "generator_gan", "network": "d", "kind": "vanilla"},
            "flow": "f",
            "guide": "l",
            "fake": "s",
            "margin": 4,
            "weight": 1,
            "after": 9,
        },
        [f"here.lr_inputs: {GUIDE}", f"here.type: {CALLS}", "here.type: is the mean over triplets"],
    ),
}
FILE: dict[str, Any] = {
    "name": "old",
    "data": {"train": {"type": "photos"}},
    "networks": {"g": {"type": "edsr"}, "f": {"type": "spynet"}, "d": {"type": "patch_critic"}},
    "train": {"iterations": 1},
}


def faults_of(kind: str, entry: dict[str, Any]) -> list[str]:
    step = {"trains": "g", "optimizer": "none", kind: {"one": entry}}
    return [str(fault) for fault in structure(read_text(dump({**FILE, "steps": {"s": step}}), "new.yml"))[1]]


def same_notes(notes: Notes, expected: list[str]) -> bool:
    found = [line.split(": ", 1)[1] for line in told(notes.warnings)]
    return len(found) == len(expected) and all(
        line.startswith(start) for line, start in zip(found, expected, strict=True)
    )


@pytest.mark.parametrize("old", INJECTORS)
def test_an_injector_of_video_becomes_ours_and_a_file_takes_it(old: str) -> None:
    notes, (expected, warnings) = Notes(), INJECTORS[old]
    found = plain(convert_injector(node(old), "here", notes))
    assert found == expected
    assert not notes.faults and same_notes(notes, warnings), told(notes.warnings)
    assert faults_of("injectors", found) == []


@pytest.mark.parametrize("old", LOSSES)
def test_a_loss_of_video_becomes_ours_and_a_file_takes_it(old: str) -> None:
    notes, (expected, warnings) = Notes(), LOSSES[old]
    found = plain(convert_loss(node(old), "here", notes, trained=None))
    assert found == expected
    assert not notes.faults and same_notes(notes, warnings), told(notes.warnings)
    assert faults_of("losses", found) == []


REFUSED = {
    "{type: multi_frame_combiner, mode: both, flow: f, in: l, in_hq: h, out: b, "
    "out_hq: c}": "here.mode: must be 'combine'",
    TECO + "hq_recurrent: true, out: s}": "here.hq_recurrent: 'hq_recurrent' of the reference's",
    TECO + "output_hq_index: 1, out: s}": "here.output_hq_index: 'output_hq_index' of",
    TECO + "first_inputs: [a, b], out: s}": "here.first_inputs: 'first_inputs' of",
    TECO + "out: [s, t]}": "here.out: lists more than one output of the generator",
    TECO.replace("[l, r]", "[l, r, m]") + "out: s}": "here.in: has inputs besides the frames",
    TECO.replace("[l, r]", "[]") + "out: s}": "here: requires 'in' with the frames",
    "{type: progressive_zoom_generator, generator: g, in: l, depth: 3, out: s}": "here: requires 'hq', one 'in'",
}


@pytest.mark.parametrize("old", REFUSED)
def test_what_video_cannot_say_is_refused(old: str) -> None:
    notes = Notes()
    convert_injector(node(old), "here", notes)
    assert [line.split(": ", 1)[1].startswith(REFUSED[old]) for line in told(notes.faults)] == [True], told(
        notes.faults
    )


def test_a_gradient_penalty_and_the_cosine_are_refused() -> None:
    notes = Notes()
    convert_loss(node(GAN % "gan" + "margin: 4, gradient_penalty: true, weight: 1}"), "here", notes, trained=None)
    convert_loss(node("{type: teco_pingpong, criterion: cosine, fake: s, weight: 2}"), "here", notes, trained=None)
    assert [fault.path for fault in notes.faults] == ["here.gradient_penalty", "here.criterion"]
