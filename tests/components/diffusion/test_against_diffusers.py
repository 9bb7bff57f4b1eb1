"""Schedules, predictions and steps are those of diffusers, whose figures are stored, and made again where it is there.

Write them anew with `python tests/components/diffusion/test_against_diffusers.py`, which needs diffusers.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.components.diffusion.edm import edm_scalings, edm_sigmas
from artschool.components.diffusion.process import GaussianProcess, Prediction, Variance
from artschool.components.diffusion.respacing import respaced_betas, space_timesteps
from artschool.components.diffusion.sampling import ddim_step
from artschool.components.diffusion.schedules import ScheduleName, betas_of

STORED = Path(__file__).with_name("diffusers_figures.json")
SCHEDULES: dict[ScheduleName, str] = {"linear": "linear", "cosine": "squaredcos_cap_v2"}
PREDICTIONS: dict[Prediction, str] = {"epsilon": "epsilon", "x0": "sample", "v": "v_prediction"}
T, STEPS, ETA = 400, 10, 0.7
X_T = torch.linspace(-1.5, 1.2, 6).view(1, 1, 6)
OUTPUT = torch.linspace(0.8, -1.1, 6).view(1, 1, 6)
NOISE = torch.linspace(-1.0, 1.0, 6).view(1, 1, 6)
SIGMA = 1.7


def by_diffusers() -> dict[str, list[float]]:
    """The figures as diffusers computes them."""
    ddim = pytest.importorskip("diffusers.schedulers.scheduling_ddim").DDIMScheduler
    ddpm = pytest.importorskip("diffusers.schedulers.scheduling_ddpm").DDPMScheduler
    edm = pytest.importorskip("diffusers.schedulers.scheduling_edm_euler").EDMEulerScheduler
    figures: dict[str, Any] = {}
    for name, schedule in SCHEDULES.items():
        figures[f"alpha_bar/{name}"] = ddpm(beta_schedule=schedule).alphas_cumprod[::111]
        for prediction, theirs in PREDICTIONS.items():
            shared = {"beta_schedule": schedule, "prediction_type": theirs, "clip_sample": False}
            scheduler = ddim(**shared)
            scheduler.set_timesteps(STEPS)
            for eta in (0.0, ETA):
                step = scheduler.step(OUTPUT, T, X_T, eta=eta, variance_noise=NOISE if eta else None)
                figures[f"ddim/{name}/{prediction}/{eta}"] = step.prev_sample
            figures[f"x0/{name}/{prediction}"] = step.pred_original_sample
            for variance in ("fixed_small", "fixed_large"):
                scheduler = ddpm(**shared, variance_type=variance)
                scheduler.set_timesteps(STEPS)
                step = scheduler.step(OUTPUT, T, X_T, generator=torch.Generator().manual_seed(0))
                figures[f"ddpm/{name}/{prediction}/{variance}"] = step.prev_sample
        figures[f"v/{name}"] = ddpm(beta_schedule=schedule).get_velocity(X_T, NOISE, torch.tensor([T]))
    scheduler = edm()
    scheduler.set_timesteps(18)
    figures["edm/sigmas"] = scheduler.sigmas
    sigma = torch.tensor(SIGMA)
    figures["edm/inputs"] = scheduler.precondition_inputs(X_T, sigma)
    figures["edm/noise"] = scheduler.precondition_noise(sigma).view(1)
    figures["edm/outputs"] = scheduler.precondition_outputs(X_T, OUTPUT, sigma)
    return {name: figure.flatten().tolist() for name, figure in figures.items()}


def by_us() -> dict[str, list[float]]:
    """The same figures as we compute them."""
    figures: dict[str, Tensor] = {}
    for name in SCHEDULES:
        betas = betas_of(name, 1000)
        figures[f"alpha_bar/{name}"] = (1 - betas).cumprod(0)[::111]
        chosen = space_timesteps(1000, f"ddim{STEPS}")
        t = torch.tensor([chosen.index(T)])
        for prediction in PREDICTIONS:
            for variance in ("fixed_small", "fixed_large"):
                process = spaced(betas, chosen, prediction, variance)
                reverse = process.reverse(OUTPUT, X_T, t)
                drawn = torch.randn(OUTPUT.shape, generator=torch.Generator().manual_seed(0))
                figures[f"ddpm/{name}/{prediction}/{variance}"] = reverse.mean + reverse.variance.sqrt() * drawn
            figures[f"x0/{name}/{prediction}"] = reverse.x0
            for eta in (0.0, ETA):
                mean, deviation = ddim_step(process, reverse.x0, X_T, t, eta=eta)
                figures[f"ddim/{name}/{prediction}/{eta}"] = mean + deviation * NOISE
        process = GaussianProcess(betas, prediction="v")
        figures[f"v/{name}"] = process.target(X_T, NOISE, X_T, torch.tensor([T]))
    figures["edm/sigmas"] = edm_sigmas(18)
    by = edm_scalings(torch.tensor(SIGMA), 0.5)
    figures["edm/inputs"] = by.inner * X_T
    figures["edm/noise"] = by.noise.view(1)
    figures["edm/outputs"] = by.skip * X_T + by.out * OUTPUT
    return {name: figure.flatten().tolist() for name, figure in figures.items()}


def spaced(betas: Tensor, chosen: list[int], prediction: Prediction, variance: Variance) -> GaussianProcess:
    return GaussianProcess(
        respaced_betas(betas, chosen), prediction=prediction, variance=variance, timesteps=torch.tensor(chosen)
    )


def agree(found: dict[str, list[float]], expected: dict[str, list[float]]) -> None:
    assert found.keys() == expected.keys()
    for name, figure in expected.items():
        # diffusers multiplies up alpha_bar in float32.
        assert found[name] == pytest.approx(figure, rel=1e-4, abs=1e-4), name


def test_ours_are_those_of_diffusers() -> None:
    agree(by_us(), json.loads(STORED.read_text()))


def test_the_stored_ones_are_those_of_diffusers() -> None:
    agree(json.loads(STORED.read_text()), by_diffusers())


if __name__ == "__main__":
    STORED.write_text(json.dumps(by_diffusers(), indent=1) + "\n")
