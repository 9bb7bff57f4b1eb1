"""Samples by the schedulers of diffusers."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.components.diffusion.diffusers_sampling import DiffusersSample
from artschool.components.diffusion.gaussian_sampling import DiffusionSample
from artschool.components.diffusion.schedules import betas_of
from artschool.components.diffusion.start import starting_noise
from artschool.errors import ConfigError, ResourceError

# diffusers gives tensors to NumPy in a way that both will change.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation:DeprecationWarning")
LIKE = torch.zeros(3, 2, 4)


class Net(nn.Module):
    """A smooth function of x, the timestep and a label; so many channels."""

    def __init__(self, out: int = 2) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.mix = nn.Conv1d(2, out, 1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor | float = 0.0) -> Tensor:
        y: Tensor = self.mix(x + (t.double() / 100).sin().to(x.dtype)[:, None, None]).tanh()
        return y + (label[:, None, None] if isinstance(label, Tensor) else label)


def drawn(sampler: nn.Module, *, out: int = 2, **keys: Any) -> Tensor:
    torch.manual_seed(1)
    result: Tensor = sampler(Net(out), LIKE, **keys)
    return result


@pytest.mark.parametrize("prediction", ["epsilon", "x0", "v"])
@pytest.mark.parametrize("schedule", ["linear", "scaled_linear", "cosine", "sigmoid"])
def test_ddim_of_diffusers_is_ours(schedule: Any, prediction: Any) -> None:
    shared = {"schedule": schedule, "prediction": prediction, "num_timesteps": 100}
    ours = drawn(DiffusionSample(**shared, steps="ddim10", sampler="ddim", eta=0.5))
    options = {"use_clipped_model_output": True, "eta": 0.5}
    theirs = drawn(DiffusersSample(**shared, steps=10, scheduler="DDIMScheduler", step_options=options))
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-5)


def test_ddpm_of_diffusers_is_ours_with_a_learned_variance() -> None:
    ours = drawn(DiffusionSample(variance="learned_range", steps="ddim10"), out=4)
    theirs = drawn(DiffusersSample(variance="learned_range", steps=10, scheduler="DDPMScheduler"), out=4)
    torch.testing.assert_close(theirs, ours, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "scheduler",
    [
        "DPMSolverMultistepScheduler",
        "UniPCMultistepScheduler",
        "EulerDiscreteScheduler",
        "EulerAncestralDiscreteScheduler",
        "HeunDiscreteScheduler",
        "PNDMScheduler",
        "LCMScheduler",
    ],
)
def test_a_perfect_network_leads_to_the_data(scheduler: str) -> None:
    """Where the data is one point, a network that knows it predicts the noise of any x_t."""
    point, signal = 0.6, (1 - betas_of("cosine", 1000)).cumprod(0).float()

    class Perfect(nn.Module):
        def forward(self, x: Tensor, t: Tensor) -> Tensor:
            low = t.floor().long().clamp(max=998)
            level = torch.lerp(signal[low], signal[low + 1], (t - low).float())[:, None, None]
            return (x - level.sqrt() * point) / (1 - level).sqrt()

    sampler = DiffusersSample(scheduler=scheduler, schedule="cosine", steps=12, unit_range=True)
    torch.manual_seed(0)
    torch.testing.assert_close(sampler(Perfect(), LIKE), torch.full_like(LIKE, 0.8), rtol=0, atol=0.02)


def test_the_learned_variance_and_the_scale_of_time_are_those_of_training() -> None:
    half = nn.Identity()
    seen: list[Tensor] = []
    inputs: list[Tensor] = []

    def forward(x: Tensor, t: Tensor) -> Tensor:
        seen.append(t)
        inputs.append(x)
        return torch.cat([x, 100 * x], 1)

    half.forward = forward  # type: ignore[method-assign, assignment]  # observed
    options: dict[str, Any] = {
        "steps": 2,
        "num_timesteps": 100,
        "variance": "learned_range",
        "rescale_timesteps": True,
        "noise": "fixed",
    }
    result = DiffusersSample(scheduler="EulerDiscreteScheduler", options={"timestep_spacing": "trailing"}, **options)(
        half, LIKE
    )
    assert result.shape == LIKE.shape
    torch.testing.assert_close(inputs[0], starting_noise(LIKE, noise="fixed"), rtol=1e-3, atol=0)
    assert [t.tolist() for t in seen] == [[990.0] * 3, [490.0] * 3]


def test_guidance_reaches_the_network() -> None:
    sampler = DiffusersSample(scheduler="DDIMScheduler", steps=4)
    keys: dict[str, Any] = {"conditions": {"label": torch.ones(3)}, "nothing": {"label": 0}}
    assert not torch.equal(drawn(sampler, **keys, guidance=3.0), drawn(sampler, **keys, guidance=1.0))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"scheduler": "DPMSolverMultistep"},
            "diffusers has no scheduler 'DPMSolverMultistep'. Did you mean 'DPMSolverMultistepScheduler'?",
        ),
        (
            {"scheduler": "FlowMatchEulerDiscreteScheduler"},
            "FlowMatchEulerDiscreteScheduler of diffusers does not sample a diffusion as `gaussian_diffusion` trains "
            "it. Fix: choose another, such as DPMSolverMultistepScheduler",
        ),
        (
            {"scheduler": "DDIMScheduler", "step_options": {"etta": 1.0}},
            "step_options of DDIMScheduler: unknown option 'etta'. Available options: eta, use_clipped_model_output. "
            "Did you mean 'eta'?",
        ),
        ({"scheduler": "DDIMScheduler", "steps": 1001}, "steps: expected at most num_timesteps 1000, got 1001"),
    ],
)
def test_what_does_not_fit_is_told(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        DiffusersSample(**options)
    assert str(caught.value) == message


@pytest.mark.parametrize("option", ["clip", "beta_schedule", "prediction_type"])
def test_options_that_a_scheduler_does_not_take_or_would_ignore_are_refused(option: str) -> None:
    with pytest.raises(
        ConfigError, match=rf"^options of DDIMScheduler: unknown option '{option}'\. Available .*clip_sample"
    ):
        DiffusersSample(scheduler="DDIMScheduler", options={option: "linear"})


def test_a_package_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "diffusers", None)
    with pytest.raises(ResourceError, match=re.escape("Fix: pip install 'artschool[diffusers]'")):
        DiffusersSample(scheduler="DDIMScheduler")
