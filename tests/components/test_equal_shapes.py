"""Every loss and metric that compares two tensors refuses shapes that differ, where torch would broadcast them."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.components.audio.stft_loss import MultiResolutionStft
from artschool.components.audio.tacotron2 import tacotron2_score
from artschool.components.audio.word_errors import Cer, Wer
from artschool.components.builtins import load_builtins
from artschool.components.losses.lpips import Lpips
from artschool.components.losses.perceptual import perceptual
from artschool.components.losses.ssim import ms_ssim
from artschool.components.losses.ssim import ssim as ssim_loss
from artschool.components.losses.style import style
from artschool.components.metrics.classification import accuracy
from artschool.components.metrics.fid import Fid
from artschool.components.metrics.flow_nll import flow_nll
from artschool.components.metrics.image import psnr, ssim
from artschool.components.metrics.kid import Kid
from artschool.components.metrics.point_pairs import PointPairContrast
from artschool.components.networks.vgg import Vgg
from artschool.components.video.temporal_metrics import end_point_error, temporal_difference, tof
from artschool.data.seeds import seed_all
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses, metrics
from artschool.steps.state import State
from tests.components.examples import EXAMPLES
from tests.components.examples.example import Example

load_builtins()
FREE = {
    "for_element": "looks at one position of the dimension",
    "path_length": "compares nothing with its second key",
    "translational": "draws one of the patches",
}
"""Losses whose keys may differ in size."""
BROADCAST = {("cross_entropy", "mask"): "a size of 1 applies to all"}
"""Keys of losses that may have the size 1."""
JUDGED = {ComponentRole.CRITIC_LOSS, ComponentRole.GENERATOR_LOSS, ComponentRole.CRITIC_PENALTY}
"""Roles of losses that show samples to a critic, one after the other."""
IMAGES = ((2, 3, 12, 14), (2, 3, 12, 14))
VIDEOS = ((2, 3, 2, 4, 4), (2, 3, 2, 4, 4))


class Maps(nn.Module):
    """Five maps with the channels of VGG's; a grey image becomes one in color, as by VGG's mean."""

    def forward(self, x: Tensor) -> list[Tensor]:
        wide = x.expand(-1, 3, -1, -1)[:, :1]
        return [wide.expand(-1, channels, -1, -1) for channels in (64, 128, 256, 512, 512)]


class Flow(nn.Module):
    def forward(self, a: Tensor, b: Tensor) -> Tensor:
        return a - b


def points(features1: Tensor, features2: Tensor) -> None:
    PointPairContrast().update(features1, features2, torch.rand(2, 2), torch.rand(2, 2), torch.ones(2))


Shape = tuple[int, ...]
COMPARED: dict[str, tuple[Callable[[Tensor, Tensor], Any], tuple[Shape, Shape], tuple[int, ...]]] = {
    "accuracy": (accuracy, ((2, 3, 4), (2, 4)), (0, 2)),
    "end_point_error": (end_point_error, ((2, 2, 4, 4), (2, 2, 4, 4)), (0, 1, 2, 3)),
    "fid": (Fid(nn.Flatten()).update, IMAGES, (1,)),
    "flow_nll": (flow_nll, ((2, 3), (2,)), (0,)),
    "kid": (Kid(nn.Flatten()).update, IMAGES, (1,)),
    "lpips": (lambda fake, real: Lpips()(Maps(), fake, real), IMAGES, (0, 1, 2, 3)),
    "multi_resolution_stft": (MultiResolutionStft(), ((2, 3, 2000), (2, 3, 2000)), (0, 1)),
    "point_pair_contrast": (points, ((2, 3, 4, 4), (2, 3, 4, 4)), (1,)),
    "psnr": (psnr, IMAGES, (0, 1, 2, 3)),
    "ssim": (ssim, IMAGES, (0, 1)),
    "style": (lambda fake, real: style(Maps(), fake, real), IMAGES, (0, 1)),
    "tacotron2": (
        lambda mel, target: tacotron2_score(mel, mel, torch.zeros(2, 5), target, torch.zeros(2, 5)),
        ((2, 4, 5), (2, 4, 5)),
        (0, 1, 2),
    ),
    "temporal_difference": (temporal_difference, VIDEOS, (0, 2, 3, 4)),
    "tof": (lambda fake, real: tof(Flow(), fake, real), VIDEOS, (0, 2, 3, 4)),
}
"""For each metric of two tensors: the function, the shapes of both, and the dimensions that would broadcast."""


def narrowed(examples: list[Example]) -> Iterator[Any]:
    """Each pair of keys of a loss with equal shapes, and a dimension in which one of them gets the size 1."""
    for number, example in enumerate(examples):
        loss = losses.get(example.type)
        if example.kind != "losses" or example.type in FREE or loss.roles & JUDGED:
            continue
        values, call = example.state(2), example.bind(torch.device("cpu"))
        read = [key for key in call.keys.values() if isinstance(key, str) and isinstance(values[key], Tensor)]
        for one, other in itertools.permutations(dict.fromkeys(read), 2):
            if values[one].shape == values[other].shape and (example.type, one) not in BROADCAST:
                wide = [dim for dim, size in enumerate(values[one].shape) if size > 1]
                yield from (
                    pytest.param(example, one, dim, id=f"{example.type}-{number}-{one}-{other}-{dim}") for dim in wide
                )


def losses_of_examples() -> list[Example]:
    return [example for example in EXAMPLES if example.kind == "losses"]


@pytest.mark.parametrize(("example", "key", "dim"), list(narrowed(losses_of_examples())))
def test_a_loss_refuses_what_would_broadcast(example: Example, key: str, dim: int) -> None:
    seed_all(1)
    values = example.state(2)
    values[key] = values[key].narrow(dim, 0, 1)
    with pytest.raises((ConfigError, RuntimeError, ValueError, IndexError)):
        example.bind(torch.device("cpu"))(State(values, "example"))


@pytest.mark.parametrize(
    ("name", "side", "dim"),
    [(name, side, dim) for name, (_, _, dims) in COMPARED.items() for side in (0, 1) for dim in dims],
)
def test_a_metric_refuses_what_would_broadcast(name: str, side: int, dim: int) -> None:
    function, shapes, _ = COMPARED[name]
    tensors = [torch.rand(shape) if shape != (2, 4) else torch.zeros(shape, dtype=torch.int64) for shape in shapes]
    function(*tensors)
    if dim < tensors[side].dim():
        tensors[side] = tensors[side].narrow(dim, 0, 1)
        with pytest.raises(ConfigError):
            function(*tensors)


def test_every_metric_is_tried_or_has_one_input_or_reads_texts() -> None:
    texts, single = {"cer", "wer"}, {"codebook_perplexity", "codebook_usage"}
    builtin = {name for name in metrics.names() if metrics.get(name).target.__module__.startswith("artschool.")}
    assert builtin == {*COMPARED, *texts, *single}


@pytest.mark.parametrize(
    ("compare", "message"),
    [
        (psnr, "psnr compares equal shapes, but fake is (2, 1, 16, 16) and real is (2, 3, 16, 16)"),
        (ssim, "ssim compares equal shapes, but fake is (2, 1, 16, 16) and real is (2, 3, 16, 16)"),
        (
            lambda fake, real: perceptual(Maps(), fake, real),
            "perceptual compares equal shapes, but fake is (2, 1, 16, 16) and real is (2, 3, 16, 16)",
        ),
        (
            lambda fake, real: style(Maps(), fake, real),
            "style compares equal numbers of samples and channels, but fake is (2, 1, 16, 16) and real is "
            "(2, 3, 16, 16)",
        ),
        (
            lambda fake, real: Fid(Maps()).update(fake, real),
            "fid compares equal numbers of channels, but fake is (2, 1, 16, 16) and real is (2, 3, 16, 16)",
        ),
        (
            lambda fake, real: Vgg(layers=["conv1_1"])(fake),
            "vgg: expected images (B, 3, H, W), got shape (2, 1, 16, 16)",
        ),
    ],
)
def test_grey_against_color_is_refused(compare: Callable[[Tensor, Tensor], Any], message: str) -> None:
    with pytest.raises(ConfigError) as error:
        compare(torch.rand(2, 1, 16, 16), torch.rand(2, 3, 16, 16))
    assert str(error.value) == message


@pytest.mark.parametrize("compare", [ssim, ssim_loss, ms_ssim])
def test_images_below_the_window_are_refused(compare: Callable[[Tensor, Tensor], Any]) -> None:
    with pytest.raises(ConfigError, match=r"^images of \(8, 12\) pixels are smaller than the window of 11$"):
        compare(torch.rand(2, 3, 8, 12), torch.rand(2, 3, 8, 12))


def test_sequences_are_no_images() -> None:
    with pytest.raises(ConfigError, match=r"^expected images \(B, C, H, W\), got shape \(1, 2, 3, 16, 16\)$"):
        ssim(torch.rand(1, 2, 3, 16, 16), torch.rand(1, 2, 3, 16, 16))


@pytest.mark.parametrize("rate", [Wer, Cer])
def test_each_text_needs_its_reference(rate: Callable[[], Wer | Cer]) -> None:
    with pytest.raises(ConfigError, match=r"^expected a reference for each of 2 texts, got 1$"):
        rate().update(["a b", "c"], ["a b"])


def test_points_and_marks_have_one_row_for_each_sample() -> None:
    features, pairs = torch.rand(2, 3, 4, 4), torch.rand(2, 2)
    with pytest.raises(ConfigError, match=r"^point_pair_contrast: expected points2 of shape \(2, 2\), got \(1, 2\)$"):
        PointPairContrast().update(features, features, pairs, pairs[:1], torch.ones(2))
    with pytest.raises(ConfigError, match=r"^point_pair_contrast: expected similar of shape \(2,\), got \(2, 1\)$"):
        PointPairContrast().update(features, features, pairs, pairs, torch.ones(2, 1))
