"""Recipes and published trainings on a pretended CUDA device: all tensors lie on it, and nothing waits for it."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from tests.pretended_cuda.train import ITERATIONS

ROOT = Path(__file__).parents[2]
LEFT_OUT = {
    "cyclegan": "its pool of images grows, which waits",
    "photo_cyclegan": "its pool of images grows, which waits",
    "dpo": "torch has no GRU without values",
    "dreambooth_lora": "peft moves modules without values in its own way",
    "speech_ctc": "its data is not there",
    "speech_vocoder": "its data is not there",
}
FILES = [
    file
    for file in sorted((*ROOT.glob("recipes/*.yml"), *ROOT.glob("tests/famous/*.yml")))
    if file.stem not in LEFT_OUT
]
BELOW = "from the 'CUDA' backend"
"""The error of a copy that torch makes by itself. It is not there to be seen, but does not work either."""
WAITS = """
from artschool import losses
from torch import Tensor


@losses.register
def waits(sr: Tensor) -> Tensor:
    {line}
    return sr.mean()
"""

pytestmark = pytest.mark.soak  # 5 s for each file.


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler, torch_folder = shutil.which("g++"), Path(torch.__file__).parent
    if compiler is None:
        pytest.skip("needs a C++ compiler: apt-get install g++")
    target = tmp_path_factory.mktemp("device") / "device.so"
    include = (f"-I{torch_folder / 'include'}", f"-I{torch_folder / 'include/torch/csrc/api/include'}")
    libraries = (f"-L{torch_folder / 'lib'}", f"-Wl,-rpath,{torch_folder / 'lib'}", "-lc10", "-ltorch_cpu")
    source = Path(__file__).with_name("device.cpp")
    options = ("-std=c++20", "-shared", "-fPIC", "-w")
    subprocess.run([compiler, *options, *include, source, "-o", target, *libraries], check=True)
    return target


def trained(device: Path, *arguments: object) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "tests.pretended_cuda.train", *map(str, arguments)]
    variables = os.environ | {"LD_PRELOAD": str(device), "OMP_NUM_THREADS": "1"}
    return subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)


def assert_trained(result: subprocess.CompletedProcess[str]) -> None:
    assert result.stdout.endswith(f"trained {ITERATIONS} iterations\n"), result.stderr[-2000:]


@pytest.mark.parametrize("file", FILES, ids=[file.stem for file in FILES])
def test_a_training_waits_for_nothing(device: Path, file: Path) -> None:
    assert_trained(trained(device, file))


@pytest.mark.parametrize(
    "options",
    [
        ("train.precision=fp16", "train.accumulate=2"),
        ("train.precision=bf16", "train.non_finite=rewind"),
        ("train.channels_last=true", "train.non_finite=ignore"),
        ("train.offload={optimizer: cpu, ema: cpu}",),
        ("train.on_out_of_memory=split", "train.deterministic=true"),
    ],
    ids=" ".join,
)
def test_an_option_waits_for_nothing(device: Path, options: tuple[str, ...]) -> None:
    assert_trained(trained(device, ROOT / "recipes/photo_sr.yml", *options))


@pytest.mark.parametrize(
    ("line", "refused"),
    [
        ("float(sr.mean())", "reads a number"),
        ("sr[:, [0, 2]]", BELOW),
        ("sr[0, 0, 0, 0] = 1.0", "copies between cpu and cuda"),
        ("sr.new_tensor([1.0, 2.0])", BELOW),
        ("sr.cpu()", "copies between cpu and cuda"),
        ("import torch; sr + torch.zeros(3, 1, 1)", "two devices"),
    ],
)
def test_what_waits_or_is_elsewhere_is_refused(device: Path, tmp_path: Path, line: str, refused: str) -> None:
    plugin = tmp_path / "waits.py"
    plugin.write_text(WAITS.format(line=line))
    loss = "steps.gen.losses.waits={type: waits, in: sr, weight: 1.0}"
    result = trained(device, ROOT / "recipes/photo_sr.yml", f"plugins=[{plugin}]", loss)
    assert refused in result.stderr, result.stderr[-2000:]
