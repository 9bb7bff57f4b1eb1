"""Checkpoints leave out what stays as it was built, and a resume verifies that it is the same."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from torch import nn

import artschool
from artschool.engine import unsaved
from artschool.engine.unsaved import hashes
from artschool.errors import CheckpointError, ConfigError
from artschool.read.read import check_file
from artschool.registry import networks
from artschool.start import load_trained
from artschool.trace.trace import trace
from tests.engine.toy_run import fingerprint, load, write

FROZEN = ('networks.gen.frozen=["0.*"]', "networks.gen.saved=trained", "checkpoint.keep_last=9")


@networks.register("saved_judge")
class Judge(nn.Module):
    """A network that no step trains; `counts` says whether its code changes a buffer nevertheless."""

    count: torch.Tensor

    def __init__(self, counts: bool = False) -> None:
        super().__init__()
        self.line = nn.Conv2d(3, 2, 1)
        self.counts = counts
        self.register_buffer("count", torch.zeros(()))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        if self.counts:
            self.count.data.add_(1)  # As old code does it; autograd's counters do not see it.
        result: torch.Tensor = self.line(x)
        return result


def judged(folder: Path, saved: str, *overrides: str) -> artschool.Run:
    """A run whose generator must please a judge that is not trained."""
    weights = folder / "judge.safetensors"
    if not weights.exists():
        folder.mkdir(exist_ok=True)
        save_file(
            {"line.weight": torch.ones(2, 3, 1, 1), "line.bias": torch.ones(2), "count": torch.tensor(0.0)}, weights
        )
    return load(
        folder,
        f"networks.judge={{type: saved_judge, weights: {weights}, saved: {saved}}}",
        "steps.gen.injectors.score={type: forward, network: judge, in: sr, out: score}",
        "steps.gen.losses.score={type: mean, in: score, weight: 0.1}",
        *overrides,
    )


def tensors(folder: Path, name: str, number: int = 20) -> dict[str, torch.Tensor]:
    return load_file(folder / f"run/checkpoints/{number:08}/{name}.safetensors")


def test_what_training_does_not_change_is_left_out_and_a_resume_has_the_same_bits(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    run = load(whole, *FROZEN).train()
    assert {"0.weight", "0.bias"} == run.networks["gen"].state_dict().keys() - tensors(whole, "gen").keys()
    # The statistics of the batch norm after the frozen layer have changed, and so has those of the average.
    assert tensors(whole, "gen").keys() == tensors(whole, "gen.ema").keys() >= {"1.running_mean", "4.weight"}
    load(parts, *FROZEN, "train.iterations=10").train()
    resumed = load(parts, *FROZEN).train()
    assert resumed.resumed_from == 10 and fingerprint(resumed) == fingerprint(run)


def test_another_seed_is_refused_with_what_to_write(tmp_path: Path) -> None:
    load(tmp_path, *FROZEN, "train.iterations=5").train()
    with pytest.raises(CheckpointError) as error:
        load(tmp_path, *FROZEN, "seed=8")
    assert str(error.value) == (
        f"checkpoint {tmp_path}/run/checkpoints/00000005: gen.0.weight: left out of the checkpoint because of "
        "`networks.gen.saved`, and not the same as in the run that saved it. Changed since the checkpoint: seed: 7 -> "
        "8. Fix: give networks.gen the weights or the seed that it had, or start a new run in another folder with "
        "--run-dir"
    )


@pytest.mark.parametrize("saved", ["false", "trained"])
def test_a_network_that_stays_as_it_is_has_no_file(tmp_path: Path, saved: str) -> None:
    run = judged(tmp_path, saved, "train.iterations=5").train()
    assert not (tmp_path / "run/checkpoints/00000005/judge.safetensors").exists()
    resumed = judged(tmp_path, saved, "train.iterations=10")
    assert torch.equal(resumed.networks["judge"].get_parameter("line.bias"), torch.ones(2))
    assert resumed.train().evaluate().keys() == run.evaluate().keys()
    evaluated = load_trained(tmp_path / "toy.yml", run_dir=tmp_path / "run")
    assert torch.equal(evaluated.networks["judge"].get_parameter("line.bias"), torch.ones(2))


def test_other_weights_are_refused(tmp_path: Path) -> None:
    judged(tmp_path, "false", "train.iterations=5").train()
    save_file(
        {"line.weight": torch.ones(2, 3, 1, 1), "line.bias": torch.tensor([1.0, 2.0]), "count": torch.tensor(0.0)},
        tmp_path / "judge.safetensors",
    )
    with pytest.raises(CheckpointError, match=r"judge\.line\.bias: left out of the checkpoint because of `networks\.j"):
        judged(tmp_path, "false")
    # A new option leaves a checkpoint as it is: it is compared, not what the file says now.
    with pytest.raises(CheckpointError, match=r"judge\.line\.bias: left out .*networks\.judge\.saved: false -> true"):
        judged(tmp_path, "true")


def test_what_changes_nevertheless_is_saved_or_refused(tmp_path: Path) -> None:
    one, other = tmp_path / "one", tmp_path / "other"
    judged(one, "trained", "networks.judge.counts=true", "train.iterations=5").train()
    assert tensors(one, "judge", 5).keys() == {"count"}
    resumed = judged(one, "trained", "networks.judge.counts=true", "train.iterations=5")
    assert resumed.networks["judge"].get_buffer("count") == tensors(one, "judge", 5)["count"] > 0
    with pytest.raises(CheckpointError, match=r"^networks\.judge: 'count' has changed since the network was built"):
        judged(other, "false", "networks.judge.counts=true", "train.iterations=5").train()


def test_a_network_that_is_trained_cannot_be_left_out(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"steps\.gen\.trains: trains 'gen', which has `saved: false` at .*toy\.yml:8:8"
    ):
        load(tmp_path, "networks.gen.saved=false")


def test_a_hash_depends_on_every_bit_and_not_on_the_layout() -> None:
    x = torch.randn(3, 4, 300, 100)
    assert hashes({"x": x}) == hashes({"x": x.to(memory_format=torch.channels_last)})
    assert hashes({"x": x})["x"].startswith("float32 [3, 4, 300, 100] ")
    seen = {hashes({"x": x})["x"]}
    for index in (0, 7, 299_999, 359_999):
        for bit in (0, 31):
            changed = x.clone()
            changed.view(torch.int32).view(-1)[index] ^= 1 << bit if bit < 31 else -(1 << 31)
            seen.add(hashes({"x": changed})["x"])
    swapped = x.flip(0)
    assert len({*seen, hashes({"x": swapped})["x"]}) == 10
    kinds = [torch.ones(2, dtype=kind) for kind in (torch.bool, torch.uint8, torch.bfloat16, torch.complex64)]
    assert len({hashes({"x": value})["x"] for value in kinds}) == 4


@pytest.mark.soak
def test_the_disk_that_a_trace_announces_is_without_what_is_left_out(tmp_path: Path) -> None:
    """Traces twice."""

    def announced(*overrides: str) -> int:
        return trace(check_file(write(tmp_path, *overrides))).checkpoint

    # Twice 8 x 3 x 3 x 3 + 8 numbers of 4 bytes: the network and its average.
    assert announced(FROZEN[0]) - announced(*FROZEN) == 2 * (8 * 27 + 8) * 4


@pytest.mark.parametrize("kind", [torch.float32, torch.bfloat16, torch.int64, torch.complex64])
def test_the_hashes_of_parts_add_up_to_that_of_the_tensor(monkeypatch: pytest.MonkeyPatch, kind: torch.dtype) -> None:
    monkeypatch.setattr(unsaved, "_CHUNK", 64)
    unsaved._factors.cache_clear()
    x = torch.arange(350).reshape(50, 7).to(kind)
    whole = unsaved._hash(x, 0, x.numel())
    for rows in (0, 1, 13, 50):
        parts = unsaved._hash(x[:rows], 0, x.numel()) + unsaved._hash(x[rows:], rows * 7, x.numel())
        assert int(parts) == int(whole)
    assert int(unsaved._hash(x[1:], 0, x.numel())) != int(unsaved._hash(x[1:], 7, x.numel()))
    unsaved._factors.cache_clear()
