"""Which tensors a gradient reaches."""

from __future__ import annotations

from typing import Any

from torch import Tensor


def leaves(value: Tensor) -> list[Tensor]:
    """The tensors without history that backpropagation from a value would give a gradient to."""
    if value.grad_fn is None:
        return [value] if value.requires_grad else []
    found: list[Tensor] = []
    nodes: list[Any] = [value.grad_fn]
    seen = {value.grad_fn}
    while nodes:
        node = nodes.pop()
        if hasattr(node, "variable"):
            found.append(node.variable)
        for following, _ in node.next_functions:
            if following is not None and following not in seen:
                seen.add(following)
                nodes.append(following)
    return found
