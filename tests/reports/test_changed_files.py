"""A run resumes after its file has changed: what is kept, what starts from scratch, and what is refused."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from contextlib import chdir
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import artschool as package
from artschool.engine.restore_run import restore
from artschool.engine.run import Run
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

CRITIC = "networks.critic={type: patch_critic, width: 8, layers: 1}"
CRITIC_STEP = """steps.critic={trains: critic, optimizer: {type: adam, lr: 1e-4},
    losses: {gan: {type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0}}}"""
OTHER_STEP = CRITIC_STEP.replace("critic", "other")
ADAMW = "steps.gen.optimizer={type: adamw, lr: 1e-3}"
LONGER = "train.iterations=6"
EMA = "ema={decay: 0.9, networks: [gen]}"


@pytest.fixture(scope="module")
def stored(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the file, its data, and a finished run for each of some overrides."""
    folder = tmp_path_factory.mktemp("stored")
    write_images(folder / "pics", 6)
    write_images(folder / "held", 2)
    (folder / "sr.yml").write_text(SUPER_RESOLUTION)
    (folder / "parts.py").write_text(PARTS)
    return folder


class Trained:
    """A run of four iterations, and what a resumed one prints about it."""

    def __init__(self, stored: Path, folder: Path, *overrides: str) -> None:
        key = stored / f"run_{abs(hash(overrides))}"
        self.folder, self.run = folder, folder / "run"
        self._file = str(folder / "sr.yml")
        for name in ("pics", "held"):
            shutil.copytree(stored / name, folder / name)
        shutil.copy(stored / "sr.yml", folder)
        if not key.exists():
            code, printed = self.train(*overrides)
            assert code == 0, printed
            shutil.copytree(self.run, key)
        else:
            shutil.copytree(key, self.run)

    def train(self, *overrides: str) -> tuple[int, str]:
        with chdir(self.folder):
            return artschool("train", self._file, "--no-trace", "--run-dir", str(self.run), *overrides)

    def report(self, *overrides: str) -> list[str]:
        """The lines about the resume, without changes of the file."""
        code, printed = self.train(LONGER, *overrides)
        assert code == 0, printed
        return [line.strip() for line in printed.splitlines() if line.startswith(("  kept:", "  new:", "  dropped:"))]

    def refusal(self, *overrides: str) -> str:
        code, printed = self.train(LONGER, *overrides)
        assert code == 6, printed
        lines = [line for line in printed.splitlines(True) if not line.startswith("warning: relative paths are below")]
        return "".join(lines).replace(str(self.run), "RUN")

    def load(self, *overrides: str, allow: Sequence[str] = ()) -> Run:
        with chdir(self.folder):
            return package.load(self._file, [LONGER, *overrides], run_dir=self.run, allow=allow)

    def tensors(self, iteration: int, name: str) -> dict[str, Tensor]:
        return load_file(self.run / "checkpoints" / f"{iteration:08}" / f"{name}.safetensors")

    def records(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in (self.run / "metrics.jsonl").read_text().splitlines()]


def test_an_unchanged_file_reports_nothing(stored: Path, tmp_path: Path) -> None:
    assert Trained(stored, tmp_path).report() == []


def sgd(options: str) -> str:
    return f"steps.gen.optimizer={{type: sgd, lr: 1e-2{options}}}"


@pytest.mark.parametrize(
    ("before", "after", "lines"),
    [
        (sgd(", momentum: 0.9"), ADAMW, "starts without state: it was SGD and is AdamW"),
        (ADAMW, sgd(", momentum: 0.9"), "starts without state: it was AdamW and is SGD"),
        (
            ADAMW,
            "steps.gen.optimizer.amsgrad=true",
            "starts without state: it needs 'max_exp_avg_sq', which the checkpoint does not have",
        ),
        (
            sgd(""),
            sgd(", momentum: 0.9"),
            "starts without state: it needs 'momentum_buffer', which the checkpoint does not have",
        ),
    ],
)
def test_an_optimizer_whose_state_does_not_fit_starts_without_it(
    stored: Path, tmp_path: Path, before: str, after: str, lines: str
) -> None:
    report = Trained(stored, tmp_path, before).report(after)
    assert report == ["kept: network gen", f"new: optimizer of steps.gen: {lines}"]


@pytest.mark.parametrize(
    ("before", "after", "dropped", "kept"),
    [
        (f"{ADAMW[:-1]}, amsgrad: true}}", ADAMW, "max_exp_avg_sq", {"step", "exp_avg", "exp_avg_sq"}),
        (sgd(", momentum: 0.9"), sgd(""), "momentum_buffer", set()),
    ],
)
def test_what_an_optimizer_no_longer_needs_is_dropped(
    stored: Path, tmp_path: Path, before: str, after: str, dropped: str, kept: set[str]
) -> None:
    trained = Trained(stored, tmp_path, before)
    update = trained.load(after).steps[0].update
    assert update is not None
    assert {frozenset(state) for state in update.optimizer.state.values()} <= {frozenset(kept)}
    assert trained.report(after) == [
        "kept: network gen, optimizer of steps.gen",
        f"dropped: '{dropped}' of the optimizer of steps.gen",
    ]


def test_other_options_keep_the_moments(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    changes = ("steps.gen.optimizer.betas=[0.5, 0.9]", "steps.gen.optimizer.no_decay=[bias]")
    update = trained.load(*changes).steps[0].update
    assert update is not None
    moments = trained.tensors(4, "state.optimizers")
    found = [state["exp_avg"] for state in update.optimizer.state.values()]
    saved = [value for name, value in moments.items() if name.endswith("/exp_avg")]
    assert len(found) == len(saved) and all(any(one.equal(other) for other in saved) for one in found)
    assert trained.report(*changes) == []


def test_an_added_average_starts_from_the_restored_network(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    report = trained.report("ema={decay: 1.0, networks: [gen]}")
    assert report == [
        "kept: network gen, optimizer of steps.gen",
        "new: moving average of gen: starts from the network",
    ]
    before, average = trained.tensors(4, "gen"), trained.tensors(6, "gen.ema")
    assert all(average[name].equal(before[name]) for name in before)
    assert trained.report(EMA, "train.iterations=8") == []


def test_a_removed_average_is_dropped(stored: Path, tmp_path: Path) -> None:
    report = Trained(stored, tmp_path, EMA).report()
    assert report == ["kept: network gen, optimizer of steps.gen", "dropped: moving average of gen"]


def test_an_added_critic_starts_from_scratch_and_a_removed_one_is_dropped(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    assert trained.report(CRITIC, CRITIC_STEP) == [
        "kept: network gen, optimizer of steps.gen",
        "new: network critic: starts from scratch; the checkpoint does not have it",
        "new: optimizer of steps.critic: starts without state; the checkpoint does not have it",
    ]
    assert trained.report("train.iterations=8") == [
        "kept: network gen, optimizer of steps.gen",
        "dropped: network critic",
        "dropped: optimizer of steps.critic",
    ]


def test_a_renamed_network_is_refused_until_the_file_says_where_it_starts(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path, CRITIC, CRITIC_STEP)
    other = (CRITIC.replace("critic=", "other="), OTHER_STEP)
    weights = trained.run / "checkpoints" / "00000004" / "critic.safetensors"
    assert trained.refusal(*other) == (
        "checkpoint RUN/checkpoints/00000004: network 'other' is not in the checkpoint, but the weights of 'critic' "
        "fit it, which is no longer in the config file. Fix: name it 'critic' again, write `networks.other.weights: "
        "RUN/checkpoints/00000004/critic.safetensors`, or start a new run in another folder with --run-dir\n"
    )
    assert trained.report(*other, f"networks.other.weights={weights}") == [
        "kept: network gen, optimizer of steps.gen",
        "new: network other: starts from its `weights`",
        "new: optimizer of steps.other: starts without state; the checkpoint does not have it",
        "dropped: network critic",
        "dropped: optimizer of steps.critic",
    ]


def test_another_network_in_the_place_of_a_removed_one_starts_from_scratch(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path, CRITIC, CRITIC_STEP)
    report = trained.report(CRITIC.replace("critic=", "other=").replace("8", "4"), OTHER_STEP)
    assert "new: network other: starts from scratch; the checkpoint does not have it" in report
    assert "dropped: network critic" in report


def test_weights_of_another_shape_are_refused(stored: Path, tmp_path: Path) -> None:
    assert Trained(stored, tmp_path).refusal("networks.gen.width=4") == (
        "checkpoint RUN/checkpoints/00000004: gen.body.0.0.bias: does not fit the config file (expected (4,), the "
        "checkpoint has (8,)). Changed since the checkpoint: networks.gen.width: 8 -> 4. Fix: undo the change of "
        "networks.gen or of its code, or start a new run in another folder with --run-dir\n"
    )


def test_weights_under_other_names_are_refused_with_a_way_to_use_them(stored: Path, tmp_path: Path) -> None:
    assert (
        Trained(stored, tmp_path)
        .refusal("networks.gen.blocks=2")
        .endswith(
            "Changed since the checkpoint: networks.gen.blocks: 1 -> 2. Fix: undo the change of networks.gen or of its "
            "code, or start a new run in another folder with --run-dir; there, `networks.gen.weights: "
            "{file: RUN/checkpoints/00000004/gen.safetensors, strict: false}` loads what fits\n"
        )
    )


def test_a_checkpoint_without_any_network_of_the_file_is_refused(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    text = (
        SUPER_RESOLUTION.replace("gen:", "net:")
        .replace("network: gen", "network: net")
        .replace("trains: gen", "trains: net")
    )
    (tmp_path / "sr.yml").write_text(text)
    assert trained.refusal() == (
        "checkpoint RUN/checkpoints/00000004: has no network of the config file (expected net, got gen). "
        "Fix: choose another checkpoint with --resume, or another folder with --run-dir\n"
    )


def test_a_frozen_layer_drops_its_state_and_another_network_in_a_step_is_new(stored: Path, tmp_path: Path) -> None:
    assert Trained(stored, tmp_path).report("networks.gen.frozen=['first.*']") == [
        "kept: network gen, optimizer of steps.gen",
        "dropped: state of 2 parameters in the optimizer of steps.gen, which no longer trains them",
    ]
    both = ("steps.gen.trains=[gen, critic]", CRITIC)
    lost = "steps.gen.losses.adv={type: generator_gan, kind: hinge, network: critic, fake: sr, weight: 1.0}"
    (tmp_path / "b").mkdir()
    trained = Trained(stored, tmp_path / "b")
    assert trained.report(*both, lost) == [
        "kept: network gen, optimizer of steps.gen",
        "new: network critic: starts from scratch; the checkpoint does not have it",
        "new: critic in the optimizer of steps.gen: starts without state",
    ]
    report = trained.report("train.iterations=8")
    assert report[:2] == ["kept: network gen, optimizer of steps.gen", "dropped: network critic"]
    assert report[2].endswith(" parameters in the optimizer of steps.gen, which no longer trains them")


def test_the_scale_of_fp16_starts_or_is_dropped(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    kept = "kept: network gen, optimizer of steps.gen"
    assert trained.report("train.precision=fp16") == [kept, "new: loss scale of steps.gen: starts at 65536"]
    assert trained.report("train.iterations=8") == [kept, "dropped: loss scale of steps.gen"]


def test_samples_count_the_batches_that_were_used(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    assert trained.records()[-1]["samples"] == 8
    code, printed = trained.train(LONGER, "data.train.batch_size=3", "--allow", "data.train.batch_size")
    assert code == 0
    assert "changed since the checkpoint: data.train: iteration 4 is now in epoch 2, in an order of its own" in printed
    assert trained.records()[-1]["samples"] == 8 + 2 * 3
    assert trained.train("train.iterations=8", "--allow", "data")[0] == 0
    assert trained.records()[-1]["samples"] == 8 + 2 * 3 + 2 * 2


def test_files_that_were_added_or_removed_are_reported(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    shutil.copy(tmp_path / "pics" / "000.png", tmp_path / "pics" / "more.png")
    (tmp_path / "held" / "001.png").unlink()
    code, printed = trained.train(LONGER)
    assert code == 0
    assert [line for line in printed.splitlines() if line.startswith("  changed")][1:] == [
        "  changed since the checkpoint: data.train: 6 samples -> 7 samples",
        "  changed since the checkpoint: evaluate.v: 2 samples -> 1 samples",
        "  changed since the checkpoint: data.train: iteration 4 is now in epoch 1, in an order of its own",
    ]


def test_a_best_value_of_another_metric_is_dropped(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path, "checkpoint.keep_best={metric: v/psnr, mode: max}")
    ssim = ("evaluate.v.metrics.ssim={type: ssim, in: [sr, hq]}", "checkpoint.keep_best={metric: v/ssim, mode: max}")
    assert trained.report(*ssim)[-1] == "dropped: best value so far; `checkpoint.keep_best` has changed"
    state = json.loads((trained.run / "checkpoints" / "00000006" / "state.json").read_text())
    assert state["best"][0] == trained.records()[-1]["v/ssim"]


def test_a_checkpoint_of_an_earlier_version_is_compared_by_its_file(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    saved = trained.load().store.load(4)
    saved = replace(saved, manifest=replace(saved.manifest, schema=1))
    for key in ("samples", "optimizers", "settings"):
        del saved.state[key]
    del saved.state["data"]["evaluations"]
    run = trained.load("data.train.batch_size=1", sgd(""), allow=["data.train.batch_size"])
    lines = restore(run, saved)
    assert lines[-1] == "new: optimizer of steps.gen: starts without state: it was adamw and is sgd"
    assert run.samples == 8


PARTS = '''
import torch
from torch import Tensor, nn
from artschool import losses, networks


@losses.register
class Queued(nn.Module):
    """Keeps the last values."""

    def __init__(self, size: int) -> None:
        super().__init__()
        self.register_buffer("queue", torch.zeros(size))

    def forward(self, x: Tensor) -> Tensor:
        self.queue.fill_(x.detach().mean())
        return (x - self.queue[0]).square().mean()


@networks.register
class Grows(nn.Module):
    """Its buffers appear, grow and change their type while it trains."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 12, 3, padding=1)
        self.register_buffer("none", None)
        self.register_buffer("grown", torch.zeros(1, 3))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            mean = x.detach().mean((0, 2, 3))
            if not hasattr(self, "late"):
                self.register_buffer("late", mean)
            self.none = mean if self.none is None else self.none + mean
            self.grown = torch.cat([self.grown, mean[None]])
            self.count = self.count.double() + 0.5
        total = sum(getattr(self, name, None).sum() for name in ("none", "grown", "late", "count"))
        return nn.functional.pixel_shuffle(self.body(x) * (1 + 1e-3 * total), 2)
'''


@pytest.mark.usefixtures("registries")
def test_the_state_of_a_loss_is_kept_dropped_or_new(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    queued = (f"plugins=[{stored}/parts.py]", "steps.gen.losses.q={type: queued, size: 4, in: sr, weight: 1.0}")
    path, kept = "steps.gen.losses.q", "kept: network gen, optimizer of steps.gen"
    new = f"new: state of {path}: starts as in a new run"
    assert trained.report(*queued) == [kept, f"{new} (not in the checkpoint)"]
    assert trained.report(*queued, "train.iterations=7") == []
    assert trained.report(*queued, "train.iterations=8", "steps.gen.losses.q.size=5") == [
        kept, f"{new} (queue: expected (5,), the checkpoint has (4,))",
    ]  # fmt: skip
    assert trained.report("train.iterations=9") == [kept, f"dropped: state of {path}"]


@pytest.mark.usefixtures("registries")
def test_buffers_that_code_adds_and_resizes_resume_to_the_same_bits(stored: Path, tmp_path: Path) -> None:
    grows = (f"plugins=[{stored}/parts.py]", "networks.gen={type: grows}", EMA)
    found = []
    for name, lengths in (("whole", [6]), ("parts", [2, 3, 6])):
        folder = tmp_path / name
        folder.mkdir()
        trained = Trained(stored, folder)
        shutil.rmtree(trained.run)
        for length in lengths:
            code, printed = trained.train(*grows, f"train.iterations={length}")
            assert code == 0, printed
            assert "new:" not in printed and "dropped:" not in printed
        found.append({part: trained.tensors(6, part) for part in ("gen", "gen.ema")})
    whole, parts = found
    assert whole["gen"]["grown"].shape == (7, 3) and whole["gen"]["count"].dtype == torch.float64
    for part, tensors in whole.items():
        assert tensors.keys() == parts[part].keys()
        assert all(tensors[name].equal(parts[part][name]) for name in tensors)


@pytest.mark.usefixtures("registries")
def test_a_run_returns_to_buffers_from_before_they_grew(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    shutil.rmtree(trained.run)
    grows = (f"plugins=[{stored}/parts.py]", "networks.gen={type: grows}", EMA)
    assert trained.train(*grows, "train.iterations=2")[0] == 0
    run = trained.load(*grows)
    saved, start = run.store.load(2), trained.load(*grows)
    with chdir(tmp_path):
        run.train()
    restore(run, saved)
    states = [{**r.networks["gen"].state_dict(), **r.emas["gen"].module.state_dict()} for r in (run, start)]
    assert states[0].keys() == states[1].keys()
    assert all(states[0][name].equal(states[1][name]) for name in states[0])


def test_evaluating_needs_every_network_and_average(stored: Path, tmp_path: Path) -> None:
    trained = Trained(stored, tmp_path)
    with pytest.raises(package.CheckpointError) as error, chdir(tmp_path):
        package.load_trained(tmp_path / "sr.yml", [EMA], run_dir=trained.run)
    assert str(error.value).partition("00000004: ")[2] == (
        "no weights for 'gen.ema', which the config file has. "
        "Fix: train further with this file, or use the file that saved the checkpoint"
    )
