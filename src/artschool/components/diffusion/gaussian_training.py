"""Training by Gaussian diffusion."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor, nn

from artschool.components.diffusion.guidance import Conditions, Nothing, drop_conditions
from artschool.components.diffusion.objectives import Objective, Terms, training_terms
from artschool.components.diffusion.process import GaussianProcess, Prediction, Variance, time_scale
from artschool.components.diffusion.schedules import ScheduleName, betas_of
from artschool.components.diffusion.timesteps import LossSecondMoment, even_timesteps, uniform_timesteps
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import (
    Context,
    Count,
    Network,
    Positive,
    UnitScheduled,
)


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.GAUSSIAN_DIFFUSION})
class GaussianDiffusion(nn.Module):
    """Add noise to clean data at random timesteps, and measure how well a network predicts the target.

    The network is called as `network(x_t, t, **conditions)`; `prediction` selects its target. Train on the first result
    with a loss of type `mean`. If the variance is learned, train on the second one too.

    Source: Ho et al. 2020, arXiv:2006.11239; Nichol and Dhariwal 2021, arXiv:2102.09672.

    Args:
        schedule: Noise schedule: `linear`, `scaled_linear` (latent diffusion), `cosine`, `sigmoid`, or a list of all
            betas.
        num_timesteps: Number of timesteps, 1 or more; the linear schedule requires more than 20.
        prediction: Target of the network: `epsilon` (the noise), `x0` (the clean data), `previous` (the mean of the
            previous timestep) or `v` (well-posed at every timestep).
        variance: Variance of the reverse process: `fixed_small`, `fixed_large`, `learned` or `learned_range`. For a
            learned variance, the network returns 2 C channels, of which the second half is the variance;
            `learned_range` is more stable than `learned`.
        objective: Loss in the first result: `mse`; `rescaled_mse` (`mse`, with the bound in the second result
            multiplied by num_timesteps / 1000); `kl` (the variational bound); `rescaled_kl` (num_timesteps times the
            bound).
        min_snr_gamma: Upper limit of the signal-to-noise ratio that weights squared errors of clean data
            (Hang et al. 2023), above 0; 5 is usual. null: no weights.
        timesteps: Distribution of training timesteps: `uniform`; `loss_second_moment` (more often where losses are
            large, with weights that preserve the mean); `even` (evenly spaced, the same for every batch). Evaluations
            always use `even`.
        even_every: Interval in iterations, 1 or more: iterations that are a multiple of it use `even` timesteps. null:
            none do.
        rescale_timesteps: Whether the network receives t * 1000 / num_timesteps instead of t.
    """

    def __init__(
        self,
        *,
        schedule: ScheduleName | list[float] = "linear",
        num_timesteps: Count = 1000,
        prediction: Prediction = "epsilon",
        variance: Variance = "fixed_small",
        objective: Objective = "mse",
        min_snr_gamma: Positive | None = None,
        timesteps: Literal["uniform", "loss_second_moment", "even"] = "uniform",
        even_every: Count | None = None,
        rescale_timesteps: bool = False,
    ) -> None:
        super().__init__()
        if min_snr_gamma is not None and objective not in ("mse", "rescaled_mse"):
            raise ConfigError(
                f"min_snr_gamma weights squared errors (expected objective mse or rescaled_mse, got {objective}). "
                "Fix: change the objective, or remove min_snr_gamma"
            )
        betas, scale = betas_of(schedule, num_timesteps), time_scale(num_timesteps, rescale=rescale_timesteps)
        self.process = GaussianProcess(betas, prediction=prediction, variance=variance, time_scale=scale)
        self.history = LossSecondMoment(num_timesteps) if timesteps == "loss_second_moment" else None
        self._objective = objective
        self._min_snr_gamma = min_snr_gamma
        self._timesteps = timesteps
        self._even_every = even_every

    def forward(
        self,
        network: Network,
        x: Tensor,
        conditions: dict[str, Tensor | float | bool | None] | None = None,
        *,
        nothing: dict[str, Tensor | float] | None = None,
        drop_probability: UnitScheduled = 0.0,
        context: Context,
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Add noise, predict, compare.

        Args:
            network: Network from (B, C, ...), timesteps (B,) and the conditions to (B, C or 2 C, ...).
            x: (B, C, ...), clean data in -1..1.
            conditions: Key, number, true, false or null for each further parameter of the network, such as
                `{label: label}`. null: none.
            nothing: Value that means "no condition", for each condition that may be dropped: a number, as in
                `{label: 10}`, or a key, such as the embedding of an empty text: (B, ...) or (1, ...). null: no
                condition can be dropped.
            drop_probability: Probability that a training sample loses the conditions of `nothing`, in 0..1. Guidance in
                sampling requires it. 0: never.
            context: Provides the iteration and whether the run is training.

        Returns:
            Loss of each sample (B,), its variational bound in bits per number (B,), predicted clean data (B, C, ...),
            and timesteps (B,). The bound has no effect if only the loss is trained on.
        """
        terms, t, _ = self._run(network, x, conditions or {}, nothing or {}, drop_probability, context)
        return terms.loss, terms.vb, terms.x0, t

    def _run(
        self,
        network: nn.Module,
        x: Tensor,
        conditions: Conditions,
        nothing: Nothing,
        drop_probability: float,
        context: Context,
    ) -> tuple[Terms, Tensor, list[Any]]:
        x = at_least_float32(x)
        if context.training:
            conditions = drop_conditions(conditions, nothing, drop_probability, len(x), x.device)
        t, weights = self._draw(x, context)
        noise = torch.randn_like(x)
        output = network(self.process.noised(x, noise, t), self.process.network_time(t), **conditions)
        output, *further = output if isinstance(output, list | tuple) else [output]
        terms = training_terms(
            self.process,
            at_least_float32(output),
            x,
            noise,
            t,
            objective=self._objective,
            min_snr_gamma=self._min_snr_gamma,
        )
        if self.history is not None and context.training:
            # With an `mse` objective, the bound is trained on too if the variance is learned.
            learned = terms.vb if self.process.variance.startswith("learned") and "mse" in self._objective else 0.0
            self.history.update(t, terms.loss + learned)
        return Terms(terms.loss * weights, terms.vb * weights, terms.x0), t, further

    def _draw(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        even = self._even_every is not None and context.iteration % self._even_every == 0
        if self._timesteps == "even" or even or not context.training:
            return even_timesteps(len(x), self.process.num_timesteps, x.device)
        if self.history is not None:
            return self.history.draw(len(x))
        return uniform_timesteps(len(x), self.process.num_timesteps, x.device)


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.GAUSSIAN_DIFFUSION})
class GaussianDiffusionExtra(GaussianDiffusion):
    """`gaussian_diffusion` for a network that returns a tuple with its prediction first, `(prediction, a, b)`.

    It has the same options and keys. After the usual four names, `out` names the further values that the network
    returns.
    """

    def forward(
        self,
        network: Network,
        x: Tensor,
        conditions: dict[str, Tensor | float | bool | None] | None = None,
        *,
        nothing: dict[str, Tensor | float] | None = None,
        drop_probability: UnitScheduled = 0.0,
        context: Context,
    ) -> tuple[Any, ...]:
        """Add noise, predict, compare.

        Args:
            network: Network from (B, C, ...), timesteps (B,) and the conditions to a tuple, the prediction first.
            x: (B, C, ...), clean data in -1..1.
            conditions: Key, number, true, false or null for each further parameter of the network, such as
                `{label: label}`. null: none.
            nothing: Value that means "no condition", for each condition that may be dropped: a number, as in
                `{label: 10}`, or a key, such as the embedding of an empty text: (B, ...) or (1, ...). null: no
                condition can be dropped.
            drop_probability: Probability that a training sample loses the conditions of `nothing`, in 0..1. Guidance in
                sampling requires it. 0: never.
            context: Provides the iteration and whether the run is training.

        Returns:
            The results of `gaussian_diffusion`, then the further values that the network returns.
        """
        terms, t, further = self._run(network, x, conditions or {}, nothing or {}, drop_probability, context)
        return terms.loss, terms.vb, terms.x0, t, *further
