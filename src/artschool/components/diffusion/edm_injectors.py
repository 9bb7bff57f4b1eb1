"""EDM in a file: the training of its network, and sampling."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from artschool.components.diffusion.edm import Churn, edm_denoiser, edm_sample, edm_sigmas, edm_weight
from artschool.components.diffusion.guidance import conditioned, drop_conditions, guided
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.components.injectors.forward import in_mode
from artschool.components.losses.precision import at_least_float32
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Context, Network, NotNegative, Positive, UnitInterval


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.EDM})
def edm(
    network: Network,
    x: Tensor,
    conditions: dict[str, Tensor | float] | None = None,
    *,
    sigma_data: Positive = 0.5,
    log_mean: float = -1.2,
    log_std: Positive = 1.2,
    nothing: dict[str, float] | None = None,
    drop_probability: UnitInterval = 0.0,
    context: Context,
) -> tuple[Tensor, Tensor, Tensor]:
    """Add noise of random strength to clean data, and see how well a network removes it.

    The network is called as `network(scaled x, log(sigma) / 4, **conditions)` and wrapped so that whatever the
    noise, its input and what it has to give have variance 1. Train on the first result with a loss of type `mean`.

    Args:
        network: (B, C, ...), times (B,) and the conditions to (B, C, ...).
        x: (B, C, ...), clean data.
        conditions: Keys or numbers by parameter of the network.
        sigma_data: Standard deviation of the clean data.
        log_mean: Mean of the logarithm of sigma, which is drawn from a normal distribution.
        log_std: Standard deviation of that logarithm.
        nothing: For each condition that may be missing the value that stands for it, such as `{label: 10}`.
        drop_probability: How many samples lose those conditions in training, for guidance in sampling.
        context: Tells whether it trains.

    Returns:
        The weighted squared error of each sample (B,), the clean data that is predicted (B, C, ...), and sigma (B,).

    Source: Karras et al. 2022, arXiv:2206.00364, eq. 8 and table 1.
    """
    x, conditions = at_least_float32(x), conditions or {}
    if context.training:
        conditions = drop_conditions(conditions, nothing or {}, drop_probability, len(x), x.device)
    sigma = (log_mean + log_std * torch.randn(len(x), dtype=x.dtype, device=x.device)).exp()
    noised = x + sigma.view(-1, *[1] * (x.ndim - 1)) * torch.randn_like(x)
    x0 = edm_denoiser(conditioned(network, conditions), sigma_data)(noised, sigma)
    return edm_weight(sigma, sigma_data) * (x0 - x).square().flatten(1).mean(1), x0, sigma


@injectors.register("edm_sample", roles={ComponentRole.SAMPLER, ComponentRole.EDM})
def edm_sample_injector(
    network: Network,
    like: Tensor,
    conditions: dict[str, Tensor | float] | None = None,
    *,
    sigma_data: Positive = 0.5,
    steps: Annotated[int, Field(ge=2)] = 18,
    sigma_min: Positive = 0.002,
    sigma_max: Positive = 80.0,
    rho: Positive = 7.0,
    churn: NotNegative = 0.0,
    churn_min: NotNegative = 0.0,
    churn_max: Positive | None = None,
    churn_noise: Positive = 1.0,
    second_order: bool = True,
    nothing: dict[str, float] | None = None,
    guidance: float = 1.0,
    noise: Noise = "random",
) -> Tensor:
    """Draw samples from a network that `edm` trained.

    Runs without gradients and with the network in eval mode; every submodule has its own mode back afterwards.

    Args:
        network: The trained network, called as in training: (B, C, ...), times (B,) and the conditions to (B, C, ...).
        like: (B, C, ...), whose shape the samples have; its values are not read.
        conditions: Keys or numbers by parameter of the network, as in training.
        sigma_data: Standard deviation of the clean data, as in training.
        steps: How many steps; each but the last calls the network twice where `second_order` is true.
        sigma_min: The least noise level above 0.
        sigma_max: The noise level at the start, the largest.
        rho: How noise levels are spaced; larger takes more steps at little noise.
        churn: Noise added anew, over all steps; 0 makes the samples depend on the start alone.
        churn_min: The least noise level at which noise is added anew.
        churn_max: The largest noise level at which noise is added anew, null for no limit.
        churn_noise: Standard deviation of the noise that is added anew, over the one that fits the noise level.
        second_order: Whether a step is corrected by the slope at its end (Heun), or not (Euler).
        nothing: For each condition that may be missing the value that stands for it, as in training.
        guidance: How far conditions are followed; 1 is as trained, more is closer to them.
        noise: What samples start from: `random`; `fixed`, the same each time; `zero`.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2.
    """
    sigmas = edm_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    anew = Churn(churn, churn_min, float("inf") if churn_max is None else churn_max, churn_noise)
    with torch.no_grad(), in_mode(network, "eval"):
        model = guided(network, conditions or {}, nothing, guidance)
        start = starting_noise(like, noise=noise)
        return edm_sample(edm_denoiser(model, sigma_data), start, sigmas, churn=anew, second_order=second_order)
