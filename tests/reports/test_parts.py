"""Losses over places of a mask, over parts of a batch and over processes: the step is that of the whole batch."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

from tests.engine.test_ranks import finish, launch
from tests.reports.small import artschool

pytestmark = pytest.mark.usefixtures("registries")

PARTS = '''
from typing import TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, injectors, losses, networks


class Sentence(TypedDict):
    """`tokens` (12, 6), `classes` (12), `mask` (12), and `gaps` (12): classes, and -100 where the mask is 0."""

    tokens: Tensor
    classes: Tensor
    mask: Tensor
    gaps: Tensor


LENGTHS = [1, 12, 0, 9, 3, 12, 1, 5]


@datasets.register
class Sentences:
    """Eight sequences of different lengths, one of them empty, padded to 12 places."""

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> Sentence:
        g = torch.Generator().manual_seed(index)
        tokens, classes = torch.randn(12, 6, generator=g), torch.randint(5, (12,), generator=g)
        mask = torch.arange(12) < LENGTHS[index]
        return {"tokens": tokens, "classes": classes, "mask": mask.float(), "gaps": classes.masked_fill(~mask, -100)}


@networks.register
class Tagger(nn.Module):
    """One linear layer."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Linear(6, 5)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(x)


@injectors.register
def loud(tokens: Tensor) -> Tensor:
    """1 where the first number of a token is large."""
    return (tokens[..., 0] > 0.8).float()


@injectors.register
def certain(logits: Tensor) -> Tensor:
    """1 where the largest logit is far from zero."""
    return (logits.amax(-1) > 0.7).float()


@injectors.register
def own_loss(logits: Tensor, classes: Tensor, mask: Tensor) -> Tensor:
    """A masked loss that an injector computes."""
    return nn.functional.cross_entropy(logits[mask > 0], classes[mask > 0])


@losses.register(count=lambda mask: mask.sum())
def masked_l2(fake: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Mean square at the places of the mask."""
    squares = (fake - real).square().mean(-1) * mask
    return squares.sum() / mask.sum().clamp(min=1)


@losses.register
def undeclared(fake: Tensor, real: Tensor, mask: Tensor) -> Tensor:
    """Mean square at the places of the mask."""
    return masked_l2(fake, real, mask)
'''
NOWHERE = '''

@injectors.register
def nowhere(mask: Tensor) -> Tensor:
    """A mask without places."""
    return torch.zeros_like(mask)
'''
TAG = """
name: tag
plugins: [parts.py]
data:
  train: {type: sentences, batch_size: 8, shuffle: false}
  held: {type: sentences, batch_size: 3, shuffle: false}
networks: {tagger: {type: tagger}}
steps:
  tag:
    trains: tagger
    optimizer: {type: sgd, lr: 1.0}
    injectors: {tag: {type: forward, network: tagger, in: tokens, out: logits}}
    losses: {ce: {type: cross_entropy, in: [logits, classes, mask], class_dim: -1, weight: 1.0}}
train: {iterations: 2, device: cpu}
log: {every: 1}
"""
LOUD = (
    "steps.tag.injectors.loud={type: loud, in: tokens, out: loud}",
    "steps.tag.losses.ce={type: cross_entropy, in: [logits, classes, loud], class_dim: -1, weight: 1.0}",
)
CERTAIN = (
    "steps.tag.injectors.certain={type: certain, in: logits, out: sure}",
    "steps.tag.losses.ce={type: cross_entropy, in: [logits, classes, sure], class_dim: -1, weight: 1.0}",
)
GAPS = ("steps.tag.losses.ce={type: cross_entropy, in: [logits, gaps], class_dim: -1, weight: 1.0}",)
TWO = (
    "steps.tag.losses.l2={type: masked_l2, in: [logits, onehot, mask], weight: 0.3}",
    "steps.tag.losses.size={type: mean, in: logits, weight: 0.1}",
    "steps.tag.injectors.onehot={type: add_noise, in: logits, scale: 0.0, out: onehot, no_grad: true}",
)
"""A loss of a plugin and one over samples beside it."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("parts.py").write_text(PARTS)
    Path("tag.yml").write_text(TAG)
    return tmp_path


def train(name: str, *overrides: str) -> tuple[dict[str, Tensor], list[dict[str, Any]], str]:
    """Weights after two iterations, the log, and what is printed."""
    code, printed = artschool("train", "tag.yml", "--no-trace", "--run-dir", name, *overrides)
    assert code == 0, printed
    return of_run(Path(name)) + (printed,)  # noqa: RUF005  # a pair and a text


def of_run(run: Path) -> tuple[dict[str, Tensor], list[dict[str, Any]]]:
    log = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    return load_file(run / "checkpoints" / "00000002" / "tagger.safetensors"), log


def losses_of(log: list[dict[str, Any]]) -> Iterator[tuple[str, float]]:
    for line in log:
        yield from ((key, value) for key, value in line.items() if key.startswith("tag/") and key != "tag/grad_norm")


def assert_same(one: tuple[Any, ...], other: tuple[Any, ...]) -> None:
    for key, value in one[0].items():
        torch.testing.assert_close(other[0][key], value, rtol=0, atol=1e-6)
    assert dict(losses_of(other[1])) == pytest.approx(dict(losses_of(one[1])), rel=0, abs=1e-6)


@pytest.mark.parametrize("overrides", [(), GAPS, LOUD, TWO], ids=["mask", "ignored", "drawn", "beside"])
def test_a_batch_in_parts_gives_the_step_of_the_whole(overrides: tuple[str, ...]) -> None:
    whole, *cut = (train(f"{parts}", f"train.accumulate={parts}", *overrides) for parts in (1, 2, 3, 8))
    for other in cut:
        assert_same(whole, other)
        assert "weighted by" not in other[2]


def test_fp16_scales_after_the_parts_are_weighted() -> None:
    whole, cut = (train(f"{parts}", f"train.accumulate={parts}", "train.precision=fp16") for parts in (1, 8))
    for key, value in whole[0].items():
        torch.testing.assert_close(cut[0][key], value, rtol=0, atol=2e-3)


def test_a_batch_without_any_place_trains_on_nothing() -> None:
    empty = (
        "steps.tag.losses.ce={type: cross_entropy, in: [logits, classes, nowhere], class_dim: -1, weight: 1.0}",
        "steps.tag.injectors.nowhere={type: nowhere, in: mask, out: nowhere}",
    )
    Path("parts.py").write_text(PARTS + NOWHERE)
    whole, cut = (train(f"{parts}", f"train.accumulate={parts}", *empty) for parts in (1, 4))
    assert_same(whole, cut)
    assert cut[1][0]["tag/ce"] == 0


def test_places_that_a_trained_network_determines_are_reported_and_weighted_by_samples() -> None:
    whole, cut = (train(f"{parts}", f"train.accumulate={parts}", *CERTAIN) for parts in (1, 8))
    assert "late-count" not in whole[2]
    assert (
        "steps.tag.losses.ce.type: is a mean over places that depend on steps.tag.injectors.tag, so the 8 parts of a "
        "batch are weighted by their samples (late-count)\n    Fix: write `no_grad: true` at " in cut[2]
    )
    with pytest.raises(AssertionError):
        assert_same(whole, cut)


def test_such_places_can_come_from_a_call_without_gradients() -> None:
    judge = (
        "steps.tag.injectors={judge: {type: forward, network: tagger, in: tokens, out: judged, no_grad: true}, "
        "certain: {type: certain, in: judged, out: sure}, "
        "tag: {type: forward, network: tagger, in: tokens, out: logits}}",
        CERTAIN[1],
    )
    whole, cut = (train(f"{parts}", f"train.accumulate={parts}", *judge) for parts in (1, 8))
    assert_same(whole, cut)
    assert "late-count" not in cut[2]


def test_a_loss_of_a_plugin_that_declares_nothing_is_reported() -> None:
    loss = "steps.tag.losses.ce={type: undeclared, in: [logits, logits, mask], weight: 1.0}"
    said = "undeclared does not declare what its mean is over, so the 8 parts of a batch are weighted by their samples"
    assert said in artschool("lint", "tag.yml", "train.accumulate=8", loss)[1]
    assert "undeclared-mean" not in artschool("lint", "tag.yml", loss)[1]


def test_a_scalar_of_an_injector_is_told_by_the_trace() -> None:
    own = (
        "steps.tag.injectors.own={type: own_loss, in: [logits, classes, mask], out: own}",
        "steps.tag.losses.ce={type: mean, in: own, weight: 1.0}",
    )
    said = "steps.tag.losses.ce: 'own' is one number for a whole part of a batch; parts are weighted by their samples"
    assert said in artschool("check", "tag.yml", "--trace", "train.accumulate=2", *own)[1]
    assert "one number" not in artschool("check", "tag.yml", "--trace", *own)[1]
    each = "steps.tag.losses.ce={type: mean, in: logits, weight: 1.0}"
    assert "one number" not in artschool("check", "tag.yml", "--trace", "train.accumulate=2", each)[1]


def test_an_evaluation_weights_batches_by_their_places() -> None:
    evaluate = "evaluate={v: {data: held, steps: [tag]}}"
    three, eight = (
        train(f"{size}", evaluate, f"data.held.batch_size={size}", "steps.tag.optimizer.lr=0.1")[1] for size in (3, 8)
    )
    assert three[-1]["v/tag/ce"] == pytest.approx(eight[-1]["v/tag/ce"], abs=1e-6)


@pytest.mark.slow
@pytest.mark.parametrize(
    "options",
    [CERTAIN, pytest.param((*LOUD, "train.accumulate=2"), marks=pytest.mark.soak)],
    ids=["determined", "in parts"],
)
def test_two_processes_give_the_step_of_one(options: tuple[str, ...], tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    whole = train("whole", *options[:2])
    code, output = finish(launch(tmp_path, tmp_path / "tag.yml", 2, "--no-trace", *options))
    assert code == 0, output
    assert_same(whole, of_run(tmp_path / "run"))


@pytest.mark.soak
def test_losses_that_processes_share_are_reported(tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    loss = "steps.tag.losses.ce={type: undeclared, in: [logits, onehot, mask], weight: 1.0}"
    code, output = finish(launch(tmp_path, tmp_path / "tag.yml", 2, "--no-trace", loss, TWO[2]))
    assert code == 0, output
    assert "so the 2 processes' parts of a batch are weighted by their samples (undeclared-mean)" in output
