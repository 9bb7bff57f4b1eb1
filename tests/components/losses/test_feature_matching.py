"""Features of a critic, compared."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor, nn, tensor

from artschool.components.losses.feature_matching import feature_matching
from artschool.components.networks.patch_critic import PatchCritic
from artschool.errors import ConfigError

FAKE, REAL = tensor([[1.0, 2.0], [0.0, 4.0]]), tensor([[2.0, 2.0], [0.0, 0.0]])


class Layers(nn.Module):
    """Two parts: one of two layers, one of one."""

    def features(self, x: Tensor) -> list[list[Tensor]]:
        return [[x, 10 * x[:, 1]], [x.mean()]]

    def nothing(self, x: Tensor) -> None:
        return None

    def uneven(self, x: Tensor) -> list[Tensor]:
        return [x[:, :1]] * int(x[0, 0])


def test_means_of_all_layers_and_parts_are_summed() -> None:
    # Differences are 1, 0, 0, 4: mean 5/4; of the second column tenfold 0, 40: mean 20; of the means 7/4 and 1: 3/4.
    assert feature_matching(Layers(), FAKE, REAL).item() == 1.25 + 20 + 0.75


def test_only_fakes_get_a_gradient() -> None:
    fake, real = FAKE.clone().requires_grad_(), REAL.clone().requires_grad_()
    torch.autograd.backward(feature_matching(Layers(), fake, real))
    assert fake.grad is not None and fake.grad.abs().sum() > 0
    assert real.grad is None


def test_a_conditional_critic_gets_the_condition() -> None:
    class Conditional(nn.Module):
        def features(self, x: Tensor, scale: Tensor) -> list[Tensor]:
            return [x * scale]

    assert feature_matching(Conditional(), [FAKE, tensor(2.0)], [REAL, tensor(2.0)]).item() == 2 * 1.25


def test_our_critics_have_features() -> None:
    critic = PatchCritic(width=4, layers=2)
    x = torch.randn(1, 3, 16, 16)
    features = critic.features(x)
    assert [tuple(feature.shape) for feature in features] == [(1, 4, 8, 8), (1, 8, 4, 4)]
    assert torch.equal(critic.layers[-1](features[-1]), critic(x))
    assert feature_matching(critic, x, x).item() == 0.0
    assert feature_matching(critic.bfloat16(), x.bfloat16(), x.bfloat16()).dtype == torch.float32


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"method": "nothing"}, r"^feature_matching: 'nothing' must return a list of tensors, got NoneType$"),
        ({"method": "feature"}, r"^Layers has no method 'feature'. Did you mean 'features'\?$"),
        (
            {"method": "uneven"},
            r"features of fakes have shapes \[\(2, 1\)\], but those of real samples \[\(2, 1\), \(2, 1\)\]$",
        ),
    ],
)
def test_a_critic_without_fitting_features_is_refused(options: dict[str, Any], said: str) -> None:
    with pytest.raises(ConfigError, match=said):
        feature_matching(Layers(), FAKE, REAL, **options)


def test_features_may_be_the_result_of_a_call_that_other_losses_share() -> None:
    fake, real = FAKE.clone().requires_grad_(), REAL.clone().requires_grad_()
    features: list[Any] = [Layers().features(each) for each in (fake, real)]
    shared = feature_matching(None, *features)
    assert shared.item() == feature_matching(Layers(), FAKE, REAL).item()
    torch.autograd.backward(shared)
    assert fake.grad is not None and real.grad is None
