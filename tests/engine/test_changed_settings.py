"""Which changes of a file a resume reports, and which it refuses unless they are allowed by name."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from rich.console import Console

import artschool
from artschool.diff.settings import Changed, changed_settings, settings_of
from artschool.engine.changed_settings import Rule, rule_of
from artschool.engine.run import Run
from artschool.read.read import check_file
from artschool.registry import datasets
from tests.engine import toy_run

FREE, REPORTED, ASKED = Rule.FREE, Rule.REPORTED, Rule.ASKED
PIXEL = "steps.gen.losses.pixel"

CHANGES = [
    ("name=other", FREE),
    ("runs=elsewhere", FREE),
    ("train.iterations=30", FREE),
    ("train.epochs=3", FREE),
    ("train.stop={metric: gen/pixel, mode: min, patience: 3}", FREE),
    ("data.train.workers=1", FREE),
    ("data.train.timeout=99", FREE),
    ("data.train.max_bad=3", FREE),
    ("networks.gen.activation_checkpointing=['0']", FREE),
    ("train.compile=true", FREE),
    ("networks.gen.compile=true", FREE),
    ("train.parallel=shard", FREE),
    ("networks.gen.parallel=shard", FREE),
    ("networks.gen.parallel={shard: 2, replicate: 2}", FREE),
    ("networks.gen.wrap=['0']", FREE),
    ("train.offload={optimizer: cpu, ema: cpu}", FREE),
    ("log.every=2", FREE),
    ("checkpoint.every=4", FREE),
    ("checkpoint.keep_last=7", FREE),
    ("checkpoint.background=true", FREE),
    ("evaluate.held_out.every=2", FREE),
    ("evaluate.held_out=", FREE),
    ("data.val.length=9", FREE),
    ("networks.gen.saved=trained", FREE),
    ("networks.gen.weights=gen.safetensors", REPORTED),
    ("networks.gen.frozen=['0.*']", REPORTED),
    ("networks.critic.before=30", REPORTED),
    ("networks.third={type: run_critic}", REPORTED),
    ("steps.gen.optimizer.lr=1e-3", REPORTED),
    ("steps.gen.optimizer.betas=[0.8, 0.9]", REPORTED),
    ("steps.gen.optimizer={type: sgd, lr: 1e-3}", REPORTED),
    ("steps.gen.schedule.gamma=0.1", REPORTED),
    ("steps.gen.schedule=", REPORTED),
    ("steps.gen.clip_grad_norm=2", REPORTED),
    ("steps.gen.after=1", REPORTED),
    ("steps.critic.every=3", REPORTED),
    (f"{PIXEL}.weight=2", REPORTED),
    (f"{PIXEL}.type=l2", REPORTED),
    (f"{PIXEL}=", REPORTED),
    ("steps.gen.injectors.copy={type: alias, in: sr, out: copy}", REPORTED),
    ("train.precision=bf16", REPORTED),
    ("train.accumulate=2", REPORTED),
    ("networks.gen.channels_last=true", REPORTED),
    ("train.channels_last=true", REPORTED),
    ("train.non_finite=stop", REPORTED),
    ("train.device=auto", REPORTED),
    ("ema.decay=0.8", REPORTED),
    ("ema=", REPORTED),
    ("seed=8", ASKED),
    ("data.train.batch_size=4", ASKED),
    ("data.train.drop_last=false", ASKED),
    ("data.train.length=41", ASKED),
    ("data.train.type=run_other_pairs", ASKED),
    ("networks.gen.dropout=0.2", ASKED),
    ("networks.gen.width=16", ASKED),
    ("networks.gen.type=toy_plain_generator", ASKED),
]
"""Overrides of the toy's file, and the rule for what they change."""


class OtherPairs(toy_run.Pairs):
    """The same samples under another name."""


if "run_other_pairs" not in datasets:
    datasets.register("run_other_pairs")(OtherPairs)


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    """The toy's file and its settings."""
    file = toy_run.write(tmp_path_factory.mktemp("plain"))
    return file, settings_of(check_file(file))


@pytest.mark.parametrize(("override", "rule"), CHANGES, ids=[change for change, _ in CHANGES])
def test_each_change_has_the_rule_of_what_it_affects(
    plain: tuple[Path, dict[str, Any]], override: str, rule: Rule
) -> None:
    file, before = plain
    overrides = [override, "train.iterations="] if override.startswith("train.epochs") else [override]
    changes = list(changed_settings(before, settings_of(check_file(file, overrides))))
    assert changes
    assert max(rule_of(change) for change in changes) is rule


def test_a_data_set_that_a_step_trains_on_is_like_train(tmp_path: Path) -> None:
    file = toy_run.write(tmp_path, "data.plain={type: run_pairs, length: 16, batch_size: 8}")
    one, other = (settings_of(check_file(file, given)) for given in ([], ["data.plain.batch_size=4"]))
    (change,) = changed_settings(one, other)
    assert rule_of(change, {"train", "plain"}) is ASKED
    assert rule_of(change, {"train"}) is FREE


def test_another_cache_of_remote_shards_is_free() -> None:
    assert rule_of(Changed(("data", "train", "cache", "size"), "10GB", "99GB")) is FREE


def test_a_default_that_is_written_is_no_change(tmp_path: Path) -> None:
    file = toy_run.write(tmp_path)
    written = ["steps.gen.trains=[gen]", "train.accumulate=1", "data.train.drop_last=true", "steps.critic.every=2.0"]
    assert list(changed_settings(settings_of(check_file(file)), settings_of(check_file(file, written)))) == []


@pytest.fixture(scope="module")
def stopped(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a run of two iterations."""
    folder = tmp_path_factory.mktemp("stopped")
    toy_run.load(folder, "train.iterations=2").train()
    return folder


def resumed(folder: Path, *overrides: str, allow: Sequence[str] = ()) -> Run:
    return artschool.load(folder / "toy.yml", overrides, run_dir=folder / "run", allow=allow)


def test_another_experiment_is_refused_until_it_is_allowed_by_name(stopped: Path) -> None:
    changes = ("train.iterations=4", "seed=8", "data.train.batch_size=4", "steps.gen.optimizer.lr=1e-3")
    before = toy_run.snapshot(stopped / "run")
    for allow in ((), ("seed",), ("data",), ("see", "dat")):
        with pytest.raises(artschool.CheckpointError) as error:
            resumed(stopped, *changes, allow=allow)
        lines = str(error.value).splitlines()
        expected = {"  seed: 7 -> 8": "seed", "  data.train.batch_size: 8 -> 4": "data"}
        assert lines[1:-1] == [line for line, key in expected.items() if key not in allow]
        assert lines[-1].endswith(" ".join(f"--allow {line.split(':')[0].strip()}" for line in lines[1:-1]))
    assert toy_run.snapshot(stopped / "run") == before
    assert resumed(stopped, *changes, allow=["seed", "data"]).iteration == 2


def test_a_finished_run_is_not_the_result_of_other_settings(stopped: Path) -> None:
    with pytest.raises(
        artschool.CheckpointError, match=r"is the result of other settings:\n  train.precision: fp32 ->"
    ):
        resumed(stopped, "train.precision=bf16")
    assert resumed(stopped, "log.every=1", "train.iterations=1").is_finished
    assert resumed(stopped, "train.precision=bf16", allow=["train.precision"]).is_finished
    assert not resumed(stopped, "train.precision=bf16", "train.iterations=3").is_finished


def test_the_settings_of_a_checkpoint_hold_no_value_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("CANARY", "0.0314159")
    text = toy_run.TEXT.replace("gamma: 0.5", 'gamma: "${env:CANARY}"').replace(
        "decay: 0.9,", 'decay: "${env:CANARY}",'
    )
    (tmp_path / "toy.yml").write_text(text.replace("PLUGIN", str(Path(toy_run.__file__).resolve())))
    artschool.load(tmp_path / "toy.yml", ["train.iterations=1"], run_dir=tmp_path / "run").train()
    assert not [path for path in (tmp_path / "run").rglob("*") if path.is_file() and b"0314159" in path.read_bytes()]
    state = json.loads((tmp_path / "run/checkpoints/00000001/state.json").read_text())
    assert state["settings"]["steps"]["gen"]["schedule"]["gamma"] == "${env:CANARY}"


def test_changed_code_of_a_plugin_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    plugin, module = tmp_path / "parts_of_run.py", tmp_path / "package_of_run" / "inner.py"
    module.parent.mkdir()
    (module.parent / "__init__.py").write_text("from package_of_run import inner\n")
    monkeypatch.syspath_prepend(tmp_path)
    file = toy_run.write(tmp_path, "train.iterations=1")
    file.write_text(file.read_text().replace("plugins: [", "plugins: [parts_of_run.py, package_of_run, "))
    for iterations, text in enumerate(("# one\n", "# two\n"), 1):
        plugin.write_text(text)
        module.write_text(text)
        longer = [f"train.iterations={iterations}"]
        artschool.load(file, longer, run_dir=tmp_path / "run", console=Console(width=200)).train()
    printed = capsys.readouterr().out
    assert "changed since the checkpoint: plugins.parts_of_run.py: code " in printed
    assert "changed since the checkpoint: plugins.package_of_run: code " in printed


def test_changed_code_that_a_plugin_imports_is_reported(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    project = tmp_path / "project_of_run"
    project.mkdir()
    (project / "__init__.py").touch()
    (project / "layers.py").write_text("from . import inner\n")
    (tmp_path / "importing_parts.py").write_text(
        "import torch\nfrom project_of_run.layers import inner\n\ndef late():\n    import project_of_run.late\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    file = toy_run.write(tmp_path, "train.iterations=1")
    file.write_text(file.read_text().replace("plugins: [", "plugins: [importing_parts.py, "))
    for iterations, text in enumerate(("# one\n", "# two\n"), 1):
        (project / "inner.py").write_text(text)
        longer = [f"train.iterations={iterations}"]
        artschool.load(file, longer, run_dir=tmp_path / "run", console=Console(width=200)).train()
    changes = [line for line in capsys.readouterr().out.splitlines() if "changed since the checkpoint: " in line]
    assert [line.strip().partition(" code ")[0] for line in changes] == [
        "changed since the checkpoint: plugins.project_of_run.inner:",
        "changed since the checkpoint: train.iterations: 1 -> 2",
    ]
    state = json.loads((tmp_path / "run/checkpoints/00000002/state.json").read_text())
    plugins = [name for name in state["settings"]["plugins"] if "run" in name]
    assert plugins == ["toy_run.py", "project_of_run", "project_of_run.inner", "project_of_run.layers"]
