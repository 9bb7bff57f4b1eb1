"""A network as a function of tensors: what a call of it in training becomes in an exported folder."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from artschool.engine.data_examples import Example, NetworkCall, NetworkInput
from artschool.engine.exits import CODE
from artschool.storage.processes import ended_if_forked

EXAMPLES = 2
"""Batch size of the example. torch.export takes a dimension of size 1 for a constant."""


@dataclass(frozen=True)
class TensorInput:
    """A tensor among the arguments of a call.

    Attributes:
        name: Its name among the inputs, unique.
        example: Shape, type and range of one sample. A first dimension of 1 is that of the batch.
    """

    name: str
    example: Example

    @property
    def has_batch(self) -> bool:
        """Whether the first dimension is that of the batch."""
        return bool(self.example.shape) and self.example.shape[0] == 1

    def random(self, batch: int, generator: torch.Generator) -> Tensor:
        """Random values in the range that training had."""
        example, dtype = self.example, getattr(torch, self.example.dtype)
        shape = (batch, *example.shape[1:]) if self.has_batch else example.shape
        low = 0.0 if example.low is None else example.low
        high = 1.0 if example.high is None else example.high
        if dtype.is_floating_point or dtype.is_complex:
            return (low + (high - low) * torch.rand(shape, generator=generator)).to(dtype)
        return torch.randint(int(low), int(high) + 1, shape, generator=generator).to(dtype)


class CalledNetwork(nn.Module):
    """A call of a network as a module whose inputs are tensors alone.

    Args:
        network: The network, in eval mode on the CPU.
        call: How training calls it. What is no tensor is a constant.

    Attributes:
        inputs: The tensors of the call, in order.
    """

    def __init__(self, network: nn.Module, call: NetworkCall) -> None:
        super().__init__()
        self.network, self.call = network, call
        self.inputs = list(_tensors(call.inputs))

    def forward(self, *tensors: Tensor) -> Any:
        """Call the network."""
        values = iter(tensors)
        arguments = [_argument(part, values) for part in self.call.inputs]
        positional = len(arguments) - self.call.keywords
        named = {part.name: value for part, value in zip(self.call.inputs, arguments, strict=True)}
        last = {part.name: named[part.name] for part in self.call.inputs[positional:]}
        called = self.network if self.call.method is None else getattr(self.network, self.call.method)
        return called(*arguments[:positional], **last)

    def random_inputs(self, seed: int = 0) -> list[Tensor]:
        """Random values for the inputs, of a batch of 2."""
        generator = torch.Generator().manual_seed(seed)
        return [each.random(EXAMPLES, generator) for each in self.inputs]


@contextmanager
def calls_networks() -> Iterator[None]:
    """A block that calls networks: without gradients, and a process that their code forks is ended."""
    with ended_if_forked(lambda: CODE), torch.no_grad():
        yield


def _tensors(parts: Sequence[NetworkInput], prefix: str = "") -> Iterator[TensorInput]:
    for index, part in enumerate(parts):
        name = f"{prefix}{part.name or f'input{index}'}"
        if part.example is not None:
            yield TensorInput(name, part.example)
        yield from _tensors(part.parts or (), f"{name}.")


def _argument(part: NetworkInput, values: Iterator[Tensor]) -> Any:
    if part.parts is not None:
        return [_argument(inner, values) for inner in part.parts]
    return next(values) if part.example is not None else part.value
