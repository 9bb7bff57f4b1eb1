"""`channels_last` changes where numbers are in memory, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from artschool.engine.memory_format import use_channels_last
from artschool.engine.run import Run
from tests.engine import toy_run

SHORT = ("train.iterations=6", "checkpoint.every=3", "networks.gen={type: toy_plain_generator}")
"""Without dropout, which draws its numbers in the order of the memory."""


def trained(folder: Path, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    run = toy_run.load(folder, *SHORT, *overrides)
    run.loggers = []
    return run.train()


def weights(run: Run) -> dict[str, Tensor]:
    return {f"{owner}.{name}": value for owner, module in run.stateful.items() for name, value in state(module)}


def state(module: nn.Module) -> list[tuple[str, Any]]:
    return list(module.state_dict().items())


def test_the_numbers_are_those_of_a_contiguous_run(tmp_path: Path) -> None:
    plain = trained(tmp_path / "plain")
    other = trained(tmp_path / "other", "train.channels_last=true", "train.accumulate=2")
    third = trained(tmp_path / "third", "train.accumulate=2")
    torch.testing.assert_close(weights(other), weights(third), rtol=1e-6, atol=1e-6)
    assert plain.last_evaluation.keys() == other.last_evaluation.keys()
    for owner in ("gen", "gen.ema", "critic"):
        layouts = {w.is_contiguous(memory_format=torch.channels_last) for w in images(other.stateful[owner])}
        assert layouts == {True}
        assert all(w.is_contiguous() for w in images(plain.stateful[owner]))


def images(module: nn.Module) -> list[Tensor]:
    return [parameter for parameter in module.parameters() if parameter.dim() == 4]


def test_a_network_can_differ_from_the_others(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "train.channels_last=true", "networks.critic.channels_last=false")
    assert all(weight.is_contiguous() for weight in images(run.networks["critic"]))
    assert not any(weight.is_contiguous() for weight in images(run.networks["gen"]))


def test_the_batch_arrives_in_the_same_format(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *SHORT, "train.channels_last=true")
    seen: list[bool] = []
    for module in (run.networks["gen"], run.stateful["gen.ema"]):
        module.register_forward_pre_hook(
            lambda _, inputs: seen.append(inputs[0].is_contiguous(memory_format=torch.channels_last))
        )
    run.loggers = []
    run.train()
    assert seen == [True] * (6 + 2)  # The evaluation has two batches.


@pytest.mark.parametrize(("before", "after"), [("true", "true"), ("true", "false"), ("false", "true")])
def test_a_checkpoint_resumes_to_the_same_numbers(tmp_path: Path, before: str, after: str) -> None:
    """Optimizers too, whose fused kernels read memory in its order."""
    whole = trained(tmp_path / "whole", f"train.channels_last={after}")
    folder = tmp_path / "resumed"
    trained(folder, "train.iterations=3", f"train.channels_last={before}")
    saved = load_file(folder / "run" / "checkpoints" / "00000003" / "gen.safetensors")
    resumed = trained(folder, f"train.channels_last={after}")
    assert resumed.resumed_from == 3
    assert saved.keys() == resumed.networks["gen"].state_dict().keys()
    torch.testing.assert_close(weights(resumed), weights(whole), rtol=1e-5, atol=1e-6)
    for step in resumed.steps:
        assert step.update is not None
        for parameter, slots in step.update.optimizer.state.items():
            strides = {v.stride() for v in slots.values() if isinstance(v, Tensor) and v.dim()}
            assert strides == {parameter.stride()}


def test_weights_of_volumes_get_the_format_of_volumes() -> None:
    network = nn.Sequential(nn.Conv3d(2, 3, 3), nn.Linear(3, 3))
    values = {name: value.clone() for name, value in state(network)}
    use_channels_last(network)
    first = network[0].weight
    assert isinstance(first, Tensor)
    assert first.is_contiguous(memory_format=torch.channels_last_3d)
    assert not first.is_contiguous()
    torch.testing.assert_close(dict(state(network)), values, rtol=0, atol=0)
