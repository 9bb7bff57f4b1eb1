"""Models of other packages: by name and without weights, or from files of the user. Nothing is downloaded."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from torch import nn

from artschool.errors import CheckpointError, ConfigError, ResourceError
from artschool.extras import extra
from artschool.paths import is_dir
from artschool.registry import ComponentRole, networks
from artschool.storage.tensors import read_content
from artschool.wording.names import nearest


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def timm(*, model: str, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of timm, such as `resnet18` or `vit_tiny_patch16_224`.

    Args:
        model: Name of the model. `timm.list_models()` lists the names.
        options: Arguments of the model's constructor, such as `num_classes`, `in_chans` or `img_size`.

    Raises:
        ResourceError: timm is not installed.
        ConfigError: The model does not exist, or the options ask for a download.
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
        model: Name of the model. `torchvision.models.list_models()` lists the names.
        options: Arguments of the model's constructor, such as `num_classes`.

    Raises:
        ResourceError: torchvision is not installed, or is incompatible with the installed torch.
        ConfigError: The model does not exist, or the options ask for a download.
    """
    models = _package("torchvision", "vision", module="torchvision.models")
    _refuse_weights("torchvision", options, ("weights", "weights_backbone", "pretrained", "pretrained_backbone"))
    if model not in models.list_models():
        raise _unknown("torchvision", model, models.list_models())
    # Without this, models with a backbone download its weights by default.
    parameters = inspect.signature(models.get_model_builder(model)).parameters
    no_weights = {name: None for name in ("weights", "weights_backbone") if name in parameters}
    return _module("torchvision", model, models.get_model(model, **no_weights, **options))


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def diffusers(*, model: str, folder: Path | None = None, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of diffusers, such as `UNet2DModel` or `AutoencoderKL`, which returns a tensor or a tuple of tensors.

    Args:
        model: Name of the model's class.
        folder: Folder written by `save_pretrained` that gives the configuration and the weights (safetensors). null: a
            new model from `options`.
        options: Options of the model's configuration.

    Raises:
        ResourceError: diffusers is not installed.
        ConfigError: The class or the folder does not exist.
    """
    model_class = _class("diffusers", model, options)
    if folder is None:
        return _with_plain_outputs("diffusers", model, model_class(**options))
    return _with_plain_outputs("diffusers", model, model_class.from_pretrained(_existing(folder), **_LOCAL, **options))


@networks.register(roles=ComponentRole.STARTS_RANDOM)
def transformers(*, model: str, folder: Path | None = None, options: dict[str, Any] = {}) -> nn.Module:  # noqa: B006  # never changed
    """A model of transformers, such as `BertModel`, which returns a tensor or a tuple of tensors.

    Args:
        model: Name of the model's class. Auto classes such as `AutoModel` need `model_type` in `options`.
        folder: Folder written by `save_pretrained` that gives the configuration and the weights (safetensors). null: a
            new model from `options`.
        options: Options of the model's configuration.

    Raises:
        ResourceError: transformers is not installed.
        ConfigError: The class or the folder does not exist.
    """
    model_class = _class("transformers", model, options)
    if folder is not None:
        return _with_plain_outputs(
            "transformers", model, model_class.from_pretrained(_existing(folder), **_LOCAL, **options)
        )
    if hasattr(model_class, "from_config"):
        config = _package("transformers", "transformers").AutoConfig.for_model(**options)
        return _with_plain_outputs("transformers", model, model_class.from_config(config))
    return _with_plain_outputs("transformers", model, model_class(model_class.config_class(**options)))


@networks.register
def spandrel(*, file: Path) -> nn.Module:
    """A network for super-resolution or restoration with its weights, which spandrel recognizes by their names.

    It has the architecture that the weights were made for, such as ESRGAN, SwinIR, HAT or DAT, and takes and returns
    images in 0..1.

    Args:
        file: Weights as their authors published them: `.pth`, `.pt`, `.ckpt` or `.safetensors`.

    Raises:
        ResourceError: spandrel is not installed, or its torchvision is incompatible with the installed torch.
        CheckpointError: The file cannot be read, or spandrel knows no architecture for it.
    """
    package = _package("spandrel", "spandrel")
    content = read_content(file)
    try:
        weights = package.canonicalize_state_dict(content)
        descriptor = package.ModelLoader(device="cpu").load_from_state_dict(weights)
    except Exception as error:  # Each architecture complains in its own way.
        why = str(error).partition("\n")[0] or "it knows no such architecture"
        raise CheckpointError(f"{file}: spandrel cannot load these weights: {why}") from error
    return _module("spandrel", file.name, descriptor.model)


_LOCAL = {"local_files_only": True, "use_safetensors": True}


def _package(name: str, extra_of: str, *, module: str | None = None) -> Any:
    """Import an optional package."""
    try:
        with extra(extra_of):
            return importlib.import_module(module or name)
    except (ImportError, RuntimeError, OSError) as error:
        raise ResourceError(
            f"{name} is installed, but cannot be imported with this version of torch: {error}"
        ) from error


def _class(package: str, model: str, options: Mapping[str, Any]) -> Any:
    if "trust_remote_code" in options:
        raise ConfigError(f"options.trust_remote_code of {package}: not allowed, because only `plugins:` may run code")
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
                f"options.{name} of {package}: not allowed, because it loads or downloads weights. "
                "Fix: download the file and write `weights: {file: ...}`"
            )


def _existing(folder: Path) -> str:
    if not is_dir(folder):
        raise ConfigError(f"folder {folder} does not exist")
    return str(folder)


def _module(package: str, model: str, instance: Any) -> nn.Module:
    if not isinstance(instance, nn.Module):
        raise ConfigError(f"{model} of {package}: expected a torch.nn.Module, got {type(instance).__name__}")
    return instance


def _with_plain_outputs(package: str, model: str, instance: Any) -> nn.Module:
    """Make a model return tensors or tuples. A hook preserves its class, methods and parameter names."""
    module = _module(package, model, instance)
    module.register_forward_hook(_unpack, with_kwargs=True)
    return module


def _unpack(module: nn.Module, args: Any, kwargs: Mapping[str, Any], output: Any) -> Any:
    # A model that calls itself, as in `generate`, needs the mapping.
    if kwargs.get("return_dict") or not hasattr(output, "to_tuple"):
        return output
    values = output.to_tuple()
    return values[0] if len(values) == 1 else values
