"""Adapters of peft: small trained additions to the layers of a network, whose own parameters stay as they are."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import fields
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from safetensors.torch import save
from torch import nn
from torch._subclasses.fake_tensor import unset_fake_temporarily

from artschool import ranks
from artschool.errors import ConfigError
from artschool.extras import extra
from artschool.registry.network_entry import AdaptersEntry
from artschool.storage.durable import write_file
from artschool.wording.names import allowed

LAYERS = (nn.Linear, nn.Embedding, nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.MultiheadAttention)
"""The layers that peft adapts, besides `Conv1D` of transformers."""
_PREFIX = "base_model.model."
"""What peft adds to names of the network in its files."""
_OWN = {"r": "rank", "lora_alpha": "alpha", "lora_dropout": "dropout", "target_modules": "match"}
"""Options of peft that have a name of their own in the config file."""


def add_adapters(network: nn.Module, entry: AdaptersEntry, path: str) -> None:
    """Replace layers of a network by adapted ones, and freeze everything else. The random generator is used.

    Class and methods of the network stay the same. `<layer>.weight` becomes `<layer>.base_layer.weight`.

    Args:
        path: Location and path of the network in the config file, for errors.

    Raises:
        ConfigError: A pattern matches no layer, or peft rejects the options.
        ResourceError: peft is not installed.
    """
    peft = _peft(f"{path}.adapters")
    known = [field.name for field in fields(peft.LoraConfig) if field.init]
    for name in entry.options:
        if name in _OWN:
            raise ConfigError(f"{path}.adapters.options: {name!r} is the option `adapters.{_OWN[name]}`")
        if name not in known:
            hint = allowed("Available options", name, known)
            raise ConfigError(f"{path}.adapters.options: unknown option {name!r} of LoraConfig. {hint}")
    names = _adapted(network, entry.match, f"{path}.adapters.match")
    config = {
        "r": entry.rank,
        "lora_alpha": entry.rank if entry.alpha is None else entry.alpha,
        "lora_dropout": entry.dropout,
        # A list would also match names that end in one of these.
        "target_modules": "|".join(re.escape(name) for name in names),
    }
    try:
        with unset_fake_temporarily():  # peft moves the adapters to the device of their layer, which a trace cannot.
            peft.inject_adapter_in_model(peft.LoraConfig(**config, **entry.options), network)
    except (ValueError, TypeError, AttributeError, NotImplementedError) as error:
        raise ConfigError(f"{path}.adapters: peft rejected its options: {error}") from error


def has_adapters(network: nn.Module) -> bool:
    """Whether `add_adapters` has changed a network."""
    return hasattr(network, "peft_config")


def export_adapters(network: nn.Module, folder: Path) -> list[Path]:
    """Write the adapters of a network into a folder, as `PeftModel.from_pretrained` reads it.

    diffusers reads it by `load_lora_adapter(folder, weight_name="adapter_model.safetensors",
    prefix="base_model.model")`.

    Returns:
        The written files.
    """
    peft, config = _peft(""), _config(network)
    folder.mkdir(parents=True, exist_ok=True)
    whole = {name: ranks.whole(value) for name, value in network.state_dict().items()}
    tensors = peft.get_peft_model_state_dict(network, state_dict=whole)
    options = {f"{_PREFIX}{name}": value for name, value in config.to_dict().items()}
    # diffusers reads the options in the header; without them, it takes the rank for alpha.
    header = {"format": "pt", "lora_adapter_metadata": json.dumps(options, default=_plain, sort_keys=True)}
    file = folder / "adapter_model.safetensors"
    content = save({f"{_PREFIX}{name}": value.contiguous().cpu() for name, value in tensors.items()}, header)
    write_file(file, content)
    config.save_pretrained(str(folder))
    return [folder / "adapter_config.json", file]


def merge_adapters(network: nn.Module) -> None:
    """Add the adapters of a network to the weights of their layers, which get their old names again."""
    layers = importlib.import_module("peft.tuners.tuners_utils").BaseTunerLayer
    copies = importlib.import_module("peft.utils").ModulesToSaveWrapper
    adapted = {name: module for name, module in network.named_modules() if isinstance(module, (layers, copies))}
    for name, module in adapted.items():
        path, _, own = name.rpartition(".")
        if isinstance(module, copies):
            plain = module.modules_to_save["default"]
        else:
            module.merge()
            plain = module.get_base_layer()
        setattr(network.get_submodule(path), own, plain)
    del network.peft_config


def _adapted(network: nn.Module, patterns: list[str], path: str) -> list[str]:
    layers = [n for n, m in network.named_modules() if n and (isinstance(m, LAYERS) or type(m).__name__ == "Conv1D")]
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in layers):
            known = f"{', '.join(layers[:8])}{', ...' if len(layers) > 8 else ''}" if layers else "none"
            raise ConfigError(f"{path}: {pattern!r} matches no layer that can be adapted. Available layers: {known}")
    return [name for name in layers if any(fnmatchcase(name, pattern) for pattern in patterns)]


def _config(network: nn.Module) -> Any:
    found: Mapping[str, Any] = network.peft_config  # type: ignore[assignment]  # of peft
    config = found["default"]
    config.inference_mode = True
    return config


def _plain(value: Any) -> Any:
    return sorted(value) if isinstance(value, set) else getattr(value, "value", str(value))


def _peft(path: str) -> Any:
    with extra("peft", f"{path}:" if path else ""):
        return importlib.import_module("peft")
