"""What docstrings say of each option."""

from __future__ import annotations

import pytest
from torch import Tensor, nn

from artschool.config.docstrings import arguments, documented
from artschool.registry import injectors


class Wide(nn.Module):
    """Something wide.

    Args:
        width: How wide, in pixels.
        depth: How deep.
    """

    def __init__(self, *, width: int = 1, depth: int = 1) -> None:
        super().__init__()

    def forward(self, x: Tensor) -> Tensor:
        """Pass.

        Args:
            x: (B, C, H, W).
        """
        return x


class Wider(Wide):
    """Something wider, whose depth is another.

    Args:
        depth: How deep, in blocks.
    """


@pytest.mark.usefixtures("registries")
def test_what_a_class_inherits_is_documented_where_it_stands() -> None:
    injectors.register(Wider)
    wider = injectors.get("wider")
    assert documented(wider) == {"width": "How wide, in pixels.", "depth": "How deep, in blocks.", "x": "(B, C, H, W)."}
    assert wider.documentation == ("Something wider, whose depth is another.\n\nArgs:\n    depth: How deep, in blocks.")


@pytest.mark.parametrize(
    "line",
    ["width: How wide.", "width (int, optional): How wide.", "width (int) : How\n        wide.", "**width: How wide."],
)
def test_an_argument_may_be_written_in_several_ways(line: str) -> None:
    assert arguments(f"Do.\n\nArgs:\n    {line}\n    other: Another.\n") == {"width": "How wide.", "other": "Another."}
