"""Data sets made of others, from the file to the batches."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import torch

import artschool
from artschool.components.builtins import load_builtins
from artschool.components.datasets.wrappers import Repeat, Subset, Union
from artschool.config.component_reader import ComponentReader
from artschool.config.data_keys import declared_keys
from artschool.config.source import read_text
from artschool.errors import ConfigError, DataError
from artschool.registry import datasets
from tests.engine.toy_parts import TEXT, Samples, load

load_builtins()


def xs(dataset: object) -> list[float]:
    return [float(dataset[i]["x"]) for i in range(len(dataset))]  # type: ignore[index, arg-type]


def test_a_union_has_every_sample_once_without_weights() -> None:
    assert xs(Union(data=[Samples(2), Samples(3)])) == [0, 1, 0, 1, 2]


def test_weights_share_an_epoch_and_draw_anew_by_the_seed() -> None:
    mixed = Union(data=[Samples(100, width=1), Samples(4)], weights=[1.0, 3.0], length=400)
    assert len(mixed) == 400
    torch.manual_seed(0)
    first = xs(mixed)
    torch.manual_seed(0)
    assert xs(mixed) == first
    assert max(first[:100]) > 50 and Counter(first[100:]).keys() == {0, 1, 2, 3}
    assert len(Union(data=[Samples(10), Samples(4)], weights=[1.0, 1.0])) == 14


def test_repeat_and_subset() -> None:
    assert xs(Repeat(data=Samples(2), times=3)) == [0, 1, 0, 1, 0, 1]
    assert xs(Subset(data=Samples(10), start=-4, step=2)) == [6, 8]
    assert xs(Subset(data=Samples(10), stop=2)) == [0, 1]


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"data": [Samples(0)]}, "union: data.0 is empty (expected 1 sample or more, got 0). Fix: remove it"),
        (
            {"data": [Samples(1)], "weights": [1.0, 2.0]},
            "union: weights: expected one for each data set (1), got 2",
        ),
        (
            {"data": [Samples(1)], "length": 3},
            "union: `length` requires `weights`. Fix: add `weights`, or remove `length`",
        ),
    ],
)
def test_a_union_that_makes_no_sense_is_refused(options: dict[str, object], text: str) -> None:
    with pytest.raises(DataError) as error:
        Union(**options)  # type: ignore[arg-type]  # as a file gives them
    assert str(error.value) == text


def keys(entry: str) -> tuple[str, ...] | None:
    reader = ComponentReader()
    component = reader.component("datasets", read_text(entry, "a.yml"), "data.train")
    assert reader.faults == []
    return declared_keys(component)


def test_what_is_inside_declares_the_keys() -> None:
    digits, photos, folder = "{type: sklearn_digits}", "{type: photos}", "{type: image_folder, path: x}"
    assert keys(f"{{type: union, data: [{photos}, {folder}]}}") == ("lq", "hq", "name")
    assert keys(f"{{type: union, data: [{photos}, {digits}]}}") == ()
    assert keys(f"{{type: subset, data: {{type: repeat, times: 2, data: {digits}}}}}") == ("image", "label")
    assert keys("{type: union, data: [{type: hugging_face, path: p, columns: {a: b, c: d}}]}") == ("a", "c")
    assert keys(f"{{type: repeat, times: 2, data: {folder}, keys: [hq], pad: [hq]}}") == ("hq", "hq_lengths")


def test_a_union_in_a_file_yields_what_all_have_however_it_is_loaded(tmp_path: Path) -> None:
    inner = "[{type: part_samples, length: 2}, {type: subset, data: {type: part_samples, length: 9}, start: 5}]"
    for workers in (0, 1):
        data = f"data.train={{type: union, data: {inner}, batch_size: 2, shuffle: false, workers: {workers}}}"
        run, _ = load(tmp_path, data)
        assert [batch["x"].flatten().tolist() for batch in run.data.load(0, 3, run.device)] == [[0, 1], [5, 6], [7, 8]]


def test_a_key_that_not_all_have_is_a_fault_where_it_is_read(tmp_path: Path) -> None:
    file = tmp_path / "mixed.yml"
    inner = "[{type: photos}, {type: sklearn_digits}]"
    text = TEXT.replace("plugins: [PLUGIN]\n", "").replace("part_samples, length: 6", f"union, data: {inner}")
    file.write_text(text.replace("in: x, out: y", "in: hq, out: y"))
    with pytest.raises(ConfigError, match=r"shift\.\w+: reads 'hq', which no earlier component writes") as error:
        artschool.load(file)
    assert len(error.value.faults) == 1


def test_faults_inside_a_list_have_their_place() -> None:
    reader = ComponentReader()
    text = "{type: union, data: [{type: photos},\n {type: photo, scale: 2}, {type: photos, batch_size: 2}]}"
    reader.component("datasets", read_text(text, "a.yml"), "data.train")
    assert [str(fault).split("\n")[0] for fault in reader.faults] == [
        "a.yml:2:9: data.train.data.1.type: unknown data set 'photo'",
        "a.yml:2:42: data.train.data.2.batch_size: unknown option",
    ]


def test_wrappers_are_listed() -> None:
    assert {"union", "repeat", "subset"} <= set(datasets.names())
