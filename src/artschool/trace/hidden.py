"""Parameters that get a gradient, though no network or component registers them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from torch import Tensor, nn

from artschool.engine.unregistered import unregistered
from artschool.steps.call import Call


class HiddenParameters:
    """Records the parameters that get a gradient and belong to nothing that training knows.

    Args:
        modules: Networks, averages and components that are modules, by name.
        registered: The identities of their parameters.

    Attributes:
        found: The parameters by the name of the module or the path of the component that holds them, and by their own
            path.
        unknown: For each other parameter, the path of the first loss that gives it a gradient.
    """

    def __init__(self, modules: Mapping[str, nn.Module], registered: Collection[int]) -> None:
        self.found: dict[str, dict[str, Tensor]] = {}
        self.unknown: dict[Tensor, str] = {}
        self._registered = registered
        averages = {name for name in modules if name.rpartition(".")[0] in modules}
        self._owners: dict[str, object] = {name: each for name, each in modules.items() if name not in averages}
        self._functions: dict[str, object] = {}
        self._at_start: dict[int, tuple[str, str, Tensor]] | None = None

    def begin_step(self) -> None:
        """Remember what is hidden before anything has run. Later tensors may be values, such as a penalty's inputs."""
        if self._at_start is None:
            self._at_start = self._search(self._owners)

    def record_call(self, call: Call) -> None:
        """Remember a component, whose function may hold parameters."""
        self._functions[call.path] = call.function

    def record_leaf(self, leaf: Tensor, loss: str) -> None:
        """Record that a loss gives a gradient to a tensor that nothing registers."""
        known = self._at_start or {}
        if id(leaf) not in known and isinstance(leaf, nn.Parameter) and leaf not in self.unknown:
            known = self._search(self._functions) | self._search(self._owners)
        if id(leaf) in known:
            owner, path, _ = known[id(leaf)]
            self.found.setdefault(owner, {})[path] = leaf
        elif isinstance(leaf, nn.Parameter):
            self.unknown.setdefault(leaf, loss)

    def record_backward(self) -> None:
        """Record what got a gradient behind functions that hide their parameters."""
        for owner, path, tensor in (self._at_start or {}).values():
            if tensor.grad is not None:
                self.found.setdefault(owner, {})[path] = tensor
                tensor.grad = None

    def _search(self, owners: Mapping[str, object]) -> dict[int, tuple[str, str, Tensor]]:
        found: dict[int, tuple[str, str, Tensor]] = {}
        for name, owner in owners.items():
            for path, tensor in self._trainable(owner):
                found.setdefault(id(tensor), (name, path, tensor))
        return found

    def _trainable(self, owner: object) -> Iterator[tuple[str, Tensor]]:
        for path, tensor in unregistered(owner):
            if tensor.requires_grad and tensor.is_leaf and id(tensor) not in self._registered:
                yield path, tensor
