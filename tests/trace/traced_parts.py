"""Networks and components that a trace has to see through, and a file that holds them together."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TypedDict

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from artschool.config.compose import apply_overrides, finish
from artschool.config.source import read_text
from artschool.read.check import check_tree
from artschool.registry import callbacks, datasets, injectors, losses, networks
from artschool.registry.signature import Network
from artschool.trace.report import Trace
from artschool.trace.trace import trace

TEXT = """
name: traced
data: {train: {type: traced_rows, batch_size: 4}}
networks: {net: {type: traced_linear}, other: {type: traced_linear}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 0.1}
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
  second:
    trains: other
    optimizer: {type: adam, lr: 0.1}
    losses: {own: {type: traced_judged, network: other, in: y, weight: 1.0}}
train: {iterations: 10, device: cpu}
"""


class Row(TypedDict):
    """A sample: three numbers."""

    x: Tensor
    label: Tensor


@datasets.register("traced_rows")
class Rows:
    """As many as asked for."""

    def __init__(self, length: int = 9) -> None:
        self._length = length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Row:
        return {"x": torch.full((3,), float(index)), "label": torch.tensor(index % 3)}


@networks.register("traced_linear")
def linear(width: int = 3, spare: bool = False) -> nn.Module:
    """(B, 3) to (B, width)."""
    return nn.Sequential(nn.Linear(3, width), *([Spare()] if spare else []))


class Spare(nn.Module):
    """A parameter that nothing uses; as the last part of a sequence it passes on what it gets."""

    def __init__(self) -> None:
        super().__init__()
        self.unused = nn.Parameter(torch.zeros(2))

    def forward(self, x: Tensor) -> Tensor:
        """(...) to the same."""
        return x


@networks.register("traced_two_types")
class TwoTypes(nn.Module):
    """(B, 3) to the same, in two precisions."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3, dtype=torch.float64)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.second(self.first(x).double()).float()
        return result


@networks.register("traced_thawed")
class Thawed(nn.Module):
    """Thaws itself, whoever trains."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """(...) to the same."""
        result: Tensor = x * self.weight.requires_grad_(True)
        return result


@networks.register("traced_late")
class Late(nn.Module):
    """A layer that trains at once, and one that trains from iteration 3 and may not be called."""

    def __init__(self, calls: bool = True) -> None:
        super().__init__()
        self.first, self.late = nn.Linear(3, 3), nn.Linear(3, 3)
        self._calls = calls
        for parameter in self.late.parameters():
            parameter.DO_NOT_TRAIN_UNTIL = 3  # type: ignore[attr-defined]  # what is tested

    def forward(self, x: Tensor) -> Tensor:
        """(..., 3) to the same."""
        y: Tensor = self.first(x)
        return self.late(y) if self._calls else y


@networks.register("traced_wrong_inside")
class WrongInside(nn.Module):
    """Calls a function without its argument."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(..., 3) to nothing."""
        call: Any = torch.nn.functional.relu
        result: Tensor = call()
        return result


@networks.register("traced_dropped")
class Dropped(nn.Module):
    """Leaves its second part out at random, by a number of Python's own, so that no tensor decides."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        self.calls = 0

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        self.calls += 1
        first: Tensor = self.first(x)
        second: Tensor = self.second(first)
        return second if self.calls % 3 == 0 else first


@networks.register("traced_normed")
def normed() -> nn.Module:
    """(B, 3) to the same."""
    return nn.Sequential(nn.Linear(3, 3), nn.BatchNorm1d(3))


@networks.register("traced_huge")
class Huge(nn.Module):
    """Ten thousand million parameters, of which each call uses 3 x 3."""

    def __init__(self) -> None:
        super().__init__()
        self.weights = nn.ParameterList(nn.Parameter(torch.randn(50_000, 50_000)) for _ in range(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        for weight in self.weights:
            x = x @ weight[:3, :3]
        return x


TOKENS = 16
"""Tokens of a sample of `traced_tokens`."""


@datasets.register("traced_tokens")
class Tokens:
    """Sentences for `traced_blocks`."""

    def __init__(self, width: int = 8192) -> None:
        self._width = width

    def __len__(self) -> int:
        return 512

    def __getitem__(self, index: int) -> Row:
        return {"x": torch.zeros(TOKENS, self._width), "label": torch.tensor(index)}


@networks.register("traced_blocks")
class Blocks(nn.Module):
    """A stack of transformer blocks without dropout."""

    def __init__(self, width: int, blocks: int) -> None:
        super().__init__()
        layers = [nn.TransformerEncoderLayer(width, 32, 4 * width, 0.0, batch_first=True) for _ in range(blocks)]
        self.blocks = nn.Sequential(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """(B, T, width) to the same."""
        result: Tensor = self.blocks(x)
        return result


@functools.lru_cache
def window(length: int) -> Tensor:
    """A tensor that is kept for later."""
    return torch.hann_window(length)


@networks.register("traced_cached")
class Cached(nn.Module):
    """Multiplies by a tensor that its module keeps for all."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.linear(x) * window(3)
        return result


@networks.register("traced_lazy")
def lazy() -> nn.Module:
    """(B, n) to (B, 3)."""
    return nn.LazyLinear(3)


@networks.register("traced_choosy")
class Choosy(nn.Module):
    """Looks at its values."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.linear(x)
        return result if bool(x.sum() >= 0) else x


@callbacks.register("traced_failing_callback")
class FailingCallback:
    """Fails once the gradients are computed."""

    def __init__(self, networks: Mapping[str, nn.Module]) -> None:
        pass

    def before_optimize(self, step: int) -> None:
        """The gradients are computed."""
        raise LookupError("no such layer")


@networks.register("traced_prepared")
class Prepared(nn.Module):
    """Does something before each iteration: looks at its weights, saves them, or fails."""

    def __init__(self, does: str) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)
        self.does = does

    def update_for_step(self, step: int, folder: Path) -> None:
        """An iteration begins."""
        if self.does == "look":
            float(self.linear.weight.sum())
        elif self.does == "save":
            torch.save(self.state_dict(), folder / "weights.pt")
        else:
            raise LookupError("no such stage")

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.linear(x)
        return result


@networks.register("traced_checkpointed")
class Checkpointed(nn.Module):
    """Computes itself again when a gradient comes, behind a function that knows only its input."""

    def __init__(self, detached: bool = False) -> None:
        super().__init__()
        self.body = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 3))
        self.detached = detached

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""

        def run(x: Tensor) -> Tensor:
            result: Tensor = self.body(x)
            return x + result.detach() if self.detached else result

        result: Tensor = checkpoint(run, x.detach().requires_grad_(), use_reentrant=True)
        return result


@losses.register("traced_inside")
def inside(x: Tensor, *, network: Network) -> Tensor:
    """Calls what the network hides behind that function."""
    result: Tensor = network.get_submodule("body")(x).mean()
    return result


@networks.register("traced_sparse")
class Mixed(nn.Module):
    """Mixes its inputs by a sparse matrix, as over the edges of a graph."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        edges = torch.sparse_coo_tensor(torch.tensor([[0, 1], [1, 0]]), torch.ones(2), (3, 3), check_invariants=False)
        result: Tensor = self.linear(torch.sparse.mm(edges, x.t()).t())
        return result


@networks.register("traced_scaled")
class Scaled(nn.Module):
    """Looks at the gradient of its first part."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(3, 3), nn.Linear(3, 3)
        weight: Any = self.first.weight
        weight.register_hook(lambda gradient: gradient / (1 + float(gradient.norm())))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to the same."""
        result: Tensor = self.second(self.first(x))
        return result


@networks.register("traced_safetensors")
def from_safetensors(file: str) -> nn.Module:
    """(B, 3) to the same, with weights of a file."""
    network = nn.Linear(3, 3)
    network.load_state_dict(load_file(file))
    return network


@losses.register("traced_judged")
def judged(network: Network, x: Tensor) -> Tensor:
    """The mean of what a network gives."""
    result: Tensor = network(x).mean()
    return result


@losses.register("traced_holder")
class Holder(nn.Module):
    """Keeps the network that it judges by as its own part."""

    def __init__(self, network: Network) -> None:
        super().__init__()
        self.network = network

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3) to a scalar."""
        result: Tensor = self.network(x).mean()
        return result


@injectors.register("traced_named")
def named(x: Tensor) -> dict[str, Tensor]:
    """The value by name."""
    return {"value": x}


@injectors.register("traced_two")
def two(x: Tensor) -> list[Tensor]:
    """The value and its square."""
    return [x, x.square()]


@injectors.register("traced_slope")
def slope(network: Network, x: Tensor) -> Tensor:
    """The slope of the network at x."""
    x = x.detach().requires_grad_()
    return torch.autograd.grad(network(x).sum(), x)[0]


@injectors.register("traced_descent")
def descent(network: Network, x: Tensor) -> Tensor:
    """Two steps down the network, also in an evaluation."""
    for _ in range(2):
        x = x.detach()
        with torch.enable_grad():
            x = x - torch.autograd.grad(network(x.requires_grad_()).sum(), x)[0]
    return x.detach()


@injectors.register("traced_whole")
def whole(x: Tensor) -> Tensor:
    """Whole numbers."""
    return x.long()


@losses.register("traced_complex")
def complex_mean(x: Tensor) -> Tensor:
    """A complex scalar."""
    result: Tensor = torch.fft.fft(x).mean()
    return result


@losses.register("traced_learned")
class Learned(nn.Module):
    """Has a weight of its own, which nothing trains."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, x: Tensor) -> Tensor:
        """(...) to a scalar."""
        return (x * self.scale).mean()


def traced(*overrides: str, text: str = TEXT) -> Trace:
    """The trace of the file with some values changed."""
    tree = finish(read_text(text, "toy.yml"), Path("toy.yml"))
    return trace(check_tree(apply_overrides(tree, overrides)))
