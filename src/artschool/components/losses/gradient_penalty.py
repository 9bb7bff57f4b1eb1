"""Penalties on the gradient of a critic, which keep it from outpacing its generator."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn

from artschool.components.losses.critic import Inputs, detached, logits_of, total
from artschool.components.precision import at_least_float32, without_autocast
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Network


@losses.register(
    roles={ComponentRole.CRITIC_PENALTY, ComponentRole.SECOND_ORDER, ComponentRole.MINIMIZED}, mean_over="samples"
)
def gradient_penalty(
    network: Network,
    real: Inputs | None = None,
    fake: Inputs | None = None,
    *,
    kind: Literal["r1", "r2", "wgan_gp", "wgan_gp_real"],
) -> Tensor:
    """Penalize the gradient of the critic's logits with respect to its samples.

    With g the gradient of the sum of all logits of a sample, and |g| its Euclidean norm:

    - `r1`: `mean |g|^2 / 2` at real samples, so that `weight` is the paper's gamma.
    - `r2`: the same at fakes.
    - `wgan_gp`: `mean (|g| - 1)^2` at points drawn uniformly between pairs of a real sample and a fake.
    - `wgan_gp_real`: the same at real samples, as DL-Art-School's `gradient_penalty` with weight 10.

    The penalty is computed in float32 at any training precision. Samples get no gradient from it. It costs two passes
    through the critic. With `every: n`, n times the weight has the same effect on average ("lazy regularization").

    Args:
        network: Critic: maps samples to logits of any shape, or to a list of logits. With batch norm in the critic, the
            penalty applies to the batch instead of single samples.
        real: (B, ...) from the data, for all kinds but `r2`; for a conditional critic, a list of samples and
            conditions.
        fake: (B, ...) from the generator, for `r2` and `wgan_gp`; or a list, as `real`. `wgan_gp` takes the conditions
            from `real`.
        kind: Penalty on the norm of the gradient. `r1`: its square at real samples. `r2`: its square at fakes.
            `wgan_gp`: its squared distance from 1 between real samples and fakes. `wgan_gp_real`: its squared distance
            from 1 at real samples.

    Raises:
        ConfigError: The kind needs samples that are not given, or real samples and fakes of `wgan_gp` differ in shape.

    Source: Mescheder et al. 2018, arXiv:1801.04406, eq. 9 and 10; Gulrajani et al. 2017, arXiv:1704.00028, eq. 3;
        lazy: Karras et al. 2020, arXiv:1912.04958, section 3.1.
    """
    gradients = _gradients(network, _points(real, fake, kind))
    if kind in ("r1", "r2"):
        return gradients.square().sum(1).mean() / 2
    # Not the root of the sum of squares, whose derivative at a gradient of zero is infinite.
    norms: Tensor = torch.linalg.vector_norm(gradients, dim=1)
    return (norms - 1).square().mean()


def _points(real: Inputs | None, fake: Inputs | None, kind: str) -> list[Tensor]:
    """The points at which gradients are taken, then the conditions of the samples."""
    if kind == "r2":
        return _given(fake, "fake", kind)
    samples, *conditions = _given(real, "real", kind)
    if kind == "wgan_gp":
        fakes = _given(fake, "fake", kind)[0]
        if fakes.shape != samples.shape:
            raise ConfigError(
                f"gradient_penalty: kind wgan_gp needs real samples and fakes of equal shape, got "
                f"{tuple(samples.shape)} and {tuple(fakes.shape)}"
            )
        fraction = torch.rand((len(samples), *[1] * (samples.dim() - 1)), dtype=samples.dtype, device=samples.device)
        samples = torch.lerp(fakes, samples, fraction)
    return [samples, *conditions]


def _given(inputs: Inputs | None, name: str, kind: str) -> list[Tensor]:
    if inputs is None:
        raise ConfigError(f"gradient_penalty: kind {kind} needs `{name}`")
    return [at_least_float32(part) if part.is_floating_point() else part for part in detached(inputs)]


def _gradients(critic: nn.Module, inputs: list[Tensor]) -> Tensor:
    """The gradient of each sample, (B, elements of a sample), which is differentiable itself."""
    samples, *conditions = inputs
    with torch.enable_grad(), without_autocast(samples):
        samples = samples.requires_grad_()
        logits = logits_of(critic, [samples, *conditions])
        (gradients,) = torch.autograd.grad(total([part.sum() for part in logits]), samples, create_graph=True)
    return gradients.flatten(1)
