"""Measure the parts of a run that trains: wrap what it calls. Only a run that is profiled is changed."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from functools import partial, wraps
from typing import Any, cast

from torch import Tensor, nn
from torch.utils._pytree import tree_leaves

from artschool import ranks
from artschool.config.structure import Component, Config
from artschool.engine import loop, micro_batches
from artschool.engine.run import Run
from artschool.engine.train_step import TrainStep
from artschool.faults import Place
from artschool.profiling.parts import COPY, EXCHANGE, LOG, OPTIMIZER, Part, Recorder
from artschool.steps.call import Call
from artschool.steps.state import State

OWNER = "artschool.profiling"
"""Key of autograd's metadata under which a node is marked once it is known to which part it belongs."""
SHARED = ("broadcast", "broadcast_shards")
"""Functions of `ranks` that exchange tensors during an iteration."""


@contextmanager
def instrumented(run: Run, config: Config, recorder: Recorder) -> Iterator[None]:
    """Let a run tell a recorder when its parts begin and end. The run is of no use afterwards."""
    methods = _methods(config)
    for name, network in run.networks.items():
        _WatchedNetwork(network, f"networks.{name}", config.networks[name].node.place, methods, recorder)
    for name, ema in run.emas.items():
        place = config.networks[ema.of].node.place
        _WatchedNetwork(ema.module, f"networks.{ema.name}", place, methods, recorder)
        _watch_method(ema, "update", recorder, f"ema.{name}", "ema", _place(config, "ema", "networks", name))
    for step in run.steps:
        _watch_step(step, config, recorder)
    with ExitStack() as stack:
        stack.enter_context(_watched(micro_batches, "to_device", recorder, COPY, "data.train", None))
        stack.enter_context(_watched(loop, "perform_due", recorder, LOG, "log", _place(config, "log")))
        for name in SHARED if ranks.world_size() > 1 else ():
            stack.enter_context(_watched(ranks, name, recorder, EXCHANGE, "", None))
        yield


def _watch_step(step: TrainStep, config: Config, recorder: Recorder) -> None:
    name, written = step.graph.name, config.steps[step.graph.name]
    path = f"steps.{name}"
    step.graph.injectors = [cast(Any, _Watched(call, path, recorder)) for call in step.graph.injectors]
    step.graph.losses = [cast(Any, _Watched(call, path, recorder)) for call in step.graph.losses]
    step.graph.late_injectors = [cast(Any, _Watched(call, path, recorder)) for call in step.graph.late_injectors]
    _watch_method(step, "run", recorder, path, path, written.node.place)
    if step.update is not None and written.optimizer is not None:
        if step.update.owns_optimizer:
            _watch_backward(step.update.precision, recorder)
        if ranks.world_size() > 1:
            _watch_method(step.update.exchange, "finish", recorder, EXCHANGE, "", None)
        place = _place(config, "steps", name, "optimizer")
        timed = _timed(step.update, recorder, OPTIMIZER, f"{path}.optimizer", place)
        step.update = cast(Any, _Called(step.update, timed))


def _place(config: Config, *path: str) -> Place | None:
    """The location of what a path names; None where the file does not write it."""
    node = config.tree.at(path)
    return node.place if node is not config.tree else None


def _methods(config: Config) -> set[str]:
    """The names of methods of networks that components call."""
    components = [
        component for step in config.steps.values() for component in (*step.injectors.values(), *step.losses.values())
    ]
    return {method for component in components for method in _method_options(component)}


def _method_options(component: Component) -> Iterator[str]:
    method = getattr(component.entry, "option_method", None)
    if isinstance(method, str):
        yield method
    for inner in component.inner:
        yield from _method_options(inner)


def _timed(function: Callable[..., Any], recorder: Recorder, name: str, path: str, place: Place | None) -> Any:
    def timed(*args: Any, **kwargs: Any) -> Any:
        with recorder.part(name, path, place):
            return function(*args, **kwargs)

    return timed


def _watch_method(owner: Any, method: str, recorder: Recorder, name: str, path: str, place: Place | None) -> None:
    setattr(owner, method, _timed(getattr(owner, method), recorder, name, path, place))


@contextmanager
def _watched(
    module: Any, function: str, recorder: Recorder, name: str, path: str, place: Place | None
) -> Iterator[None]:
    before = getattr(module, function)
    setattr(module, function, _timed(before, recorder, name, path, place))
    try:
        yield
    finally:
        setattr(module, function, before)


def _watch_backward(precision: Any, recorder: Recorder) -> None:
    function = precision.backward

    def backward(loss: Tensor) -> None:
        with recorder.backward():
            function(loss)

    precision.backward = backward


class _Called:
    """Stands for an object that is called; everything else is that of the object."""

    def __init__(self, original: Any, called: Callable[..., Any]) -> None:
        self._original, self._called = original, called

    def __call__(self, *args: Any) -> Any:
        """Call the replacement."""
        return self._called(*args)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._original, name)


class _Watched:
    """Stands for an injector or a loss, and measures it."""

    def __init__(self, call: Call, step: str, recorder: Recorder) -> None:
        self._call = call
        self._recorder = recorder
        self._name = call.path.removeprefix(f"{step}.")

    def __call__(self, state: State) -> Any:
        """Make the call."""
        before = set(state.values)
        with self._recorder.part(self._name, self._call.path, self._call.place) as part:
            result = self._call(state)
        own(part, [result, [value for key, value in state.values.items() if key not in before]], self._recorder)
        return result

    def __getattr__(self, name: str) -> Any:
        return getattr(self._call, name)


class _WatchedNetwork:
    """Measures the calls of a network and of its methods. A call within a call belongs to the outer one.

    A call in a backward pass recomputes activations, so it belongs to the backward pass.
    """

    def __init__(
        self, network: nn.Module, path: str, place: Place | None, methods: Iterable[str], recorder: Recorder
    ) -> None:
        self._recorder = recorder
        self._part = partial(recorder.part, path, path, place)
        self._entered: list[AbstractContextManager[Part] | None] = []
        network.register_forward_pre_hook(self._before, prepend=True, with_kwargs=True)
        network.register_forward_hook(self._after)
        for name in methods:
            if callable(function := getattr(network, name, None)):
                setattr(network, name, self._method(network, function))

    def _before(self, network: nn.Module, args: Any, kwargs: Any) -> None:
        if self._entered or self._recorder.is_backward:
            self._entered.append(None)
            return
        own(self._recorder.current, (args, kwargs), self._recorder)
        part = self._part()
        part.__enter__()
        self._entered.append(part)

    def _after(self, network: nn.Module, args: Any, result: Any) -> None:
        entered = self._entered.pop()
        if entered is not None:
            own(self._recorder.current, result, self._recorder)
            entered.__exit__(None, None, None)

    def _method(self, network: nn.Module, function: Callable[..., Any]) -> Callable[..., Any]:
        @wraps(function)
        def call(*args: Any, **kwargs: Any) -> Any:
            self._before(network, args, kwargs)
            result = function(*args, **kwargs)
            self._after(network, args, result)
            return result

        return call


def own(part: Part, values: Any, recorder: Recorder) -> None:
    """Let the backward pass enter a part where it reaches values that no other part has made."""
    for value in tree_leaves(values):
        node = value.grad_fn if isinstance(value, Tensor) else None
        if node is None:
            continue
        marks: dict[str, Any] = node.metadata  # type: ignore[assignment]  # torch declares a method
        if OWNER not in marks:
            marks[OWNER] = True
            node.register_prehook(partial(_enter, recorder, part))


def _enter(recorder: Recorder, part: Part, gradients: Any) -> None:
    recorder.enter(part.name, part.path, part.place)
