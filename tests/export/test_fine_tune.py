"""A new run that starts from the weights of another run: `weights: {run: ...}`."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

import artschool
from artschool.errors import CheckpointError, ConfigError

UPSCALE = """
name: NAME
data: {train: {type: sklearn_digits, batch_size: 4}}
networks:
  net: {type: edsr, in_channels: 1, out_channels: 1, width: 4, blocks: 1, scale: SCALE, WEIGHTS}
steps:
  learn:
    trains: net
    optimizer: {type: adamw, lr: 1e-2}
    injectors:
      small: {type: interpolate, in: image, scale_factor: FRACTION, mode: area, out: small}
      enlarge: {type: forward, network: net, in: small, out: large}
    losses: {pixel: {type: l1, in: [large, image], weight: 1.0}}
ema: {decay: 0.5, networks: [net]}
evaluate:
  held: {data: train, every: 2, steps: [learn], metrics: {psnr: {type: psnr, in: [large, image]}}}
checkpoint: {every: 2, keep_last: 5, keep_best: {metric: held/psnr, mode: min}}
train: {iterations: 4}
"""


def config(name: str, scale: int, weights: str = "") -> Path:
    text = UPSCALE.replace("NAME", name).replace("SCALE", str(scale)).replace("FRACTION", str(1 / scale))
    file = Path(f"{name}.yml")
    file.write_text(text.replace(", WEIGHTS", f", weights: {weights}" if weights else ""))
    return file


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which `runs/x2` was trained for 4 iterations; the best checkpoint is the first."""
    folder = tmp_path_factory.mktemp("fine_tune")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        artschool.load(config("x2", 2)).train()
    return folder


def loaded(folder: Path, weights: str, monkeypatch: pytest.MonkeyPatch, scale: int = 2) -> torch.nn.Module:
    monkeypatch.chdir(folder)
    return artschool.load(config("tuned", scale, weights)).networks["net"]


@pytest.mark.parametrize(
    ("weights", "file"),
    [
        ("{run: runs/x2}", "00000004/net.safetensors"),
        ("{run: runs/x2, network: net.ema}", "00000004/net.ema.safetensors"),
        ("{run: runs/x2, checkpoint: best}", "00000002/net.safetensors"),
        ("{run: runs/x2, network: net, checkpoint: 2}", "00000002/net.safetensors"),
    ],
)
def test_a_run_gives_the_weights_of_a_checkpoint(
    folder: Path, weights: str, file: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    network = loaded(folder, weights, monkeypatch)
    expected = load_file(folder / "runs/x2/checkpoints" / file)
    assert all(torch.equal(value, expected[name]) for name, value in network.state_dict().items())


def test_another_scale_needs_a_new_head_and_the_error_says_what_to_write(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(CheckpointError, match=r"shape of last\.bias .* write `skip: \[last\.\*\]`"):
        loaded(folder, "{run: runs/x2}", monkeypatch, scale=4)
    network = loaded(folder, "{run: runs/x2, skip: [last.*]}", monkeypatch, scale=4)
    expected = load_file(folder / "runs/x2/checkpoints/00000004/net.safetensors")
    assert torch.equal(network.state_dict()["first.weight"], expected["first.weight"])


@pytest.mark.parametrize(
    ("weights", "error"),
    [
        (
            "{run: runs/no}",
            r"weights: runs/no: run folder does not exist \(a path is relative to the working directory, /",
        ),
        ("{run: runs/x2, checkpoint: 3}", r"00000003"),
        ("{run: runs/x2, network: gen}", r"no network 'gen'\. Available networks: net, net\.ema\."),
        ("{run: runs/x2, file: w.pt}", r"weights\.run: sets both 'file' and 'run'; remove one"),
        ("{network: net, checkpoint: best}", r"weights\.checkpoint: has no effect without `run`"),
        ("{skip: [last.*]}", r"missing option 'file' or 'network' or 'run'"),
    ],
)
def test_what_is_missing_is_named(folder: Path, weights: str, error: str, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises((CheckpointError, ConfigError), match=error):
        loaded(folder, weights, monkeypatch)
