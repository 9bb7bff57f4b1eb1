"""The ranges of values along a dataflow: where they come from, what keeps them, and who expects which."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from artschool.config.source import read_text
from artschool.config.structure import Config, structure
from artschool.lint import Subject
from artschool.lint.ranges import wrong_range
from artschool.registry import datasets, injectors, networks

pytestmark = pytest.mark.usefixtures("registries")

FILE = """
name: ranges
data: {{train: {data}}}
networks: {{gen: {{type: edsr, scale: 1}}, vgg: {{type: vgg, depth: 16, frozen: true}}, declared: {{type: signed}}}}
train: {{iterations: 1}}
steps:
  gen:
    trains: [gen, declared]
    optimizer: {{type: adam}}
    injectors: {{{injectors}}}
    losses: {{loss: {{{loss}, weight: 1.0}}}}
{more}
"""
SIGNED = "{type: image_folder, path: pics, values: [-1, 1]}"
UNIT = "{type: image_folder, path: pics}"


class Signed(nn.Module):
    """A network whose code declares its range."""

    def forward(self, x: Tensor) -> Tensor:
        return torch.tanh(x)


class Plain:
    """A data set that declares no range."""

    def __init__(self, *, size: int = 1) -> None: ...


def own(x: Tensor) -> Tensor:
    return x


@pytest.fixture(autouse=True)
def plugin(registries: None) -> None:
    networks.register("signed", Signed, values={"out": (-1.0, 1.0)})
    datasets.register("plain", Plain)
    injectors.register("own", own)


def findings(
    data: str, loss: str, injectors: str = "", more: str = "", modules: dict[str, nn.Module] | None = None
) -> list[str]:
    text = FILE.format(data=data, loss=loss, injectors=injectors, more=more)
    config, faults = structure(read_text(text, "f.yml"))
    assert isinstance(config, Config) and not faults, faults
    return [f"{fault.path}: {fault.message} | {fault.hint}" for fault in wrong_range(Subject(config, modules))]


def test_the_option_of_a_data_set_is_the_range_of_its_keys() -> None:
    assert findings(SIGNED, "type: ssim, in: [lq, hq]") == [
        "steps.gen.losses.loss.fake: 'lq' has values in -1..1, but ssim expects 0..1 | "
        "Fix: write `data_range: [-1, 1]`.",
        "steps.gen.losses.loss.real: 'hq' has values in -1..1, but ssim expects 0..1 | "
        "Fix: write `data_range: [-1, 1]`.",
    ]
    assert findings(SIGNED, "type: ssim, in: [lq, hq], data_range: [-1, 1]") == []
    assert findings(UNIT, "type: ssim, in: [lq, hq]") == []


@pytest.mark.parametrize(
    ("injector", "given"),
    [
        ("type: normalize, in: hq, shift: 0.5, scale: 0.5", "-1..1"),
        ("type: denormalize, in: hq, shift: 10, scale: 2", "10..12"),
        ("type: normalize, in: hq, shift: 0.5, scale: -0.5", "-1..1"),
        ("type: denormalize, in: hq, shift: 10, scale: -2", "8..10"),
    ],
)
def test_an_injector_maps_the_range(injector: str, given: str) -> None:
    found = findings(UNIT, "type: perceptual, network: vgg, in: [lq, x]", f"x: {{{injector}, out: x}}")
    assert [line.split(" | ")[0] for line in found] == [
        f"steps.gen.losses.loss.real: 'x' has values in {given}, but perceptual expects 0..1"
    ]


@pytest.mark.parametrize(
    "injector",
    [
        "type: interpolate, in: hq, scale_factor: 2, mode: bicubic",
        "type: crop_border, in: hq, margin: 2",
        "type: alias, in: hq",
        "type: concatenate, in: [lq, hq]",
        "type: slice, in: hq, stop: 1",
    ],
)
def test_an_injector_keeps_the_range(injector: str) -> None:
    found = findings(SIGNED, "type: lpips, network: vgg, fake: x, real: hq", f"x: {{{injector}, out: x}}")
    assert found[0] == (
        "steps.gen.losses.loss.fake: 'x' has values in -1..1, but lpips expects 0..1 | "
        "Fix: convert it with {type: denormalize, shift: 0.5, scale: 0.5}."
    )


def test_what_nothing_declares_is_not_judged() -> None:
    assert findings(SIGNED, "type: ssim, in: [x, x]", "x: {type: own, in: hq, out: x}") == []
    assert findings("{type: plain, keys: [hq]}", "type: ssim, in: [hq, hq]") == []
    mixed = f"{{type: union, data: [{SIGNED}, {UNIT}]}}"
    assert findings(mixed, "type: ssim, in: [lq, hq]") == []


def test_a_wrapped_data_set_keeps_the_range() -> None:
    repeated = "{type: repeat, times: 2, data: %s}".replace("%s", SIGNED)
    assert len(findings(repeated, "type: ssim, in: [lq, hq]")) == 2


def test_a_network_declares_its_range() -> None:
    call = "x: {type: forward, network: declared, in: lq, out: x}"
    assert findings(UNIT, "type: l1, in: [x, hq]", call) == [
        "steps.gen.losses.loss.real: 'hq' has values in 0..1, but it is compared with 'x', in -1..1 | "
        "Fix: convert it with {type: denormalize, shift: -1, scale: 2}."
    ]
    assert findings(SIGNED, "type: l1, in: [x, hq]", call) == []
    assert findings(UNIT, "type: adjusted_pixel, in: [x, hq], real_scale: 2, real_offset: -1", call) == []
    assert findings(SIGNED, "type: adjusted_pixel, in: [x, hq], real_scale: 2, real_offset: -1", call) == [
        "steps.gen.losses.loss.fake: 'x' has values in -1..1, but adjusted_pixel expects -3..1 | "
        "Fix: convert it with {type: denormalize, shift: -1, scale: 2}."
    ]


@pytest.mark.parametrize(("last", "shown"), [(nn.Tanh(), "-1..1"), (nn.Sigmoid(), "0..1")])
def test_the_last_layer_of_a_network_shows_its_range(last: nn.Module, shown: str) -> None:
    call = "x: {type: forward, network: gen, in: lq, out: x}"
    built: dict[str, nn.Module] = {"gen": nn.Sequential(nn.Conv2d(3, 3, 1), last)}
    found = findings(UNIT if shown == "-1..1" else SIGNED, "type: l1, in: [x, hq]", call, modules=built)
    assert [line.partition(" | ")[0].rpartition(", ")[2] for line in found] == [f"in {shown}"]
    assert findings(UNIT, "type: l1, in: [x, hq]", call, modules={"gen": nn.Sequential(last, nn.Conv2d(3, 3, 1))}) == []


def test_labels_of_independent_classes_are_probabilities() -> None:
    loss = "type: cross_entropy, logits: lq, labels: hq, kind: %s"
    assert findings(SIGNED, loss % "bce") == [
        "steps.gen.losses.loss.labels: 'hq' has values in -1..1, but cross_entropy expects 0..1 | "
        "Fix: convert it with {type: denormalize, shift: 0.5, scale: 0.5}."
    ]
    assert findings(UNIT, loss % "bce") == findings(SIGNED, loss % "ce") == []


def test_a_nested_loss_expects_its_range_too() -> None:
    assert len(findings(SIGNED, "type: for_element, loss: {type: ssim}, index: 0, in: [lq, hq]")) == 2


@pytest.mark.parametrize("metric", ["psnr", "ssim", "fid, network: vgg", "kid, network: vgg", "lpips, network: vgg"])
def test_every_metric_that_expects_a_range_is_held_to_it(metric: str) -> None:
    more = f"evaluate: {{v: {{data: train, metrics: {{m: {{type: {metric}, fake: lq, real: hq}}}}}}}}"
    found = findings(SIGNED, "type: l1, in: [lq, hq]", more=more)
    assert [line.partition(" has")[0] for line in found] == [
        "evaluate.v.metrics.m.fake: 'lq'",
        "evaluate.v.metrics.m.real: 'hq'",
    ]
    assert findings(UNIT, "type: l1, in: [lq, hq]", more=more) == []


def test_images_are_drawn_in_the_range_of_their_values() -> None:
    more = "log: {pictures: {every: 1, keys: [hq], range: %s}}"
    assert findings(SIGNED, "type: l1, in: [lq, hq]", more=more % "[0, 1]") == [
        "log.pictures.keys: 'hq' has values in -1..1, but black and white are 0..1 | Fix: write `range: [-1, 1]`."
    ]
    for fitting in ("[-1, 1]", "auto", "{hq: [-1, 1]}"):
        assert findings(SIGNED, "type: l1, in: [lq, hq]", more=more % fitting) == []


def test_images_in_shards_are_in_0_to_1(tmp_path: Path) -> None:
    shards = "{type: tar_shards, path: x.tar, columns: {hq: jpg;png, lq: seg.png, z: npy}}"
    assert len(findings(shards, "type: ssim, in: [hq, lq], data_range: 255")) == 2
    assert findings(shards, "type: ssim, in: [z, z], data_range: 255") == []


def test_inverted_images_have_the_same_range() -> None:
    inverted = SIGNED.replace("[-1, 1]", "[1, -1]")
    assert findings(inverted, "type: ssim, in: [lq, hq]") == findings(SIGNED, "type: ssim, in: [lq, hq]")
