"""The proof that a compiled call of a network does what the eager call does."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor, nn
from torch.autograd.graph import saved_tensors_hooks
from torch.utils._pytree import tree_leaves, tree_map_only

from artschool.data.seeds import forked_rng
from artschool.engine.recompute import copied_buffers, recomputed_buffers

Function = Callable[..., Any]


class Tolerance(NamedTuple):
    """Largest difference of a tensor from the eager one.

    Attributes:
        relative: Relative to the norm of the tensor itself.
        floor: Relative to the root mean square of all tensors of its kind. It decides where the exact value is 0, such
            as for the gradient of a bias before a batch norm.
    """

    relative: float
    floor: float


FULL = Tolerance(1e-3, 1e-5)
"""For float32 and float64."""
LOW = Tolerance(5e-2, 2e-2)
"""For autocast, 16-bit types and TF32."""


OUTPUT = "output "
"""The beginning of the names of outputs."""


@dataclass
class _Outcome:
    """What a call gave.

    Attributes:
        values: The tensors of its result, and then the buffers after the call, by name.
        gradients: The gradient of each parameter and input that requires one, by name. None: it got none.
        written: The buffers that the call has written, of parts that recompute their activations.
        reached: For each output with a gradient, the ids of the parameters and inputs that its gradient reaches.
    """

    values: dict[str, Tensor] = field(default_factory=dict)
    gradients: dict[str, Tensor | None] = field(default_factory=dict)
    written: list[str] = field(default_factory=list)
    reached: list[set[int]] = field(default_factory=list)


def difference(
    network: nn.Module,
    eager: Function,
    compiled: Function,
    inputs: Sequence[Any],
    named: Mapping[str, Any],
    device_type: str,
) -> str:
    """What differs between a compiled call and the eager one. Empty: nothing beyond the tolerance.

    Both calls get the same inputs and random numbers. A fixed random projection of all outputs is differentiated. The
    same parameters and inputs must get a gradient; gradients, outputs and buffers must agree. Gradients, buffers,
    attributes of modules and random generators are the same afterwards as before.
    """
    expected = _attempt(network, eager, inputs, named)
    if not any(name.startswith(OUTPUT) for name in expected.values):
        return "returns no tensors that could be compared"
    if expected.reached and set().union(*expected.reached) not in expected.reached:
        # Where a loss uses only some outputs, the others' parameters would get zeros in place of no gradient, and an
        # optimizer with momentum or weight decay would move them.
        return "its outputs depend on different parameters, and no output on all of them"
    if expected.gradients and expected.written:
        # Its graph would keep the buffer itself, and read in its backward pass what later calls have written.
        return f"a call changes {expected.written[0]}, a buffer of a part with `activation_checkpointing`"
    found = _attempt(network, compiled, inputs, named)
    tolerance = LOW if _is_low_precision(device_type, expected) else FULL
    return _misfit(expected, found, tolerance)


def _attempt(network: nn.Module, function: Function, inputs: Sequence[Any], named: Mapping[str, Any]) -> _Outcome:
    parameters = {name: parameter for name, parameter in network.named_parameters() if parameter.requires_grad}
    given_inputs, given_named = tree_map_only(Tensor, _copy, (tuple(inputs), dict(named)))
    tensors = [value for value in tree_leaves((given_inputs, given_named)) if isinstance(value, Tensor)]
    sources = parameters | {f"input {i}": value for i, value in enumerate(tensors) if value.requires_grad}
    owned = (*network.parameters(), *network.buffers())
    device = next((tensor.device for tensor in (*owned, *tensors)), torch.device("cpu"))
    outcome = _Outcome()
    # A module around this one may recompute its activations, of which this call is no part.
    own_activations = saved_tensors_hooks(_same, _same)
    with _unchanged(network), forked_rng(0, device), own_activations:
        recomputed = {id(buffer) for buffer in recomputed_buffers(network)}
        states = [
            (name, buffer, buffer._version, buffer.clone())
            for name, buffer in network.named_buffers()
            if id(buffer) in recomputed
        ]
        outputs = [value for value in tree_leaves(function(*given_inputs, **given_named)) if isinstance(value, Tensor)]
        outcome.values = {f"{OUTPUT}{i}": value.detach() for i, value in enumerate(outputs)}
        outcome.values |= {f"buffer {name}": buffer.detach().clone() for name, buffer in network.named_buffers()}
        # A batch norm writes its statistics without a new version.
        outcome.written = [
            name for name, buffer, version, before in states if buffer._version > version or not buffer.equal(before)
        ]
        differentiable = [value for value in outputs if value.requires_grad]
        if torch.is_grad_enabled() and differentiable and sources:
            outcome.reached = [_reached(output) & set(map(id, sources.values())) for output in differentiable]
            with forked_rng(1, device):
                directions = [torch.randn_like(output) for output in differentiable]
            gradients = torch.autograd.grad(differentiable, list(sources.values()), directions, allow_unused=True)
            outcome.gradients = dict(zip(sources, gradients, strict=True))
    return outcome


def _same(value: Tensor) -> Tensor:
    return value


def _copy(value: Tensor) -> Tensor:
    return value.detach().clone().requires_grad_(value.requires_grad)


@contextmanager
def _unchanged(network: nn.Module) -> Iterator[None]:
    """Restore buffers and attributes of all modules afterwards."""
    attributes = {module: dict(vars(module)) for module in network.modules()}
    try:
        with copied_buffers(network):
            yield
    finally:
        for module, before in attributes.items():
            vars(module).clear()
            vars(module).update(before)


def _reached(output: Tensor) -> set[int]:
    """The ids of the leaves that the gradient of a tensor reaches."""
    found = {id(output)}  # It may be a parameter itself.
    nodes, seen = [output.grad_fn], set[object]()
    while nodes:
        node = nodes.pop()
        if node is None or node in seen:
            continue
        seen.add(node)
        if hasattr(node, "variable"):
            found.add(id(node.variable))
        nodes += [following for following, _ in node.next_functions]
    return found


def _is_low_precision(device_type: str, outcome: _Outcome) -> bool:
    tensors = [*outcome.values.values(), *(g for g in outcome.gradients.values() if g is not None)]
    uses_tf32 = device_type == "cuda" and torch.get_float32_matmul_precision() != "highest"
    is_short = any(tensor.dtype in (torch.float16, torch.bfloat16) for tensor in tensors)
    return torch.is_autocast_enabled(device_type) or uses_tf32 or is_short


def _misfit(expected: _Outcome, found: _Outcome, tolerance: Tolerance) -> str:
    for name, gradient in expected.gradients.items():
        other = found.gradients.get(name)
        if (gradient is None) != (other is None):
            return f"the compiled call gives {name} {'a' if gradient is None else 'no'} gradient, unlike the eager one"
    if expected.values.keys() != found.values.keys():
        return f"expected {len(expected.values)} outputs and buffers, got {len(found.values)}"
    gradients = {name: value for name, value in expected.gradients.items() if value is not None}
    outputs = {name: value for name, value in expected.values.items() if name.startswith(OUTPUT)}
    # Each buffer has a scale of its own: a mask may hold -1e9.
    buffers = [{name: value} for name, value in expected.values.items() if name not in outputs]
    groups: list[tuple[str, Mapping[str, Tensor], Mapping[str, Tensor | None]]] = [
        *(("", values, found.values) for values in (outputs, *buffers)),
        ("the gradient of ", gradients, found.gradients),
    ]
    for what, wanted, got in groups:
        typical = _root_mean_square(list(wanted.values()))
        for name, value in wanted.items():
            if problem := _distance(value, got[name], tolerance, typical):
                return f"{what}{name} of the compiled call {problem}"
    return ""


def _distance(wanted: Tensor, got: Tensor | None, tolerance: Tolerance, typical: float) -> str:
    """How a tensor differs from the eager one. Empty: not beyond the tolerance."""
    assert got is not None
    if wanted.shape != got.shape or wanted.dtype != got.dtype:
        return f"is {got.dtype} {tuple(got.shape)}, expected {wanted.dtype} {tuple(wanted.shape)}"
    if not wanted.numel():
        return ""
    if not wanted.is_floating_point() and not wanted.is_complex():
        share = float((wanted != got).float().mean())
        return f"differs in {share:.2%} of its values" if share > tolerance.relative else ""
    finite = wanted.isfinite()
    if not torch.equal(finite, got.isfinite()):
        return "is not finite in the same places"
    size = float(_norm(wanted[finite]))
    error = float(_norm((got - wanted)[finite]))
    if error <= max(tolerance.relative * size, tolerance.floor * typical * wanted.numel() ** 0.5):
        return ""
    return f"differs by {error / size:.2g} of its norm (tolerance {tolerance.relative:g})" if size else "is not 0"


def _root_mean_square(tensors: Sequence[Tensor]) -> float:
    parts = [tensor[tensor.isfinite()] for tensor in tensors if tensor.is_floating_point() or tensor.is_complex()]
    count = sum(part.numel() for part in parts)
    return float(sum(float(_norm(part)) ** 2 for part in parts) / count) ** 0.5 if count else 0.0


def _norm(tensor: Tensor) -> Tensor:
    norm: Tensor = torch.linalg.vector_norm(tensor.to(torch.promote_types(tensor.dtype, torch.float32)))
    return norm
