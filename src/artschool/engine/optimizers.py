"""Builds optimizers and their parameter groups; steps that skip non-finite gradients."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any, NamedTuple, get_args

import torch
from torch import Tensor, nn
from torch.nn.parameter import is_lazy
from torch.optim import Optimizer

from artschool import ranks
from artschool.errors import ArtschoolError, ConfigError
from artschool.registry.built import misfit
from artschool.registry.entries import GroupEntry, ParameterKind
from artschool.registry.plugin_line import plugin_line
from artschool.registry.schedule import Schedule, value_at
from artschool.shortages import shortages_raised

NORMS = (
    nn.modules.batchnorm._NormBase,
    nn.LayerNorm,
    nn.GroupNorm,
    nn.RMSNorm,
)
EMBEDDINGS = (nn.Embedding, nn.EmbeddingBag)


def kinds_of(network: nn.Module) -> dict[str, str]:
    """The kind of each parameter by name: `norm`, `embedding`, `bias` or `weight`.

    A module counts as a norm if its class name contains `Norm`.
    """
    kinds = {}
    for prefix, module in network.named_modules():
        for name, _ in module.named_parameters(prefix, recurse=False):
            if isinstance(module, NORMS) or "Norm" in type(module).__name__:
                kinds[name] = "norm"
            elif isinstance(module, EMBEDDINGS):
                kinds[name] = "embedding"
            else:
                kinds[name] = "bias" if name.rpartition(".")[2].endswith("bias") else "weight"
    return kinds


def parameter_groups(
    networks: Mapping[str, nn.Module], *, no_decay: Sequence[str], groups: Sequence[GroupEntry], path: str
) -> list[dict[str, Any]]:
    """Sort the trainable parameters of networks into groups, each parameter once.

    Args:
        no_decay: Kinds of parameters without weight decay. Their groups also have `exempt: True`, which LAMB and LARS
            read. A group with the whole parameters beside an earlier one with the sharded ones, or the reverse, has
            `twin: True`.
        groups: Options by pattern of `<network>.<parameter>`. A parameter belongs to the first group that matches.
        path: Location of the optimizer in the config file, for errors.

    Raises:
        ConfigError: A group matches no parameter, or there is no parameter to train.
    """
    sorted_groups: dict[tuple[int, bool, bool], dict[str, Any]] = {}
    matched: set[int] = set()
    seen: set[nn.Parameter] = set()
    for network_name, network in networks.items():
        kinds = kinds_of(network)
        for name, parameter in network.named_parameters():
            if not parameter.requires_grad or parameter in seen:
                continue
            seen.add(parameter)
            exempt = _is_of_kind(no_decay, kinds[name], name)
            full_name = f"{network_name}.{name}"
            mark = getattr(parameter, "PARAM_GROUP", None)
            index = next((i for i, group in enumerate(groups) if _matches(group, full_name, kinds[name], mark)), -1)
            matched.add(index)
            new: dict[str, Any] = {"params": [], **(_options(groups[index]) if index >= 0 else {})}
            if exempt:
                new |= {"weight_decay": 0.0, "exempt": True}
            # torch computes with one kind of tensors at a time: sharded or whole.
            is_sharded = ranks.is_sharded(parameter)
            if (index, exempt, not is_sharded) in sorted_groups:
                new["twin"] = True
            sorted_groups.setdefault((index, exempt, is_sharded), new)["params"].append(parameter)
    for index, group in enumerate(groups):
        is_of_kinds = group.match == "*" and group.marked is None and len(group.kinds) < len(get_args(ParameterKind))
        if index not in matched and not is_of_kinds:  # A network may lack norms, whose options it then does not need.
            pattern = repr(group.match) if group.marked is None else f"{group.match!r} marked {group.marked!r}"
            raise ConfigError(f"{path}.param_groups.{index}: {pattern} matches no parameter of {', '.join(networks)}")
    if not seen and not any(True for network in networks.values() for _ in network.parameters()):
        fix = "Fix: put modules of a list or dict into nn.ModuleList or nn.ModuleDict"
        raise ConfigError(f"{path}: nothing to train: {', '.join(networks)} has no parameters. {fix}")
    if not sorted_groups:
        raise ConfigError(f"{path}: nothing to train: every parameter of {', '.join(networks)} is frozen")
    return list(sorted_groups.values())


def _matches(group: GroupEntry, name: str, kind: str, mark: str | None) -> bool:
    own_name = name.partition(".")[2]
    return _is_of_kind(group.kinds, kind, own_name) and fnmatchcase(name, group.match) and group.marked in (None, mark)


def _is_of_kind(kinds: Sequence[str], kind: str, name: str) -> bool:
    """Whether a parameter is of one of some kinds, which may include `layer_bias`: the biases of submodules."""
    return kind in kinds or (kind == "bias" and "." in name and "layer_bias" in kinds)


def _options(group: GroupEntry) -> dict[str, Any]:
    start = {"schedule_from": group.schedule_from} if group.schedule_from else {}
    return {**(group.model_extra or {}), **start}


def shard_groups(
    groups: Sequence[Mapping[str, Any]], rank: int, world_size: int
) -> tuple[list[dict[str, Any]], list[list[nn.Parameter]]]:
    """Divide parameters among processes, so that each process has about the same number of elements.

    Returns:
        The groups with only the parameters of this process (a group can be empty), and the parameters of every process.
    """
    shards: list[list[nn.Parameter]] = [[] for _ in range(world_size)]
    sizes = [0] * world_size
    owners: dict[nn.Parameter, int] = {}
    parameters = [parameter for group in groups for parameter in group["params"]]
    for parameter in sorted(parameters, key=nn.Parameter.numel, reverse=True):
        owner = owners[parameter] = sizes.index(min(sizes))
        shards[owner].append(parameter)
        sizes[owner] += parameter.numel()
    own = [{**group, "params": [p for p in group["params"] if owners[p] == rank]} for group in groups]
    return own, shards


def build_optimizer(
    factory: Callable[..., Optimizer], options: Mapping[str, Any], groups: list[dict[str, Any]], path: str
) -> Optimizer:
    """Build an optimizer, fused if torch supports it: faster, and it skips non-finite gradients on the device.

    Raises:
        ConfigError: The optimizer rejects its options, a group has an unknown option, or `fused` is asked of a kernel
            that does not move the weights.
    """
    known = inspect.signature(factory).parameters
    for group in groups:
        unknown = sorted(set(group) - {"params", "exempt", "twin", "weight_decay", "schedule_from"} - set(known))
        if unknown:
            raise ConfigError(
                f"{path}.param_groups: unknown options {', '.join(unknown)}. Available options: {', '.join(known)}"
            )
    if factory is torch.optim.Adafactor and any(p.is_complex() for group in groups for p in group["params"]):
        raise ConfigError(
            f"{path}: a trained parameter is complex, which Adafactor of torch does not support. Fix: use another "
            "optimizer, such as adamw"
        )
    options = _at_start(options)
    groups = [_at_start(group) for group in groups]
    chosen = options.get("fused") is not None or options.get("foreach") or options.get("dampening")
    if "fused" in known and not chosen and _can_fuse(factory, groups):
        options |= {"fused": True, "foreach": None}
    try:
        with shortages_raised(path):
            optimizer = factory(groups, **options)
    except ArtschoolError:
        raise
    except Exception as error:  # Of any package; the message contains the line of a plugin.
        kind = "" if isinstance(error, ValueError | TypeError | RuntimeError) else f"raised {type(error).__name__}: "
        raise ConfigError(f"{path}: {kind}{error}{plugin_line(error, factory)}") from error
    if (unfit := misfit("optimizers", optimizer)) is not None:
        raise ConfigError(f"{path}: {unfit}")
    if isinstance(optimizer, torch.optim.SGD):
        fused = (parameter for group in optimizer.param_groups if group["fused"] for parameter in group["params"])
        if not all(map(has_fused_sgd, fused)):
            raise ConfigError(
                f"{path}.fused: the fused SGD of torch does not move weights of 16 bits on a CPU. Fix: remove `fused`"
            )
        start_momentum(optimizer)
    return optimizer


class Target(NamedTuple):
    """An option of a group of an optimizer that a schedule changes; of a tuple such as `betas`, the number at an index.

    Attributes:
        group: Index of the group.
        item: None: the option is the number itself.
    """

    group: int
    option: str
    item: int | None


def targets_of(schedule: Schedule, options: Mapping[str, Any], groups: Sequence[Mapping[str, Any]]) -> list[Target]:
    """The options that are given by one schedule, in all groups."""
    found = []
    for number, group in enumerate(groups):
        for name, value in {**options, **group}.items():
            parts = enumerate(value) if isinstance(value, tuple) else [(None, value)]
            found += [Target(number, name, item) for item, part in parts if part is schedule]
    return found


def set_options(optimizer: Optimizer, targets: Sequence[Target], value: float) -> None:
    """Set the options that a schedule changes."""
    for number, option, item in targets:
        group = optimizer.param_groups[number]  # Looked up each time: loading a state replaces the groups.
        before = group[option]
        group[option] = value if item is None else (*before[:item], value, *before[item + 1 :])
        if option == "momentum" and not before and isinstance(optimizer, torch.optim.SGD):
            start_momentum(optimizer)


def _at_start(options: Mapping[str, Any]) -> dict[str, Any]:
    """Options with the first value of each schedule."""
    return {
        name: tuple(value_at(part, 0) for part in value) if isinstance(value, tuple) else value_at(value, 0)
        for name, value in options.items()
    }


def _can_fuse(factory: Callable[..., Optimizer], groups: Sequence[Mapping[str, Any]]) -> bool:
    parameters = [parameter for group in groups for parameter in group["params"]]
    # Older versions of torch have fused Adagrad for the CPU only.
    devices = ("cpu",) if factory is torch.optim.Adagrad else ("cpu", "cuda", "mps", "xpu")
    if factory is torch.optim.SGD and not all(map(has_fused_sgd, parameters)):
        return False
    return all(p.is_floating_point() and p.device.type in devices and _is_dense(ranks.local(p)) for p in parameters)


def has_fused_sgd(tensor: Tensor) -> bool:
    """Whether torch has a fused SGD that moves a tensor. That of torch 2.13 leaves 16 bits on a CPU as they are."""
    return tensor.device.type != "cpu" or tensor.dtype.itemsize > 2


def _is_dense(tensor: Tensor) -> bool:
    """Whether elements have no gaps between them, which fused kernels read: a slice of other weights may have some.

    A parameter of a lazy module has no elements yet; it will have no gaps.
    """
    return is_lazy(tensor) or torch.empty_like(tensor, device="meta").stride() == tensor.stride()


def start_momentum(optimizer: torch.optim.SGD) -> None:
    """Initialize missing momentum of fused SGD with zeros. Without dampening, its first step does the same.

    If its first step is skipped, torch 2.13 leaves the buffers uninitialized. It also fails if only some parameters
    have had a first step.
    """
    for group in optimizer.param_groups:
        if group["fused"] and group["momentum"] and not group["dampening"]:
            for parameter in group["params"]:
                if optimizer.state[parameter].get("momentum_buffer") is None:
                    optimizer.state[parameter]["momentum_buffer"] = torch.zeros_like(parameter)


def skips_on_device(optimizer: Optimizer) -> bool:
    """Whether the optimizer takes a `found_inf` tensor, so that skipping an update does not wait for the device."""
    return bool(getattr(optimizer, "_step_supports_amp_scaling", False))


def step_unless_non_finite(optimizer: Optimizer, found_inf: Tensor, step: Callable[[], object]) -> None:
    """Call the `step` of an optimizer unless `found_inf` is 1. Waits for the device if the optimizer is not fused."""
    if not skips_on_device(optimizer):
        if not found_inf.item():
            step()
        return
    optimizer.grad_scale = None  # type: ignore[attr-defined]  # torch's own protocol with its fused optimizers
    optimizer.found_inf = found_inf  # type: ignore[attr-defined]  # likewise
    step()
    del optimizer.grad_scale, optimizer.found_inf  # type: ignore[attr-defined]  # likewise
