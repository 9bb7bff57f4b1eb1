"""Data sets."""

from __future__ import annotations

from typing import Any

import pytest
from old_text import node, told

from artschool.legacy.datasets import DATASETS, convert_datasets
from artschool.legacy.rules import Notes
from artschool.registry import datasets, load_builtins

load_builtins()


def convert(text: str) -> tuple[Any, Notes]:
    notes = Notes()
    converted = convert_datasets(node(text), notes)
    assert converted is not None
    return converted.plain(), notes


def test_a_folder_of_pictures_becomes_ours() -> None:
    converted, notes = convert(
        "scale: 4\ndatasets:\n"
        "  train: {name: x, mode: imagefolder, n_workers: 2, batch_size: 8, paths: [p], target_size: 64}\n"
        "  val: {mode: fullimage, dataroot_GT: v, scale: 2, use_shuffle: false}"
    )
    assert converted == {
        "train": {"type": "image_folder", "workers": 2, "batch_size": 8, "path": "p", "size": 64, "scale": 4},
        "val": {"type": "image_folder", "path": "v", "scale": 2, "shuffle": False},
    }
    assert told(notes.warnings) == [
        "3:80: datasets.train.target_size: cuts patches of this size at random; the reference shrank the middle square "
        "to it"
    ]
    assert not notes.faults


@pytest.mark.parametrize("name", DATASETS)
def test_row_names_options_that_exist(name: str) -> None:
    assert {*DATASETS[name].options.values()} <= {*datasets.get(DATASETS[name].type).takes}


def test_the_user_s_own_keeps_its_options_and_what_is_inside_it() -> None:
    converted, notes = convert(
        "datasets: {train: {mode: mine, n_workers: 1, phase: train, path: p, "
        "dataset: {mode: imagefolder, paths: q, scale: 1}, words: {a: 1}}}"
    )
    assert converted == {
        "train": {
            "type": "mine",
            "workers": 1,
            "path": "p",
            "dataset": {"type": "image_folder", "path": "q", "scale": 1},
            "words": {"a": 1},
        }
    }
    assert told(notes.warnings) == [
        "1:20: datasets.train.mode: the data set 'mine' is none of ours: it has to come from a plugin"
    ]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{paths: p}", "datasets.train: needs 'mode'"),
        (
            "{mode: imagefolder, paths: [p, q]}",
            "datasets.train.paths: several folders have no counterpart yet; link them into one",
        ),
        (
            "{mode: imagefolder, rgb_n1_to_1: true}",
            "datasets.train.rgb_n1_to_1: 'rgb_n1_to_1' of the reference's data set 'imagefolder' has no counterpart "
            "yet",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(entry: str, fault: str) -> None:
    _, notes = convert(f"datasets: {{train: {entry}}}")
    assert [told_fault.split(": ", 1)[1] for told_fault in told(notes.faults)] == [fault]
