"""Injectors of flow matching: training and sampling."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from artschool.components.diffusion.flow import euler_sample, flow_path, heun_sample
from artschool.components.diffusion.guidance import conditioned, drop_conditions, sampled
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.components.precision import at_least_float32
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Context, Count, Network, Scheduled, ShapeOf, UnitInterval, UnitScheduled


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.FLOW_MATCHING})
def flow_matching(
    network: Network,
    x: Tensor,
    conditions: dict[str, Tensor | float | bool | None] | None = None,
    *,
    source: Tensor | None = None,
    sigma_min: UnitInterval = 0.0,
    nothing: dict[str, Tensor | float] | None = None,
    drop_probability: UnitScheduled = 0.0,
    context: Context,
) -> tuple[Tensor, Tensor, Tensor]:
    """Take a random point on the line from noise to data, and compare a network's velocity with the true one.

    The network is called as `network(x_t, t, **conditions)` with t in 0..1: 0 is the noise, 1 the data. Train on the
    first result with a loss of type `mean`.

    Args:
        network: Network from (B, C, ...), times (B,) and the conditions to velocities (B, C, ...).
        x: (B, C, ...), the data.
        conditions: Key, number, true, false or null for each further parameter of the network, such as
            `{label: label}`. null: none.
        source: (B, C, ...), start of each line: samples of another data set, or the noise that a flow has turned into
            x, to straighten the flow (rectified flow's "reflow"). null: standard normal noise.
        sigma_min: Standard deviation of the source that remains at the data, in 0..1. 0: rectified flow.
        nothing: Value that means "no condition", for each condition that may be dropped: a number, as in `{label: 10}`,
            or a key, such as the embedding of an empty text: (B, ...) or (1, ...). null: no condition can be dropped.
        drop_probability: Probability that a training sample loses the conditions of `nothing`, in 0..1. Guidance in
            sampling requires it. 0: never.
        context: Provides whether the run is training.

    Returns:
        Squared error of each sample (B,), predicted data (B, C, ...), and t (B,).

    Source: Lipman et al. 2023, arXiv:2210.02747, eq. 23; Liu et al. 2023, arXiv:2209.03003, eq. 1.
    """
    x, conditions = at_least_float32(x), conditions or {}
    if context.training:
        conditions = drop_conditions(conditions, nothing or {}, drop_probability, len(x), x.device)
    source = torch.randn_like(x) if source is None else at_least_float32(source)
    t = torch.rand(len(x), dtype=x.dtype, device=x.device)
    x_t, velocity = flow_path(source, x, t, sigma_min=sigma_min)
    predicted = conditioned(network, conditions)(x_t, t)
    end = x_t + (1 - t).view(-1, *[1] * (x.ndim - 1)) * predicted
    return (predicted - velocity).square().flatten(1).mean(1), end, t


@injectors.register(roles={ComponentRole.SAMPLER, ComponentRole.FLOW_MATCHING})
def flow_sample(
    network: Network,
    like: ShapeOf,
    conditions: dict[str, Tensor | float | bool | None] | None = None,
    *,
    source: Tensor | None = None,
    steps: Count = 25,
    solver: Literal["euler", "heun"] = "heun",
    nothing: dict[str, Tensor | float] | None = None,
    guidance: Scheduled = 1.0,
    noise: Noise = "random",
) -> Tensor:
    """Draw samples from a network that `flow_matching` trained.

    Runs without gradients and with the network in eval mode; afterwards, the mode of every submodule is restored.

    Args:
        network: Trained network, called as in training: (B, C, ...), times (B,) and the conditions to (B, C, ...).
        like: (B, C, ...), gives the shape of the samples; its values are not read.
        conditions: Key, number, true, false or null for each further parameter of the network, as in training.
        source: (B, C, ...), start of sampling. null: noise as set by `noise`.
        steps: Number of sampling steps of equal length, 1 or more.
        solver: Integration method: `euler` calls the network once per step; `heun` calls it twice, with a much smaller
            error.
        nothing: Number or key that means "no condition" for each condition, as in training. Required if `guidance` is
            not 1, otherwise unused. null: none.
        guidance: Strength of classifier-free guidance. 1: none, as in training; above 1: samples follow the conditions
            more closely.
        noise: Starting noise: `random`, `fixed` (the same at every call) or `zero`. Unused with a `source`.

    Source: Lipman et al. 2023, arXiv:2210.02747, section 2; Heun's method as in Karras et al. 2022, arXiv:2206.00364.
    """
    solve = {"euler": euler_sample, "heun": heun_sample}[solver]
    with sampled(network, conditions, nothing, guidance) as model:
        return solve(model, starting_noise(like, noise=noise) if source is None else at_least_float32(source), steps)
