"""Rows of injectors for any kind of data, and the files that they become."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.config.source import read_text
from artschool.config.structure import structure
from artschool.config.write import dump
from artschool.legacy.injectors import convert_injector
from artschool.legacy.rules import Notes
from tests.legacy.old_text import node, plain, silent, told

load_builtins()
IN_OUT = {"in": "a", "out": "b"}
LINEAR = "{type: linear_decay, initial_weight: 10, steps: 50, lower_bound: 0.9, start_step: 20}"
SINE = "{type: sinusoidal, upper_weight: 1, lower_weight: 0.1, period: 50, start_step: 10}"
ROWS: dict[str, dict[str, Any]] = {
    "{type: batch_rotate, in: a, out: b}": {"type": "roll", **IN_OUT},
    "{type: channel_clip, in: a, out: b, channel_low: 2, channel_high: 5}": {
        "type": "slice",
        **IN_OUT,
        "start": 2,
        "stop": 5,
    },
    "{type: constant, constant_type: zeroes, like: x, in: a, out: b}": {
        "type": "constant",
        "value": 0.0,
        "like": "x",
        "out": "b",
    },
    "{type: decompose_dimension, dim: 2, in: a, out: b, cutoff_dim: -1}": {
        "type": "fold_dimension",
        "dim": 2,
        "in": "a",
        "out": ["b", "b_reverse_shape", "b_reverse_permute"],
    },
    "{type: decompose_dimension, dim: 2, in: a, out: b, cutoff_dim: 9, after: 5}": {
        "type": "fold_dimension",
        "dim": 2,
        "limit": 9,
        "in": "a",
        "out": ["b", "b_reverse_shape", "b_reverse_permute"],
        "after": 5,
    },
    "{type: recompose_dimension, in: a, out: b, reverse_shape: s, reverse_permute: p}": {
        "type": "unfold_dimension",
        "x": "a",
        "out": "b",
        "shape": "s",
        "order": "p",
    },
    "{type: for_each, subtype: grey, in: a, out: b, aslist: true, every: 2, train: true}": {
        "type": "for_each",
        **IN_OUT,
        "as_list": True,
        "every": 2,
        "only": "training",
        "injector": {"type": "grey"},
    },
    "{type: for_each, subtype: generator, generator: gen, grad: false, in: a, out: b}": {
        "type": "for_each",
        **IN_OUT,
        "injector": {"type": "forward", "network": "gen", "grad": False, "mode": "eval"},
    },
    "{type: for_each, subtype: margin_removal, margin: 2, in: a, out: b}": {
        "type": "for_each",
        **IN_OUT,
        "injector": {"type": "crop_border", "margin": 2},
    },
    "{type: image_patch, patch_size: 5, resize: 8, in: a, out: b}": {
        "type": "corner_crops",
        "size": 5,
        "resize": 8,
        "in": "a",
        "out": ["b", "b_top_left", "b_top_right", "b_bottom_left", "b_bottom_right"],
    },
    "{type: indices_extractor, dim: 1, in: a, out: [b, c]}": {
        "type": "select",
        "dim": 1,
        "index": [0, 1],
        "in": "a",
        "out": ["b", "c"],
    },
    "{type: kmeans_quantizer, centroids: c.pth, in: a, out: b}": {
        "type": "kmeans_quantizer",
        "centroids": "c.pth",
        **IN_OUT,
    },
    "{type: margin_removal, margin: 3, random_shift_max: 2, in: a, out: b}": {
        "type": "crop_border",
        "margin": 3,
        "max_shift": 2,
        **IN_OUT,
    },
    "{type: mix_and_label, in: [a, c], out: b, out_labels: l}": {
        "type": "mix_and_label",
        "in": ["a", "c"],
        "out": ["b", "l"],
    },
    "{type: noise, shape: [3, 4], in: a, out: b}": {"type": "noise", "shape": [3, 4], **IN_OUT},
    "{type: random_crop, dim_in: 256, dim_out: 64, in: a, out: b}": {
        "type": "random_resized_crop",
        "size": 64,
        "min_area": 0.25,
        "mode": "nearest",
        **IN_OUT,
    },
    "{type: random_scale, min_samples: 100, in: a, out: b}": {"type": "random_length", "min_length": 100, **IN_OUT},
    f"{{type: scheduled_scalar, out: b, scheduler: {LINEAR}}}": {
        "type": "scheduled_scalar",
        "kind": "linear",
        "initial": 10,
        "final": 0.9,
        "iterations": 50,
        "start": 20,
        "out": "b",
    },
    f"{{type: scheduled_scalar, in: a, out: b, scheduler: {SINE}}}": {
        "type": "scheduled_scalar",
        "kind": "cosine",
        "initial": 1,
        "final": 0.1,
        "iterations": 50,
        "start": 10,
        "out": "b",
    },
    "{type: scheduled_scalar, out: b, scheduler: {type: fixed, weight: 0.3}}": {
        "type": "constant",
        "value": 0.3,
        "out": "b",
    },
    "{type: sr_diffs, mode: produce_diff, lq: l, hq: h, diff: d, include_combined: true, out: b}": {
        "type": "difference_channels",
        "in": ["l", "h"],
        "include_hq": True,
        "out": ["b", "d"],
    },
    "{type: sr_diffs, mode: recombine, lq: l, hq: h, out: b}": {"type": "add", "in": ["l", "h"], "out": "b"},
}
FILE: dict[str, Any] = {
    "name": "old",
    "data": {"train": {"type": "photos"}},
    "networks": {"gen": {"type": "edsr"}},
    "train": {"iterations": 1},
}


@pytest.mark.parametrize("old", ROWS)
def test_row_becomes_ours_and_a_file_takes_it(old: str) -> None:
    notes = Notes()
    found = plain(convert_injector(node(old), "here", notes))
    assert found == ROWS[old]
    assert silent(notes)
    step = {"trains": "gen", "optimizer": "none", "injectors": {"one": found}}
    assert [str(fault) for fault in structure(read_text(dump({**FILE, "steps": {"s": step}}), "new.yml"))[1]] == []


WARNED = {
    "{type: random_shift, in: a, out: b}": (
        {"type": "alias", **IN_OUT},
        "1:2: here.type: has no effect, as in the reference; write `type: random_shift` to shift",
    ),
    "{type: step_interleave, subtype: grey, in: a, out: b}": (
        {"type": "for_each", **IN_OUT, "injector": {"type": "grey"}},
        "1:2: here.type: becomes for_each; the reference's could not be built",
    ),
    "{type: stylegan2_noise, in: a, out: b, mix_probability: 0.5, latent_dim: 8}": (
        {"type": "style_mixing_noise", **IN_OUT, "mix_probability": 0.5, "latent_dim": 8},
        "1:2: here.type: draws two latents for each sample, equal unless mixed; the reference drew one or two a batch",
    ),
    "{type: indices_extractor, dim: 1, in: a, out: bc}": (
        {"type": "select", "dim": 1, "index": 0, "in": "a", "out": "bc"},
        "1:42: here.out: holds the first slice; the reference wrote one key for each letter of the name",
    ),
    "{type: scheduled_scalar, out: b, scheduler: {type: fixed, weight: 1, lower: 0}}": (
        {"type": "constant", "value": 1, "out": "b"},
        "1:70: here.scheduler.lower: is dropped: the reference's fixed has no option 'lower'",
    ),
    "{type: for_each, subtype: grey, in: a, out: b, colour: 1}": (
        {"type": "for_each", **IN_OUT, "injector": {"type": "grey"}},
        "1:48: here.colour: is dropped: 'colour' is no known option of the reference's injector 'grey'",
    ),
}


@pytest.mark.parametrize("old", WARNED)
def test_what_changed_is_told(old: str) -> None:
    notes, (fields, warning) = Notes(), WARNED[old]
    assert plain(convert_injector(node(old), "here", notes)) == fields
    assert not notes.faults and told(notes.warnings) == [warning]


REFUSED = {
    "{type: for_each, in: a, out: b}": "1:1: here: requires 'subtype', the type of its inner injector",
    "{type: for_each, subtype: gray, in: a, out: b}": "1:18: here: injector 'gray' is not converted, "
    "and no plugin of the file registers it",
    "{type: mix_and_label, in: [a], out: b}": "1:1: here: requires 'out' and 'out_labels'",
    "{type: scheduled_scalar, out: b, scheduler: {type: steps}}": (
        "1:34: here.scheduler: expected fixed, linear_decay or sinusoidal, got 'steps'"
    ),
    "{type: sr_diffs, mode: both, lq: l, hq: h, out: b}": "1:18: here.mode: must be 'produce_diff' or 'recombine'",
    "{type: random_crop, dim_in: 64, dim_out: 256, in: a, out: b}": (
        "1:1: here: requires 'dim_in' and 'dim_out', with dim_out no larger than dim_in"
    ),
    "{type: constant, constant_type: twos, like: a, out: b}": (
        "1:18: here.constant_type: constant_type 'twos' is not converted for the reference's injector 'constant'"
    ),
}


@pytest.mark.parametrize("old", REFUSED)
def test_what_cannot_be_said_is_refused(old: str) -> None:
    notes = Notes()
    convert_injector(node(old), "here", notes)
    assert told(notes.faults) == [REFUSED[old]]
