"""The injectors of diffusion: what a file calls."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn

from artschool.components.diffusion.edm_injectors import edm, edm_sample_injector
from artschool.components.diffusion.flow_injectors import flow_matching, flow_sample
from artschool.components.diffusion.gaussian_sampling import DiffusionSample
from artschool.components.diffusion.gaussian_training import GaussianDiffusion, GaussianDiffusionExtra
from artschool.components.diffusion.start import starting_noise
from artschool.errors import ConfigError
from artschool.registry.signature import Context


class Toy(nn.Module):
    """A linear layer over channels that remembers how it was called."""

    def __init__(self, out: int = 2, *, tuple_of: int = 0) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(out))
        self.frozen_part = nn.BatchNorm1d(2).eval()
        self.times: list[Tensor] = []
        self.calls: list[dict[str, Any]] = []
        self._tuple_of = tuple_of

    def forward(self, x: Tensor, t: Tensor, **conditions: Any) -> Any:
        self.times.append(t)
        self.calls.append({**conditions, "training": self.training, "grad": torch.is_grad_enabled()})
        y = x.mean(1, keepdim=True) * self.scale[:, None]
        return (y, *range(self._tuple_of)) if self._tuple_of else y


def context(*, training: bool = True, iteration: int = 0) -> Context:
    return Mock(Context, training=training, iteration=iteration)


X = torch.linspace(-1, 1, 24).view(4, 2, 3)


def test_training_returns_values_for_each_sample_with_gradients() -> None:
    torch.manual_seed(0)
    network = Toy()
    loss, vb, x0, t = GaussianDiffusion(num_timesteps=50)(network, X, context=context())
    assert loss.shape == vb.shape == t.shape == (4,) and x0.shape == X.shape
    loss.mean().backward()
    assert network.scale.grad is not None and network.scale.grad.abs().sum() > 0
    assert torch.equal(network.times[0], t)


def test_a_learned_variance_trains_on_the_bound() -> None:
    torch.manual_seed(0)
    network = Toy(4)
    _, vb, _, _ = GaussianDiffusion(num_timesteps=50, variance="learned_range")(network, X, context=context())
    vb.mean().backward()
    assert network.scale.grad is not None
    assert network.scale.grad[:2].tolist() == [0.0, 0.0] and network.scale.grad[2:].abs().min() > 0


def test_evaluation_takes_even_timesteps_and_drops_and_remembers_nothing() -> None:
    network = Toy()
    injector = GaussianDiffusion(schedule="cosine", num_timesteps=8, timesteps="loss_second_moment")
    label = torch.arange(4)
    drop: Any = {"nothing": {"label": 9}, "drop_probability": 1.0}
    *_, t = injector(network, X, {"label": label}, **drop, context=context(training=False))
    assert t.tolist() == [1, 3, 5, 7]
    assert network.calls[-1]["label"] is label
    assert injector.history is not None and injector.history.counts.sum() == 0
    injector(network, X, {"label": label}, **drop, context=context())
    assert network.calls[-1]["label"].tolist() == [9] * 4
    assert injector.history.counts.sum() == 4


def test_even_timesteps_come_every_so_often() -> None:
    injector = GaussianDiffusion(schedule="cosine", num_timesteps=1000, even_every=3)
    for iteration in (0, 3):
        assert injector(Toy(), X, context=context(iteration=iteration))[3].tolist() == [125, 375, 625, 875]
    torch.manual_seed(0)
    assert injector(Toy(), X, context=context(iteration=1))[3].tolist() != [125, 375, 625, 875]


def test_weights_of_timesteps_multiply_the_losses_but_not_the_history() -> None:
    injector = GaussianDiffusion(schedule="cosine", num_timesteps=2, timesteps="loss_second_moment")
    assert injector.history is not None
    injector.history.counts += 10
    injector.history.losses[0], injector.history.losses[1] = 3.0, 1.0
    before = injector.history.losses.clone()
    weights = 1 / (2 * injector.history.probabilities())
    torch.manual_seed(0)
    loss, _, _, t = injector(Toy(), X, context=context())
    changed = (injector.history.losses != before).sum(1)
    assert torch.equal(changed, torch.bincount(t, minlength=2))
    unweighted = (loss / weights[t].float())[t == t[0]]
    torch.testing.assert_close(injector.history.losses[t[0], : len(unweighted)].float(), unweighted)


def test_times_are_rescaled_to_a_thousand() -> None:
    network = Toy()
    injector = GaussianDiffusion(schedule="cosine", num_timesteps=8, timesteps="even", rescale_timesteps=True)
    injector(network, X, context=context())
    assert network.times[0].tolist() == [125.0, 375.0, 625.0, 875.0]
    sampler = DiffusionSample(schedule="cosine", num_timesteps=8, steps=[2], rescale_timesteps=True)
    sampler(network, X)
    assert [t[0].item() for t in network.times[1:]] == [875.0, 0.0]


def test_more_results_of_a_network_follow() -> None:
    with_more = GaussianDiffusionExtra(num_timesteps=50)(Toy(tuple_of=2), X, context=context())
    assert len(with_more) == 6 and with_more[4:] == (0, 1)
    assert len(GaussianDiffusion(num_timesteps=50)(Toy(tuple_of=2), X, context=context())) == 4


def test_dropping_needs_a_value_for_nothing() -> None:
    with pytest.raises(ConfigError, match=r"drop_probability require `nothing`\. Fix: name the value that means "):
        GaussianDiffusion()(Toy(), X, {"label": X}, drop_probability=0.1, context=context())


def test_weights_of_errors_that_there_are_none_of_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(expected objective mse or rescaled_mse, got kl\)\. Fix: change the obj"):
        GaussianDiffusion(objective="kl", min_snr_gamma=5.0)


SAMPLERS: dict[str, Callable[[nn.Module], Tensor]] = {
    "ddpm": lambda network: DiffusionSample(num_timesteps=50, steps=5)(network, X, {"label": X}),
    "ddim": lambda network: DiffusionSample(num_timesteps=50, steps="ddim5", sampler="ddim")(network, X, {"label": X}),
    "edm": lambda network: edm_sample_injector(network, X, {"label": X}, steps=3),
    "flow": lambda network: flow_sample(network, X, {"label": X}, steps=3),
}
CALLS = {"ddpm": 5, "ddim": 5, "edm": 5, "flow": 6}


@pytest.mark.parametrize("name", SAMPLERS)
def test_sampling_is_without_gradients_in_eval_mode_and_gives_modes_back(name: str) -> None:
    torch.manual_seed(0)
    network = Toy()
    found = SAMPLERS[name](network)
    assert found.shape == X.shape and not found.requires_grad and bool(found.isfinite().all())
    assert network.training and not network.frozen_part.training
    assert network.calls == [{"label": X, "training": False, "grad": False}] * CALLS[name]


def test_sampling_gives_modes_back_after_a_fault() -> None:
    network = Toy(3)
    with pytest.raises(ConfigError, match=r"^network: expected 2 output channels .*, got 3$"):
        DiffusionSample(num_timesteps=50, steps=5)(network, X)
    assert network.training and not network.frozen_part.training


def test_fixed_noise_is_the_same_at_each_call_and_moves_nothing_else() -> None:
    torch.manual_seed(0)
    expected = torch.rand(1)
    torch.manual_seed(0)
    first = starting_noise(X, noise="fixed")
    assert torch.equal(torch.rand(1), expected)
    assert torch.equal(first, starting_noise(X, noise="fixed"))
    assert first.std().item() == pytest.approx(1, abs=0.4)
    assert not torch.equal(starting_noise(X), starting_noise(X))
    assert starting_noise(X, noise="zero").abs().sum() == 0


def test_samples_may_be_larger_than_what_they_are_like() -> None:
    assert starting_noise(torch.zeros(2, 80, 10), channels=1, scale_factor=256, multiple=4096).shape == (2, 1, 4096)
    assert starting_noise(torch.zeros(2, 3, 5, 6, dtype=torch.uint8), scale_factor=2).shape == (2, 3, 10, 12)
    assert starting_noise(torch.zeros(2, 3, dtype=torch.bfloat16)).dtype == torch.float32


def test_samples_in_the_unit_range() -> None:
    plain = DiffusionSample(num_timesteps=50, steps=2, sampler="ddim", noise="fixed")(Toy(), X)
    unit = DiffusionSample(num_timesteps=50, steps=2, sampler="ddim", noise="fixed", unit_range=True)(Toy(), X)
    torch.testing.assert_close(unit, (plain + 1) / 2)
    assert unit.min() >= 0 and unit.max() <= 1


class Shift(nn.Module):
    """The velocity from every source to the same distance."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        return torch.full_like(x, 3.0)


def test_a_flow_between_pairs_is_known_by_its_constant_velocity() -> None:
    source = torch.randn(4, 2, 3)
    error, end, t = flow_matching(Shift(), source + 3, source=source, context=context())
    torch.testing.assert_close(error, torch.zeros(4), rtol=0, atol=1e-10)
    torch.testing.assert_close(end, source + 3)
    assert bool(((t >= 0) & (t <= 1)).all())
    for solver in ("euler", "heun"):
        torch.testing.assert_close(flow_sample(Shift(), X, source=source, steps=1, solver=solver), source + 3)


class Denoiser(nn.Module):
    """What an EDM network gives when the data is 0: skip x + out F = 0."""

    def forward(self, x: Tensor, t: Tensor) -> Tensor:
        sigma = (4 * t).exp()[:, None, None]
        return -0.5 / sigma * x


def test_edm_weighs_errors_so_that_they_are_one_without_a_network() -> None:
    torch.manual_seed(0)
    zero = nn.Module()
    zero.forward = lambda x, t: torch.zeros_like(x)
    x = 0.5 * torch.randn(2000, 1, 8)
    error, _, sigma = edm(zero, x, context=context())
    assert error.mean().item() == pytest.approx(1.0, abs=0.05)
    assert sigma.log().mean().item() == pytest.approx(-1.2, abs=0.1)
    assert sigma.log().std().item() == pytest.approx(1.2, abs=0.1)


def test_edm_of_a_perfect_network_has_no_error_and_draws_the_data() -> None:
    error, x0, _ = edm(Denoiser(), torch.zeros_like(X), context=context())
    torch.testing.assert_close(error, torch.zeros(4), rtol=0, atol=1e-9)
    torch.testing.assert_close(x0, torch.zeros_like(X), rtol=0, atol=1e-5)
    torch.testing.assert_close(edm_sample_injector(Denoiser(), X), torch.zeros_like(X), rtol=0, atol=1e-3)


def test_conditions_are_dropped_in_training_alone() -> None:
    for injector in (edm, flow_matching):
        network = Toy()
        for training in (True, False):
            injector(
                network,
                X,
                {"label": torch.zeros(4)},
                nothing={"label": 9},
                drop_probability=1.0,
                context=context(training=training),
            )
        assert [call["label"].tolist() for call in network.calls] == [[9.0] * 4, [0.0] * 4]
