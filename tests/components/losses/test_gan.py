"""Adversarial losses."""

import math
from collections.abc import Callable
from typing import Any
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn, tensor

from artschool import ranks
from artschool.components.losses import gan_kinds as kinds
from artschool.components.losses.gan import DiscriminatorKind, GeneratorKind, discriminator_gan, generator_gan
from artschool.errors import ConfigError
from artschool.registry.signature import Context

REAL, FAKE = tensor([2.0, 0.5]), tensor([-2.0, 0.0])


class Scale(nn.Module):
    """`factor * x`, and it counts its calls."""

    def __init__(self, factor: float = 2.0) -> None:
        super().__init__()
        self.factor = nn.Parameter(tensor(factor))
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        self.calls += 1
        return self.factor * x


def softplus(x: float) -> float:
    return math.log1p(math.exp(x))


def test_hinge_matches_sums_done_by_hand() -> None:
    assert kinds.discriminator_hinge(real=REAL, fake=FAKE).item() == 0.25 + 0.5  # mean(0, .5) + mean(0, 1)
    assert kinds.generator_hinge(FAKE).item() == 1.0


def test_lsgan_matches_sums_done_by_hand() -> None:
    assert kinds.discriminator_lsgan(real=REAL, fake=FAKE).item() == 0.625 + 2.0  # mean(1, .25) + mean(4, 0)
    assert kinds.generator_lsgan(FAKE).item() == 5.0  # mean(9, 1)


def test_wgan_matches_sums_done_by_hand() -> None:
    assert kinds.discriminator_wgan(real=REAL, fake=FAKE).item() == -1.0 - 1.25
    assert kinds.generator_wgan(FAKE).item() == 1.0


def test_vanilla_is_the_sum_of_two_cross_entropies() -> None:
    by_hand = (softplus(-2.0) + softplus(-0.5)) / 2 + (softplus(-2.0) + softplus(0.0)) / 2
    assert kinds.discriminator_vanilla(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)
    assert kinds.generator_vanilla(FAKE).item() == pytest.approx((softplus(2.0) + softplus(0.0)) / 2)


def test_ragan_compares_with_the_mean_of_the_others() -> None:
    # mean real 1.25, mean fake -1: the real ones are 3 and 1.5 above, the fakes 3.25 and 1.25 below.
    by_hand = (softplus(-3.0) + softplus(-1.5)) / 2 + (softplus(-3.25) + softplus(-1.25)) / 2
    assert kinds.discriminator_ragan(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)
    by_hand = (softplus(3.0) + softplus(1.5)) / 2 + (softplus(3.25) + softplus(1.25)) / 2
    assert kinds.generator_ragan(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)


def test_saturating_is_the_generators_part_of_the_minimax_game() -> None:
    by_hand = -(softplus(-2.0) + softplus(0.0)) / 2  # log(1 - sigmoid(x)) = -softplus(x)
    assert kinds.generator_saturating(FAKE).item() == pytest.approx(by_hand)


def test_max_spread_falls_as_the_means_part() -> None:
    # The means are 1.25 and -1: 2 * (2 * sigmoid(1 / 2.25) - 1).
    by_hand = 2 * (2 / (1 + math.exp(-1 / 2.25)) - 1)
    assert kinds.discriminator_max_spread(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)
    assert kinds.discriminator_max_spread(real=FAKE, fake=REAL).item() == pytest.approx(by_hand)


def test_max_spread_has_a_finite_gradient_where_there_is_no_spread() -> None:
    real = REAL.clone().requires_grad_()
    value = kinds.discriminator_max_spread(real=real, fake=REAL)
    torch.autograd.backward(value)
    assert value.item() == 2.0
    assert real.grad is not None and torch.equal(real.grad, torch.zeros(2))


ABSOLUTE: list[Any] = ["vanilla", "lsgan", "hinge", "wgan"]
DISCRIMINATOR: list[DiscriminatorKind] = [*ABSOLUTE, "ragan", "max_spread"]
GENERATOR: list[GeneratorKind] = [*ABSOLUTE, "saturating", "ragan"]


@pytest.mark.parametrize("kind", GENERATOR)
def test_the_generator_learns_to_be_taken_for_real(kind: GeneratorKind) -> None:
    fake = FAKE.clone().requires_grad_()
    torch.autograd.backward(generator_gan(Scale(), fake, REAL, kind=kind))
    assert fake.grad is not None
    assert (fake.grad < 0).all()  # a larger logit is a smaller loss


@pytest.mark.parametrize("kind", DISCRIMINATOR)
def test_the_discriminator_learns_from_both_and_the_generator_from_neither(kind: DiscriminatorKind) -> None:
    network, fake = Scale(0.25), FAKE.clone().requires_grad_()
    torch.autograd.backward(discriminator_gan(network, fake, REAL, kind=kind, context=Mock(spec=Context)))
    assert fake.grad is None
    assert network.factor.grad is not None
    assert network.factor.grad.item() != 0.0
    assert network.calls == 2


def test_the_discriminators_kinds_are_the_functions_of_that_name() -> None:
    for kind in DISCRIMINATOR:
        function: Callable[..., Tensor] = getattr(kinds, f"discriminator_{kind}")
        value = discriminator_gan(Scale(), FAKE, REAL, kind=kind, context=Mock(spec=Context))
        torch.testing.assert_close(value, function(real=2 * REAL, fake=2 * FAKE))


def test_the_generators_kinds_are_the_functions_of_that_name() -> None:
    for kind in GENERATOR[:-1]:
        function: Callable[..., Tensor] = getattr(kinds, f"generator_{kind}")
        torch.testing.assert_close(generator_gan(Scale(), FAKE, kind=kind), function(2 * FAKE))
    ragan = generator_gan(Scale(), FAKE, REAL, kind="ragan")
    torch.testing.assert_close(ragan, kinds.generator_ragan(real=2 * REAL, fake=2 * FAKE))


def logged_by(network: nn.Module, kind: DiscriminatorKind) -> dict[str, float]:
    context = Mock(spec=Context)
    discriminator_gan(network, FAKE, REAL, kind=kind, context=context)
    logged = {call.args[0]: call.args[1] for call in context.log.call_args_list}
    assert not any(value.requires_grad for value in logged.values())
    return {name: value.item() for name, value in logged.items()}


def test_the_mean_logits_are_logged_without_gradients() -> None:
    assert logged_by(Scale(), "hinge") == {"d_real": 2.5, "d_fake": -2.0}


@pytest.mark.parametrize("kind", ["ragan", "max_spread"])
def test_kinds_that_compare_log_the_difference(kind: DiscriminatorKind) -> None:
    assert logged_by(Scale(), kind) == {"d_fake_diff": -4.5}


def test_only_ragan_looks_at_real_samples_and_without_gradients() -> None:
    network = Scale()
    generator_gan(network, FAKE, REAL, kind="hinge")
    assert network.calls == 1
    real = REAL.clone().requires_grad_()
    torch.autograd.backward(generator_gan(network, FAKE, real, kind="ragan"))
    assert network.calls == 3
    assert real.grad is None


def test_real_samples_get_a_gradient_if_asked_for() -> None:
    real = REAL.clone().requires_grad_()
    torch.autograd.backward(generator_gan(Scale(), FAKE, real, kind="ragan", detach_real=False))
    assert real.grad is not None
    assert (real.grad > 0).all()  # a smaller logit of a real sample is a smaller loss


def test_ragan_without_real_samples_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"kind ragan compares fakes with real samples\. Fix: give `real`$"):
        generator_gan(Scale(), FAKE, kind="ragan")


class Several(nn.Module):
    """A critic of two scales."""

    def forward(self, x: Tensor) -> list[Tensor]:
        return [x, 3 * x[:1]]


@pytest.mark.parametrize("kind", DISCRIMINATOR)
def test_the_losses_of_several_logits_are_summed(kind: DiscriminatorKind) -> None:
    function: Callable[..., Tensor] = getattr(kinds, f"discriminator_{kind}")
    value = discriminator_gan(Several(), FAKE, REAL, kind=kind, context=Mock(spec=Context))
    torch.testing.assert_close(value, function(REAL, FAKE) + function(3 * REAL[:1], 3 * FAKE[:1]))


def test_a_generator_sums_them_too() -> None:
    value = generator_gan(Several(), FAKE, kind="hinge")
    torch.testing.assert_close(value, kinds.generator_hinge(FAKE) + kinds.generator_hinge(3 * FAKE[:1]))
    value = generator_gan(Several(), FAKE, REAL, kind="ragan")
    both = kinds.generator_ragan(REAL, FAKE) + kinds.generator_ragan(3 * REAL[:1], 3 * FAKE[:1])
    torch.testing.assert_close(value, both)


def test_a_critic_that_returns_something_else_is_refused() -> None:
    class Odd(nn.Module):
        def forward(self, x: Tensor) -> tuple[Tensor, None]:
            return x, None

    with pytest.raises(
        ConfigError, match=r"^Odd: a critic must return logits: a tensor, or a list of tensors \(got NoneType\)$"
    ):
        generator_gan(Odd(), FAKE, kind="hinge")


class Conditional(nn.Module):
    """`x + 10 * label`."""

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        assert not label.is_floating_point()
        return x + 10 * label


def test_a_conditional_critic_gets_what_comes_with_the_samples() -> None:
    label = tensor([1, 0])
    value = discriminator_gan(
        Conditional(), [FAKE, label], [REAL, 1 - label], kind="wgan", noise=0.5, context=Mock(spec=Context)
    )
    # Noise in 0..0.5 moves each mean by that much at most; labels stay.
    assert value.item() == pytest.approx((-1 + 5) - (1.25 + 5), abs=0.5)
    assert generator_gan(Conditional(), [FAKE, label], kind="wgan").item() == -4.0


def test_noise_is_uniform_and_on_both() -> None:
    class Keep(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.seen: list[Tensor] = []

        def forward(self, x: Tensor) -> Tensor:
            self.seen.append(x)
            return x

    torch.manual_seed(0)
    network, zeros = Keep(), torch.zeros(1000)
    discriminator_gan(network, zeros, zeros, kind="hinge", noise=0.2, context=Mock(spec=Context))
    for seen in network.seen:
        assert 0 <= seen.min() < 0.01 and 0.19 < seen.max() <= 0.2
    assert not torch.equal(*network.seen)


@pytest.mark.parametrize(("floor", "slope"), [(1.3, 0.0), (1.2, 1.0)])
def test_a_generator_gets_no_gradient_below_the_floor(floor: float, slope: float) -> None:
    fake = tensor([-1.25], requires_grad=True)
    loss = generator_gan(Scale(1.0), fake, kind="hinge", min_loss=floor)
    torch.autograd.backward(loss)
    assert loss.item() == 1.25
    assert fake.grad is not None and fake.grad.item() == -slope


def test_a_discriminator_gets_no_gradient_below_the_floor() -> None:
    network = Scale(0.25)
    loss = discriminator_gan(network, FAKE, REAL, kind="vanilla", min_loss=10.0, context=Mock(spec=Context))
    torch.autograd.backward(loss)
    assert loss.item() > 1
    assert network.factor.grad is not None and network.factor.grad.item() == 0.0


def test_all_processes_stop_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "mean", lambda value: value + 1)  # the others have more
    fake = tensor([-1.25], requires_grad=True)
    torch.autograd.backward(generator_gan(Scale(1.0), fake, kind="hinge", min_loss=2.0))
    assert fake.grad is not None and fake.grad.item() == -1.0


def test_nothing_is_asked_of_other_processes_without_a_gradient(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ranks, "mean", Mock(side_effect=AssertionError))
    with torch.no_grad():
        assert generator_gan(Scale(1.0), FAKE, kind="hinge", min_loss=2.0).item() == 1.0


def test_gradients_match_differences_and_inputs_stay() -> None:
    torch.manual_seed(0)
    real = torch.randn(5, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(4, dtype=torch.float64, requires_grad=True)
    before = real.detach().clone(), fake.detach().clone()
    for name in DISCRIMINATOR:
        assert torch.autograd.gradcheck(getattr(kinds, f"discriminator_{name}"), (real, fake))
    for kind in GENERATOR:
        inputs = (real, fake) if kind == "ragan" else (fake,)
        assert torch.autograd.gradcheck(getattr(kinds, f"generator_{kind}"), inputs)
    assert torch.equal(real, before[0])
    assert torch.equal(fake, before[1])


def test_half_precision_logits_are_compared_in_float32() -> None:
    network = Scale().bfloat16()
    assert generator_gan(network, FAKE.bfloat16(), kind="vanilla").dtype == torch.float32


def test_logits_may_be_the_result_of_a_call_that_other_losses_share() -> None:
    network = Scale(2.0)
    for kind in ("lsgan", "hinge"):
        expected = generator_gan(network, FAKE, kind=kind)
        assert generator_gan(None, network(FAKE), kind=kind).item() == expected.item()
        assert generator_gan(None, [network(FAKE), network(FAKE)], kind=kind).item() == 2 * expected.item()
        context = Mock(spec=Context)
        value = discriminator_gan(None, network(FAKE), network(REAL), kind=kind, context=context)
        assert value.item() == discriminator_gan(network, FAKE, REAL, kind=kind, context=context).item()
    fake = FAKE.clone().requires_grad_()
    loss = discriminator_gan(None, network(fake), network(REAL), kind="lsgan", context=Mock(spec=Context))
    torch.autograd.backward(loss)
    assert fake.grad is not None  # The logits are not detached: their critic learns through them.
    with pytest.raises(ConfigError, match=r"^noise is added to the inputs of a critic \(got network null\)\. Fix: "):
        generator_gan(None, FAKE, kind="hinge", noise=0.1)
