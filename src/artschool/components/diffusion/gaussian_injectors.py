"""Gaussian diffusion in a file: the training of its network, and sampling."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import torch
from torch import Tensor, nn

from artschool.components.diffusion.guidance import drop_conditions, guided
from artschool.components.diffusion.objectives import Objective, Terms, training_terms
from artschool.components.diffusion.process import GaussianProcess, Prediction, Variance
from artschool.components.diffusion.respacing import respaced_betas, space_timesteps
from artschool.components.diffusion.sampling import ddim_sample, ddpm_sample
from artschool.components.diffusion.schedules import ScheduleName, betas_of
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.components.diffusion.timesteps import LossSecondMoment, even_timesteps, uniform_timesteps
from artschool.components.injectors.forward import in_mode
from artschool.components.losses.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Context, Count, Network, Pattern, Positive, UnitInterval

NETWORK_TIMESTEPS = 1000


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.GAUSSIAN_DIFFUSION})
class GaussianDiffusion(nn.Module):
    """Noise clean data at random timesteps, and see what a network makes of it.

    The network is called as `network(x_t, t, **conditions)` and predicts one of several things that are worth the same,
    see `prediction`. Train on the first result with a loss of type `mean`, and where the variance is learned on
    the second one too.

    Source: Ho et al. 2020, arXiv:2006.11239; Nichol and Dhariwal 2021, arXiv:2102.09672.

    Args:
        schedule: How noise grows: `linear`, `cosine`, `sigmoid`, or the list of all betas.
        num_timesteps: In how many steps noise grows.
        prediction: What the network gives: `epsilon`, the noise; `x0`, the clean data; `previous`, the mean of the
            timestep before; `v`, which stays well-posed at every timestep.
        variance: Of the way back: `fixed_small`, `fixed_large`, or the second half of twice as many channels of
            the network, `learned` or `learned_range`, which is better behaved.
        objective: What the first result is: `mse`; `rescaled_mse`, whose bound is multiplied by num_timesteps / 1000;
            `kl`, the variational bound; `rescaled_kl`, num_timesteps times that.
        min_snr_gamma: Weighs squared errors so that no timestep pulls more than this signal-to-noise ratio
            allows (Hang et al. 2023); 5 is usual.
        timesteps: `uniform`; `loss_second_moment`, more often where losses are large, with weights that leave the
            mean what it is; `even`, the same ones for each batch. An evaluation always takes even ones.
        even_every: Take even timesteps also at iterations that are a multiple of this.
        rescale_timesteps: Whether the network gets t * 1000 / num_timesteps.
        nothing: For each condition that may be missing the value that stands for it, such as `{label: 10}`.
        drop_probability: How many samples lose those conditions in training, for guidance in sampling.
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
        nothing: dict[str, float] | None = None,
        drop_probability: UnitInterval = 0.0,
    ) -> None:
        super().__init__()
        if drop_probability and not nothing:
            raise ConfigError("drop_probability needs `nothing`: which conditions are dropped, and what for")
        if min_snr_gamma is not None and objective not in ("mse", "rescaled_mse"):
            raise ConfigError(f"min_snr_gamma weighs squared errors, which objective {objective} has none of; drop one")
        scale = NETWORK_TIMESTEPS / num_timesteps if rescale_timesteps else 1.0
        betas = betas_of(schedule, num_timesteps)
        self.process = GaussianProcess(betas, prediction=prediction, variance=variance, time_scale=scale)
        self.history = LossSecondMoment(num_timesteps) if timesteps == "loss_second_moment" else None
        self._objective = objective
        self._min_snr_gamma = min_snr_gamma
        self._timesteps = timesteps
        self._even_every = even_every
        self._nothing = nothing or {}
        self._drop_probability = drop_probability

    def forward(
        self, network: Network, x: Tensor, conditions: dict[str, Tensor | float] | None = None, *, context: Context
    ) -> tuple[Tensor, Tensor, Tensor, Tensor]:
        """Noise, predict, compare.

        Args:
            network: (B, C, ...), timesteps (B,) and the conditions to (B, C or 2 C, ...).
            x: (B, C, ...), clean data in -1..1.
            conditions: Keys or numbers by parameter of the network.
            context: Tells the iteration, and whether it trains.

        Returns:
            The loss of each sample (B,), its variational bound in bits for each number (B,), the clean data that is
            predicted (B, C, ...), and the timesteps (B,). Where only `loss` is trained on the bound changes nothing.
        """
        terms, t, _ = self._run(network, x, conditions or {}, context)
        return terms.loss, terms.vb, terms.x0, t

    def _run(
        self, network: nn.Module, x: Tensor, conditions: dict[str, Tensor | float], context: Context
    ) -> tuple[Terms, Tensor, list[Any]]:
        x = at_least_float32(x)
        if context.training:
            conditions = drop_conditions(conditions, self._nothing, self._drop_probability, len(x), x.device)
        t, weights = self._draw(x, context)
        noise = torch.randn_like(x)
        output = network(self.process.noised(x, noise, t), self.process.network_time(t), **conditions)
        output, *more = output if isinstance(output, list | tuple) else [output]
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
            # The bound is trained on beside the error only where it has something to say: of a learned variance.
            learned = terms.vb if self.process.variance.startswith("learned") and "mse" in self._objective else 0.0
            self.history.update(t, terms.loss + learned)
        return Terms(terms.loss * weights, terms.vb * weights, terms.x0), t, more

    def _draw(self, x: Tensor, context: Context) -> tuple[Tensor, Tensor]:
        even = self._even_every is not None and context.iteration % self._even_every == 0
        if self._timesteps == "even" or even or not context.training:
            return even_timesteps(len(x), self.process.num_timesteps, x.device)
        if self.history is not None:
            return self.history.draw(len(x))
        return uniform_timesteps(len(x), self.process.num_timesteps, x.device)


@injectors.register(roles={ComponentRole.SAMPLER_TRAINING, ComponentRole.GAUSSIAN_DIFFUSION})
class GaussianDiffusionExtra(GaussianDiffusion):
    """`gaussian_diffusion` for a network that returns more than its prediction, `(prediction, a, b)`.

    Its options and keys are the same; `out` names whatever else the network returns after the usual four.
    """

    def forward(
        self, network: Network, x: Tensor, conditions: dict[str, Tensor | float] | None = None, *, context: Context
    ) -> tuple[Any, ...]:
        """Noise, predict, compare.

        Args:
            network: (B, C, ...), timesteps (B,) and the conditions to a tuple, the prediction first.
            x: (B, C, ...), clean data in -1..1.
            conditions: Keys or numbers by parameter of the network.
            context: Tells the iteration, and whether it trains.

        Returns:
            The results of `gaussian_diffusion`, then the others of the network.
        """
        terms, t, more = self._run(network, x, conditions or {}, context)
        return terms.loss, terms.vb, terms.x0, t, *more


@injectors.register(roles={ComponentRole.SAMPLER, ComponentRole.GAUSSIAN_DIFFUSION})
class DiffusionSample(nn.Module):
    """Draw samples from a network that `gaussian_diffusion` trained with the same options.

    Runs without gradients and with the network in eval mode; every submodule has its own mode back afterwards.

    Source: Ho et al. 2020, arXiv:2006.11239, algorithm 2; Song et al. 2021, arXiv:2010.02502.

    Args:
        schedule: How noise grows, as in training: `linear`, `cosine`, `sigmoid`, or the list of all betas.
        num_timesteps: In how many steps noise grows, as in training.
        prediction: What the network gives, as in training: `epsilon`, the noise; `x0`, the clean data; `previous`, the
            mean of the timestep before; `v`.
        variance: Of the way back, as in training: `fixed_small`, `fixed_large`, `learned` or `learned_range`. Without
            a learned one either of the fixed may be taken.
        rescale_timesteps: Whether the network gets t * 1000 / num_timesteps, as in training.
        nothing: For each condition that may be missing the value that stands for it, as in training. Read where
            `guidance` is not 1.
        steps: How many of the timesteps are taken: a number; a list for as many equal sections; `ddim50`, at a whole
            stride; all where it is null.
        sampler: `ddpm` draws from each step's Gaussian; `ddim` adds less noise or none, for few steps.
        eta: How much noise ddim adds, 1 for as much as ddpm with fixed_small.
        clip: Whether clean data predicted on the way is clipped to -1..1.
        guidance: How far conditions are followed; 1 is as trained, more is closer to them. It needs
            `drop_probability` in training.
        channels: Channels of the samples; those of `like` without it.
        scale_factor: How many times larger the samples are than `like`, in each dimension after the channels.
        multiple: Sizes of the samples after the channels are rounded up to a multiple of this.
        noise: What they start from: `random`; `fixed`, the same each time; `zero`.
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
        nothing: dict[str, float] | None = None,
        steps: Count
        | list[Count]
        | Annotated[str, Pattern(r"^ddim[1-9]\d*$", "a number after ddim, as in ddim50")]
        | None = None,
        sampler: Literal["ddpm", "ddim"] = "ddpm",
        eta: UnitInterval = 0.0,
        clip: bool = True,
        guidance: float = 1.0,
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
            time_scale=NETWORK_TIMESTEPS / num_timesteps if rescale_timesteps else 1.0,
        )
        self._sample = (
            partial(ddim_sample, clip=clip, eta=eta) if sampler == "ddim" else partial(ddpm_sample, clip=clip)
        )
        self._nothing = nothing
        self._guidance = guidance
        self._start = partial(
            starting_noise, channels=channels, scale_factor=scale_factor, multiple=multiple, noise=noise
        )
        self._unit_range = unit_range

    def forward(self, network: Network, like: Tensor, conditions: dict[str, Tensor | float] | None = None) -> Tensor:
        """Sample.

        Args:
            network: The trained network, called as in training: (B, C, ...), timesteps (B,) and the conditions to (B, C
                or 2 C, ...).
            like: (B, C, ...), whose shape the samples have; its values are not read.
            conditions: Keys or numbers by parameter of the network, as in training.

        Returns:
            (B, C, ...) in -1..1, or 0..1 with `unit_range`.
        """
        with torch.no_grad(), in_mode(network, "eval"):
            model = guided(network, conditions or {}, self._nothing, self._guidance)
            x = self._sample(model, self._start(like), self.process)
        return (x + 1) / 2 if self._unit_range else x
