"""Damage to pictures."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

from artschool.components.builtins import load_builtins
from artschool.components.datasets.corruptions import DAMAGES, Corruption, Corruptions
from artschool.components.datasets.image_folder import ImageFolder
from artschool.components.datasets.pairs import Degradation
from artschool.registry import datasets

load_builtins()
torch.manual_seed(0)
IMAGE = torch.rand(3, 16, 20)


def corruptions(**options: Any) -> Corruptions:
    entry = datasets.get("image_folder").model.model_validate_json(
        __import__("json").dumps({"type": "image_folder", "path": "x", "corruptions": options})
    )
    value: Corruptions = entry.option_corruptions  # type: ignore[attr-defined]  # a field made of the signature
    return value


@pytest.mark.parametrize("kind", DAMAGES)
def test_every_kind_keeps_shape_and_range_at_any_severity(kind: Any) -> None:
    before = IMAGE.clone()
    for severity in (0.0, 0.37, 1.0):
        damaged = Corruption(kind=kind).apply(IMAGE, severity)
        assert damaged.shape == IMAGE.shape and damaged.dtype == torch.float32
        assert damaged.min() >= 0 and damaged.max() <= 1
    assert torch.equal(IMAGE, before)


@pytest.mark.parametrize("kind", sorted(DAMAGES.keys() - {"none", "grey", "color_jitter", "lighten", "jpeg", "noise"}))
def test_more_severe_is_further_from_the_picture(kind: Any) -> None:
    torch.manual_seed(1)
    small, large = (Corruption(kind=kind).apply(IMAGE, severity) for severity in (0.2, 1.0))
    assert (small - IMAGE).abs().mean() < (large - IMAGE).abs().mean()


@pytest.mark.parametrize("kind", ["gaussian_blur", "motion_blur", "resize", "lighten", "noise", "color_jitter", "none"])
def test_severity_0_leaves_a_picture_alone(kind: Any) -> None:
    torch.testing.assert_close(Corruption(kind=kind).apply(IMAGE, 0.0), IMAGE)


def test_a_blur_keeps_the_sum_and_spreads_a_dot() -> None:
    dot = torch.zeros(3, 21, 21)
    dot[:, 10, 10] = 1
    blurred = Corruption(kind="gaussian_blur", range=(2.0, 2.0)).apply(dot, 1.0)
    torch.testing.assert_close(blurred.sum((1, 2)), torch.ones(3))
    offsets = torch.arange(21.0) - 10
    variance = (blurred[0].sum(0) * offsets.square()).sum()
    assert variance == pytest.approx(4.0, rel=0.05)  # The square of sigma.
    moved = Corruption(kind="motion_blur", range=(7.0, 7.0)).apply(dot, 1.0)
    torch.testing.assert_close(moved.sum((1, 2)), torch.ones(3))
    assert 7 <= int((moved[0] > 0.01).sum()) <= 21


def test_noise_has_its_standard_deviation() -> None:
    torch.manual_seed(0)
    noisy = Corruption(kind="noise", range=(0.1, 0.1)).apply(torch.full((3, 64, 64), 0.5), 0.0)
    assert float(noisy.std()) == pytest.approx(0.1, rel=0.03) and float(noisy.mean()) == pytest.approx(0.5, abs=0.005)


def test_by_hand() -> None:
    image = torch.tensor([0.0, 0.3, 0.9]).reshape(1, 1, 3).expand(3, 1, 3)
    half = Corruption(kind="quantize", range=(2.0, 2.0)).apply(image, 0.5)
    torch.testing.assert_close(half[0, 0], torch.tensor([0.0, 0.0, 0.5]))
    lighter = Corruption(kind="lighten").apply(image, 0.5)
    torch.testing.assert_close(lighter[0, 0], torch.tensor([0.15, 0.45, 1.0]))
    red = torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1)
    torch.testing.assert_close(Corruption(kind="grey").apply(red, 0.0).flatten(), torch.full((3,), 0.299))


def test_the_amounts_of_what_is_fixed_are_told_and_the_rest_is_drawn() -> None:
    chain = corruptions(fixed=["jpeg", {"kind": "noise", "range": [0, 1]}], random=["grey", "none"], num_random=1)
    grey, severities = 0, []
    for seed in range(40):
        torch.manual_seed(seed)
        damaged, severity = chain.apply(torch.tensor([1.0, 0.0, 0.0]).reshape(3, 1, 1).expand(3, 8, 8))
        severities.append(severity)
        grey += bool((damaged.mean((1, 2))[0] - damaged.mean((1, 2))[1]).abs() < 0.2)
    stacked = torch.stack(severities)
    assert stacked.shape == (40, 2) and stacked.min() >= 0 and stacked.max() < 1 and stacked.std() > 0.2
    assert 10 <= grey <= 30


def test_a_cosine_draws_small_amounts_more_often() -> None:
    chain = corruptions(fixed=["none"], severity="cosine")
    torch.manual_seed(0)
    severities = torch.stack([chain.apply(IMAGE)[1] for _ in range(2000)])
    assert float(severities.mean()) == pytest.approx(1 - 2 / torch.pi, abs=0.02)  # The mean of 1 - cos(u pi / 2).


def test_the_clean_picture_stays_clean_and_the_damage_is_done_before_or_after_shrinking(tmp_path: Path) -> None:
    Image.new("RGB", (8, 8), (255, 0, 0)).save(tmp_path / "x.png")
    for before in (True, False):
        folder = ImageFolder(path=tmp_path, scale=2, corruptions=corruptions(fixed=["grey"], before_shrink=before))
        sample = folder[0]
        assert sample["hq"][:, 0, 0].tolist() == [1, 0, 0]
        torch.testing.assert_close(sample["lq"], torch.full((3, 4, 4), 0.299))
        assert sample["corruption_entropy"].shape == (1,)
    torch.manual_seed(0)
    noisy = {"kind": "noise", "range": [0.2, 0.2]}
    after, before_ = (
        Degradation(4, corruptions(fixed=[noisy], before_shrink=early))(torch.full((3, 64, 64), 0.5), "x")["lq"].std()
        for early in (False, True)
    )
    assert before_ < after / 2  # Shrinking averages the noise away.


@pytest.mark.parametrize(
    ("entry", "part"),
    [
        ({"fixed": ["jepg"]}, "corruptions.fixed.0"),
        ({"fixed": [{"kind": "jpeg", "range": [0, 50]}]}, "expected a range of jpeg within 1..100"),
        ({"fixed": [{"kind": "jpeg", "range": ["a", 50]}]}, "corruptions"),
        ({"fixd": []}, "corruptions.fixd"),
    ],
)
def test_a_wrong_corruption_is_refused(entry: dict[str, Any], part: str) -> None:
    from artschool.config.component_reader import ComponentReader
    from artschool.config.source import read_text
    from artschool.config.write import dump

    reader = ComponentReader()
    node = read_text(dump({"type": "image_folder", "path": "x", "corruptions": entry}), "a.yml")
    reader.component("datasets", node, "data.train")
    assert len(reader.faults) == 1 and part in str(reader.faults[0])
