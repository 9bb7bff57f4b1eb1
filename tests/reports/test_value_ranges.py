"""Values in a range that their reader does not expect: said before training, or at the first batch."""

from __future__ import annotations

import re
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

pytestmark = pytest.mark.usefixtures("registries")
BICUBIC = SUPER_RESOLUTION.replace(
    "{type: forward, network: gen, in: lq, out: sr}}\n    metrics",
    "{type: interpolate, in: lq, scale_factor: 2, mode: bicubic, out: sr}}\n    metrics",
).replace("iterations: 4", "iterations: 1")
SIGNED = BICUBIC.replace("batch_size: 2}", "batch_size: 2, values: [-1, 1]}")
PLUGIN = """
from pathlib import Path
from typing import TypedDict

import numpy as np
import torch
from PIL import Image
from torch import Tensor, nn

from artschool import datasets, injectors, networks


class Image_(TypedDict):
    hq: Tensor


@datasets.register
class Plain:
    def __init__(self, *, path: Path, low: float = 0.0, high: float = 1.0) -> None:
        self.files, self.low, self.high = sorted(path.glob("*.png")), low, high

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Image_:
        image = torch.from_numpy(np.array(Image.open(self.files[index]))).permute(2, 0, 1).float() / 255
        return {"hq": image * (self.high - self.low) + self.low}


@datasets.register(values={"hq": (0.0, 1.0)})
class Promising(Plain):
    pass


@injectors.register
def own_copy(x: Tensor) -> Tensor:
    return x.clone()


@networks.register
class Painter(nn.Sequential):
    def __init__(self) -> None:
        super().__init__(nn.Conv2d(3, 3, 1), nn.Tanh())


@networks.register
class Squashing(nn.Conv2d):
    def __init__(self) -> None:
        super().__init__(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return torch.sigmoid(super().forward(x))
"""
PLAIN = """
name: plain
plugins: [plugin.py]
data: {train: {type: plain, path: pics, batch_size: 2}, val: {type: plain, path: held, batch_size: 2}}
networks: {gen: {type: painter}}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {paint: {type: forward, network: gen, in: hq, out: painted}}
    losses: {pix: {type: l1, in: [painted, hq], weight: 1.0}}
train: {iterations: 1, device: cpu}
evaluate:
  v:
    data: val
    injectors: {copy: {type: own_copy, in: hq, out: copied}}
    metrics: {psnr: {type: psnr, in: [copied, copied]}}
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("pics"), 4)
    write_images(Path("held"), 2)
    Path("plugin.py").write_text(PLUGIN)


def run(text: str, *arguments: str) -> str:
    Path("f.yml").write_text(text)
    code, printed = artschool("train", "f.yml", *arguments)
    assert code == 0, printed
    return printed


def psnr(printed: str) -> str:
    return str(re.findall(r"^v/psnr (\S+)", printed, re.MULTILINE)[-1])


def test_a_metric_of_images_in_another_range_is_objected_to() -> None:
    Path("f.yml").write_text(SIGNED)
    code, printed = artschool("lint", "f.yml")
    assert code == 1
    assert "evaluate.v.metrics.psnr.real: 'hq' has values in -1..1, but psnr expects 0..1 (wrong-range)" in printed
    assert "Fix: write `data_range: [-1, 1]`." in printed


def test_the_range_in_the_file_gives_the_same_number() -> None:
    unit = run(BICUBIC, "--no-trace", "--run-dir", "unit")
    signed = run(SIGNED.replace("in: [sr, hq]}}\n", "in: [sr, hq], data_range: [-1, 1]}}\n"), "--no-trace")
    assert "wrong-range" not in signed
    assert psnr(signed) == psnr(unit)


def test_images_that_would_be_drawn_half_black_are_objected_to() -> None:
    Path("f.yml").write_text(SIGNED + "log: {pictures: {every: 1, keys: [hq]}}\n")
    assert (
        "log.pictures.keys: 'hq' has values in -1..1, but black and white are 0..1 (wrong-range)"
        in artschool("lint", "f.yml")[1]
    )
    # Nothing declares the range of what a plugin's data set yields.
    drawn = run(
        PLAIN + "log: {pictures: {every: 1, keys: [hq]}}\n", "--no-trace", "data.train.low=-1", "--run-dir", "signed"
    )
    assert re.search(
        r"warning: log\.pictures\.keys: \d\d% of the values of 'hq' are outside of the range 0\.\.1 and drawn as black "
        r"or white\. Fix: write the range of the values as `range`, or `range: auto`",
        drawn,
    )
    fitting = PLAIN + "log: {pictures: {every: 1, keys: [hq], range: [-1, 1]}}\n"
    assert "log.pictures" not in run(fitting, "--no-trace", "data.train.low=-1")


def test_the_first_batch_of_an_evaluation_shows_a_range_that_nothing_declares() -> None:
    said = "evaluate.v.metrics.psnr.real: 'copied' has values in -1..1, but psnr expects 0..1"
    assert said in run(PLAIN, "--no-trace", "data.val.low=-1", "--run-dir", "signed")
    assert "psnr expects" not in run(PLAIN, "--no-trace")
    spoilt = run(PLAIN, "--no-trace", "data.val.low=1e39", "--run-dir", "spoilt")
    assert "psnr.real: 'copied' contains NaN or infinity, but psnr expects 0..1\n" in spoilt
    assert "data_range" not in spoilt


def test_the_trace_measures_what_nothing_declares() -> None:
    text = PLAIN.replace("type: psnr, in: [copied, copied]", "type: ssim, in: [hq, hq]")
    Path("f.yml").write_text(text)
    _, printed = artschool("check", "--trace", "f.yml", "data.val.high=255")
    assert (
        "warning: f.yml:17:43: evaluate.v.metrics.psnr.real: 'hq' has values in 0..255, but ssim expects 0..1"
        in printed
    )
    assert "steps.gen.losses.pix.real: 'hq' has values in 0..1, but it is compared with 'painted', in -1..1" in printed
    _, printed = artschool("check", "--trace", "f.yml", "data.train.low=-1")
    assert "has values in" not in printed
    _, printed = artschool("check", "--trace", "f.yml", "data.train.high=1e39")
    assert "pix.real: 'hq' contains NaN or infinity, but it is compared with 'painted', in -1..1\n" in printed
    assert "Fix: convert" not in printed


def test_the_trace_sees_the_last_operation_of_a_network() -> None:
    Path("f.yml").write_text(PLAIN)
    said = "steps.gen.losses.pix.real: 'hq' has values in -1..1, but it is compared with 'painted', in 0..1"
    _, printed = artschool("check", "--trace", "f.yml", "networks.gen.type=squashing", "data.train.low=-1")
    assert said in printed
    _, printed = artschool("check", "--trace", "f.yml", "networks.gen.type=squashing")
    assert "has values in" not in printed


def test_a_sample_outside_of_what_its_data_set_declares_is_a_bad_sample() -> None:
    Path("f.yml").write_text(PLAIN.replace("{train: {type: plain", "{train: {type: promising"))
    code, printed = artschool("train", "f.yml", "--no-trace", "data.train.high=255")
    assert code != 0
    assert re.search(
        r"data\.train: sample \d \(epoch 0\): 'hq' has values in 0\.\.255, but promising declares", printed
    )


def test_an_image_that_is_black_is_not_suspicious() -> None:
    for file in Path("held").iterdir():
        Image.fromarray(np.zeros((40, 48, 3), np.uint8)).save(file)
    assert "expects" not in run(PLAIN, "--no-trace")
