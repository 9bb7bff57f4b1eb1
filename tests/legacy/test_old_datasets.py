"""Data sets."""

from __future__ import annotations

import json
from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.legacy.datasets import DATASETS, REFUSED, convert_datasets
from artschool.legacy.rules import Notes
from artschool.registry import datasets
from tests.legacy.old_text import node, told

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
        "train": {
            "type": "image_folder",
            "workers": 2,
            "batch_size": 8,
            "path": "p",
            "size": 64,
            "scale": 4,
            "crop": "middle",
            "augment": "flip",
        },
        "val": {"type": "image_folder", "path": "v", "scale": 2, "shuffle": False},
    }
    assert notes.warnings == []
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
            "dataset": {"type": "image_folder", "path": "q", "scale": 1, "crop": "middle", "augment": "flip"},
            "words": {"a": 1},
        }
    }
    assert told(notes.warnings) == [
        "1:20: datasets.train.mode: 'mine' is not a built-in data set; a plugin has to register it"
    ]


@pytest.mark.parametrize(
    ("entry", "fault"),
    [
        ("{paths: p}", "datasets.train: requires 'mode'"),
        (
            "{mode: imagefolder, paths: [p, q], weights: [1, 2]}",
            "datasets.train.weights: one data set cannot weight its folders",
        ),
        (
            "{mode: imagefolder, paths: p, fixed_corruptions: [block_noise]}",
            "datasets.train.fixed_corruptions: the corruption 'block_noise' has no counterpart",
        ),
        (
            "{mode: imagefolder, paths: p, normalize: imagenet}",
            "datasets.train.normalize: 'normalize' of the reference's data set 'imagefolder' has no counterpart",
        ),
        *(
            (f"{{mode: {mode}}}", f"datasets.train.mode: the reference's data set '{mode}' has no counterpart")
            for mode in REFUSED
        ),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(entry: str, fault: str) -> None:
    _, notes = convert(f"datasets: {{train: {entry}}}")
    assert [told_fault.split(": ", 1)[1] for told_fault in told(notes.faults)] == [fault]


@pytest.mark.parametrize(
    ("entry", "option", "words"),
    [
        ("{mode: byol_dataset, crop_size: 8, dataset: {mode: imagefolder, paths: p}}", "crop_size", "set their `size`"),
        ("{mode: byol_dataset, normalize: true, dataset: {mode: imagefolder, paths: p}}", "normalize", "in 0..1"),
        ("{mode: imagefolder, paths: p, random_seed: 3}", "random_seed", "depend on `seed`"),
        ("{mode: fullimage, dataroot_GT: p, use_flip: true}", "use_flip", "`augment: true`"),
        ("{mode: fullimage, dataroot_GT: p, use_compression_artifacts: true}", "use_compression_artifacts", "jpeg"),
        ("{mode: torch_dataset, dataset: mnist, test: true}", "test", "`options: {train: false}`"),
    ],
)
def test_no_option_is_left_out_without_a_word(entry: str, option: str, words: str) -> None:
    _, notes = convert(f"datasets: {{train: {entry}}}")
    found = [warning.message for warning in notes.warnings if warning.path == f"datasets.train.{option}"]
    assert len(found) == 1 and words in found[0]


@pytest.mark.parametrize(
    ("entry", "advice"),
    [
        ("{mode: single_image_extensible, paths: p, need_ref: true}", "patch_with_reference"),
        ("{mode: fullimage, dataroot_GT: p, dataroot_LQ: q}", "image_pairs"),
        ("{mode: zipfile, path: p, paired_mode: true}", "image_pairs"),
        ("{mode: imagefolder, paths: p, labeler: {type: l}}", "torchvision_dataset"),
        ("{mode: imagefolder, paths: [p, q], weights: [1, 2]}", "union"),
    ],
)
def test_a_refusal_names_the_data_set_to_take(entry: str, advice: str) -> None:
    _, notes = convert(f"datasets: {{train: {entry}}}")
    assert f"`{advice}`" in notes.faults[0].hint
    assert advice in datasets.names()


def test_views_are_drawn_from_the_keys_that_were_named() -> None:
    _, notes = convert("datasets: {train: {mode: byol_dataset, key1: hq, key2: lq, dataset: {mode: mine}}}")
    assert "`{type: random_view, in: lq, out: aug2}`" in notes.warnings[0].hint


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (
            "{mode: imagefolder, paths: [p, q], rgb_n1_to_1: true, disable_flip: true, num_corrupts_per_image: 1, "
            "fixed_corruptions: [jpeg-broad, gaussian_blur], random_corruptions: [color_jitter, none], "
            "corruption_blur_scale: 2, corrupt_before_downsize: true}",
            {
                "type": "image_folder",
                "path": ["p", "q"],
                "crop": "middle",
                "values": [-1, 1],
                "corruptions": {
                    "fixed": [{"kind": "jpeg", "range": [75, 15]}, {"kind": "gaussian_blur", "range": [0, 3.0]}],
                    "random": ["color_jitter", "none"],
                    "num_random": 1,
                    "severity": "cosine",
                    "before_shrink": True,
                },
            },
        ),
        (
            "{mode: single_image_extensible, paths: p, target_size: 64, scale: 2}",
            {"type": "image_folder", "path": "p", "size": 64, "scale": 2, "crop": "middle", "exclude": ["ref.*"]},
        ),
        (
            "{mode: zipfile, path: p.zip, resolution: 32, paired_mode: false}",
            {"type": "image_folder", "path": "p.zip", "size": 32, "crop": "middle"},
        ),
        (
            "{mode: stylegan2, path: p, target_size: 8}",
            {"type": "image_folder", "path": "p", "size": 8, "crop": "middle"},
        ),
        (
            "{mode: multiscale, paths: [p], num_scales: 3, scale: 2, hq_tile_size: 16}",
            {"type": "crop_tree", "path": "p", "levels": 3, "scale": 2, "size": 16},
        ),
        (
            "{mode: torch_dataset, dataset: cifar10, datapath: p, flip: false}",
            {"type": "torchvision_dataset", "name": "CIFAR10", "root": "p"},
        ),
        (
            "{mode: byol_dataset, batch_size: 4, crop_size: 8, dataset: {mode: imagefolder, paths: p, scale: 1}}",
            {"type": "image_folder", "path": "p", "scale": 1, "crop": "middle", "augment": "flip", "batch_size": 4},
        ),
    ],
)
def test_a_mode_is_written_as_ours_and_can_be_read(entry: str, expected: dict[str, Any]) -> None:
    converted, notes = convert(f"datasets: {{train: {entry}}}")
    assert notes.faults == []
    assert converted["train"] == expected
    datasets.get(expected["type"]).model.model_validate_json(json.dumps(expected))
