"""docs/losses.md names losses that there are, and its router is one."""

from __future__ import annotations

import re
from pathlib import Path

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.builtins import load_builtins
from artschool.components.losses.load_balance import switch_transformer_balance
from artschool.registry import losses

PAGE = (Path(__file__).parents[3] / "docs" / "losses.md").read_text()


def test_the_tables_name_losses_that_there_are() -> None:
    load_builtins()
    rows = re.findall(r"^\| (`.*?`) \|", PAGE, re.MULTILINE)
    named = {name for row in rows for name in re.findall(r"`(\w+)`", row)}
    assert len(named) > 15
    assert named <= {*losses.names()}


def test_the_router_of_the_page_tells_what_the_losses_ask() -> None:
    (code,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
    names = {"nn": nn, "F": F, "Tensor": Tensor}
    exec(compile(code, "losses.md", "exec"), names)
    torch.manual_seed(0)
    router: nn.Module = names["Switch"](3, 4)  # type: ignore[operator]  # the class of the page
    assert router(torch.randn(2, 5, 3)).shape == (2, 5, 4)
    assert switch_transformer_balance(router).requires_grad
