"""Compiles the calls of the networks for which a file asks for it."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from torch import nn

from artschool.config.compiling import Compiled, compiled_networks, second_order_networks
from artschool.config.parallel import methods_called
from artschool.config.structure import Config
from artschool.engine.compiled import CompiledMethod, CudaGraphs
from artschool.engine.run import Run
from artschool.engine.sharding import innermost_units
from artschool.errors import ConfigError
from artschool.faults import Fault
from artschool.wording.names import nearest


def compile_networks(config: Config, run: Run, report: Callable[[str], None]) -> None:
    """Let networks with `compile`, and their moving averages, compile each kind of call when it first occurs.

    Nothing is compiled here, and only calls change: modules, names and tensors remain.

    Args:
        report: Called with messages for the user if the run has no loggers.

    Raises:
        ConfigError: A backend does not exist.
    """
    cuda_graphs = CudaGraphs(run.context)

    def note(message: str) -> None:
        (run.note if run.loggers else report)(message)

    check_backends(config)
    second_order = second_order_networks(config)
    for name, compiled in compiled_networks(config).items():
        if name in second_order:
            loss = second_order[name]
            report(f"warning: networks.{name}: runs uncompiled: {loss} differentiates its gradient again")
            continue
        modules = {name: run.networks[name]} | {ema.name: ema.module for ema in run.emas.values() if ema.of == name}
        for called, module in modules.items():
            methods = sorted(
                method for method in methods_called(config, name) if callable(getattr(module, method, None))
            )
            for path, part, method in _calls(f"networks.{called}", module, methods):
                CompiledMethod(path, part, method, compiled.entry, note, cuda_graphs).install()


def _calls(path: str, network: nn.Module, methods: Sequence[str]) -> list[tuple[str, nn.Module, str | None]]:
    """What is compiled of a network: a path, a module, and its method or None for the call of the module itself.

    In a sharded network, this is `forward` of each innermost unit, around which hooks gather and free parameters: they
    communicate, which no graph can contain.
    """
    if units := innermost_units(network):
        return [(f"{path}.{name}" if name else path, unit, "forward") for name, unit in units.items()]
    return [(path, network, method) for method in (None, *methods)]


def check_backends(config: Config) -> None:
    """Verify that the backends of a file exist.

    Raises:
        ConfigError: One does not.
    """
    for compiled in compiled_networks(config).values():
        _check_backend(compiled)


def _check_backend(compiled: Compiled) -> None:
    import torch._dynamo

    name, known = compiled.entry.backend, torch._dynamo.list_backends(exclude_tags=())
    if name not in known:
        listed = ", ".join(sorted(torch._dynamo.list_backends()))  # Without those for the tests of torch.
        fault = Fault(
            compiled.place("backend"),
            f"{compiled.path}.backend",
            f"unknown backend {name!r}",
            f"Backends that torch lists: {listed}. {nearest(name, known)}".strip(),
        )
        raise ConfigError(fault)
