"""MLflow, with a store of its own, and Aim and Trackio through stand-ins for their packages."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from artschool.components.loggers.tracker import flat
from artschool.errors import ResourceError
from artschool.media.pixels import images_of
from tests.components.loggers.like_wandb import LikeWandb
from tests.engine import toy_run
from tests.engine.toy_run import StopAfter

PICTURES = "log.pictures={every: 3, keys: [sr], most: 2}"


def train_twice(folder: Path, entry: str) -> None:
    """Train three iterations, and three more in the same run folder."""
    for iterations in (3, 6):
        toy_run.load(folder, f"log.loggers={{w: {entry}}}", PICTURES, f"train.iterations={iterations}").train()


def test_a_resumed_run_is_the_same_at_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    train_twice(tmp_path, f"{{type: mlflow, experiment: p, uri: '{uri}'}}")
    client = mlflow.MlflowClient(tracking_uri=uri)
    (run,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert run.info.run_name == "toy" and run.info.status == "FINISHED"
    assert (tmp_path / "run" / "mlflow.id").read_text().strip() == run.info.run_id
    history = client.get_metric_history(run.info.run_id, "gen/pixel")
    logged = [float(line) for line in _column(tmp_path / "run", "gen/pixel")]
    assert [(metric.step, metric.value) for metric in history] == list(zip((2, 5), logged, strict=True))
    assert {"critic/gan", "critic/gan.d_real"} <= run.data.metrics.keys()
    assert run.data.params["steps.gen.optimizer.lr"] == "0.002"
    images = {Path(file.path).name.partition("+")[0] for file in client.list_artifacts(run.info.run_id, "images")}
    assert images == {"pictures~sr~0", "pictures~sr~1"}


@pytest.mark.soak
def test_a_run_that_is_stopped_has_failed_at_mlflow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Soak: MLflow takes a while to start."""
    mlflow = pytest.importorskip("mlflow")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    uri = (tmp_path / "store").as_uri()
    run = toy_run.load(tmp_path, f"log.loggers={{w: {{type: mlflow, experiment: p, uri: '{uri}'}}}}")
    from artschool.components.loggers.mlflow import MlflowLogger

    run.loggers = [MlflowLogger(experiment="p", uri=uri), StopAfter(1)]
    with pytest.raises(Exception, match="stopped after iteration"):
        run.train()
    client = mlflow.MlflowClient(tracking_uri=uri)
    (tracked,) = client.search_runs([client.get_experiment_by_name("p").experiment_id])
    assert tracked.info.status == "FAILED"


def _column(folder: Path, name: str) -> list[str]:
    import json

    records = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [record[name] for record in records if name in record]


class Aim(ModuleType):
    """Stands in for Aim: keeps what it is told, by run."""

    def __init__(self) -> None:
        super().__init__("aim")
        self.runs: dict[str, Any] = {}
        self.options: list[dict[str, Any]] = []
        self.closed = 0
        self.Image = lambda image: image.shape

    def Run(self, run_hash: str | None, **options: Any) -> Any:  # noqa: N802
        self.options.append({"run_hash": run_hash, **options})
        new = _AimRun(self, f"{len(self.runs):024}")
        return self.runs.setdefault(run_hash, new) if run_hash else self.runs.setdefault(new.hash, new)


class _AimRun(dict[str, Any]):
    def __init__(self, aim: Aim, run_hash: str) -> None:
        super().__init__()
        self.aim, self.hash, self.name = aim, run_hash, ""
        self.tracked: list[tuple[str, int, Any]] = []

    def track(self, value: Any, name: str, step: int) -> None:
        self.tracked.append((name, step, value))

    def close(self) -> None:
        self.aim.closed += 1


def test_a_resumed_run_is_the_same_at_aim(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aim = Aim()
    monkeypatch.setitem(sys.modules, "aim", aim)
    train_twice(tmp_path, "{type: aim, experiment: p, repo: somewhere}")
    (run,) = aim.runs.values()
    assert run.name == "toy" and run["hparams"]["steps.gen.optimizer.lr"] == 2e-3 and aim.closed == 2
    assert [options["force_resume"] for options in aim.options] == [False, True]
    assert aim.options[1]["run_hash"] == run.hash and aim.options[0]["repo"] == "somewhere"
    assert [step for name, step, _ in run.tracked if name == "gen/pixel"] == [2, 5]
    pictures = [(step, value) for name, step, value in run.tracked if name == "pictures/sr"]
    assert pictures == [(2, [(8, 8, 3)] * 2), (5, [(8, 8, 3)] * 2)]


def test_a_resumed_run_is_the_same_at_trackio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    trackio = LikeWandb("trackio")
    monkeypatch.setitem(sys.modules, "trackio", trackio)
    train_twice(tmp_path, "{type: trackio, project: p}")
    first, second = trackio.started
    assert first["name"] == second["name"] and first["name"].startswith("toy-")
    assert first["resume"] == "allow" and first["project"] == "p" and trackio.finished == 2
    assert first["config"]["steps.gen.optimizer.lr"] == 2e-3
    assert [step for step, values in trackio.logged if "gen/pixel" in values] == [2, 5]
    assert next(values for _, values in trackio.logged if "pictures/sr/0" in values) == {
        "pictures/sr/0": (8, 8, 3),
        "pictures/sr/1": (8, 8, 3),
    }


@pytest.mark.parametrize(
    ("package", "entry", "extra"),
    [
        ("mlflow", "{type: mlflow, experiment: p}", "mlflow"),
        ("aim", "{type: aim, experiment: p}", "aim"),
        ("trackio", "{type: trackio, project: p}", "trackio"),
        ("apprise", "{type: apprise, urls: ['json://127.0.0.1']}", "notify"),
    ],
)
def test_a_missing_package_is_an_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, package: str, entry: str, extra: str
) -> None:
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(ResourceError, match=rf"{package} is not installed\. Fix: pip install 'artschool\[{extra}\]'"):
        toy_run.load(tmp_path, f"log.loggers={{w: {entry}}}")


def test_a_server_that_is_down_costs_a_warning(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    aim = Aim()
    monkeypatch.setitem(sys.modules, "aim", aim)
    monkeypatch.setattr(aim, "Run", lambda *args, **options: 1 / 0)
    notes: list[str] = []
    run = toy_run.load(tmp_path, "log.loggers={w: {type: aim, experiment: p}}", "train.iterations=3")
    monkeypatch.setattr(type(run.loggers[0]), "note", lambda self, message: notes.append(message))
    run.loggers[-1]._warn = notes.append  # type: ignore[attr-defined]
    run.train()
    assert run.is_finished
    (warning,) = [note for note in notes if note.startswith("warning: AimLogger")]
    assert "is switched off until the run is resumed: ZeroDivisionError" in warning


def test_what_is_no_image_is_left_out() -> None:
    assert images_of(torch.zeros(2, 5, 4, 4)) == [] and images_of(torch.zeros(2, 3, 4, 4).long()) == []
    (image,) = images_of(torch.tensor([[[0.0, 1.0, 2.0, float("nan")]]]))
    assert image.shape == (1, 4, 3) and image[0, :, 0].tolist() == [0, 255, 255, 0]


def test_settings_have_paths() -> None:
    assert dict(flat({"a": {"b": 1, "c": {}}, "d": [1, {"e": 2}]})) == {"a.b": 1, "d": [1, {"e": 2}]}
