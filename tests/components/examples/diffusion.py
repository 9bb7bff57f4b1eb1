"""Examples of diffusion, EDM and flow matching."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

from tests.components.examples.example import Example


class Smooth(nn.Module):
    """(B, 2, ...), times (B,) and a label (B,) to (B, out, ...), smooth in all of them; and twice itself on demand."""

    def __init__(self, out: int = 2, *, more: bool = False) -> None:
        super().__init__()
        self.mix = nn.Linear(2, out)
        self._more = more

    def forward(self, x: Tensor, t: Tensor, label: Tensor | None = None) -> Any:
        shift = (t.to(x.dtype) / 10).sin() + (0 if label is None else label.to(x.dtype) / 5)
        y = self.mix((x + shift[:, None, None]).movedim(1, -1)).tanh().movedim(-1, 1)
        return (y, 2 * y) if self._more else y


def learned() -> nn.Module:
    """With a learned variance."""
    return Smooth(4)


def more() -> nn.Module:
    """With a second result."""
    return Smooth(more=True)


def signals(batch: int) -> dict[str, Any]:
    """`x`: (B, 2, 3) in -1..1; `label`: (B,)."""
    return {"x": torch.rand(batch, 2, 3) * 1.8 - 0.9, "label": torch.arange(batch) % 5}


NO_GRADIENT = {"gradient": "samples are drawn without gradients, and do not depend on what they are like"}
SHORT = "num_timesteps: 4, schedule: [0.2, 0.3, 0.4, 0.5]"
DROPPED = "conditions: {label: label}, nothing: {label: 5}"
EXAMPLES = [
    Example(
        "injectors",
        f"{{type: gaussian_diffusion, network: net, in: x, {SHORT}, {options}, out: [loss, {bound}, x0, t]}}",
        signals,
        {"net": learned if "learned" in options else Smooth},
    )
    # The bound beside a squared error is cut from the prediction on purpose, which finite differences do not know.
    for bound, options in (
        ("_", f"{DROPPED}, drop_probability: 0.5, min_snr_gamma: 5.0"),
        ("_", "prediction: x0, variance: fixed_large, timesteps: even"),
        ("_", "prediction: v, variance: learned_range, objective: rescaled_mse, rescale_timesteps: true"),
        ("vb", "prediction: previous, variance: learned, objective: kl, timesteps: loss_second_moment"),
    )
]
EXAMPLES += [
    Example(
        "injectors",
        f"{{type: gaussian_diffusion_extra, network: net, in: x, {SHORT}, out: [loss, _, x0, t, twice]}}",
        signals,
        {"net": more},
    ),
    Example(
        "injectors", f"{{type: edm, network: net, in: x, {DROPPED}, out: [loss, x0, _]}}", signals, {"net": Smooth}
    ),
    Example("injectors", "{type: flow_matching, network: net, in: x, out: [loss, x1, t]}", signals, {"net": Smooth}),
    Example(
        "injectors",
        "{type: flow_matching, network: net, in: x, source: y, sigma_min: 0.1, out: [loss, x1, t]}",
        lambda batch: {**signals(batch), "y": torch.randn(batch, 2, 3)},
        {"net": Smooth},
    ),
    *(
        Example(
            "injectors",
            f"{{{entry}, network: net, in: x, {DROPPED}, out: y}}",
            signals,
            {"net": net},
            (),
            3,
            {**NO_GRADIENT, "meta": "diffusers computes its tables in NumPy"} if "scheduler" in entry else NO_GRADIENT,
        )
        for entry, net in (
            (f"type: diffusers_sample, {SHORT}, scheduler: DDPMScheduler, steps: 2, variance: learned_range", learned),
            (f"type: diffusers_sample, {SHORT}, scheduler: DDIMScheduler, steps: 2, guidance: 2.0", Smooth),
            (f"type: diffusion_sample, {SHORT}, guidance: 2.0, variance: learned_range", learned),
            (f"type: diffusion_sample, {SHORT}, steps: 2, sampler: ddim, eta: 0.5, noise: fixed", Smooth),
            ("type: edm_sample, steps: 3, churn: 2.0, guidance: 2.0", Smooth),
            ("type: flow_sample, steps: 3, noise: zero", Smooth),
            ("type: flow_sample, steps: 3, source: x, solver: euler", Smooth),
        )
    ),
]
