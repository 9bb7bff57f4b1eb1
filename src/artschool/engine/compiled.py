"""Compiled calls of networks, one compiled variant for each set of trained parameters.

Only calls are wrapped. The network keeps its class, its names, its hooks and its pickled form.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.grad_mode import _unsafe_preserve_version_counter
from torch.utils._pytree import tree_leaves, tree_map_only

from artschool.engine.compile_backend import Backend
from artschool.engine.compile_proof import difference
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.registry.network_entry import CompileEntry
from artschool.wording.counting import counted

Function = Callable[..., Any]
Note = Callable[[str], None]

GRAPHS_OF_ONE_FUNCTION = 64
"""torch runs a function eagerly, in silence, after 8 graphs. Each variant is a function of its own."""


@dataclass
class CudaGraphs:
    """Marks the start of each iteration for CUDA graphs, which then reuse the memory of the iteration before.

    All networks share one mark: a second one in the same iteration would free what a backward pass still needs.
    """

    context: TrainContext
    marked: int | None = None

    def mark(self) -> None:
        """Called before each call of a network that uses CUDA graphs."""
        if self.marked != self.context.iteration:
            self.marked = self.context.iteration
            torch.compiler.cudagraph_mark_step_begin()  # type: ignore[no-untyped-call]  # torch


class CompiledMethod:
    """Replaces a method of a network. Compiles and proves each variant of its calls when it first occurs.

    A variant is given by the parameters that require gradients, the inputs that do, the modes of gradients, autocast
    and training. torch has not always compared `requires_grad` of parameters with that of the compiled graph
    (pytorch issue 139476), so variants never share graphs.

    The proof compares a compiled call with an eager one. A variant that fails it runs eagerly, with a note.

    Args:
        path: The path of the network, and of the method unless it is the call of the network itself.
        method: The name of the method. None: the call of the network itself.
        note: Called with what was compiled, and with the reasons of what was not.
        cuda_graphs: The mark for modes that use CUDA graphs.
    """

    def __init__(
        self,
        path: str,
        network: nn.Module,
        method: str | None,
        settings: CompileEntry,
        note: Note,
        cuda_graphs: CudaGraphs,
    ) -> None:
        self._path = path if method is None else f"{path}.{method}"
        self._network = network
        self._method = method
        self._eager: Function = network._call_impl if method is None else getattr(network, method)
        self._settings = settings
        self._note = note
        self._cuda_graphs = cuda_graphs
        self._device_type = cuda_graphs.context.device.type
        self._parameters = list(network.parameters())
        self._norms = [module for module in network.modules() if isinstance(module, nn.modules.batchnorm._NormBase)]
        self._variants: dict[Hashable, Function] = {}
        self._noted: set[str] = set()

    def install(self) -> None:
        """Let calls of the method go through this object."""
        if self._method is None:
            self._network._compiled_call_impl = self  # Where `nn.Module.compile` stores its function, too.
        else:
            self._network.__dict__[self._method] = self

    def __reduce__(self) -> tuple[Any, ...]:
        """A copy of the network, or a pickled one, has its plain method."""
        return getattr, (self._network, self._method or "_call_impl")

    def __call__(self, *inputs: Any, **named: Any) -> Any:
        """Call the variant of these inputs."""
        if torch.compiler.is_compiling():  # Another compiled method calls this one.
            return self._eager(*inputs, **named)
        given = (*inputs, *named.values())
        with_gradients = torch.is_grad_enabled()
        variant = (
            with_gradients,
            self._network.training,
            torch.is_autocast_enabled(self._device_type),
            *([(value.requires_grad, value.is_leaf) for value in tree_leaves(given) if isinstance(value, Tensor)]),
            *([parameter.requires_grad for parameter in self._parameters] if with_gradients else ()),
        )
        function = self._variants.get(variant)
        if function is None:
            function = self._variants[variant] = self._new_variant(inputs, named, given)
        return function(*inputs, **named)

    def _new_variant(self, inputs: tuple[Any, ...], named: dict[str, Any], given: tuple[Any, ...]) -> Function:
        """A compiled function, or the eager one if that fails."""
        needs_gradient = [value for value in tree_leaves(given) if isinstance(value, Tensor) and value.requires_grad]
        if torch.is_grad_enabled() and any(value.is_leaf for value in needs_gradient):
            # The caller differentiates with respect to its own input, and may differentiate the result again.
            return self._eager
        compiled, backend = self._compile()
        breaks_before, start = _graph_breaks(), time.perf_counter()
        try:
            problem = difference(self._network, self._eager, compiled, inputs, named, self._device_type)
        except (
            Exception
        ) as error:  # Whatever a compiler raises. What the network raises comes from the eager call, too.
            problem = _describe(error)
        if problem:
            self._run_eagerly(problem)
            return self._eager
        breaks = _graph_breaks() - breaks_before
        if not backend.graphs:
            self._run_eagerly(f"no part of it is a graph{_broken_by(breaks)}")
            return self._eager
        seconds = time.perf_counter() - start
        self._note_once(f"compiled and proven in {seconds:.1f} s {self._described(backend.graphs, breaks)}")
        once_differentiable = bool(needs_gradient) and torch.is_grad_enabled()
        return partial(self._call, compiled, backend, once_differentiable, is_broken=bool(breaks))

    def _compile(self) -> tuple[Function, Backend]:
        import torch._dynamo as dynamo
        import torch._functorch.config as functorch

        # A loss may use the graph of its networks twice. Compiled calls look at this again in each backward pass.
        functorch.donated_buffer = False
        dynamo.config.recompile_limit = max(dynamo.config.recompile_limit, GRAPHS_OF_ONE_FUNCTION)
        settings, backend = self._settings, Backend(self._settings)
        function = _with_own_code(self._eager)
        options: dict[str, Any] = {"fullgraph": settings.fullgraph, "dynamic": settings.dynamic}
        compiled = torch.compile(function, backend=backend, **options)
        return (self._as_eager_norms(compiled) if self._norms else compiled), backend

    def _as_eager_norms(self, compiled: Function) -> Function:
        """A compiled function that writes the statistics of batch norms without a new version, as eager ones do.

        The backward pass of an eager call in the same step, such as that of a failed variant, refuses new versions.
        """

        def call(*inputs: Any, **named: Any) -> Any:
            trained = [norm for norm in self._norms if norm.training]
            written = (buffer for norm in trained for buffer in (norm.running_mean, norm.running_var))
            with _unsafe_preserve_version_counter(tuple(b for b in written if b is not None)):
                return compiled(*inputs, **named)

        return call

    def _call(
        self,
        compiled: Function,
        backend: Backend,
        once_differentiable: bool,
        *inputs: Any,
        is_broken: bool,
        **named: Any,
    ) -> Any:
        from torch._dynamo.exc import TorchDynamoException

        if self._settings.uses_cuda_graphs:
            self._cuda_graphs.mark()
        graphs_before, start = backend.graphs, time.perf_counter()
        try:
            result = compiled(*inputs, **named)
        except TorchDynamoException as error:  # Raised by the compiler, about inputs of another size.
            if is_broken:  # The first graph has run: a second call would count twice in buffers and random numbers.
                raise ConfigError(
                    f"{self._path}: a later graph cannot be compiled: {_describe(error)}. Fix: write `compile: false` "
                    "for this network"
                ) from error
            self._run_eagerly(_describe(error))
            self._variants = dict.fromkeys(self._variants, self._eager)
            return self._eager(*inputs, **named)
        if backend.graphs > graphs_before:
            backend.seconds_again += time.perf_counter() - start
            self._note_again(backend)
        if self._settings.uses_cuda_graphs:  # The next call writes to the same memory.
            result = tree_map_only(Tensor, Tensor.clone, result)
        if once_differentiable:
            for output in tree_leaves(result):
                if isinstance(output, Tensor) and output.requires_grad:
                    output.register_hook(self._refuse_second_order)  # type: ignore[no-untyped-call]  # torch
        return result

    def _refuse_second_order(self, _: Tensor) -> None:
        if torch.is_grad_enabled():
            raise ConfigError(
                f"{self._path}: a loss differentiates its gradient again, which torch.compile does not support. "
                f"Fix: write `compile: false` for this network, or give the loss the role SECOND_ORDER"
            )

    def _note_again(self, backend: Backend) -> None:
        """Report that other sizes or attributes needed other graphs, whenever their number has doubled."""
        backend.times_again += 1
        times, seconds = backend.times_again, backend.seconds_again
        why = "sizes or attributes differ. `TORCH_LOGS=recompiles` shows which"
        if times == GRAPHS_OF_ONE_FUNCTION - 1:
            self._run_eagerly(f"after {GRAPHS_OF_ONE_FUNCTION} graphs, wherever none of them fits: {why}")
        elif times.bit_count() == 1:
            self._note(f"note: {self._path}: compiled again {counted(times, 'time')} in {seconds:.1f} s, since {why}")

    def _described(self, graphs: int, breaks: Counter[str]) -> str:
        trained = sum(parameter.requires_grad for parameter in self._parameters) if torch.is_grad_enabled() else 0
        found = f"{counted(graphs, 'graph')}{_broken_by(breaks)}"
        return f"({trained} of {len(self._parameters)} parameters trained; {found})"

    def _run_eagerly(self, problem: str) -> None:
        self._note_once(f"runs uncompiled: {problem}", "warning")

    def _note_once(self, message: str, kind: str = "note") -> None:
        if message not in self._noted:
            self._noted.add(message)
            self._note(f"{kind}: {self._path}: {message}")


def _with_own_code(function: Function) -> Function:
    """A function that calls another one, with a code object of its own.

    torch keeps graphs, their limit and its verdict that a function cannot be compiled with the code object, and all
    networks share that of `nn.Module.__call__`.
    """

    def call(*inputs: Any, **named: Any) -> Any:
        return function(*inputs, **named)

    call.__code__ = call.__code__.replace()
    return call


def _graph_breaks() -> Counter[str]:
    from torch._dynamo.utils import counters

    return Counter(counters["graph_break"])


def _broken_by(breaks: Counter[str]) -> str:
    return f", broken by: {next(iter(breaks)).strip().splitlines()[0]}" if breaks else ""


def _describe(error: Exception) -> str:
    """The class of an error and the first line of its message. Errors of backends contain the original one."""
    error = getattr(error, "inner_exception", error)
    lines = str(error).strip().splitlines()
    return f"{type(error).__name__}: {lines[0]}" if lines else type(error).__name__
