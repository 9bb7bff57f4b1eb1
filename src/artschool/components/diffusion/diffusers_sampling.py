"""Sampling by the schedulers of diffusers."""

from __future__ import annotations

import inspect
from functools import partial
from typing import Any, Literal

from torch import Tensor, nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from artschool.components.diffusion.guidance import Model, sampled
from artschool.components.diffusion.process import GaussianProcess, Variance, time_scale
from artschool.components.diffusion.schedules import ScheduleName, betas_of
from artschool.components.diffusion.start import Noise, starting_noise
from artschool.components.library_options import refuse_unknown
from artschool.errors import ConfigError, ResourceError
from artschool.extras import extra
from artschool.registry import ComponentRole, injectors
from artschool.registry.signature import Count, Network, Scheduled, ShapeOf
from artschool.wording.names import nearest

PREDICTIONS = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
"""The names that diffusers gives to what a network predicts."""
SET_HERE = ("trained_betas", "num_train_timesteps", "prediction_type")
"""The arguments of a scheduler that follow from the options of `diffusers_sample`."""
OVERRULED = ("beta_start", "beta_end", "beta_schedule")
"""The arguments that a scheduler ignores beside `trained_betas`."""
OF_STEP = ("self", "model_output", "timestep", "sample")
"""The arguments of a step that every scheduler gets."""
NOT_OPTIONS = (*OF_STEP, "generator", "variance_noise", "return_dict")
"""The arguments of a step that a file cannot give."""


@injectors.register(roles={ComponentRole.SAMPLER, ComponentRole.GAUSSIAN_DIFFUSION})
class DiffusersSample(nn.Module):
    """Draw samples by a scheduler of diffusers from a network that `gaussian_diffusion` trained with the same options.

    The network may be one of diffusers, such as `UNet2DModel`. Runs without gradients and with the network in eval
    mode; afterwards, the mode of every submodule is restored.

    Args:
        scheduler: Name of the class of a scheduler that discretizes the diffusion of training, such as
            `DPMSolverMultistepScheduler`, `UniPCMultistepScheduler` or `EulerAncestralDiscreteScheduler`.
        options: Further arguments of the class, such as `{use_karras_sigmas: true}`. Those of the noise and of the
            prediction follow from the options below.
        step_options: Further arguments of the scheduler's `step`, such as `{eta: 0.5}` of `DDIMScheduler`.
        schedule: Noise schedule, as in training: `linear`, `scaled_linear` (latent diffusion), `cosine`, `sigmoid`, or
            a list of all betas.
        num_timesteps: Number of timesteps in training, 1 or more; the linear schedule requires more than 20.
        prediction: Target of the network, as in training: `epsilon` (the noise), `x0` (the clean data) or `v`.
        variance: Variance of the reverse process, as in training: `fixed_small`, `fixed_large`, `learned` or
            `learned_range`. Schedulers that draw from another distribution leave a learned variance out.
        rescale_timesteps: Whether the network receives t * 1000 / num_timesteps instead of t, as in training.
        steps: Number of steps, 1 or more. Some schedulers call the network twice per step.
        channels: Number of channels of the samples, 1 or more. null: as many as `like` has.
        scale_factor: Factor by which samples are larger than `like` in each dimension after the channels, 1 or more.
        multiple: Divisor of the sizes after the channels, which are rounded up to a multiple of it, 1 or more.
        noise: Starting noise: `random`, `fixed` (the same at every call) or `zero`.
        unit_range: Whether samples are returned in 0..1 instead of -1..1.

    Raises:
        ResourceError: diffusers, or a package that the scheduler needs, is not installed.
        ConfigError: The scheduler does not exist, is for another kind of diffusion, or does not take the options.
    """

    def __init__(
        self,
        *,
        scheduler: str,
        options: dict[str, Any] = {},  # noqa: B006  # never changed
        step_options: dict[str, Any] = {},  # noqa: B006  # never changed
        schedule: ScheduleName | list[float] = "linear",
        num_timesteps: Count = 1000,
        prediction: Literal["epsilon", "x0", "v"] = "epsilon",
        variance: Variance = "fixed_small",
        rescale_timesteps: bool = False,
        steps: Count = 20,
        channels: Count | None = None,
        scale_factor: Count = 1,
        multiple: Count = 1,
        noise: Noise = "random",
        unit_range: bool = False,
    ) -> None:
        super().__init__()
        if steps > num_timesteps:
            raise ConfigError(f"steps: expected at most num_timesteps {num_timesteps}, got {steps}")
        betas = betas_of(schedule, num_timesteps)
        self.process = GaussianProcess(betas, prediction=prediction, variance=variance)
        self._time_scale = time_scale(num_timesteps, rescale=rescale_timesteps)
        fixed = dict(zip(SET_HERE, (betas.tolist(), num_timesteps, PREDICTIONS[prediction]), strict=True))
        # Made for each call, since a scheduler remembers its last steps.
        self._scheduler = partial(_scheduler, scheduler, options, fixed, variance)
        with unset_fake_temporarily():  # Its tables have values, and a trace has none.
            made = self._scheduler()
        takes = [name for name in inspect.signature(made.step).parameters if name not in NOT_OPTIONS]
        refuse_unknown(f"step_options of {scheduler}", step_options, takes)
        self._steps, self._step_options = steps, step_options
        self._start = partial(
            starting_noise, channels=channels, scale_factor=scale_factor, multiple=multiple, noise=noise
        )
        self._unit_range = unit_range

    def forward(
        self,
        network: Network,
        like: ShapeOf,
        conditions: dict[str, Tensor | float] | None = None,
        *,
        nothing: dict[str, Tensor | float] | None = None,
        guidance: Scheduled = 1.0,
    ) -> Tensor:
        """Sample.

        Args:
            network: Trained network, called as in training: (B, C, ...), timesteps (B,) and the conditions to
                (B, C or 2 C, ...). Some schedulers call it at fractions of timesteps.
            like: (B, C, ...), gives the shape of the samples; its values are not read.
            conditions: Key or number for each further parameter of the network, as in training. null: none.
            nothing: Number or key that means "no condition" for each condition, as in training. Required if `guidance`
                is not 1, otherwise unused. null: none.
            guidance: Strength of classifier-free guidance, which requires `drop_probability` in training. 1: none;
                above 1: samples follow the conditions more closely.

        Returns:
            (B, C, ...) in -1..1, or in 0..1 with `unit_range`.
        """
        with sampled(network, conditions, nothing, guidance) as model:
            x = self._sample(model, self._start(like))
        return (x + 1) / 2 if self._unit_range else x

    def _sample(self, model: Model, x: Tensor) -> Tensor:
        scheduler = self._scheduler()
        scheduler.set_timesteps(self._steps, device=x.device)
        x = x * scheduler.init_noise_sigma
        for t in scheduler.timesteps:
            times = t.expand(len(x))
            times = times if self._time_scale == 1 else times.float() * self._time_scale
            output = model(scheduler.scale_model_input(x, t), times)
            prediction, _ = self.process.split(output, x)
            output = output if _splits(scheduler) else prediction
            x = scheduler.step(output, t, x, **self._step_options).prev_sample
        return x


def _splits(scheduler: Any) -> bool:
    """Whether the scheduler takes the channels of a learned variance from the output itself."""
    return str(scheduler.config.get("variance_type")).startswith("learned")


def _scheduler(name: str, options: dict[str, Any], fixed: dict[str, Any], variance: Variance) -> Any:
    """A scheduler of diffusers.

    Args:
        fixed: Values of `SET_HERE`.
        variance: Passed on to schedulers that draw from the Gaussian of each step, or that know learned variances.
    """
    try:
        return _made(_class(name), name, options, fixed, variance)
    except ImportError as error:  # A stand-in for a scheduler says what to install.
        raise ResourceError(f"{name} of diffusers: {' '.join(str(error).split())}") from error


def _made(kind: Any, name: str, options: dict[str, Any], fixed: dict[str, Any], variance: Variance) -> Any:
    takes = inspect.signature(kind).parameters
    refuse_unknown(f"options of {name}", options, [option for option in takes if option not in SET_HERE + OVERRULED])
    if "variance_type" in takes:
        fixed = {"variance_type": variance, **fixed}
    try:
        return kind(**{**fixed, **options})
    except (ValueError, TypeError, NotImplementedError) as error:
        raise ConfigError(f"options of {name}: {error}") from error


def _class(name: str) -> Any:
    with extra("diffusers"):
        import diffusers
    known = [found for found in dir(diffusers) if found.endswith("Scheduler") and not found.startswith("Flax")]
    if name not in known:
        raise ConfigError(f"diffusers has no scheduler {name!r}. {nearest(name, known)}".strip())
    kind = getattr(diffusers, name)
    if not _is_discrete(kind):
        raise ConfigError(
            f"{name} of diffusers does not sample a diffusion as `gaussian_diffusion` trains it. "
            "Fix: choose another, such as DPMSolverMultistepScheduler"
        )
    return kind


def _is_discrete(kind: Any) -> bool:
    """Whether a scheduler takes any noise schedule and prediction, and nothing but a prediction for a step."""
    step = inspect.signature(kind.step).parameters.values()
    required = {parameter.name for parameter in step if parameter.default is parameter.empty}
    return required == {*OF_STEP} and all(name in inspect.signature(kind).parameters for name in SET_HERE)
