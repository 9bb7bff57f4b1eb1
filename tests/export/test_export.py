"""Networks of a run as folders that stand alone."""

from __future__ import annotations

import errno
import importlib.util
import json
import os
import subprocess
import sys
import venv
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch
from click.testing import CliRunner, Result
from torch import Tensor, nn

import artschool
from artschool.cli.main import cli
from artschool.config.source import read_file
from artschool.engine.data_examples import Example, NetworkCall, NetworkInput
from artschool.errors import ConfigError, ResourceError
from artschool.export.called import CalledNetwork
from artschool.export.card import newest_images
from artschool.export.inference import with_onnxruntime
from artschool.export.inference.with_torch import difference, named
from artschool.export.program import CannotExportError, dynamic_sizes, larger_inputs, program_of, write_onnx
from artschool.export.source import CannotStandAloneError, standalone_source
from artschool.registry import networks
from artschool.wording import hidden
from tests.components.networks.test_every_network import SMALL, made
from tests.little_room import little_room

PLUGIN = """
import artschool
from torch import Tensor, nn

GAIN = 2.0


def half(x):
    return x / GAIN


@artschool.networks.register
class Tiny(nn.Module):
    def __init__(self, *, width: int = 3) -> None:
        from artschool.errors import ConfigError

        super().__init__()
        if width < 1:
            raise ConfigError("width")
        self.layer = nn.Conv2d(1, 1, width, padding=width // 2)

    def forward(self, x, scale=1.0, *, bias):
        return {"sum": half(self.layer(x)) * scale, "bias": bias}
"""
CONFIG = """
name: digits
plugins: [tiny.py]
data:
  train: {type: sklearn_digits, batch_size: 4}
  more: {type: image_folder, path: [/home/anna/photos, ~/scans.zip, shared/maps], batch_size: 1}
networks:
  net: {type: edsr, in_channels: 1, out_channels: 1, width: 4, blocks: 1, scale: 1, skip: bicubic}
  tiny: {type: tiny}
steps:
  denoise:
    trains: [net, tiny]
    optimizer: {type: adamw, lr: 1e-2}
    injectors:
      corrupt: {type: add_noise, in: image, scale: 0.6, out: noisy}
      first: {type: forward, network: net, in: noisy, out: clean}
      second: {type: forward, network: tiny, in: [clean, 0.5], named_inputs: {bias: noisy}, out: both}
    losses:
      pixel: {type: l1, in: [clean, image], weight: 1.0}
      tiny: {type: tiny_loss, in: both, weight: 1.0}
ema: {decay: 0.5, networks: [net]}
evaluate:
  held: {data: train, every: 2, steps: [denoise], metrics: {psnr: {type: psnr, in: [clean, image]}}}
log: {pictures: {every: 2, keys: [clean]}}
train: {iterations: 2}
"""
LOSS = """

@artschool.losses.register
def tiny_loss(both: Tensor) -> Tensor:
    return both["sum"].abs().mean()
"""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run folder of two networks, one of a plugin."""
    folder = tmp_path_factory.mktemp("export")
    (folder / "tiny.py").write_text(PLUGIN + LOSS)
    (folder / "digits.yml").write_text(CONFIG)
    artschool.load(folder / "digits.yml", run_dir=folder / "run").train()
    return folder / "run"


def export(run: Path, *arguments: str | Path) -> Result:
    return CliRunner().invoke(cli, ["export", str(run), *map(str, arguments)])


def raise_of(result: Result) -> None:
    """Raise what a command has raised."""
    assert result.exception is not None, result.output
    raise result.exception


def test_a_folder_runs_without_artschool_and_is_read_back(run: Path, tmp_path: Path) -> None:
    result = export(run, "net", "-o", tmp_path / "out")
    assert result.exit_code == 0, result.output
    assert "net after 2 iterations: the moving average" in result.output
    assert "dynamic sizes: x (N, 1, H, W)" in result.output
    assert "largest difference from artschool, by inference.py in a process without it: 0.0e+00" in result.output
    config = json.loads((tmp_path / "out/config.json").read_text())
    assert (config["type"], config["iteration"], config["average"]) == ("edsr", 2, True)
    assert config["options"]["width"] == 4 and config["inputs"][0]["shape"] == [2, 1, 8, 8]
    card = (tmp_path / "out/README.md").read_text()
    assert card.startswith("---\n") and "held/psnr" in card and "sklearn_digits" in card and "loss `pixel`" in card
    assert "path: [.../photos, .../scans.zip, shared/maps]" in card
    assert "![clean-" in card and [*(tmp_path / "out/images").glob("clean-*.png")]
    weights = f"networks.net.weights={tmp_path / 'out/model.safetensors'}"
    read = artschool.load(run.parent / "digits.yml", [weights], run_dir=tmp_path / "run").networks["net"]
    exported = artschool.open(run, device="cpu")["net"].state_dict()
    assert all(torch.equal(value, exported[name]) for name, value in read.state_dict().items())


def test_a_card_has_the_newest_images_of_training_and_of_evaluations_at_its_iteration(tmp_path: Path) -> None:
    for name in ("sr/00000010", "sr/00000020", "held/sr/00000010", "held/sr/00000030", "later/00000030"):
        (tmp_path / "pictures" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / f"pictures/{name}.png").write_bytes(b"")
    names = [image.name for image in newest_images(tmp_path, 20)]
    assert sorted(names) == ["held-sr-00000010.png", "sr-00000020.png"]


@pytest.mark.soak
def test_a_value_of_the_environment_is_not_exported(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Traces a program, and starts two processes."""
    monkeypatch.setattr(hidden, "_hidden", {})
    hidden.hide("bicubic", "${env:SKIP}")
    result = export(run, "net", "-o", tmp_path / "out")
    assert "cannot stand alone: its options contain a secret or a value of the environment" in result.output
    assert (tmp_path / "out/network.pt2").exists()
    assert not [path for path in (tmp_path / "out").glob("*.[jm]*") if "bicubic" in path.read_text()]


def test_what_cannot_be_exported_is_named(run: Path, tmp_path: Path) -> None:
    assert "Available networks: net, tiny" in str(export(run, "-o", tmp_path / "out").exception)
    assert "unknown network 'nett'" in str(export(run, "nett", "-o", tmp_path / "out").exception)
    assert "Available calls: net" in str(export(run, "net.encode", "-o", tmp_path / "out").exception)
    (tmp_path / "mine").write_text("x")
    refused = export(run, "net", "-o", tmp_path).exception
    assert isinstance(refused, ConfigError) and "is not empty, and nothing is overwritten" in str(refused)
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def code_of(files: dict[str, str]) -> list[str]:
    """The lines that are no comments."""
    return [line for text in files.values() for line in text.splitlines() if not line.startswith("#")]


def imported(files: dict[str, str], folder: Path, name: str) -> ModuleType:
    (folder / name).mkdir()
    for file, text in files.items():
        (folder / name / file).write_text(text)
    spec = importlib.util.spec_from_file_location(name, folder / name / "__init__.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    spec.loader.exec_module(module)
    return module


@pytest.mark.parametrize("name", SMALL)
def test_the_source_of_every_network_stands_alone(name: str, tmp_path: Path) -> None:
    files = standalone_source(networks.get(name).target)
    assert not [line for line in code_of(files) if "artschool" in line and "import" in line]
    copy = imported(files, tmp_path, f"alone_{name}").build(**SMALL[name][0]).eval()
    own = made(name)
    copy.load_state_dict(own.state_dict())
    inputs = SMALL[name][1](2)
    with torch.no_grad():
        ours, theirs = dict(named(own(*inputs))), dict(named(copy(*inputs)))
    assert ours.keys() == theirs.keys() and all(torch.equal(value, theirs[key]) for key, value in ours.items())


def test_the_source_of_a_plugin_is_cut_to_its_network(run: Path, tmp_path: Path) -> None:
    model = artschool.open(run, device="cpu")
    registered = model.config.networks["tiny"].registered
    assert registered is not None
    files = standalone_source(registered.target)
    assert not [line for line in code_of(files) if "artschool" in line]
    assert not any("tiny_loss" in text for text in files.values())
    copy = imported(files, tmp_path, "alone_plugin").build()
    copy.load_state_dict(model["tiny"].state_dict())
    x = torch.rand(1, 1, 4, 4)
    assert torch.equal(copy(x, bias=x)["sum"], model["tiny"](x, bias=x)["sum"])


RANDOM_CODE = """
import torch
from torch import Tensor, nn

import artschool


@artschool.networks.register
class RandomCoder(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(64, 64)

    def forward(self, x: Tensor) -> Tensor:
        mean = self.layer(x.flatten(1))
        return (mean + torch.randn_like(mean)).view_as(x)
"""
RANDOM = """
name: random
plugins: [coder.py]
data: {train: {type: sklearn_digits, batch_size: 4}}
networks: {net: {type: random_coder}}
steps:
  code:
    trains: net
    optimizer: {type: adamw, lr: 1e-2}
    injectors: {code: {type: forward, network: net, in: image, out: code}}
    losses: {pixel: {type: l1, in: [code, image], weight: 1.0}}
train: {iterations: 1}
"""


def test_an_encoder_that_samples_its_code_is_compared_with_the_same_random_numbers(tmp_path: Path) -> None:
    (tmp_path / "coder.py").write_text(RANDOM_CODE)
    (tmp_path / "random.yml").write_text(RANDOM)
    artschool.load(tmp_path / "random.yml", run_dir=tmp_path / "run").train()
    for kind in ("safetensors", "pt2"):
        result = export(tmp_path / "run", "-o", tmp_path / kind, "--to", kind)
        assert result.exit_code == 0, result.output
    assert (tmp_path / "safetensors/network").is_dir() and not (tmp_path / "safetensors/network.pt2").exists()
    message = "net: cannot be exported to onnx: its outputs are random"
    with pytest.raises(ConfigError, match=message):
        raise_of(export(tmp_path / "run", "-o", tmp_path / "onnx", "--to", "onnx"))


def test_what_needs_another_package_cannot_stand_alone() -> None:
    with pytest.raises(CannotStandAloneError, match="it needs the package"):
        standalone_source(read_file)


def call_of(name: str) -> NetworkCall:
    names = {"unet": ["x", "t", "label"], "spynet": ["first", "second"], "stylegan2": ["z", "label"]}.get(name, ["x"])
    examples = [
        Example(tuple(value.shape), str(value.dtype).removeprefix("torch."), float(value.min()), float(value.max()))
        for value in SMALL[name][1](1)
    ]
    return NetworkCall(None, tuple(NetworkInput(*pair) for pair in zip(names, examples, strict=False)))


DYNAMIC: dict[str, Any] = {
    "edsr": [{0, 2, 3}],
    "mlp": [{0}],
    "numbers": [],
    "patch_critic": [{0, 2, 3}],
    "resnet": [{0, 2, 3}],
    "rrdb": [{0, 2, 3}],
    "spynet": [{0, 2, 3}, {0, 2, 3}],
    "stylegan2": [{0}, {0}],
    "stylegan2_critic": [{0}],
    "unet": [{0, 2, 3}, {0}, {0}],
    "vector_quantizer": [{0, 2}],
    "vgg": [{0, 2, 3}],
    "vgg_critic": [{0}],
    "vq_vae": [{0, 2, 3}],
}


@pytest.mark.parametrize("name", SMALL)
def test_the_sizes_that_may_change_are_found(name: str) -> None:
    called = CalledNetwork(made(name), call_of(name))
    assert dynamic_sizes(called, called.random_inputs()) == DYNAMIC[name]


def sizes_of(inputs: list[Tensor], sizes: Any) -> list[list[Tensor]]:
    return [inputs, larger_inputs(inputs, sizes), [value[:1] for value in inputs]]


def test_a_program_takes_other_sizes() -> None:
    called = CalledNetwork(made("mlp"), call_of("mlp"))
    inputs = called.random_inputs()
    program = program_of(called, inputs, [{0}]).module()
    for values in sizes_of(inputs, [{0}]):
        torch.testing.assert_close(program(*values), called(*values))


class Choice(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return x if x.sum() > 0 else -x


def test_codes_may_differ_where_two_are_equally_near() -> None:
    """A machine that rounds otherwise, or another number of threads, chooses the other one."""
    codes = torch.arange(1000)
    for wrong, expected in ((9, 0.9e-4), (30, 3e-4)):
        other = torch.where(codes < wrong, codes + 500, codes)
        assert difference({"out": other}, {"out": codes}) == pytest.approx(expected)
        found = with_onnxruntime.difference({"out": other.numpy()}, {"out": codes.numpy()})
        assert found == pytest.approx(expected)
    values, apart = torch.tensor([1.0, -8.0]), torch.tensor([1.0, -8.4])
    assert difference({"out": apart}, {"out": values}) == pytest.approx(0.05)
    assert with_onnxruntime.difference({"out": apart.numpy()}, {"out": values.numpy()}) == pytest.approx(0.05)


def test_a_folder_that_cannot_be_made_is_an_error(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(path: Path, *_: Any, **__: Any) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(path))

    monkeypatch.setattr(Path, "mkdir", refuse)
    error = export(run, "net", "-o", tmp_path / "out").exception
    assert isinstance(error, ResourceError) and "Permission denied" in str(error)


def test_a_network_that_decides_by_values_has_no_program() -> None:
    called = CalledNetwork(Choice(), call_of("mlp"))
    with pytest.raises(CannotExportError):
        program_of(called, called.random_inputs(), [set()])


def test_an_error_of_torch_without_a_text_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise AssertionError

    monkeypatch.setattr("torch.export.export", fail)
    called = CalledNetwork(Choice(), call_of("mlp"))
    with pytest.raises(CannotExportError, match=r"^AssertionError$"):
        program_of(called, called.random_inputs(), [set()])


@pytest.mark.soak
@pytest.mark.parametrize("name", [*SMALL, "edsr with skip"])
def test_every_network_has_a_program_and_an_onnx_model(name: str, tmp_path: Path) -> None:
    """torch takes half a minute for the larger ones."""
    import onnxruntime

    torch.manual_seed(0)
    kind = name.partition(" ")[0]
    options = SMALL[kind][0] | ({"skip": "bicubic"} if kind != name else {})
    network: nn.Module = networks.get(kind).target(**options).eval()
    for parameter in network.parameters():
        nn.init.normal_(parameter, std=0.1)  # What starts at nothing would hide what comes before it.
    called = CalledNetwork(network, call_of(kind))
    inputs, outputs = called.random_inputs(), [output for output, _ in named(called(*called.random_inputs()))]
    program = program_of(called, inputs, DYNAMIC[kind])
    write_onnx(program, called, outputs, tmp_path / "network.onnx")
    session = onnxruntime.InferenceSession(str(tmp_path / "network.onnx"))
    with torch.no_grad():
        for values in sizes_of(inputs, DYNAMIC[kind]):
            expected = dict(named(called(*values)))
            arrays = {each.name: value.numpy() for each, value in zip(called.inputs, values, strict=True)}
            found = [torch.as_tensor(array) for array in session.run(outputs, arrays)]
            assert difference(dict(zip(outputs, found, strict=True)), expected) < 1e-4
            assert difference(dict(named(program.module()(*values))), expected) < 1e-4


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["safetensors", "pt", "pt2", "onnx"])
@pytest.mark.parametrize("network", ["net", "tiny"])
def test_every_format_is_read_back(run: Path, kind: str, network: str, tmp_path: Path) -> None:
    """Starts a process for each format and network."""
    result = export(run, network, "--to", kind, "-o", tmp_path / "out")
    assert result.exit_code == 0, f"{result.output}{result.exception}"
    file = tmp_path / "out" / json.loads((tmp_path / "out/config.json").read_text())["weights"]
    weights = f"networks.{network}.weights={file}"
    read = artschool.load(run.parent / "digits.yml", [weights], run_dir=tmp_path / "run").networks[network]
    exported = artschool.open(run, device="cpu")[network].state_dict()
    assert all(torch.equal(value, exported[name]) for name, value in read.state_dict().items())


@pytest.mark.parametrize("kind", ["safetensors", "pt", "pt2"])
def test_a_disk_without_room_is_an_error_and_keeps_no_folder(run: Path, kind: str, tmp_path: Path) -> None:
    with little_room(4000), pytest.raises(ResourceError, match="cannot write: File too large"):
        raise_of(export(run, "net", "--to", kind, "-o", tmp_path / "out"))
    assert not any(tmp_path.iterdir())


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["onnx", "pt2"])
def test_a_program_that_does_not_fit_is_an_error_and_keeps_no_folder(run: Path, kind: str, tmp_path: Path) -> None:
    with little_room(10_000), pytest.raises(ResourceError, match="cannot write: File too large"):
        raise_of(export(run, "net", "--to", kind, "-o", tmp_path / "out"))
    assert not any(tmp_path.iterdir())


@pytest.mark.soak
def test_outputs_that_differ_are_an_error(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Starts two processes. The source of a plugin does not know what was changed after its import."""
    module = sys.modules[type(artschool.open(run, device="cpu")["tiny"]).__module__]
    monkeypatch.setattr(module, "GAIN", 3.0)
    result = export(run, "tiny", "-o", tmp_path / "out")
    assert "the source cannot stand alone: its outputs differ by" in result.output
    assert (tmp_path / "out/network.pt2").exists() and not (tmp_path / "out/network").exists()


@pytest.mark.soak
def test_a_bare_environment_runs_the_folders(run: Path, tmp_path: Path) -> None:
    """Starts processes in an environment in which torch alone, with what it requires, can be imported."""
    from importlib.metadata import distribution

    from artschool.export.alone import _modules_besides

    environment = tmp_path / "bare"
    venv.create(environment, symlinks=True)
    site = next(environment.glob("lib/python*/site-packages"))
    source, others = Path(str(distribution("torch").locate_file(""))), _modules_besides(["torch"])
    for path in source.iterdir():
        if path.name.partition(".")[0] not in others and not path.name.endswith(".pth"):
            (site / path.name).symlink_to(path)
    python, variables = environment / "bin/python", {k: v for k, v in os.environ.items() if k != "PYTHONPATH"}
    hidden = subprocess.run([python, "-c", "import artschool"], capture_output=True, check=False, env=variables)
    assert hidden.returncode != 0
    for kind in ("safetensors", "pt", "pt2"):
        assert export(run, "net", "--to", kind, "-o", tmp_path / kind).exit_code == 0
        result = subprocess.run(
            [python, "inference.py"], cwd=tmp_path / kind, capture_output=True, text=True, check=False, env=variables
        )
        assert result.returncode == 0 and "largest difference" in result.stdout, result.stderr


def test_a_missing_call_is_named(run: Path, tmp_path: Path) -> None:
    (run / "data_examples.json").rename(tmp_path / "kept.json")
    try:
        error = export(run, "net", "-o", tmp_path / "out").exception
    finally:
        (tmp_path / "kept.json").rename(run / "data_examples.json")
    assert isinstance(error, ConfigError) and "train one more iteration" in str(error)


DIFFUSERS = """
name: drawn
data: {train: {type: sklearn_digits, batch_size: 2}}
networks:
  unet:
    type: diffusers
    model: UNet2DModel
    options:
      {sample_size: 8, in_channels: 1, out_channels: 1, block_out_channels: [32], layers_per_block: 1,
       down_block_types: [DownBlock2D], up_block_types: [UpBlock2D], norm_num_groups: 8}
steps:
  draw:
    trains: unet
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {guess: {type: forward, network: unet, in: [image, 3], out: guess}}
    losses: {pixel: {type: l1, in: [guess, image], weight: 1.0}}
train: {iterations: 1}
"""


@pytest.mark.soak
def test_diffusers_reads_a_folder(tmp_path: Path) -> None:
    """Imports diffusers."""
    (tmp_path / "drawn.yml").write_text(DIFFUSERS)
    artschool.load(tmp_path / "drawn.yml", run_dir=tmp_path / "run").train()
    result = export(tmp_path / "run", "--to", "diffusers", "-o", tmp_path / "out")
    assert result.exit_code == 0 and "by from_pretrained: 0.0e+00" in result.output, (
        f"{result.output}{result.exception}"
    )
    weights = f"networks.unet.weights={tmp_path / 'out/diffusion_pytorch_model.safetensors'}"
    read = artschool.load(tmp_path / "drawn.yml", [weights], run_dir=tmp_path / "again").networks["unet"]
    exported = artschool.open(tmp_path / "run", device="cpu")["unet"].state_dict()
    assert all(torch.equal(value, exported[name]) for name, value in read.state_dict().items())


def test_diffusers_does_not_know_our_networks(run: Path, tmp_path: Path) -> None:
    error = export(run, "net", "--to", "diffusers", "-o", tmp_path / "out").exception
    assert isinstance(error, ConfigError) and "UNet2DModel" in str(error) and not (tmp_path / "out").exists()
