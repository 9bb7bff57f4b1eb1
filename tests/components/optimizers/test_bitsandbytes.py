"""Optimizers of bitsandbytes: the same numbers as the package, and state that resumes bit-exactly."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from artschool.components.optimizers.bitsandbytes import bitsandbytes
from artschool.errors import ResourceError
from tests.engine.toy_run import fingerprint, load

pytestmark = pytest.mark.filterwarnings("ignore:Paged optimizers are not supported on CPU:UserWarning")
WIDE = "networks.gen={type: toy_plain_generator, width: 128}"  # 12 x 128 x 9 elements have moments of 8 bits.


def parameters() -> list[nn.Parameter]:
    torch.manual_seed(2)
    return [nn.Parameter(torch.randn(64, 128)), nn.Parameter(torch.randn(5))]


@pytest.mark.parametrize(("name", "base"), [("adamw8bit", "AdamW8bit"), ("paged_adam", "PagedAdam")])
def test_the_numbers_are_those_of_the_package(name: str, base: str) -> None:
    import bitsandbytes.optim as package

    own, other = parameters(), parameters()
    optimizer = bitsandbytes(own, name=name, lr=1e-2)  # type: ignore[arg-type]  # one of the names
    reference = getattr(package, base)(other, lr=1e-2)
    for index in range(4):
        rate = 0.01 / (index + 1)
        optimizer.param_groups[0]["lr"] = reference.param_groups[0]["lr"] = rate
        for one, two in zip(own, other, strict=True):
            one.grad = torch.randn(one.shape, generator=torch.Generator().manual_seed(index))
            two.grad = one.grad.clone()
        optimizer.step()
        reference.step()
    assert optimizer.state[own[0]]["state1"].dtype == (torch.uint8 if "8bit" in name else torch.float32)
    assert all(torch.equal(one, two) for one, two in zip(own, other, strict=True))
    assert not torch.equal(own[0], parameters()[0])


def test_without_the_package_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    monkeypatch.delitem(sys.modules, "bitsandbytes.optim", raising=False)
    with pytest.raises(
        ResourceError, match=r"requires bitsandbytes, which is not installed\. Fix: pip install 'artschool\["
    ):
        bitsandbytes(parameters(), name="adamw8bit")


@pytest.mark.soak
@pytest.mark.parametrize("name", ["adamw8bit", "paged_adamw8bit"])
def test_a_resume_has_the_same_bits(tmp_path: Path, name: str) -> None:
    """Trains three times."""
    overrides = (
        WIDE,
        f"steps.gen.optimizer={{type: bitsandbytes, name: {name}, lr: 1e-3}}",
        "steps.gen.clip_grad_norm=null",
    )
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    run = load(whole, *overrides, "train.iterations=8").train()
    saved = load_file(whole / "run/checkpoints/00000008/state.optimizers.safetensors")
    assert saved["gen/gen.2.weight/state1"].dtype == torch.uint8
    load(parts, *overrides, "train.iterations=5").train()
    resumed = load(parts, *overrides, "train.iterations=8")
    assert resumed.iteration == 5
    moments = resumed.steps[0].update.optimizer.state  # type: ignore[union-attr]  # it has one
    assert any(slots["state1"].dtype == torch.uint8 for slots in moments.values())
    assert fingerprint(resumed.train()) == fingerprint(run)
