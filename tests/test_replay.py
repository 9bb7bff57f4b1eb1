"""An incident is reproduced from its folder, in one process, after everything else of the run is gone."""

from __future__ import annotations

import json
import math
import re
import shutil
from pathlib import Path

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.engine.run import Run
from artschool.engine.spikes import report_spikes
from artschool.errors import ConfigError, ResourceError
from artschool.replay import replay
from tests.engine import toy_run

PLUGIN = """
import time

import torch
from torch import nn
from tests.engine.toy_run import Pairs, run_generator
from artschool.registry import datasets, networks


@datasets.register("replay_pairs")
class Spoiled(Pairs):
    def __init__(self, spoilt: int = -1, value: str = "0", length: int = 40, hangs: bool = False) -> None:
        super().__init__(length)
        self._spoilt, self._value, self._hangs = spoilt, float(value), hangs

    def __getitem__(self, index):
        sample = super().__getitem__(index)
        if index == self._spoilt:
            if self._hangs:
                time.sleep(1000)
            sample["hq"][0, 0, 0] = self._value
        return sample


class Fragile(nn.Module):
    def __init__(self, fault: str) -> None:
        super().__init__()
        self._fault = fault

    def forward(self, x):
        if torch.rand(()) > 0.15:
            return x
        if self._fault == "error":
            raise LookupError("rarely")
        return x / 0.0


@networks.register("replay_fragile")
def fragile(fault: str) -> nn.Module:
    return nn.Sequential(run_generator(), Fragile(fault))
"""


def load(folder: Path, *overrides: str, spoilt: int = -1, value: float = 0.0, length: int = 40) -> Run:
    plugin = folder / "replay_plugin.py"
    plugin.write_text(PLUGIN)
    return toy_run.load(
        folder,
        f"plugins=['{Path(toy_run.__file__).resolve()}', '{plugin}']",
        f"data.train={{type: replay_pairs, length: {length}, batch_size: 8, spoilt: {spoilt}, value: '{value}'}}",
        "log.every=1",
        "evaluate={}",
        *overrides,
    )


def incidents(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "run" / "incidents").iterdir())


def test_nan_of_a_sample_is_found_again(tmp_path: Path, registries: None) -> None:
    load(tmp_path, "train.iterations=5", spoilt=11, value=math.nan).train()
    [name] = [name for name in incidents(tmp_path) if "nan" in name]
    shutil.rmtree(tmp_path / "run" / "checkpoints", ignore_errors=True)
    result = CliRunner().invoke(cli, ["replay", str(tmp_path / "run" / "incidents" / name)])
    assert result.exit_code == 0, result.output
    assert re.search(
        r"first tensor that went wrong: data\.train: 'hq' contains NaN or infinity in the samples \d "
        r"\(name 'picture 11'\) of the batch",
        result.output,
    )
    assert result.output.endswith("reproduced\n")


def test_the_first_tensor_is_named_with_its_module_after_the_checkpoint_is_rotated_away(
    tmp_path: Path, registries: None
) -> None:
    options = ("log.every=2", "checkpoint={every: 3, keep_last: 1}", "train.iterations=20")
    run = load(tmp_path, "networks.gen={type: replay_fragile, fault: nan}", *options)
    run.train()
    name = incidents(tmp_path)[-1]
    result = replay(tmp_path / "run" / "incidents" / name)
    iteration, checkpoint = result.incident["iteration"], result.incident["checkpoint"]
    assert iteration == int(name[:8]) >= checkpoint == (iteration // 3) * 3 > 0
    assert run.store.numbers() == [20]
    assert result.is_reproduced
    assert result.found[0].startswith("networks.gen.1 (Fragile), output: ")
    assert result.skipped[0] == "steps.gen: NaN or infinite gradients: the update is skipped"
    assert math.isnan(result.losses[iteration]["gen/pixel"]) or math.isinf(result.losses[iteration]["gen/pixel"])


def test_an_exception_is_raised_again(tmp_path: Path, registries: None) -> None:
    run = load(tmp_path, "networks.gen={type: replay_fragile, fault: error}")
    with pytest.raises(LookupError, match="rarely"):
        run.train()
    shutil.rmtree(tmp_path / "run" / "checkpoints", ignore_errors=True)
    (file,) = (tmp_path / "run").glob("incidents/*/incident.json")
    file.write_text(json.dumps(json.loads(file.read_text()) | {"error": "first line\nsecond line"}))
    said: list[str] = []
    result = replay(tmp_path / "run", said.append)
    assert said[0].endswith(": first line")  # The error follows as a whole when it is reproduced.
    assert not [line for line in said if "has changed" in line]
    assert result.is_reproduced
    assert [line.partition(":")[0] for line in result.lines()] == ["raised", "reproduced"]
    assert [type(error) for error in result.errors] == [LookupError]
    assert list(result.losses) == [run.iteration]


def test_a_hang_is_reproduced_within_its_limit(
    tmp_path: Path, registries: None, capfd: pytest.CaptureFixture[str]
) -> None:
    run = load(tmp_path, "train.hang_timeout=1", "data.train.hangs=true", spoilt=11)
    with pytest.raises(ResourceError, match=r"has waited 1 seconds for sample 11 of .*data\.train"):
        run.train()
    [name] = incidents(tmp_path)
    assert name.endswith("-hang")
    result = replay(tmp_path / "run" / "incidents" / name)
    assert result.is_reproduced
    [error] = result.errors
    assert "has waited 1 seconds for sample 11 of" in str(error)
    assert not hasattr(error, "__notes__")  # It is no incident of its own.
    assert incidents(tmp_path) == [name]
    assert len(re.findall(r'replay_plugin\.py", line \d+ in __getitem__', capfd.readouterr().err)) == 2  # the stacks


def test_a_spike_is_recorded_and_found_in_its_interval(tmp_path: Path, registries: None) -> None:
    options = ("train.iterations=30", "data.train.shuffle=false", "log.every=1", "checkpoint.every=20")
    load(tmp_path, *options, spoilt=203, value=1e4, length=400).train()
    assert incidents(tmp_path) == ["00000025-spike"]
    result = replay(tmp_path / "run")
    assert re.fullmatch(
        r"gen/pixel is \d+\.?\d* in iteration 25, \d+ deviations above its median", result.incident["error"]
    )
    assert "name 'picture 203'" in result.incident["samples"]["train"]["names"]
    assert result.is_reproduced
    assert result.losses[25]["gen/pixel"] > 5


def test_a_spike_that_lasts_is_reported_once(tmp_path: Path, registries: None, monkeypatch: pytest.MonkeyPatch) -> None:
    run, notes = load(tmp_path), list[str]()
    monkeypatch.setattr(run, "note", notes.append)
    usual = [1.0 + 0.01 * (number % 5) for number in range(24)]
    for value in (*usual, 50.0, 50.0, 1.0, 50.0, math.nan, math.nan):
        run.iteration += 1
        report_spikes(run, {"gen/pixel": value})
    starts = [note.partition(" in iteration")[0] for note in notes if note.startswith("warning")]
    assert starts == [*["warning: gen/pixel is 50"] * 2, "warning: gen/pixel is nan"]


def test_a_file_that_has_changed_is_replaced_by_what_is_recorded(tmp_path: Path, registries: None) -> None:
    load(tmp_path, "train.iterations=5", spoilt=11, value=math.nan).train()
    (tmp_path / "toy.yml").write_text("name: [")
    notes: list[str] = []
    result = replay(tmp_path / "run", notes.append)
    folder = tmp_path / "run" / "incidents" / incidents(tmp_path)[-1]
    assert f"note: {tmp_path / 'toy.yml'} has changed since; using {folder / 'resolved.yml'}" in notes
    assert result.is_reproduced


@pytest.mark.parametrize("content", [None, b"\xff"])
def test_an_incident_without_its_file_is_refused(tmp_path: Path, registries: None, content: bytes | None) -> None:
    load(tmp_path, "train.iterations=5", spoilt=11, value=math.nan).train()
    folder = tmp_path / "run" / "incidents" / incidents(tmp_path)[-1]
    (folder / "resolved.yml").unlink() if content is None else (folder / "resolved.yml").write_bytes(content)
    with pytest.raises(ConfigError, match=r"resolved\.yml: cannot be read"):
        replay(folder)
    recorded = json.loads((folder / "incident.json").read_text())
    (folder / "incident.json").write_text(json.dumps(recorded | {"iteration": 10**30}))
    with pytest.raises(ConfigError, match="wrong 'iteration'"):
        replay(folder)


@pytest.mark.parametrize("text", [None, "", "[]", "{}", '{"kind": 3}'])
def test_what_is_no_incident_is_refused(tmp_path: Path, text: str | None) -> None:
    if text is not None:
        (tmp_path / "incident.json").write_text(text)
    with pytest.raises(ConfigError, match="incident"):
        replay(tmp_path)
