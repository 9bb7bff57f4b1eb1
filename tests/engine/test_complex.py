"""Complex parameters train as in a loop by hand, and NaN in them is seen."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artschool.engine.batch_sizing import angle
from artschool.engine.ema import Ema
from artschool.engine.non_finite import non_finite_weights
from artschool.errors import ConfigError, StateError
from artschool.registry import losses, networks, optimizers
from tests.engine.toy_parts import load

OVERRIDES = (
    "networks.net={type: part_waves}",
    "data.train.width=4",
    "steps.main.losses.mean={type: l2, in: [y, x], weight: 1.0}",
    "steps.main.clip_grad_norm=0.5",
    "ema={decay: 0.9, networks: [net]}",
)


@networks.register("part_waves")
class Waves(nn.Module):
    """Multiplies frequencies by the conjugates of learned numbers, whose gradients then are lazy conjugates."""

    def __init__(self) -> None:
        super().__init__()
        self.waves = nn.Parameter(torch.randn(3, dtype=torch.complex64))
        self.shift = nn.Parameter(torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4) to the same."""
        filtered: Tensor = torch.fft.irfft(torch.fft.rfft(x) * self.waves.conj(), n=4)
        return filtered + self.shift


@pytest.mark.parametrize("kind", ["adamw", "sgd", "lamb", "rmsprop"])
def test_the_numbers_are_those_of_a_loop_by_hand(tmp_path: Path, kind: str) -> None:
    run, _ = load(tmp_path, *OVERRIDES, f"steps.main.optimizer={{type: {kind}, lr: 0.05}}", "checkpoint.every=2")
    net, average = Waves(), Waves()
    for module in (net, average):
        module.load_state_dict(run.networks["net"].state_dict())
    optimizer = optimizers.get(kind).target(net.parameters(), lr=0.05)
    run.train()
    for iteration in range(4):
        x = torch.tensor([0.0, 1.0]).add(2 * (iteration % 3))[:, None].expand(2, 4)
        optimizer.zero_grad()
        (net(x) - x).square().mean().backward()
        for parameter in net.parameters():
            assert parameter.grad is not None
            parameter.grad = parameter.grad.resolve_conj()
        torch.nn.utils.clip_grad_norm_(net.parameters(), 0.5)
        optimizer.step()
        with torch.no_grad():
            for mean, weights in zip(average.parameters(), net.parameters(), strict=True):
                mean.lerp_(weights, 0.1)
    torch.testing.assert_close(run.networks["net"].state_dict(), net.state_dict())
    torch.testing.assert_close(run.emas["net"].module.state_dict(), average.state_dict())
    again, _ = load(tmp_path, *OVERRIDES, f"steps.main.optimizer={{type: {kind}, lr: 0.05}}", "checkpoint.every=2")
    torch.testing.assert_close(again.networks["net"].state_dict(), net.state_dict(), rtol=0, atol=0)


def test_an_update_with_nan_is_skipped(tmp_path: Path) -> None:
    overrides = (*OVERRIDES[:2], "steps.main.losses.mean={type: part_spoil, in: y, at: [1], weight: 1.0}")
    run, _ = load(tmp_path, *overrides)
    run.train()
    assert run.steps[0].update is not None
    assert run.steps[0].update.skips().total == 1
    assert not non_finite_weights(run)
    assert all(parameter.isfinite().all() for parameter in run.networks["net"].parameters())


def test_nan_in_complex_weights_is_reported_and_not_averaged(tmp_path: Path) -> None:
    run, _ = load(tmp_path, *OVERRIDES[:2])
    network = run.networks["net"]
    ema = Ema(network, 0.9)
    with torch.no_grad():
        network.get_parameter("waves")[1] = torch.tensor(complex(0.0, math.nan))
    ema.update([None])
    assert all(parameter.isfinite().all() for parameter in ema.module.parameters())
    assert non_finite_weights(run) == "net.waves contains NaN or infinity"


def test_an_angle_sees_imaginary_parts() -> None:
    assert angle(torch.tensor([1j]), torch.tensor([-1j])).item() == pytest.approx(math.pi)


def test_adafactor_is_refused_when_it_is_built(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, *OVERRIDES, "steps.main.optimizer={type: adafactor}")
    assert str(error.value) == (
        f"{tmp_path}/toy.yml:11:16: steps.main.optimizer: a trained parameter is complex, which Adafactor of torch "
        "does not support. Fix: use another optimizer, such as adamw"
    )


@losses.register("part_complex")
def part_complex(x: Tensor) -> Tensor:
    """A complex number."""
    return (x * 1j).mean()


def test_a_complex_loss_is_refused_without_a_warning_of_torch(tmp_path: Path) -> None:
    run, _ = load(tmp_path, "steps.main.losses.mean={type: part_complex, in: y, weight: 1.0}")
    with pytest.raises(StateError, match=r"steps\.main\.losses\.mean: is a complex number \(complex64\), which has no"):
        run.train()


def test_fp16_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"toy\.yml:\d+:\d+: steps\.main\.optimizer: a trained parameter is complex"):
        load(tmp_path, *OVERRIDES, "train.precision=fp16")
