"""A second name for a value."""

import torch

from artschool.components.injectors.alias import alias


def test_an_alias_is_the_same_tensor() -> None:
    x = torch.ones(2)
    assert alias(x) is x
