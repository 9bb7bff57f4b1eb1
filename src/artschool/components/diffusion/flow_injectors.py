"""Flow matching in a file: the training of its network, and sampling."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from artschool.components.diffusion.flow import euler_sample, flow_path, heun_sample
from artschool.components.diffusion.guidance import conditioned, drop_conditions, guided
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.components.injectors.forward import in_mode
from artschool.components.losses.precision import at_least_float32
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Context, Count, Network, UnitInterval


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.FLOW_MATCHING})
def flow_matching(
    network: Network,
    x: Tensor,
    conditions: dict[str, Tensor | float] | None = None,
    *,
    source: Tensor | None = None,
    sigma_min: UnitInterval = 0.0,
    nothing: dict[str, float] | None = None,
    drop_probability: UnitInterval = 0.0,
    context: Context,
) -> tuple[Tensor, Tensor, Tensor]:
    """Go to a random place on the line from noise to data, and see whether a network knows the velocity there.

    The network is called as `network(x_t, t, **conditions)` with t in 0..1, 0 the noise and 1 the data. Train on the
    first result with a loss of type `mean`.

    Args:
        network: (B, C, ...), times (B,) and the conditions to velocities (B, C, ...).
        x: (B, C, ...), the data.
        conditions: Keys or numbers by parameter of the network.
        source: (B, C, ...), where each line begins, instead of noise: samples of another data set, or the noise that a
            flow has turned into x, to straighten it (rectified flow's "reflow").
        sigma_min: Standard deviation of the source that is left at the data; 0 for rectified flow.
        nothing: For each condition that may be missing the value that stands for it, such as `{label: 10}`.
        drop_probability: How many samples lose those conditions in training, for guidance in sampling.
        context: Tells whether it trains.

    Returns:
        The squared error of each sample (B,), the data that is predicted (B, C, ...), and t (B,).

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
    like: Tensor,
    conditions: dict[str, Tensor | float] | None = None,
    *,
    source: Tensor | None = None,
    steps: Count = 25,
    solver: Literal["euler", "heun"] = "heun",
    nothing: dict[str, float] | None = None,
    guidance: float = 1.0,
    noise: Noise = "random",
) -> Tensor:
    """Draw samples from a network that `flow_matching` trained.

    Runs without gradients and with the network in eval mode; every submodule has its own mode back afterwards.

    Args:
        network: The trained network, called as in training: (B, C, ...), times (B,) and the conditions to (B, C, ...).
        like: (B, C, ...), whose shape the samples have; its values are not read.
        conditions: Keys or numbers by parameter of the network, as in training.
        source: (B, C, ...), what to start from instead of noise.
        steps: How many steps, of equal length.
        solver: `euler` calls the network once a step, `heun` twice and has a much smaller error.
        nothing: For each condition that may be missing the value that stands for it, as in training.
        guidance: How far conditions are followed; 1 is as trained, more is closer to them.
        noise: What samples start from: `random`; `fixed`, the same each time; `zero`.

    Source: Lipman et al. 2023, arXiv:2210.02747, section 2; Heun's method as in Karras et al. 2022, arXiv:2206.00364.
    """
    solve = {"euler": euler_sample, "heun": heun_sample}[solver]
    with torch.no_grad(), in_mode(network, "eval"):
        model = guided(network, conditions or {}, nothing, guidance)
        return solve(model, starting_noise(like, noise=noise) if source is None else at_least_float32(source), steps)
