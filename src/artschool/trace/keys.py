"""What a trace records about the value of a key."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from torch import Tensor
from torch.utils._pytree import tree_leaves

from artschool.faults import Place
from artschool.registry.ranges import Range
from artschool.steps.call import describe_value


@dataclass(frozen=True)
class TracedKey:
    """A key of the state and the value that a call wrote.

    Attributes:
        kind: Shape and type of a tensor, such as `(16, 3, 64, 64) float32`; the class of any other value.
        gradient: Whether a gradient can flow back from the value.
        writer: The path of the component that wrote it, or `data.train`.
        shown_as: The sections that can show the value: `pictures`, `audio`, `video`.
        scalar: Whether the value is a tensor of one number, without a dimension for samples.
        values: The range of the values, if the operation that made them shows it.
    """

    name: str
    kind: str
    gradient: bool
    writer: str
    place: Place
    shown_as: frozenset[str]
    scalar: bool = False
    values: Range | None = None


OPERATIONS: Mapping[str, Range] = {"TanhBackward0": (-1.0, 1.0), "SigmoidBackward0": (0.0, 1.0)}
"""The range of a result by its name in autograd's graph."""


def range_of(value: Any) -> Range | None:
    """The range of a value that the operation which made it shows."""
    made_by = value.grad_fn if isinstance(value, Tensor) else None
    return OPERATIONS.get(made_by.name()) if made_by is not None else None


FORMS = {
    "pictures": "Images are (B, 1 or 3, H, W), maps (B, H, W), sequences (B, T, 1 or 3, H, W).",
    "audio": "Sound is (B, T), or (B, C, T) with one or two channels C.",
    "video": "A video is a sequence of images (B, T, 1 or 3, H, W).",
}
"""What can be shown, by the name of the section."""


def shown_as(value: Any) -> frozenset[str]:
    """The sections that can show a value, those of `FORMS`."""
    if not isinstance(value, Tensor):
        return frozenset()
    dimensions, is_color = value.dim(), value.dim() > 3 and value.shape[-3] in (1, 3)
    forms = {
        "pictures": dimensions == 3 or (dimensions in (4, 5) and is_color),
        "audio": dimensions == 2 or (dimensions == 3 and value.shape[1] in (1, 2)),
        "video": dimensions == 5 and is_color,
    }
    return frozenset(name for name, fits in forms.items() if fits)


def is_scalar(value: Any) -> bool:
    """Whether a value is a tensor of one number, without dimensions."""
    return isinstance(value, Tensor) and value.dim() == 0


def describe_kind(value: Any) -> str:
    """Shape and type of a value, without its device: `(16, 3, 64, 64) float32`."""
    return (
        describe_value(value).removesuffix(f" on {value.device}")
        if isinstance(value, Tensor)
        else describe_value(value)
    )


def dtype_of(value: Tensor) -> str:
    """The name of a tensor's type: `float32`."""
    return str(value.dtype).removeprefix("torch.")


def has_gradient(value: Any) -> bool:
    """Whether a gradient can flow back from a value, or from one inside a list or mapping."""
    return any(isinstance(part, Tensor) and part.requires_grad for part in tree_leaves(value))
