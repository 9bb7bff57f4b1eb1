"""Builds the networks of a file, with their weights and adapters, on the CPU."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from functools import partial
from pathlib import Path

import torch
from torch import nn

from artschool.config.construct import construct
from artschool.config.network_options import weights_of
from artschool.config.structure import Component, Config
from artschool.data.seeds import derive, forked_rng
from artschool.engine.adapters import add_adapters
from artschool.engine.freeze import freeze, set_mode
from artschool.engine.hooks import hooks
from artschool.engine.pretrained_weights import LoadReport, load_weights
from artschool.engine.recompute import checkpoint_activations
from artschool.engine.sharding import build_for_shards, has_values
from artschool.engine.units import units_of
from artschool.engine.unsaved import Saved
from artschool.engine.weight_patterns import WeightPatterns
from artschool.errors import CheckpointError
from artschool.registry.network_entry import NetworkEntry, WeightsEntry
from artschool.storage.choose_checkpoint import choose_checkpoint
from artschool.storage.shards import stem_of
from artschool.wording.names import allowed

Note = Callable[[str], None]


def build_networks(
    config: Config,
    note: Note,
    sharded: Collection[str] = (),
    names: Collection[str] | None = None,
    *,
    restored: bool = False,
) -> dict[str, nn.Module]:
    """The networks by name, in the order of the file.

    Args:
        note: Called with reports of loaded weights.
        sharded: Networks of which only rank 0 has values if the others can do without.
        names: The networks to build. None: all.
        restored: Whether a checkpoint gives them their weights. Then `weights` are read only for networks of which
            checkpoints do not contain everything.
    """
    built: dict[tuple[str, bool], nn.Module] = {}

    def start(name: str, *, reads: bool) -> nn.Module:
        if (name, reads) not in built:
            component = config.networks[name]
            weights = weights_of(component) if reads else None
            source = start(weights.copied, reads=True) if weights is not None and weights.copied is not None else None
            build = partial(_with_weights, component, weights, config.sections.seed, note, source)
            built[name, reads] = build_for_shards(build) if name in sharded else build()
        return built[name, reads]

    partly = partly_saved(config)
    chosen = [name for name in config.networks if names is None or name in names]
    networks = {name: start(name, reads=not restored or name in partly) for name in chosen}
    # Another network may start from the weights of one, but not from its adapters.
    for name, network in networks.items():
        _prepare(network, config.networks[name], config.sections.seed)
    return networks


def set_modes(networks: Mapping[str, nn.Module], config: Config) -> None:
    """Put networks that a step trains into train mode, and the others and frozen layers into eval mode."""
    trained = {name for step in config.steps.values() for name in step.section.trained}
    for name, network in networks.items():
        entry = _entry(config.networks[name])
        untrained = [key for key, parameter in network.named_parameters() if not parameter.requires_grad]
        set_mode(network, untrained if entry.adapters else entry.frozen, trained=name in trained)


def partly_saved(config: Config) -> dict[str, Saved]:
    """The networks of which checkpoints do not contain everything, and what they do contain."""
    entries = {name: _entry(component) for name, component in config.networks.items()}
    return {name: entry.saves for name, entry in entries.items() if entry.saves is not True}


def _with_weights(
    component: Component, weights: WeightsEntry | None, seed: int, note: Note, source: nn.Module | None
) -> nn.Module:
    name = _name(component)
    # Each network has its own seed, so that adding a network does not change the others.
    with forked_rng(derive(seed, "network", name), torch.device("cpu")):
        network = construct(component, component.options())
    assert isinstance(network, nn.Module)
    if weights is not None and has_values(network) and (source is None or has_values(source)):
        given = source or _file_of(weights, name, _location_of(component, "weights"))
        report = _load(network, weights, given, _location_of(component, "weights"))
        note(_described(f"{component.path}: {weights.copied or given}: {report}", report))
    if weights_of(component) is not None:
        for _, hook in hooks({name: network}, "network_loaded"):
            hook()
    return network


def _file_of(weights: WeightsEntry, name: str, path: str) -> Path:
    """The file that the weights come from, which may be that of a run.

    Raises:
        CheckpointError: The run has no such checkpoint, or the checkpoint no such network.
    """
    if weights.run is None:
        assert weights.file is not None
        return weights.file
    try:
        checkpoint = choose_checkpoint(weights.run, weights.checkpoint)
    except CheckpointError as error:
        raise CheckpointError(f"{path}.weights: {error}") from error
    wanted = weights.network or name
    names = {stem_of(file.name) or file.stem for file in checkpoint.glob("*.safetensors")}
    if wanted not in names:
        known = [name for name in names if not name.startswith("state.")]
        hint = allowed("Available networks", wanted, known)
        raise CheckpointError(f"{path}.weights: {checkpoint} has no network {wanted!r}. {hint}")
    return checkpoint / f"{wanted}.safetensors"


def _load(network: nn.Module, weights: WeightsEntry, given: Path | nn.Module, path: str) -> LoadReport:
    try:
        patterns = WeightPatterns(weights.skip, weights.rename)
    except CheckpointError as error:
        raise CheckpointError(f"{path}.weights: {error}") from error
    return load_weights(network, given, prefix=weights.prefix, strict=weights.strict, patterns=patterns, path=path)


def _described(line: str, report: LoadReport) -> str:
    if not report.is_small_part:
        return line
    return f"warning: {line}. Fix: map other names with `rename`, or list what starts anew under `skip`"


def _prepare(network: nn.Module, component: Component, seed: int) -> None:
    """Add the adapters of a network, freeze what the file says, and verify patterns that only several processes use."""
    entry = _entry(component)
    if entry.adapters is not None:
        with forked_rng(derive(seed, "adapters", _name(component)), torch.device("cpu")):
            add_adapters(network, entry.adapters, _location_of(component, "adapters"))
    freeze(network, entry.frozen, _location_of(component, "frozen"))
    patterns = entry.activation_checkpointing
    checkpoint_activations(network, patterns, _location_of(component, "activation_checkpointing"))
    if entry.wrap is not None:
        units_of(network, entry.wrap, _location_of(component, "wrap"))


def _name(component: Component) -> str:
    return component.path.rpartition(".")[2]


def _entry(component: Component) -> NetworkEntry:
    assert isinstance(component.entry, NetworkEntry)
    return component.entry


def _location_of(component: Component, option: str) -> str:
    """The location of an option and the path of its component, as the beginning of an error."""
    return f"{(component.node.get(option) or component.node).place}: {component.path}"
