"""Models of other packages, which stand-ins play here: they behave as the packages do where it matters."""

from __future__ import annotations

import copy
import sys
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from artschool.components.networks import adapters
from artschool.errors import CheckpointError, ConfigError, ResourceError


class Output(dict[str, Any]):
    """What diffusers and transformers return."""

    def to_tuple(self) -> tuple[Any, ...]:
        return tuple(self.values())


class Config:
    def __init__(self, **options: Any) -> None:
        self.options = options


class Net(nn.Module):
    """A model of diffusers."""

    def __init__(self, width: int = 3, **options: Any) -> None:
        super().__init__()
        self.first = nn.Linear(2, width)
        self.made_with = options

    @classmethod
    def from_pretrained(cls, folder: str, **options: Any) -> Net:
        return cls(folder=folder, **options)

    def forward(self, x: Tensor, return_dict: bool = True) -> Any:
        return Output(sample=self.first(x)) if return_dict else (self.first(x),)

    def loop(self, x: Tensor) -> Any:
        return self(x, return_dict=True)["sample"]


class Two(nn.Module):
    """A model of transformers."""

    config_class = Config

    def __init__(self, config: Config) -> None:
        super().__init__()
        self.config = config

    def forward(self, x: Tensor) -> Any:
        return Output(hidden=x + 1, pooled=x.sum())


class AutoTwo:
    """An `AutoModel`."""

    @staticmethod
    def from_config(config: Config) -> Two:
        return Two(config)


class AutoConfig:
    @staticmethod
    def for_model(model_type: str, **options: Any) -> Config:
        return Config(model_type=model_type, **options)


class UnsupportedModelError(Exception):
    """What spandrel raises, without a message."""


class Loader:
    """Of spandrel: knows one architecture, by the names of its weights."""

    def __init__(self, device: str) -> None:
        assert device == "cpu"

    def load_from_state_dict(self, weights: dict[str, Tensor]) -> Any:
        if set(weights) != {"first.weight", "first.bias"}:
            raise UnsupportedModelError
        net = Net(len(weights["first.bias"]))
        net.load_state_dict(weights)
        return SimpleNamespace(model=net)


def stand_in(monkeypatch: pytest.MonkeyPatch, name: str, **contents: Any) -> None:
    module = ModuleType(name)
    vars(module).update(contents)
    monkeypatch.setitem(sys.modules, name, module)


@pytest.fixture
def packages(monkeypatch: pytest.MonkeyPatch) -> None:
    def create_model(model: str, pretrained: bool = True, **options: Any) -> nn.Module:
        assert not pretrained
        return Net(**options)

    def get_model(model: str, **options: Any) -> nn.Module:
        assert options.pop("weights") is None
        assert options.pop("weights_backbone", None) is None
        return Net(**options)

    def segmenter(*, weights: Any = None, weights_backbone: Any = "a download", **options: Any) -> nn.Module:
        return nn.Identity()

    stand_in(
        monkeypatch, "timm", create_model=create_model, is_model=["resnet18"].__contains__,
        list_models=lambda: ["resnet18"],
    )  # fmt: skip
    stand_in(monkeypatch, "torchvision")
    stand_in(
        monkeypatch, "torchvision.models", get_model=get_model, get_model_builder=lambda name: segmenter,
        list_models=lambda: ["fcn_resnet50"],
    )  # fmt: skip
    stand_in(monkeypatch, "diffusers", UNet2DModel=Net, Config=Config)
    stand_in(monkeypatch, "transformers", BertModel=Two, AutoModel=AutoTwo, AutoConfig=AutoConfig)
    stand_in(
        monkeypatch, "spandrel", ModelLoader=Loader, canonicalize_state_dict=lambda content: content["params_ema"]
    )  # fmt: skip


ALL: dict[Callable[..., nn.Module], dict[str, Any]] = {
    adapters.timm: {"model": "anything"},
    adapters.torchvision: {"model": "anything"},
    adapters.diffusers: {"model": "anything"},
    adapters.transformers: {"model": "anything"},
    adapters.spandrel: {"file": Path("x.pth")},
}


@pytest.mark.usefixtures("packages")
def test_a_model_is_built_with_its_options() -> None:
    for made in (
        adapters.timm(model="resnet18", options={"width": 5}),
        adapters.torchvision(model="fcn_resnet50", options={"width": 5}),
        adapters.diffusers(model="UNet2DModel", options={"width": 5}),
    ):
        assert isinstance(made, Net)
        assert list(made.state_dict()) == ["first.weight", "first.bias"]
        assert made.first.out_features == 5


@pytest.mark.usefixtures("packages")
def test_a_model_of_transformers_is_built_from_its_configuration() -> None:
    bert = adapters.transformers(model="BertModel", options={"hidden_size": 8})
    auto = adapters.transformers(model="AutoModel", options={"model_type": "bert", "hidden_size": 8})
    assert isinstance(bert, Two) and bert.config.options == {"hidden_size": 8}
    assert isinstance(auto, Two) and auto.config.options == {"hidden_size": 8, "model_type": "bert"}


@pytest.mark.usefixtures("packages")
def test_one_value_comes_as_a_tensor_and_several_as_a_tuple() -> None:
    x = torch.rand(4, 2)
    one = adapters.diffusers(model="UNet2DModel")
    for network in (one, copy.deepcopy(one)):
        torch.testing.assert_close(network(x), network.first(x))  # type: ignore[operator]  # a layer
    hidden, pooled = adapters.transformers(model="BertModel")(x)
    assert torch.equal(hidden, x + 1) and torch.equal(pooled, x.sum())


@pytest.mark.usefixtures("packages")
def test_a_model_that_calls_itself_gets_what_it_asks_for() -> None:
    network = adapters.diffusers(model="UNet2DModel")
    assert network.loop(torch.rand(4, 2)).shape == (4, 3)  # type: ignore[operator]  # a method


@pytest.mark.usefixtures("packages")
def test_a_folder_is_read_and_nothing_else(tmp_path: Path) -> None:
    made = adapters.diffusers(model="UNet2DModel", folder=tmp_path)
    assert made.made_with == {"folder": str(tmp_path), "local_files_only": True, "use_safetensors": True}
    with pytest.raises(ConfigError, match=r"^folder .*/missing does not exist$"):
        adapters.diffusers(model="UNet2DModel", folder=tmp_path / "missing")


@pytest.mark.usefixtures("packages")
def test_weights_bring_their_architecture(tmp_path: Path) -> None:
    net = Net(5)
    torch.save({"params_ema": net.state_dict()}, tmp_path / "x.pth")
    made = adapters.spandrel(file=tmp_path / "x.pth")
    x = torch.rand(4, 2)
    assert torch.equal(made.loop(x), net.loop(x))  # type: ignore[operator]  # a method
    assert all(parameter.requires_grad for parameter in made.parameters())


@pytest.mark.usefixtures("packages")
def test_weights_without_an_architecture_are_refused_and_code_is_not_run(tmp_path: Path) -> None:
    torch.save({"params_ema": {"other": torch.zeros(1)}}, tmp_path / "x.pth")
    torch.save({"params_ema": Net()}, tmp_path / "code.pth")
    for name, message in (
        ("x.pth", "spandrel cannot load these weights: it knows no such architecture"),
        ("code.pth", "contains code, which is not run. Fix: save only `network.state_dict()`"),
        ("missing.pth", "file does not exist"),
    ):
        with pytest.raises(CheckpointError) as caught:
            adapters.spandrel(file=tmp_path / name)
        assert str(caught.value) == f"{tmp_path / name}: {message}"


@pytest.mark.usefixtures("packages")
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: adapters.timm(model="resent18"), "timm has no model 'resent18'. Did you mean 'resnet18'?"),
        (lambda: adapters.timm(model="hf-hub:some/net"), "timm has no model 'hf-hub:some/net'."),
        (
            lambda: adapters.torchvision(model="fcn_resnet"),
            "torchvision has no model 'fcn_resnet'. Did you mean 'fcn_resnet50'?",
        ),
        (
            lambda: adapters.diffusers(model="UNetModel"),
            "diffusers has no model 'UNetModel'. Did you mean 'UNet2DModel'?",
        ),
        (lambda: adapters.diffusers(model="__class__"), "diffusers has no model '__class__'."),
        (lambda: adapters.diffusers(model="Config"), "Config of diffusers: expected a torch.nn.Module, got Config"),
        (
            lambda: adapters.timm(model="resnet18", options={"pretrained": True}),
            "options.pretrained of timm: not allowed, because it loads or downloads weights. "
            "Fix: download the file and write `weights: {file: ...}`",
        ),
        (
            lambda: adapters.torchvision(model="fcn_resnet50", options={"weights_backbone": "DEFAULT"}),
            "options.weights_backbone of torchvision: not allowed, because it loads or downloads weights. "
            "Fix: download the file and write `weights: {file: ...}`",
        ),
        (
            lambda: adapters.transformers(model="AutoModel", options={"trust_remote_code": True}),
            "options.trust_remote_code of transformers: not allowed, because only `plugins:` may run code",
        ),
    ],
)
def test_what_is_not_there_or_not_allowed_is_refused(call: Callable[[], nn.Module], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        call()
    assert str(caught.value) == message


@pytest.mark.parametrize("adapter", ALL, ids=lambda adapter: adapter.__name__)
def test_a_missing_package_is_told_with_its_extra(
    adapter: Callable[..., nn.Module], monkeypatch: pytest.MonkeyPatch
) -> None:
    name = adapter.__name__

    class NotThere:
        def find_spec(self, found: str, path: Any = None, target: Any = None) -> None:
            if found.partition(".")[0] == name:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for known in [known for known in sys.modules if known.partition(".")[0] == name]:
        monkeypatch.delitem(sys.modules, known)
    monkeypatch.setattr(sys, "meta_path", [NotThere(), *sys.meta_path])
    extra = "vision" if name == "torchvision" else name
    with pytest.raises(ResourceError, match=rf"^{name} is not installed\. Fix: pip install 'artschool\[{extra}\]'$"):
        adapter(**ALL[adapter])


def test_a_package_that_does_not_fit_this_torch_is_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "timm.py").write_text("raise RuntimeError('operator torchvision::nms does not exist')")
    monkeypatch.delitem(sys.modules, "timm", raising=False)
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(
        ResourceError, match=r"^timm is installed, but cannot be imported with this version of torch: operator"
    ):
        adapters.timm(model="resnet18")
