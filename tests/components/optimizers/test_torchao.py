"""Optimizers of torchao: the same numbers as the package, and state that resumes bit-exactly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from artschool.components.optimizers.torchao import torchao
from artschool.errors import ResourceError
from tests.engine.toy_run import fingerprint, load

WIDE = "networks.gen={type: toy_plain_generator, width: 128}"  # 12 x 128 x 9 elements, of which 256 make a block.


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(2)
    return [nn.Parameter(torch.randn(64, 128)), nn.Parameter(torch.randn(5))]


@pytest.mark.parametrize(("name", "base"), [("adamw8bit", "AdamW8bit"), ("adam4bit", "Adam4bit")])
def test_the_numbers_are_those_of_the_package(name: str, base: str) -> None:
    import torchao.optim as package

    own, other = parameters(), parameters()
    optimizer = torchao(own, name=name, lr=1e-2)  # type: ignore[arg-type]  # one of the names
    reference = getattr(package, base)(other, lr=1e-2)
    for index in range(4):
        rate = 0.01 / (index + 1)
        optimizer.param_groups[0]["lr"] = rate
        reference.param_groups[0]["lr"].fill_(rate)
        for one, two in zip(own, other, strict=True):
            one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(index))
            two.grad = one.grad.clone()
        optimizer.step()
        with torch.compiler.set_stance("force_eager"):
            reference.step()
    assert optimizer.param_groups[0]["lr"] == 0.0025
    assert type(optimizer.state[own[0]]["exp_avg"]).__name__.startswith("OptimState")
    assert all(torch.equal(one, two) for one, two in zip(own, other, strict=True))


def test_without_the_package_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "torchao", None)
    monkeypatch.delitem(sys.modules, "torchao.optim", raising=False)
    with pytest.raises(
        ResourceError, match=r"requires torchao, which is not installed\. Fix: pip install 'artschool\["
    ):
        torchao(parameters(), name="adamw8bit")


def test_a_run_saves(tmp_path: Path) -> None:
    optimizer = "steps.gen.optimizer={type: torchao, name: adamw8bit, lr: 1e-3}"
    load(tmp_path, WIDE, optimizer, "steps.gen.clip_grad_norm=null", "train.iterations=1", "evaluate={}").train()
    saved = load_file(tmp_path / "run/checkpoints/00000001/state.optimizers.safetensors")
    assert saved["gen/gen.2.weight/exp_avg:codes"].dtype == torch.uint8


@pytest.mark.soak
def test_a_resume_has_the_same_bits(tmp_path: Path) -> None:
    """Trains three times."""
    overrides = (
        WIDE,
        "steps.gen.optimizer={type: torchao, name: adamw8bit, lr: 1e-3}",
        "steps.gen.clip_grad_norm=null",
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    run = load(whole, *overrides, "train.iterations=8").train()
    saved = load_file(whole / "run/checkpoints/00000008/state.optimizers.safetensors")
    assert saved["gen/gen.2.weight/exp_avg:codes"].dtype == torch.uint8
    load(parts, *overrides, "train.iterations=5").train()
    resumed = load(parts, *overrides, "train.iterations=8")
    assert resumed.iteration == 5
    moments = resumed.steps[0].update.optimizer.state  # type: ignore[union-attr]  # it has one
    assert any(type(slots["exp_avg"]).__name__ == "OptimState8bit" for slots in moments.values())
    assert fingerprint(resumed.train()) == fingerprint(run)
