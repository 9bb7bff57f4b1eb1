"""Sampling by Gaussian diffusion."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Literal

import torch
from torch import Tensor, nn

from artschool.components.diffusion.guidance import sampled
from artschool.components.diffusion.process import GaussianProcess, Prediction, Variance, time_scale
from artschool.components.diffusion.respacing import respaced_betas, space_timesteps
from artschool.components.diffusion.sampling import ddim_sample, ddpm_sample
from artschool.components.diffusion.schedules import ScheduleName, betas_of
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Count, Network, Pattern, Scheduled, ShapeOf, UnitInterval


@injectors.register(roles={ComponentRole.SAMPLER, ComponentRole.GAUSSIAN_DIFFUSION})
class DiffusionSample(nn.Module):
    """Draw samples from a network that `gaussian_diffusion` trained with the same options.

    Runs without gradients and with the network in eval mode; afterwards, the mode of every submodule is restored.

    Source: Ho et al. 2020, arXiv:2006.11239, algorithm 2; Song et al. 2021, arXiv:2010.02502.

    Args:
        schedule: Noise schedule, as in training: `linear`, `scaled_linear` (latent diffusion), `cosine`, `sigmoid`, or
            a list of all betas.
        num_timesteps: Number of timesteps in training, 1 or more; the linear schedule requires more than 20.
        prediction: Target of the network, as in training: `epsilon` (the noise), `x0` (the clean data), `previous` (the
            mean of the previous timestep) or `v`.
        variance: Variance of the reverse process, as in training: `fixed_small`, `fixed_large`, `learned` or
            `learned_range`. After training with a fixed variance, either fixed one is valid.
        rescale_timesteps: Whether the network receives t * 1000 / num_timesteps instead of t, as in training.
        steps: Number of timesteps to sample at; a list of numbers, one per equal section of the timesteps; or text such
            as `ddim50`, 50 timesteps at a whole-number stride. null: all timesteps.
        sampler: Sampling method: `ddpm` draws from the Gaussian of each step; `ddim` adds less noise or none, and suits
            few steps.
        eta: Amount of noise that `ddim` adds, in 0..1. 0: none; 1: as much as `ddpm` with `fixed_small`. `ddpm` ignores
            it.
        clip: Whether the clean data that is predicted at each step is clipped to -1..1.
        channels: Number of channels of the samples, 1 or more. null: as many as `like` has.
        scale_factor: Factor by which samples are larger than `like` in each dimension after the channels, 1 or more.
        multiple: Divisor of the sizes after the channels, which are rounded up to a multiple of it, 1 or more.
        noise: Starting noise: `random`, `fixed` (the same at every call) or `zero`.
        unit_range: Whether samples are returned in 0..1 instead of -1..1.
    """

    def __init__(
        self,
        *,
        schedule: ScheduleName | list[float] = "linear",
        num_timesteps: Count = 1000,
        prediction: Prediction = "epsilon",
        variance: Variance = "fixed_small",
        rescale_timesteps: bool = False,
        steps: Count
        | list[Count]
        | Annotated[str, Pattern(r"^ddim[1-9]\d*$", "a number after ddim, as in ddim50")]
        | None = None,
        sampler: Literal["ddpm", "ddim"] = "ddpm",
        eta: UnitInterval = 0.0,
        clip: bool = True,
        channels: Count | None = None,
        scale_factor: Count = 1,
        multiple: Count = 1,
        noise: Noise = "random",
        unit_range: bool = False,
    ) -> None:
        super().__init__()
        betas = betas_of(schedule, num_timesteps)
        chosen = space_timesteps(num_timesteps, num_timesteps if steps is None else steps)
        self.process = GaussianProcess(
            respaced_betas(betas, chosen),
            prediction=prediction,
            variance=variance,
            timesteps=torch.tensor(chosen),
            time_scale=time_scale(num_timesteps, rescale=rescale_timesteps),
        )
        self._sample = (
            partial(ddim_sample, clip=clip, eta=eta) if sampler == "ddim" else partial(ddpm_sample, clip=clip)
        )
        self._start = partial(
            starting_noise, channels=channels, scale_factor=scale_factor, multiple=multiple, noise=noise
        )
        self._unit_range = unit_range

    def forward(
        self,
        network: Network,
        like: ShapeOf,
        conditions: dict[str, Tensor | float | bool | None] | None = None,
        *,
        nothing: dict[str, Tensor | float] | None = None,
        guidance: Scheduled = 1.0,
    ) -> Tensor:
        """Sample.

        Args:
            network: Trained network, called as in training: (B, C, ...), timesteps (B,) and the conditions to
                (B, C or 2 C, ...).
            like: (B, C, ...), gives the shape of the samples; its values are not read.
            conditions: Key, number, true, false or null for each further parameter of the network, as in training.
            nothing: Number or key that means "no condition" for each condition, as in training. Required if `guidance`
                is not 1, otherwise unused. null: none.
            guidance: Strength of classifier-free guidance, which requires `drop_probability` in training. 1: none;
                above 1: samples follow the conditions more closely.

        Returns:
            (B, C, ...) in -1..1, or in 0..1 with `unit_range`.
        """
        with sampled(network, conditions, nothing, guidance) as model:
            x = self._sample(model, self._start(like), self.process)
        return (x + 1) / 2 if self._unit_range else x
