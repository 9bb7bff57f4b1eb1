"""Injectors of EDM: training and sampling."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from artschool.components.diffusion.edm import Churn, edm_denoiser, edm_sample, edm_sigmas, edm_weight
from artschool.components.diffusion.guidance import conditioned, drop_conditions, sampled
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.components.precision import at_least_float32
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import (
    Context,
    Network,
    NotNegative,
    NotNegativeScheduled,
    Positive,
    PositiveScheduled,
    Scheduled,
    ShapeOf,
    UnitScheduled,
)


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.EDM})
def edm(
    network: Network,
    x: Tensor,
    conditions: dict[str, Tensor | float | bool | None] | None = None,
    *,
    sigma_data: Positive = 0.5,
    log_mean: Scheduled = -1.2,
    log_std: PositiveScheduled = 1.2,
    nothing: dict[str, Tensor | float] | None = None,
    drop_probability: UnitScheduled = 0.0,
    context: Context,
) -> tuple[Tensor, Tensor, Tensor]:
    """Add noise of random strength to clean data, and measure how well a network removes it.

    The network is called as `network(scaled x, log(sigma) / 4, **conditions)`. Its input and its training target are
    scaled to variance 1 at every sigma. Train on the first result with a loss of type `mean`.

    Args:
        network: Network from (B, C, ...), times (B,) and the conditions to (B, C, ...).
        x: (B, C, ...), clean data.
        conditions: Key, number, true, false or null for each further parameter of the network, such as
            `{label: label}`. null: none.
        sigma_data: Standard deviation of the clean data, above 0.
        log_mean: Mean of the logarithm of sigma, which is normally distributed.
        log_std: Standard deviation of the logarithm of sigma, above 0.
        nothing: Value that means "no condition", for each condition that may be dropped: a number, as in `{label: 10}`,
            or a key, such as the embedding of an empty text: (B, ...) or (1, ...). null: no condition can be dropped.
        drop_probability: Probability that a training sample loses the conditions of `nothing`, in 0..1. Guidance in
            sampling requires it. 0: never.
        context: Provides whether the run is training.

    Returns:
        Weighted squared error of each sample (B,), predicted clean data (B, C, ...), and sigma (B,).

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
    like: ShapeOf,
    conditions: dict[str, Tensor | float | bool | None] | None = None,
    *,
    sigma_data: Positive = 0.5,
    steps: Annotated[int, Field(ge=2)] = 18,
    sigma_min: Positive = 0.002,
    sigma_max: Positive = 80.0,
    rho: Positive = 7.0,
    churn: NotNegativeScheduled = 0.0,
    churn_min: NotNegative = 0.0,
    churn_max: Positive | None = None,
    churn_noise: Positive = 1.0,
    second_order: bool = True,
    nothing: dict[str, Tensor | float] | None = None,
    guidance: Scheduled = 1.0,
    noise: Noise = "random",
) -> Tensor:
    """Draw samples from a network that `edm` trained.

    Runs without gradients and with the network in eval mode; afterwards, the mode of every submodule is restored.

    Args:
        network: Trained network, called as in training: (B, C, ...), times (B,) and the conditions to (B, C, ...).
        like: (B, C, ...), gives the shape of the samples; its values are not read.
        conditions: Key, number, true, false or null for each further parameter of the network, as in training.
        sigma_data: Standard deviation of the clean data, as in training, above 0.
        steps: Number of sampling steps, 2 or more. With `second_order`, each but the last calls the network twice.
        sigma_min: Smallest noise level above 0.
        sigma_max: Largest noise level, at which sampling starts.
        rho: Exponent of the spacing of noise levels, above 0. Larger values take more steps at low noise.
        churn: Amount of noise added during sampling, over all steps, 0 or more. 0: the starting noise determines the
            samples.
        churn_min: Smallest noise level at which `churn` adds noise, 0 or more.
        churn_max: Largest noise level at which `churn` adds noise, above 0. null: no limit.
        churn_noise: Standard deviation of the noise that `churn` adds, relative to the one that matches the noise
            level, above 0.
        second_order: Whether each step is corrected by the slope at its end (Heun's method), or not (Euler's method).
        nothing: Number or key that means "no condition" for each condition, as in training. Required if `guidance` is
            not 1, otherwise unused. null: none.
        guidance: Strength of classifier-free guidance. 1: none, as in training; above 1: samples follow the conditions
            more closely.
        noise: Starting noise: `random`, `fixed` (the same at every call) or `zero`.

    Source: Karras et al. 2022, arXiv:2206.00364, algorithms 1 and 2.
    """
    sigmas = edm_sigmas(steps, sigma_min=sigma_min, sigma_max=sigma_max, rho=rho)
    added = Churn(churn, churn_min, float("inf") if churn_max is None else churn_max, churn_noise)
    with sampled(network, conditions, nothing, guidance) as model:
        start = starting_noise(like, noise=noise)
        return edm_sample(edm_denoiser(model, sigma_data), start, sigmas, churn=added, second_order=second_order)
