"""Averages of networks that torch refuses to copy, or whose code replaces tensors while they train."""

from __future__ import annotations

from pathlib import Path

import pytest
from safetensors.torch import load_file

from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

PARTS = '''
import torch
from torch import Tensor, nn
from artschool import networks


@networks.register
class Normed(nn.Module):
    """Convolutions under one of torch's normalizations of weights."""

    def __init__(self, norm: str) -> None:
        super().__init__()
        norms = {
            "weight": nn.utils.weight_norm,
            "spectral": nn.utils.spectral_norm,
            "new_weight": nn.utils.parametrizations.weight_norm,
            "new_spectral": nn.utils.parametrizations.spectral_norm,
        }
        self.a, self.b = norms[norm](nn.Conv2d(3, 4, 3, padding=1)), norms[norm](nn.Conv2d(4, 12, 3, padding=1))

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.b(self.a(x).relu()), 2)


@networks.register
class Centered(nn.Module):
    """Keeps the running mean of its input in a buffer, in one of several ways."""

    def __init__(self, *, how: str) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 12, 3, padding=1)
        self.how = how
        if how != "late":
            self.register_buffer("mean", None if how == "none" else torch.zeros(3))

    def forward(self, x: Tensor) -> Tensor:
        if self.training:
            new = x.detach().mean((0, 2, 3))
            if self.how == "late" and not hasattr(self, "mean"):
                self.register_buffer("mean", torch.zeros(3))
            if self.how == "copied":
                self.mean.copy_(new)
            elif self.how == "data":
                self.mean.data = new
            else:
                self.mean = new
        return nn.functional.pixel_shuffle(self.body(x - self.mean[:, None, None]), 2)


@networks.register
class Growing(nn.Module):
    """Replaces a parameter, or adds a layer, while it trains."""

    def __init__(self, *, how: str) -> None:
        super().__init__()
        self.how = how
        self.body = nn.Conv2d(3, 12, 3, padding=1)

    def update_for_step(self, step, folder):
        if step == 2 and self.how == "replace":
            self.body.bias = nn.Parameter(torch.zeros(12))
        if step == 2 and self.how == "add":
            self.more = nn.Conv2d(12, 12, 1)
        if step == 2 and self.how == "remove":
            self.body.bias = None
        if step == 2 and self.how == "harmless":
            self.last = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.body(x), 2)


@networks.register
class Hooked(nn.Module):
    """Its hook is a function that is not copied with the network."""

    def __init__(self) -> None:
        super().__init__()
        self.body = nn.Conv2d(3, 12, 3, padding=1)
        self.gain = nn.Parameter(torch.ones(()))
        self.body.register_forward_hook(lambda module, inputs, output: output * self.gain)

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.body(x), 2)


@networks.register
class Locked(nn.Module):
    """Cannot be copied."""

    def __init__(self) -> None:
        super().__init__()
        import threading

        self.body = nn.Conv2d(3, 12, 3, padding=1)
        self.lock = threading.Lock()

    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.body(x), 2)
'''
ONE_OF = "ema={decay: 0.5, networks: [gen]}"
ALL = "ema={decay: 0.0, networks: [gen]}"
"""An average with the decay 0 equals its network after every iteration."""


@pytest.fixture
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Path:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "pics", 4)
    write_images(tmp_path / "held", 2)
    (tmp_path / "parts.py").write_text(PARTS)
    (tmp_path / "sr.yml").write_text(f"plugins: [parts.py]\n{SUPER_RESOLUTION}")
    return tmp_path / "sr.yml"


def train(file: Path, *overrides: str) -> tuple[int, str]:
    return artschool("train", str(file), "--no-trace", *overrides)


def psnr(printed: str) -> str:
    return next(line for line in printed.splitlines() if line.startswith("v/psnr"))


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
@pytest.mark.parametrize("norm", ["weight", "spectral", "new_weight", "new_spectral"])
def test_an_average_of_a_normalized_network_trains(file: Path, norm: str) -> None:
    gen = f"networks.gen={{type: normed, norm: {norm}}}"
    code, printed = train(file, gen, ALL)
    assert code == 0, printed
    code, plain = train(file, gen, ALL, "evaluate.v.ema=false", "--run-dir", "runs/plain")
    # The average computes its weights from its own values: with the decay 0, those of the network.
    assert psnr(printed) == psnr(plain)
    code, half = train(file, gen, ONE_OF, "--run-dir", "runs/half")
    assert psnr(half) != psnr(plain)


@pytest.mark.filterwarnings("ignore:`torch.nn.utils.weight_norm` is deprecated:FutureWarning")
def test_the_trace_averages_a_normalized_network(file: Path) -> None:
    code, printed = artschool("check", str(file), "--trace", "networks.gen={type: normed, norm: weight}", ONE_OF)
    assert code == 0, printed


@pytest.mark.parametrize("how", ["copied", "assigned", "none", "late", "data"])
def test_an_average_follows_a_buffer_that_code_replaces(file: Path, how: str) -> None:
    code, printed = train(file, f"networks.gen={{type: centered, how: {how}}}", ONE_OF)
    assert code == 0, printed
    folder = file.parent / "runs" / "sr" / "checkpoints" / "00000004"
    mean, average = (load_file(folder / f"{name}.safetensors")["mean"] for name in ("gen", "gen.ema"))
    assert float(mean.abs().min()) > 0
    assert mean.equal(average)
    code, copied = train(file, "networks.gen={type: centered, how: copied}", ONE_OF, "--run-dir", "runs/copied")
    assert psnr(printed) == psnr(copied)


@pytest.mark.parametrize(
    ("how", "what"),
    [("replace", "replaced the parameter 'body.bias'"), ("remove", "removed the parameter 'body.bias'"),
     ("add", "added the parameter 'more.weight'")],
)  # fmt: skip
def test_a_parameter_that_no_optimizer_knows_stops_the_run(file: Path, how: str, what: str) -> None:
    code, printed = train(file, f"networks.gen={{type: growing, how: {how}}}")
    assert code == 2
    assert (
        f"networks.gen: its code has {what} after the optimizers were built, so no optimizer moves the parameter that "
        "it uses now. Fix: create all parameters in `__init__`, and change values in place: "
        "`with torch.no_grad(): parameter.copy_(values)`"
    ) in printed


def test_a_layer_without_parameters_may_come_later(file: Path) -> None:
    assert train(file, "networks.gen={type: growing, how: harmless}", ONE_OF)[0] == 0


def test_a_function_that_uses_the_original_network_is_refused(file: Path) -> None:
    code, printed = train(file, "networks.gen={type: hooked}", ONE_OF)
    line = next(number for number, text in enumerate(PARTS.splitlines(), 1) if "register_forward_hook" in text)
    assert code == 2
    assert f"ema.networks: 'gen' cannot be averaged: a copy of it calls '<lambda>' (line {line} of " in printed
    assert "Fix: make the function a method of the module" in printed
    assert train(file, "networks.gen={type: hooked}")[0] == 0


def test_a_network_that_cannot_be_copied_is_refused_with_the_reason(file: Path) -> None:
    code, printed = artschool("check", str(file), "--trace", "networks.gen={type: locked}", ONE_OF)
    assert code == 2
    assert "ema.networks: 'gen' cannot be averaged, because copy.deepcopy of the network fails: TypeError: " in printed
    assert "Fix: define `__deepcopy__` in its class, or remove it from `ema`" in printed
