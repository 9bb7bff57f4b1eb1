"""Conditions dropped in training and followed in sampling."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import artschool
from artschool.components.diffusion import gaussian_training, guidance
from artschool.components.diffusion.guidance import (
    Conditions,
    Model,
    Nothing,
    drop_conditions,
    guided,
    without_conditions,
)
from artschool.errors import ConfigError

CPU = torch.device("cpu")


class Labelled(nn.Module):
    """Predicts its label, or 0 without one (label 9), and says the label again in another channel."""

    def __init__(self) -> None:
        super().__init__()
        self.batches: list[int] = []

    def forward(self, x: Tensor, t: Tensor, label: Tensor, offset: float = 0.0) -> Tensor:
        self.batches.append(len(x))
        value = torch.where(label == 9, 0.0, label.float())[:, None] + offset
        return torch.cat([value.expand_as(x), label[:, None].float()], 1)


def test_all_conditions_of_a_sample_are_dropped_at_once() -> None:
    torch.manual_seed(0)
    label, image, kept = torch.arange(1000) % 9, torch.ones(1000, 2, 2), torch.ones(1000)
    conditions: Conditions = {"label": label, "image": image, "kept": kept, "number": 2.0}
    found = drop_conditions(conditions, {"label": 9, "image": 0.0}, 0.25, 1000, CPU)
    assert isinstance(found["label"], Tensor)
    dropped = found["label"] == 9
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(torch.as_tensor(found["image"]) == 0, dropped[:, None, None].expand(-1, 2, 2))
    assert torch.equal(torch.where(dropped, 9, label), found["label"])
    assert found["kept"] is kept and found["number"] == 2.0
    assert label.max() == 8


def test_nothing_is_dropped_with_probability_0_and_all_with_1() -> None:
    conditions = {"label": torch.arange(5)}
    assert drop_conditions(conditions, {}, 0.0, 5, CPU)["label"] is conditions["label"]
    found = drop_conditions(conditions, {"label": 9}, 1.0, 5, CPU)["label"]
    assert isinstance(found, Tensor) and found.tolist() == [9] * 5


def test_guidance_goes_on_from_no_condition_through_the_condition() -> None:
    network, x, t = Labelled(), torch.zeros(2, 3), torch.zeros(2)
    conditions: Conditions = {"label": torch.tensor([2, 4]), "offset": 1.0}
    plain = guided(network, conditions, {"label": 9}, 1.0)(x, t)
    led = guided(network, conditions, {"label": 9}, 3.0)(x, t)
    free = guided(network, conditions, {"label": 9}, 0.0)(x, t)
    assert plain[:, 0].tolist() == [3.0, 5.0]
    assert led[:, 0].tolist() == [7.0, 13.0]  # 1 + 3 * 2, 1 + 3 * 4
    assert free[:, 0].tolist() == [1.0, 1.0]
    assert led[:, 3].tolist() == [2.0, 4.0]  # what is no prediction is that with the condition
    assert network.batches == [2, 4, 4]


def test_nothing_may_be_a_tensor_for_all_samples_or_for_each() -> None:
    torch.manual_seed(0)
    text, empty = torch.randn(1000, 3, 4), torch.randn(1, 3, 4, dtype=torch.float64)
    found = drop_conditions({"text": text}, {"text": empty}, 0.25, 1000, CPU)["text"]
    assert isinstance(found, Tensor) and found.dtype == torch.float32
    dropped = (found == empty.float()).all(2).all(1)
    assert dropped.float().mean().item() == pytest.approx(0.25, abs=0.05)
    assert torch.equal(found[~dropped], text[~dropped])
    each = without_conditions({"label": torch.tensor([2, 4])}, {"label": torch.tensor([7.0, 8.0])})["label"]
    assert isinstance(each, Tensor) and each.tolist() == [7, 8]
    with pytest.raises(
        ConfigError, match=r"^nothing\.text: expected the shape \(1000, 3, 4\) or \(1, 3, 4\), got \(3, 4\)"
    ):
        without_conditions({"text": text}, {"text": empty[0]})


def test_what_is_missing_is_told() -> None:
    with pytest.raises(
        ConfigError,
        match=r"^nothing: unknown condition 'lable'\. Available conditions: label\. Did you mean 'label'\?$",
    ):
        without_conditions({"label": torch.zeros(1)}, {"lable": 9})
    said = (
        r"^nothing: expected the key of a tensor for condition 'label', got the number 2\.0, which all samples share\. "
    )
    with pytest.raises(ConfigError, match=said):
        guided(Labelled(), {"label": 2.0}, {"label": 9}, 2.0)
    with pytest.raises(ConfigError, match=r"^guidance and drop_probability require `nothing`\. Fix: "):
        guided(Labelled(), {"label": torch.zeros(1)}, None, 2.0)


@pytest.mark.usefixtures("registries")
def test_guidance_and_dropping_follow_schedules(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: dict[str, list[float]] = {"drop": [], "guide": []}
    drop, guide = drop_conditions, guided

    def dropping(conditions: Conditions, nothing: Nothing, probability: float, *rest: Any) -> Any:
        seen["drop"].append(probability)
        return drop(conditions, nothing, probability, *rest)

    def guiding(network: nn.Module, conditions: Conditions, nothing: Nothing | None, guidance: float) -> Model:
        seen["guide"].append(guidance)
        return guide(network, conditions, nothing, guidance)

    monkeypatch.setattr(gaussian_training, "drop_conditions", dropping)
    monkeypatch.setattr(guidance, "guided", guiding)
    overrides = [
        "steps.denoiser.injectors.diffusion.drop_probability={type: linear, start: 0.0, end: 0.4, iterations: 2}",
        "evaluate.drawn.injectors.draw.guidance={type: linear, start: 1.0, end: 3.0, iterations: 2}",
        "evaluate.drawn.injectors.draw.nothing={label: 4}",
        "evaluate.drawn.every=2",
        "train.iterations=4",
    ]
    bases = Path(__file__).parents[2] / "mutants" / "bases"
    artschool.load(bases / "tiny_diffusion.yml", overrides, run_dir=tmp_path).train()
    assert seen["drop"] == [0.0, 0.2, 0.4, 0.4]
    assert set(seen["guide"]) == {2.0, 3.0}  # Those of iterations 1 and 3, after which the evaluations run.
