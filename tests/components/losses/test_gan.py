"""Adversarial losses."""

import math
from collections.abc import Callable
from unittest.mock import Mock

import pytest
import torch
from torch import Tensor, nn, tensor

from artschool.components.losses import gan
from artschool.components.losses.gan import discriminator_gan, generator_gan
from artschool.errors import ConfigError
from artschool.signature import Context

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
    assert gan.discriminator_hinge(real=REAL, fake=FAKE).item() == 0.25 + 0.5  # mean(0, .5) + mean(0, 1)
    assert gan.generator_hinge(FAKE).item() == 1.0


def test_lsgan_matches_sums_done_by_hand() -> None:
    assert gan.discriminator_lsgan(real=REAL, fake=FAKE).item() == 0.625 + 2.0  # mean(1, .25) + mean(4, 0)
    assert gan.generator_lsgan(FAKE).item() == 5.0  # mean(9, 1)


def test_wgan_matches_sums_done_by_hand() -> None:
    assert gan.discriminator_wgan(real=REAL, fake=FAKE).item() == -1.0 - 1.25
    assert gan.generator_wgan(FAKE).item() == 1.0


def test_vanilla_is_the_sum_of_two_cross_entropies() -> None:
    by_hand = (softplus(-2.0) + softplus(-0.5)) / 2 + (softplus(-2.0) + softplus(0.0)) / 2
    assert gan.discriminator_vanilla(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)
    assert gan.generator_vanilla(FAKE).item() == pytest.approx((softplus(2.0) + softplus(0.0)) / 2)


def test_ragan_compares_with_the_mean_of_the_others() -> None:
    # mean real 1.25, mean fake -1: the real ones are 3 and 1.5 above, the fakes 3.25 and 1.25 below.
    by_hand = (softplus(-3.0) + softplus(-1.5)) / 2 + (softplus(-3.25) + softplus(-1.25)) / 2
    assert gan.discriminator_ragan(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)
    by_hand = (softplus(3.0) + softplus(1.5)) / 2 + (softplus(3.25) + softplus(1.25)) / 2
    assert gan.generator_ragan(real=REAL, fake=FAKE).item() == pytest.approx(by_hand)


KINDS: list[gan.Kind] = ["vanilla", "lsgan", "hinge", "wgan", "ragan"]


@pytest.mark.parametrize("kind", KINDS)
def test_the_generator_learns_to_be_taken_for_real(kind: gan.Kind) -> None:
    fake = FAKE.clone().requires_grad_()
    torch.autograd.backward(generator_gan(Scale(), fake, REAL, kind=kind))
    assert fake.grad is not None
    assert (fake.grad < 0).all()  # a larger logit is a smaller loss


@pytest.mark.parametrize("kind", KINDS)
def test_the_discriminator_learns_from_both_and_the_generator_from_neither(kind: gan.Kind) -> None:
    network, fake = Scale(0.25), FAKE.clone().requires_grad_()
    torch.autograd.backward(discriminator_gan(network, fake, REAL, kind=kind, context=Mock(spec=Context)))
    assert fake.grad is None
    assert network.factor.grad is not None
    assert network.factor.grad.item() != 0.0
    assert network.calls == 2


def test_the_discriminators_kinds_are_the_functions_of_that_name() -> None:
    for kind in KINDS:
        function: Callable[..., Tensor] = getattr(gan, f"discriminator_{kind}")
        value = discriminator_gan(Scale(), FAKE, REAL, kind=kind, context=Mock(spec=Context))
        torch.testing.assert_close(value, function(real=2 * REAL, fake=2 * FAKE))


def test_the_generators_kinds_are_the_functions_of_that_name() -> None:
    for kind in KINDS[:-1]:
        function: Callable[..., Tensor] = getattr(gan, f"generator_{kind}")
        torch.testing.assert_close(generator_gan(Scale(), FAKE, kind=kind), function(2 * FAKE))
    ragan = generator_gan(Scale(), FAKE, REAL, kind="ragan")
    torch.testing.assert_close(ragan, gan.generator_ragan(real=2 * REAL, fake=2 * FAKE))


def test_the_mean_logits_are_logged_without_gradients() -> None:
    context = Mock(spec=Context)
    discriminator_gan(Scale(), FAKE, REAL, kind="hinge", context=context)
    logged = {call.args[0]: call.args[1] for call in context.log.call_args_list}
    assert {name: value.item() for name, value in logged.items()} == {"d_real": 2.5, "d_fake": -2.0}
    assert not any(value.requires_grad for value in logged.values())


def test_only_ragan_looks_at_real_samples_and_without_gradients() -> None:
    network = Scale()
    generator_gan(network, FAKE, REAL, kind="hinge")
    assert network.calls == 1
    real = REAL.clone().requires_grad_()
    torch.autograd.backward(generator_gan(network, FAKE, real, kind="ragan"))
    assert network.calls == 3
    assert real.grad is None


def test_ragan_without_real_samples_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"kind ragan compares fakes with real samples; give it `real`$"):
        generator_gan(Scale(), FAKE, kind="ragan")


def test_gradients_match_differences_and_inputs_stay() -> None:
    torch.manual_seed(0)
    real = torch.randn(5, dtype=torch.float64, requires_grad=True)
    fake = torch.randn(4, dtype=torch.float64, requires_grad=True)
    before = real.detach().clone(), fake.detach().clone()
    for kind in KINDS:
        assert torch.autograd.gradcheck(getattr(gan, f"discriminator_{kind}"), (real, fake))
        inputs = (real, fake) if kind == "ragan" else (fake,)
        assert torch.autograd.gradcheck(getattr(gan, f"generator_{kind}"), inputs)
    assert torch.equal(real, before[0])
    assert torch.equal(fake, before[1])


def test_half_precision_logits_are_compared_in_float32() -> None:
    network = Scale().bfloat16()
    assert generator_gan(network, FAKE.bfloat16(), kind="vanilla").dtype == torch.float32
