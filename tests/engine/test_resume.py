"""A resumed run equals the uninterrupted one bit by bit, over its whole state."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from artschool.engine.meters import Meters
from artschool.engine.restore_run import restore
from artschool.engine.run import Run
from artschool.errors import CheckpointError, Stopped
from artschool.registry import losses, optimizers
from artschool.storage.checkpoint_store import Checkpoint
from tests.engine.toy_run import StopAfter, fingerprint, load, recorded


def trained(folder: Path, *overrides: str) -> Run:
    folder.mkdir()
    run = load(folder, *overrides)
    recorded(run)
    return run.train()


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory: pytest.TempPathFactory) -> str:
    return fingerprint(trained(tmp_path_factory.mktemp("whole") / "a"))


def test_two_runs_of_one_file_have_the_same_bits(tmp_path: Path, uninterrupted: str) -> None:
    assert fingerprint(trained(tmp_path / "b")) == uninterrupted


def test_another_seed_gives_other_bits(tmp_path: Path, uninterrupted: str) -> None:
    assert fingerprint(trained(tmp_path / "b", "seed=8")) != uninterrupted


@pytest.mark.parametrize("workers", [1, 2])
def test_the_number_of_workers_changes_no_bit(tmp_path: Path, uninterrupted: str, workers: int) -> None:
    run = trained(tmp_path / "b", f"data.train.workers={workers}", f"data.val.workers={workers}")
    assert fingerprint(run) == uninterrupted


@pytest.mark.parametrize("stops", [[1], [7], [5, 10, 15], [4, 8, 12, 13, 19]])
def test_a_resumed_run_equals_the_uninterrupted_one(tmp_path: Path, uninterrupted: str, stops: list[int]) -> None:
    for stop in stops:
        run = load(tmp_path)
        run.loggers = [StopAfter(stop)]
        with pytest.raises(Stopped, match=f"after iteration {stop}; a checkpoint is saved") as error:
            run.train()
        assert error.value.exit_code == 143
    run = load(tmp_path)
    assert run.iteration == stops[-1]
    recorded(run)
    assert fingerprint(run.train()) == uninterrupted


def test_every_logged_number_is_that_of_the_uninterrupted_run(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole").train()
    run = load(tmp_path)
    run.loggers = [*run.loggers, StopAfter(8)]
    with pytest.raises(Stopped):
        run.train()
    run = load(tmp_path).train()

    def lines(run: Run) -> list[dict[str, Any]]:
        records = [json.loads(line) for line in (run.folder / "metrics.jsonl").read_text().splitlines()]
        return [{name: value for name, value in record.items() if name != "seconds"} for record in records]

    assert lines(run) == lines(whole)
    assert [record["iteration"] for record in lines(run)] == [2, 5, 8, 9, 11, 14, 17, 19]


def test_what_a_killed_write_left_in_the_folder_is_removed(tmp_path: Path) -> None:
    leftover = tmp_path / "run" / ".tmp-metrics.jsonl-01234567"
    leftover.parent.mkdir()
    leftover.touch()
    load(tmp_path, "train.iterations=1").train()
    assert not leftover.exists()


def test_means_go_on_over_a_resume_with_their_weights() -> None:
    before, after = Meters(), Meters()
    before.add("x", 1.0, 0.5)
    before.add("x", torch.tensor(3.0), 1.5)
    after.load_state_dict(before.state_dict())
    after.add("x", 5.0, 2.0)
    assert after.drain() == {"x": (0.5 + 4.5 + 10.0) / 4}


def test_evaluating_more_often_changes_no_bit(tmp_path: Path, uninterrupted: str) -> None:
    run = trained(tmp_path / "b", "evaluate.held_out.every=1", "checkpoint.every=1", "log.every=3")
    assert fingerprint(run) == uninterrupted


def test_ctrl_c_saves_and_exits_with_130(tmp_path: Path) -> None:
    run = load(tmp_path)
    run.loggers = [StopAfter(3, signal.SIGINT)]
    with pytest.raises(Stopped) as error:
        run.train()
    assert error.value.exit_code == 130
    assert run.store.numbers() == [3]


def test_a_finished_run_trains_no_further(tmp_path: Path, uninterrupted: str) -> None:
    trained(tmp_path / "b")
    run = load(tmp_path / "b")
    recorder = recorded(run)
    assert fingerprint(run.train()) == uninterrupted
    assert recorder.records == []


def test_more_iterations_go_on_from_a_finished_run(tmp_path: Path) -> None:
    trained(tmp_path / "b", "train.iterations=10")
    run = load(tmp_path / "b", "train.iterations=20")
    assert (run.iteration, run.iterations) == (10, 20)


class Counting(Optimizer):
    """Keeps the count of its steps, and a tensor, in its groups, as optimizers of other packages do."""

    def __init__(self, params: Any, lr: float = 1e-3) -> None:
        super().__init__(params, {"lr": lr, "size": 1.0})

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> None:  # type: ignore[override]  # nothing to return
        for group in self.param_groups:
            group["step"] = group.get("step", 0) + 1
            group["size"] *= 0.9
            group["last"] = torch.full((), group["step"])
            for parameter in group["params"]:
                if parameter.grad is not None:
                    parameter.sub_(parameter.grad, alpha=group["lr"] * group["size"] / group["step"])


@pytest.mark.usefixtures("registries")
def test_what_an_optimizer_keeps_in_its_groups_is_resumed(tmp_path: Path) -> None:
    optimizers.register("run_counting", Counting)
    counting = "steps.gen.optimizer={type: run_counting, lr: 1e-2, no_decay: [bias]}"
    whole = fingerprint(trained(tmp_path / "whole", counting))
    run = load(tmp_path, counting)
    run.loggers = [StopAfter(7)]
    with pytest.raises(Stopped):
        run.train()
    run = load(tmp_path, counting)
    recorded(run)
    assert fingerprint(run.train()) == whole
    assert run.steps[0].update is not None
    assert [group["step"] for group in run.steps[0].update.optimizer.param_groups] == [20, 20]


class Centred(nn.Module):
    """A loss that keeps a running mean, as centring in self-distillation does."""

    centre: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("centre", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.centre.lerp_(x.detach().mean(), 0.1)
        return (x - self.centre).square().mean()


def test_what_a_loss_keeps_is_resumed(tmp_path: Path) -> None:
    if "run_centred" not in losses:
        losses.register("run_centred", Centred)
    centred = "steps.gen.losses.centred={type: run_centred, in: sr, weight: 1.0}"
    whole = trained(tmp_path / "whole", centred)
    trained(tmp_path / "b", centred, "train.iterations=9")
    resumed = trained_further(tmp_path / "b", centred)
    assert fingerprint(resumed) == fingerprint(whole)
    assert float(resumed.modules["steps.gen.losses.centred"].centre) == float(  # type: ignore[arg-type]  # a Tensor
        whole.modules["steps.gen.losses.centred"].centre  # type: ignore[arg-type]  # likewise
    )


def trained_further(folder: Path, *overrides: str) -> Run:
    run = load(folder, *overrides)
    recorded(run)
    return run.train()


def drop_network(saved: Checkpoint) -> None:
    del saved.tensors["critic"]


def drop_ema(saved: Checkpoint) -> None:
    del saved.tensors["gen.ema"]


def drop_moment(saved: Checkpoint) -> None:
    del saved.tensors["state.optimizers"]["gen/gen.0.weight/exp_avg"]


def drop_step(saved: Checkpoint) -> None:
    del saved.state["updates"]["critic"]


def drop_parameter(saved: Checkpoint) -> None:
    del saved.tensors["gen"]["0.bias"]


@pytest.mark.parametrize(
    ("drop", "text"),
    [
        (drop_network, "missing part 'critic.safetensors'. Fix: resume from another checkpoint"),
        (drop_ema, "missing part 'gen.ema.safetensors'"),
        (
            drop_moment,
            "state.optimizers.safetensors: 'gen/gen.0.weight/exp_avg': expected float32 .8, 3, 3, 3., got no tensor",
        ),
        (drop_step, "no optimizer state for step 'critic'"),
        (drop_parameter, "gen.safetensors: '0.bias': expected float32 .8., got no tensor"),
    ],
)
def test_a_part_that_is_missing_is_named(tmp_path: Path, drop: Callable[[Checkpoint], None], text: str) -> None:
    trained(tmp_path / "b", "train.iterations=5")
    run = load(tmp_path / "b", resume="auto")
    saved = run.store.load(5)
    drop(saved)
    with pytest.raises(CheckpointError, match=text):
        restore(run, saved)


def spoil_moment(run: Run) -> None:
    optimizer = run.steps[0].update.optimizer  # type: ignore[union-attr]  # the toy's steps have one
    next(iter(optimizer.state.values()))["exp_avg"].zero_()


def spoil_momentum(run: Run) -> None:
    optimizer = run.steps[1].update.optimizer  # type: ignore[union-attr]  # the toy's steps have one
    optimizer.state.clear()


def spoil_ema(run: Run) -> None:
    next(iter(run.emas["gen"].module.parameters())).data.add_(1e-3)


def spoil_buffer(run: Run) -> None:
    next(iter(run.networks["gen"].buffers())).add_(1e-3)


def spoil_iteration(run: Run) -> None:
    run.iteration += 1


@pytest.mark.parametrize("spoil", [spoil_moment, spoil_momentum, spoil_ema, spoil_buffer, spoil_iteration])
def test_the_comparison_notices_each_part_that_is_not_restored(
    tmp_path: Path, uninterrupted: str, spoil: Callable[[Run], None]
) -> None:
    trained(tmp_path / "b", "train.iterations=10")
    run = load(tmp_path / "b")
    recorded(run)
    spoil(run)
    assert fingerprint(run.train()) != uninterrupted


def test_a_changed_file_is_told_on_resume(tmp_path: Path) -> None:
    from rich.console import Console

    trained(tmp_path / "b", "train.iterations=5")
    console = Console(record=True, width=200, quiet=False, file=io.StringIO())
    run = load(tmp_path / "b", "train.iterations=9", "steps.gen.optimizer.lr=1e-3", console=console)
    said = console.export_text()
    assert "resuming after iteration 5" in said
    assert "steps.gen.optimizer.lr: 0.002 -> 0.001" in said
    assert run.steps[0].update.scheduled.base_rates == [1e-3]  # type: ignore[union-attr]  # the toy's steps have one


def test_never_wants_a_folder_without_checkpoints(tmp_path: Path) -> None:
    trained(tmp_path / "b", "train.iterations=5")
    with pytest.raises(
        CheckpointError, match=r"already has checkpoints, up to iteration 5\. Fix: choose another folder with --run-dir"
    ):
        load(tmp_path / "b", resume="never")


def test_a_damaged_checkpoint_is_passed_over_and_told(tmp_path: Path) -> None:
    run = trained(tmp_path / "b", "train.iterations=10")
    path = run.store.folder / "00000010" / "gen.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(bytes(data))
    assert load(tmp_path / "b").iteration == 5


@pytest.mark.parametrize(("mode", "better"), [("min", min), ("max", max)])
def test_the_best_checkpoint_is_kept(tmp_path: Path, mode: str, better: Callable[..., int]) -> None:
    keep = f"checkpoint={{every: 2, keep_last: 1, keep_best: {{metric: held_out/psnr, mode: {mode}}}}}"
    run = load(tmp_path, keep, "evaluate.held_out.every=5")
    recorder = recorded(run)
    run.train()
    found = dict(zip((5, 10, 15, 20), recorder.values("held_out/psnr"), strict=True))
    best = better(found, key=found.__getitem__)
    assert run.best == (found[best], best)
    assert run.store.numbers() == sorted({best, 20})


def test_fp16_restores_its_scale(tmp_path: Path) -> None:
    options = ["train.precision=fp16", "networks.gen.dropout=0.0"]
    whole = trained(tmp_path / "whole", *options)
    trained(tmp_path / "b", *options, "train.iterations=9")
    run = load(tmp_path / "b", *options)
    recorded(run)
    assert fingerprint(run.train()) == fingerprint(whole)
    assert torch.isfinite(next(run.networks["gen"].parameters())).all()
