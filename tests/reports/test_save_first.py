"""Nothing that was trained is lost to what only looks: evaluations, images, logs and the numbers of hooks."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.engine import checkpoint, due
from artschool.engine.evaluate import Evaluation
from artschool.engine.run import Run
from artschool.engine.signals import TWICE
from artschool.errors import DataError, NumericsError
from artschool.registry import callbacks, losses, metrics, networks
from artschool.registry.signature import Context
from tests.engine.toy_run import Recorder, fingerprint, load, recorded, run_generator
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

SAVED = "A checkpoint is saved after iteration {}. To resume, run the same command again"


def records(folder: Path) -> list[dict[str, Any]]:
    lines = [json.loads(line) for line in (folder / "metrics.jsonl").read_text().splitlines()]
    return [{name: value for name, value in line.items() if name != "seconds"} for line in lines]


def test_a_broken_validation_image_at_the_end_loses_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("pics"), 4)
    write_images(Path("held"), 3)
    whole = Path("held/002.png").read_bytes()
    Path("held/002.png").write_bytes(whole[:300])
    Path("sr.yml").write_text(SUPER_RESOLUTION)
    for _ in range(2):
        code, text = artschool("train", "sr.yml", "--no-trace")
        assert code == 3
        assert "warning: evaluate.v failed after iteration 4: " in text
        assert "held/002.png: image is damaged" in text
        assert text.endswith(f"\n{SAVED.format(4)}\n")
        assert [path.name for path in Path("runs/sr/checkpoints").iterdir()] == ["00000004"]
    assert [(line["iteration"], "gen/pix" in line, "v/psnr" in line) for line in records(Path("runs/sr"))] == [
        (3, True, False)
    ]
    Path("held/002.png").write_bytes(whole)
    code, text = artschool("train", "sr.yml", "--no-trace")
    assert (code, "v/psnr" in text) == (0, True)
    assert [(line["iteration"], "gen/pix" in line, "v/psnr" in line) for line in records(Path("runs/sr"))] == [
        (3, True, True)
    ]
    code, text = artschool("train", "sr.yml", "--no-trace")
    assert (code, text.splitlines()[-1]) == (0, "runs/sr: already finished (4 of 4 iterations)")


class Trouble:
    """Raises at the given iteration while it is there."""

    def __init__(self) -> None:
        self.at: int | None = None

    def __call__(self, finished: int) -> None:
        if finished == self.at:
            raise RuntimeError("trouble")


TROUBLE = Trouble()


class Speaking(nn.Module):
    """The toy's generator with hooks that look; with `counts`, the one for numbers counts its calls in a buffer."""

    calls: Tensor

    def __init__(self, trouble_in: str = "", *, counts: bool = False) -> None:
        super().__init__()
        self.inner, self.trouble_in, self.counts = run_generator(), trouble_in, counts
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        return self.inner(x)  # type: ignore[no-any-return]  # a module returns anything

    def get_debug_values(self, step: int, name: str) -> dict[str, float | Tensor]:
        if self.trouble_in == "debug":
            TROUBLE(step + 1)
        self.calls += self.counts
        return {"calls": self.calls.clone()}

    def visual_dbg(self, step: int, folder: Path) -> None:
        if self.trouble_in == "visual":
            TROUBLE(step + 1)


class SpeakingCallback:
    """Logs the iteration."""

    def __init__(self, networks: dict[str, nn.Module], *, trouble: bool = False) -> None:
        self._trouble = trouble

    def log_data(self, step: int) -> dict[str, float]:
        if self._trouble:
            TROUBLE(step + 1)
        return {"step": step}


@pytest.fixture
def speaking(registries: None) -> None:
    networks.register("test_speaking", Speaking)
    callbacks.register("test_speaking_callback", SpeakingCallback)
    TROUBLE.at = None


def trouble_in_evaluation(monkeypatch: pytest.MonkeyPatch) -> None:
    run = Evaluation.run

    def troubled(self: Evaluation, iteration: int, device: torch.device, *_: object) -> dict[str, float]:
        TROUBLE(iteration)
        return run(self, iteration, device)

    monkeypatch.setattr(Evaluation, "run", troubled)


PLACES = {
    "evaluation": (),
    "debug": ("networks.gen.trouble_in=debug",),
    "visual": ("networks.gen.trouble_in=visual",),
    "callback": ("steps.gen.callbacks.speak.trouble=true",),
}
LOOKS = (
    "networks.gen={type: test_speaking}",
    "steps.gen.callbacks={speak: {type: test_speaking_callback}}",
    "log={every: 3, pictures: {every: 2, keys: [sr]}}",
    "evaluate.held_out.every=2",
)


@pytest.mark.usefixtures("speaking")
@pytest.mark.parametrize("at", [6, 12])
@pytest.mark.parametrize("place", PLACES)
def test_an_error_in_whatever_looks_costs_no_iteration_and_no_bit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str, at: int
) -> None:
    """After 6 iterations nothing is due to be saved; after 12, the last ones, a checkpoint is."""
    options = (*LOOKS, *PLACES[place], "train.iterations=12", "train.on_look_error=stop")
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *options).train()
    if place == "evaluation":
        trouble_in_evaluation(monkeypatch)
    TROUBLE.at = at
    with pytest.raises(RuntimeError, match=r"^trouble\n") as error:
        load(tmp_path, *options).train()
    assert error.value.__notes__ == [SAVED.format(at)]
    TROUBLE.at = None
    run = load(tmp_path, *options)
    assert (run.iteration, run.pending, run.store.numbers()[-1]) == (at, True, at)
    assert fingerprint(run.train()) == fingerprint(whole)
    assert records(run.folder) == records(whole.folder)
    assert load(tmp_path, *options).is_finished


@pytest.mark.usefixtures("speaking")
def test_a_run_killed_while_it_looks_looks_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def killed(run: Run) -> None:
        raise KeyboardInterrupt(TWICE)  # Nothing is done on the way out.

    options = (*LOOKS, "train.iterations=6", "checkpoint={keep_best: {metric: held_out/psnr, mode: max}}")
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *options).train()
    for moment, name in ((Evaluation, "run"), (due, "non_finite_weights"), (checkpoint, "amend")):
        with monkeypatch.context() as patch:
            patch.setattr(moment, name, lambda *_: killed(whole))
            patch.setattr(due, "_versions", lambda run: {})
            with pytest.raises(KeyboardInterrupt):
                load(tmp_path, *options, "checkpoint.every=6").train()
    run = load(tmp_path, *options, "checkpoint.every=6")
    assert (run.iteration, run.is_finished) == (6, False)
    run.train()
    assert run.best == whole.best
    assert records(run.folder) == records(whole.folder)


@pytest.mark.usefixtures("speaking")
def test_a_buffer_that_looking_changes_is_saved_as_it_is_afterwards(tmp_path: Path) -> None:
    looks = (*LOOKS, "networks.gen.counts=true")
    options = (*looks, "train.iterations=12")
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *options).train()
    load(tmp_path, *looks, "train.iterations=6").train()
    assert float(load(tmp_path, *options).networks["gen"].calls) == 2  # type: ignore[arg-type]  # a Tensor
    assert fingerprint(load(tmp_path, *options).train()) == fingerprint(whole)


def test_the_best_so_far_survives_a_failed_evaluation(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    values = iter([1.0, 3.0, None, 2.0, 2.5])

    def evaluate(self: Evaluation, iteration: int, device: torch.device, *_: object) -> dict[str, float]:
        if (value := next(values)) is None:
            raise NumericsError("no value")
        return {"held_out/psnr": value}

    monkeypatch.setattr(Evaluation, "run", evaluate)
    best = "checkpoint={every: 100, keep_last: 1, keep_best: {metric: held_out/psnr, mode: max}}"
    # A metric that fails is no reason to roll back.
    options = (
        best,
        "evaluate.held_out.every=5",
        "train={iterations: 20, device: cpu, non_finite: rollback, on_look_error: stop}",
    )
    run = load(tmp_path, *options)
    recorded(run)
    with pytest.raises(NumericsError, match=r"^no value\n"):
        run.train()
    assert (run.best, run.store.numbers()) == ((3.0, 10), [10, 15])
    run = load(tmp_path, *options)
    assert run.best == (3.0, 10)
    recorder = recorded(run)
    run.train()
    assert (run.best, run.store.numbers()) == ((3.0, 10), [10, 15, 20])
    assert recorder.values("held_out/psnr") == [2.0, 2.5]


def test_a_sample_that_cannot_be_read_loses_no_iteration(tmp_path: Path) -> None:
    run = load(tmp_path, "data.train.fail_at=3", "checkpoint.every=100")
    recorded(run)
    with pytest.raises(DataError, match="cannot decode") as error:
        run.train()
    assert run.iteration > 0
    assert run.store.numbers() == [run.iteration]
    assert error.value.__notes__[-1] == SAVED.format(run.iteration)


def test_before_the_first_iteration_there_is_nothing_to_save(tmp_path: Path) -> None:
    run = load(tmp_path, "data.train={type: run_pairs, length: 8, batch_size: 8, fail_at: 3}")
    with pytest.raises(Exception, match="cannot decode") as error:
        run.train()
    assert run.store.numbers() == []
    assert not getattr(error.value, "__notes__", [])


@pytest.mark.usefixtures("registries")
def test_an_iteration_that_failed_halfway_is_not_saved(tmp_path: Path) -> None:
    def failing_loss(x: Tensor) -> Tensor:
        if failing_loss.calls == 12:  # type: ignore[attr-defined]  # set below
            raise RuntimeError("halfway")
        failing_loss.calls += 1  # type: ignore[attr-defined]  # set below
        return x.mean()

    failing_loss.calls = 0  # type: ignore[attr-defined]  # counts its calls
    losses.register("test_failing", failing_loss)
    run = load(tmp_path, "steps.critic.losses.fails={type: test_failing, in: sr, weight: 1.0}")
    recorded(run)
    with pytest.raises(RuntimeError, match="halfway"):
        run.train()
    assert (run.iteration, run.store.numbers()) == (16, [10, 15])


def test_a_save_on_the_way_out_that_fails_does_not_hide_the_error(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*_: object) -> None:
        raise OSError("trouble")

    run = load(tmp_path, "checkpoint.every=100")
    recorded(run)
    monkeypatch.setattr(Evaluation, "run", lambda *_: fails())
    monkeypatch.setattr(checkpoint, "save", lambda run: fails())
    with pytest.raises(OSError, match="trouble") as error:
        run.train()
    assert error.value.__notes__ == ["The last iterations could not be saved: trouble"]


class Raising(Recorder):
    """A logger that fails, and that nobody made fail-safe."""

    def __init__(self, method: str) -> None:
        super().__init__()

        def fails(*_: object) -> None:
            if self.updates and len(self.updates) > 3:
                raise RuntimeError("trouble")

        self.note_updates: Callable[..., None] = fails
        setattr(self, method, fails)


@pytest.mark.parametrize("method", ["log", "picture"])
def test_a_logger_of_one_s_own_loses_no_iteration(tmp_path: Path, method: str) -> None:
    run = load(tmp_path, "log={every: 3, pictures: {every: 3, keys: [sr]}}", "train.on_look_error=stop")
    run.loggers = [Raising(method)]
    with pytest.raises(RuntimeError, match="trouble"):
        run.train()
    assert run.store.numbers() == [3]


def iteration_metric(x: Tensor, context: Context) -> Tensor:
    """The iteration that an evaluation sees."""
    return torch.tensor(float(context.iteration))


@pytest.mark.usefixtures("registries")
def test_evaluations_see_the_iteration_after_a_resume_too(tmp_path: Path) -> None:
    metrics.register("test_iteration", iteration_metric)
    option = "evaluate.held_out.metrics={at: {type: test_iteration, in: sr}}"
    run = load(tmp_path, option, "train.iterations=5")
    recorded(run)
    assert run.train().last_evaluation == {"held_out/at": 4.0}
    assert load(tmp_path, option, "train.iterations=5").evaluate() == {"held_out/at": 4.0}
