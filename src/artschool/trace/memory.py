"""How many bytes live, and of what kind, while operations run on tensors with or without values."""

from __future__ import annotations

import weakref
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

ACTIVATIONS = "activations"


class LiveBytes(TorchDispatchMode):  # type: ignore[no-untyped-call]  # torch
    """Counts the storages that operations return until they are let go.

    What a kernel allocates inside and frees before it returns is not seen.

    Attributes:
        live: Bytes by kind. New tensors are activations until they are marked as something else.
        peak: Bytes by kind when there were most in all, since `start`.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch
        self.live: Counter[str] = Counter()
        self.peak: Counter[str] = Counter()
        self._known: dict[int, tuple[weakref.ref[Any], int, str]] = {}
        self._total = 0
        self._most = 0

    def __torch_dispatch__(
        self,
        func: Callable[..., Any],
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: Mapping[str, Any] | None = None,
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        for value in [result] if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(value, Tensor):
                self._add(value)
        return result

    def start(self) -> None:
        """Look for the peak from here on."""
        self._most, self.peak = self._total, Counter(self.live)

    def mark(self, tensors: Iterable[Tensor], kind: str) -> None:
        """Say what tensors are."""
        for tensor in tensors:
            self._add(tensor)
            key = id(tensor.untyped_storage())
            reference, size, before = self._known[key]
            self._known[key] = (reference, size, kind)
            self.live[before] -= size
            self.live[kind] += size

    def _add(self, tensor: Tensor) -> None:
        storage = tensor.untyped_storage()
        key = id(storage)
        if key in self._known:
            return
        size = storage.nbytes()
        self._known[key] = (weakref.ref(storage, lambda _: self._remove(key)), size, ACTIVATIONS)
        self.live[ACTIVATIONS] += size
        self._total += size
        if self._total > self._most:
            self._most, self.peak = self._total, Counter(self.live)

    def _remove(self, key: int) -> None:
        _, size, kind = self._known.pop(key)
        self.live[kind] -= size
        self._total -= size
