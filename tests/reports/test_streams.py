"""What the commands say about several streams, about the keys of nested data sets, and about steps that are skipped."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from artschool.errors import ConfigError
from artschool.read.read import check_file
from artschool.trace.trace import trace
from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")

PARTS = '''
from typing import Any, TypedDict

import torch
from torch import Tensor, nn

from artschool import Dataset, datasets, networks


class One(TypedDict):
    image: Tensor


class Two(TypedDict):
    a: Tensor
    b: Tensor


class Nothing(TypedDict):
    pass


@datasets.register
class Declared:
    def __init__(self, length: int = 40) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> One:
        return {"image": torch.full((4,), index / 40)}


@datasets.register
class Bare:
    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"image": torch.full((4,), index / 40)}


@datasets.register
class Both:
    """Two data sets under other names."""

    def __init__(self, *, first: Dataset, second: Dataset) -> None:
        self._first, self._second = first, second

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Two:
        return {"a": self._first[index]["image"], "b": self._second[index]["image"]}


@datasets.register
class Passed:
    """A data set as it is."""

    def __init__(self, *, data: Dataset) -> None:
        self._data = data

    def __len__(self) -> int:
        return 40

    def __getitem__(self, index: int) -> Nothing:
        return self._data[index]


@datasets.register
class InTurns:
    """Batches of four: `late` has `b` from number `start` on, and `a` before."""

    def __init__(self, start: int) -> None:
        self._start = start

    def __len__(self) -> int:
        return 400

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"b" if index // 4 >= self._start else "a": torch.ones(3)}


@networks.register
class Line(nn.Module):
    def __init__(self, width: int = 4) -> None:
        super().__init__()
        self.line = nn.Linear(width, width)

    def forward(self, x: Tensor) -> Tensor:
        return self.line(x)
'''
NESTED = """
name: nested
plugins: [parts.py]
data:
  train: {type: both, first: {type: declared}, second: {type: declared}, batch_size: 2}
networks: {net: {type: line}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 1e-3}
    injectors: {y: {type: forward, network: net, in: a, out: y}}
    losses: {l: {type: l2, in: [y, b], weight: 1.0}}
train: {iterations: 2, device: cpu}
"""
TURNS = """
name: turns
plugins: [parts.py]
data: {train: {type: in_turns, start: 3, batch_size: 4, shuffle: false, keys: [a, b]}}
networks: {x: {type: line, width: 3}, y: {type: line, width: 4}}
steps:
  x:
    trains: x
    requires: [a]
    optimizer: {type: adam, lr: 1e-3}
    injectors: {f: {type: forward, network: x, in: a, out: fa}}
    losses: {l: {type: l2, in: [fa, a], weight: 1.0}}
  y:
    trains: y
    requires: [b]
    optimizer: {type: adam, lr: 1e-3}
    injectors: {f: {type: forward, network: y, in: b, out: fb}}
    losses: {l: {type: l2, in: [fb, b], weight: 1.0}}
train: {iterations: 9, device: cpu}
"""
STREAMS = """
name: streams
plugins: [parts.py]
data:
  train: {type: declared, batch_size: 4}
  plain: {type: declared, length: 30, batch_size: 3}
  val: {type: declared, length: 8, batch_size: 4}
networks: {net: {type: line}, critic: {type: line}}
steps:
  critic:
    trains: critic
    data: plain
    repeat: 5
    optimizer: {type: adam, lr: 1e-3}
    injectors: {out: {type: forward, network: critic, in: plain.image, out: y}}
    losses: {l: {type: l2, in: [y, plain.image], weight: 1.0}}
  net:
    trains: net
    optimizer: {type: adam, lr: 1e-3}
    injectors:
      out: {type: forward, network: net, in: image, out: y}
      other: {type: forward, network: net, in: plain.image, out: z}
    losses:
      l: {type: l2, in: [y, image], weight: 1.0}
      p: {type: l1, in: [z, plain.image], weight: 1.0}
train: {iterations: 4, device: cpu}
evaluate: {held: {data: val, steps: [critic]}}
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "parts.py").write_text(PARTS)
    for name, text in (("nested", NESTED), ("turns", TURNS), ("streams", STREAMS)):
        (tmp_path / f"{name}.yml").write_text(text)
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.usefixtures("folder")
def test_a_wrapper_with_keys_has_these_alone() -> None:
    code, printed = artschool("check", "nested.yml")
    assert (code, "data train   both -> a, b\n" in printed) == (0, True)
    code, printed = artschool("check", "nested.yml", "steps.main.losses.l.in=[y, image]")
    assert code != 0
    assert (
        "steps.main.losses.l.real: reads 'image', which no earlier component writes\n    Available keys: a, b, y."
        in printed
    )


@pytest.mark.usefixtures("folder")
def test_a_wrapper_with_an_empty_mapping_has_the_keys_of_what_it_wraps() -> None:
    overrides = ("data.train={type: passed, data: {type: declared}}", "steps.main.injectors.y.in=image")
    code, printed = artschool("check", "nested.yml", *overrides, "steps.main.losses.l.in=[y, image]")
    assert (code, "data train   passed -> image\n" in printed) == (0, True)


@pytest.mark.usefixtures("folder")
def test_the_nested_data_set_without_keys_is_to_blame() -> None:
    code, printed = artschool("check", "nested.yml", "data.train.first={type: bare}")
    assert (code, "warning" in printed) == (0, False)  # `both` declares all that it yields.
    wrapped = "data.train={type: passed, data: {type: passed, data: {type: bare}}}"
    _, printed = artschool("check", "nested.yml", wrapped)
    assert (
        "data.train.data.data: does not declare its keys, so a misspelt key is found only at the first batch\n"
        "    Fix: annotate `__getitem__` of the data set with a TypedDict, or write `keys: [...]` in data.train.\n"
    ) in printed


@pytest.mark.usefixtures("folder")
def test_each_step_is_traced_with_a_batch_that_has_what_it_requires() -> None:
    code, printed = artschool("check", "--trace", "turns.yml")
    assert code != 0
    assert "steps.y.injectors.f: fails in y.line (Linear): RuntimeError" in printed
    code, printed = artschool("check", "--trace", "turns.yml", "networks.y.width=3")
    assert (code, "not traced" in printed) == (0, False)
    assert "y.l  2 of 2 parameters of y\n" in printed


@pytest.mark.usefixtures("folder")
def test_a_step_whose_keys_no_early_batch_has_is_said_to_be_untraced() -> None:
    code, printed = artschool("check", "--trace", "turns.yml", "data.train.start=50")
    assert code == 0
    assert "note: steps.y was not traced: it requires 'b', which the batches that were loaded lack\n" in printed


@pytest.mark.usefixtures("folder")
def test_a_trace_takes_a_batch_of_each_stream() -> None:
    code, printed = artschool("check", "--trace", "streams.yml", "train.accumulate=2")
    assert code == 0
    assert (
        "step critic     trains critic with adam at 0.001, on fresh batches of plain, 5 times in an iteration"
        in printed
    )
    before, _, after = (re.sub(" +", " ", part) for part in printed.partition("\nstep critic\n"))
    # 4 and 3 samples in two parts, of which the larger one is shown.
    assert "plain.image (2, 4) float32 data.plain -> net.other, net.p\n" in before
    assert "plain.image (2, 4) float32 data.plain -> critic.out, critic.l\n" in after
    assert "y (2, 4) float32 yes critic.out -> critic.l\n" in after
    assert "critic.l 2 of 2 parameters of critic\n" in after


@pytest.mark.usefixtures("folder")
def test_a_trace_finds_what_is_wrong_with_the_batch_of_a_stream() -> None:
    code, printed = artschool("check", "--trace", "streams.yml", "steps.net.losses.p.in=[z, image]")
    assert code != 0
    assert "steps.net.losses.p: l1 compares equal shapes, but fake is (3, 4) and real is (4, 4)\n" in printed


@pytest.mark.usefixtures("folder")
def test_each_process_needs_a_sample_of_each_stream() -> None:
    message = r"^streams.yml:6:51: data.plain.batch_size: a batch has 3 samples, too few for 4 processes"
    with pytest.raises(ConfigError, match=message):
        trace(check_file(Path("streams.yml")), processes=4)


@pytest.mark.usefixtures("folder")
def test_a_plan_counts_the_batches_of_each_stream() -> None:
    _, printed = artschool("plan", "streams.yml", "steps.critic.after=1")
    # One in each of four iterations, and five in each of three.
    assert "data plain      19 batches of 3 samples; 1.9 epochs\n" in printed
    assert "updates critic 15 times" in printed
    _, printed = artschool("plan", "streams.yml", "--json")
    found = json.loads(printed[printed.index("{") :])["streams"]
    assert found == {"plain": {
        "batch_size": 3, "batches": {"least": 24, "most": 24}, "epochs": {"least": 2.4, "most": 2.4}, "unknown": None,
    }}  # fmt: skip


@pytest.mark.usefixtures("folder")
def test_explain_knows_who_reads_a_stream() -> None:
    _, printed = artschool("explain", "streams.yml", "steps.critic.losses.l.real")
    assert "written by     data.plain\n" in printed
    _, printed = artschool("explain", "streams.yml", "steps.critic")
    assert "reads   data.plain, a fresh batch each time that it runs\n" in printed
    _, printed = artschool("explain", "streams.yml", "data.plain")
    assert "read by  steps.critic\n  read by  steps.net\n" in printed


@pytest.mark.usefixtures("folder")
def test_a_graph_shows_each_stream() -> None:
    code, printed = artschool("graph", "streams.yml", "--trace")
    assert code == 0
    # The batch of the iteration and that of the critic; what the critic writes ends in its lane.
    assert 'call0_1 -->|"plain.image (3, 4) float32"| call2_6' in printed
    assert 'call1_0 -->|"plain.image (3, 4) float32"| call1_3' in printed
    assert 'call1_3 -->|"y (3, 4) float32"| call1_4' in printed
    assert 'call2_5 -->|"y (4, 4) float32"| call2_7' in printed
    assert "step critic: trains critic, on fresh batches of plain, 5 times in an iteration" in printed


@pytest.mark.usefixtures("folder")
def test_an_evaluation_reads_its_data_in_place_of_the_stream_of_a_step(folder: Path) -> None:
    code, printed = artschool("train", "streams.yml", "--no-trace", "--run-dir", "run")
    assert code == 0, printed
    record = json.loads((folder / "run" / "metrics.jsonl").read_text().splitlines()[-1])
    assert record["held/critic/l"] >= 0
    assert "data      plain   30 samples in batches of 3\n" in printed


@pytest.mark.usefixtures("folder")
def test_a_profile_counts_the_time_of_each_stream() -> None:
    code, printed = artschool("profile", "streams.yml", "--iterations", "2", "--warmup", "1", "--json")
    assert code == 0
    assert '"data.plain"' in printed and '"data.train"' in printed


@pytest.mark.usefixtures("folder")
def test_a_schema_offers_the_streams(folder: Path) -> None:
    artschool("schema", "streams.yml")
    schema = json.loads((folder / "streams.schema.json").read_text())
    option = schema["definitions"]["section.StepSection"]["properties"]["data"]
    assert {snippet["label"] for snippet in option["defaultSnippets"]} == {"train", "plain", "val"}
