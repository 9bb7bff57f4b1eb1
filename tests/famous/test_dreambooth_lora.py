"""Ruiz et al. 2022, arXiv:2208.12242, with adapters of Hu et al. 2021, arXiv:2106.09685."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.func import functional_call

from tests.famous.compare import Batches, check_against
from tests.famous.dreambooth_lora_parts import SmallDenoiser

LAYERS = ("blocks.0.to_q", "blocks.0.to_v", "blocks.1.to_q", "blocks.1.to_v")
SCALE = 8 / 4
PRIOR_WEIGHT = 0.5


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """The loss of section 3.2, and weights W + alpha / r B A with A and B trained (Hu et al., section 4.1)."""
    state = networks["denoiser"].state_dict()
    base = {name.replace(".base_layer", ""): value for name, value in state.items() if ".lora_" not in name}
    low = {name: state[name] for name in state if ".lora_" in name}  # They share the memory of the network.
    average = networks["denoiser.ema"].state_dict()
    optimizer = torch.optim.AdamW(low.values(), lr=2e-3, weight_decay=0.01)
    plain = SmallDenoiser()

    def predict(x: Tensor, t: Tensor, prompt: Tensor) -> Tensor:
        weights = dict(base)
        for layer in LAYERS:
            a, b = low[f"{layer}.lora_A.default.weight"], low[f"{layer}.lora_B.default.weight"]
            weights[f"{layer}.weight"] = base[f"{layer}.weight"] + SCALE * b @ a
        predicted: Tensor = functional_call(plain, weights, (x, t, prompt))
        return predicted

    for batch in batches:
        for value in low.values():
            value.requires_grad_(True)
        subject = denoising_loss(predict, batch["image"], batch["prompt"])
        prior = denoising_loss(predict, batch["class.image"], batch["class.prompt"])
        optimizer.zero_grad()
        (subject + PRIOR_WEIGHT * prior).backward()
        nn.utils.clip_grad_norm_(low.values(), 1.0)
        optimizer.step()
        with torch.no_grad():
            for name, value in low.items():
                average[name].lerp_(value, 0.1)
        yield {"denoiser/subject": subject, "denoiser/prior": prior}


def denoising_loss(predict: Callable[[Tensor, Tensor, Tensor], Tensor], x: Tensor, prompt: Tensor) -> Tensor:
    """Ho et al. 2020, arXiv:2006.11239, equation 14."""
    kept = torch.cumprod(1 - torch.linspace(1e-4, 0.02, 1000, dtype=torch.float64), 0)
    t = torch.randint(1000, (len(x),))
    noise = torch.randn_like(x)
    signal, spread = (part[t].float().view(-1, 1, 1, 1) for part in (kept.sqrt(), (1 - kept).sqrt()))
    return (predict(signal * x + spread * noise, t, prompt) - noise).square().mean()


@pytest.mark.usefixtures("registries")
def test_dreambooth_with_adapters_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "dreambooth_lora", tmp_path)
