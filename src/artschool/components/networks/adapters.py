"""Somebody else's models by name, without their weights: nothing is downloaded."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from artschool.errors import ConfigError, ResourceError, nearest
from artschool.registry import ComponentRole, networks


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def timm(*, model: str, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of timm, such as `resnet18` or `vit_tiny_patch16_224`.

    Args:
        model: Name of the model; `timm.list_models()` lists them.
        options: What its constructor takes, such as `num_classes`, `in_chans`, `img_size`.

    Raises:
        ResourceError: timm is not installed.
        ConfigError: There is no such model, or the options ask for a download.
    """
    package = _package("timm", "timm")
    _refuse_weights("timm", options, ("pretrained", "pretrained_cfg", "pretrained_cfg_overlay", "checkpoint_path"))
    if not package.is_model(model):
        raise _unknown("timm", model, package.list_models())
    return _module("timm", model, package.create_model(model, pretrained=False, **options))


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def torchvision(*, model: str, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of torchvision, such as `resnet18` or `convnext_tiny`.

    Args:
        model: Name of the model; `torchvision.models.list_models()` lists them.
        options: What its constructor takes, such as `num_classes`.

    Raises:
        ResourceError: torchvision is not installed, or does not fit the installed torch.
        ConfigError: There is no such model, or the options ask for a download.
    """
    models = _package("torchvision", "vision", module="torchvision.models")
    _refuse_weights("torchvision", options, ("weights", "weights_backbone", "pretrained", "pretrained_backbone"))
    if model not in models.list_models():
        raise _unknown("torchvision", model, models.list_models())
    # Without this, models with a backbone download its weights by default.
    taken = inspect.signature(models.get_model_builder(model)).parameters
    without = {name: None for name in ("weights", "weights_backbone") if name in taken}
    return _module("torchvision", model, models.get_model(model, **without, **options))


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def diffusers(*, model: str, folder: Path | None = None, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of diffusers, such as `UNet2DModel` or `AutoencoderKL`; it returns a tensor, or a tuple of several.

    Args:
        model: The name of the model's class.
        folder: A folder that `save_pretrained` wrote, to start from its configuration and its safetensors.
        options: Options of the model's configuration.

    Raises:
        ResourceError: diffusers is not installed.
        ConfigError: There is no such class.
    """
    made = _class("diffusers", model, options)
    if folder is None:
        return _plain("diffusers", model, made(**options))
    return _plain("diffusers", model, made.from_pretrained(_there(folder), **_LOCAL, **options))


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def transformers(*, model: str, folder: Path | None = None, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of transformers, such as `BertModel`; it returns a tensor, or a tuple of several.

    Args:
        model: The name of the model's class. `AutoModel` and the like take `model_type` among the options.
        folder: A folder that `save_pretrained` wrote, to start from its configuration and its safetensors.
        options: Options of the model's configuration.

    Raises:
        ResourceError: transformers is not installed.
        ConfigError: There is no such class.
    """
    made = _class("transformers", model, options)
    if folder is not None:
        return _plain("transformers", model, made.from_pretrained(_there(folder), **_LOCAL, **options))
    if hasattr(made, "from_config"):
        config = _package("transformers", "transformers").AutoConfig.for_model(**options)
        return _plain("transformers", model, made.from_config(config))
    return _plain("transformers", model, made(made.config_class(**options)))


_LOCAL = {"local_files_only": True, "use_safetensors": True}


def _package(name: str, extra: str, *, module: str | None = None) -> Any:
    """An optional package, imported now."""
    try:
        return importlib.import_module(module or name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        raise ResourceError(f"{name} is not installed: pip install 'artschool[{extra}]'") from error
    except (ImportError, RuntimeError, OSError) as error:
        raise ResourceError(f"{name} is installed, but does not import beside this torch: {error}") from error


def _class(package: str, model: str, options: Mapping[str, Any]) -> Any:
    if "trust_remote_code" in options:
        raise ConfigError(f"options.trust_remote_code of {package}: only `plugins:` may name code that runs")
    module = _package(package, package)
    if not model.isidentifier() or model.startswith("_") or not inspect.isclass(getattr(module, model, None)):
        raise _unknown(package, model, (name for name in dir(module) if name[:1].isupper()))
    return getattr(module, model)


def _unknown(package: str, model: str, known: Iterable[str]) -> ConfigError:
    return ConfigError(f"{package} has no model {model!r}. {nearest(model, known)}".strip())


def _refuse_weights(package: str, options: Mapping[str, Any], names: Iterable[str]) -> None:
    for name in names:
        if options.get(name):
            raise ConfigError(
                f"options.{name} of {package} would load weights by itself; download them, and name the file: "
                "`weights: {file: ...}`"
            )


def _there(folder: Path) -> str:
    if not folder.is_dir():
        raise ConfigError(f"there is no folder {folder}")
    return str(folder)


def _module(package: str, model: str, made: Any) -> nn.Module:
    if not isinstance(made, nn.Module):
        raise ConfigError(f"{model} of {package} is no torch.nn.Module but a {type(made).__name__}")
    return made


def _plain(package: str, model: str, made: Any) -> nn.Module:
    """Let a model return what `out:` can name. A hook keeps its class, methods and parameter names."""
    module = _module(package, model, made)
    module.register_forward_hook(_unpack, with_kwargs=True)
    return module


def _unpack(module: nn.Module, args: Any, kwargs: Mapping[str, Any], output: Any) -> Any:
    # A model that calls itself, as in `generate`, asks for the mapping.
    if kwargs.get("return_dict") or not hasattr(output, "to_tuple"):
        return output
    values = output.to_tuple()
    return values[0] if len(values) == 1 else values
