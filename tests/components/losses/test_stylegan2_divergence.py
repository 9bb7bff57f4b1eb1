"""The hinge loss with small logits for real samples."""

from __future__ import annotations

import pytest
import torch
from torch import nn, tensor

from artschool.components.losses.stylegan2_divergence import stylegan2_divergence
from artschool.errors import ConfigError

REAL, FAKE = tensor([-2.0, 0.5]), tensor([2.0, 0.0])


def test_it_matches_sums_done_by_hand() -> None:
    critic = nn.Identity()
    assert stylegan2_divergence(critic, FAKE, REAL, role="generator").item() == 1.0
    # max(0, 1 + real) is 0 and 1.5, max(0, 1 - fake) is 0 and 1.
    assert stylegan2_divergence(critic, FAKE, REAL, role="critic").item() == 0.75 + 0.5


def test_both_keep_the_gradient_of_fakes() -> None:
    for role, slope in (("generator", [0.5, 0.5]), ("critic", [0.0, -0.5])):
        fake = FAKE.clone().requires_grad_()
        torch.autograd.backward(stylegan2_divergence(nn.Identity(), fake, REAL, role=role))  # type: ignore[arg-type]  # both are roles
        assert fake.grad is not None and fake.grad.tolist() == slope


def test_a_critic_needs_real_samples() -> None:
    with pytest.raises(ConfigError, match=r"^stylegan2_divergence: role critic needs `real`$"):
        stylegan2_divergence(nn.Identity(), FAKE, role="critic")
