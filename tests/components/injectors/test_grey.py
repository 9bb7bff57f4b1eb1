"""Mean over channels."""

import torch

from artschool.components.injectors.grey import grey


def test_every_channel_becomes_the_mean() -> None:
    x = torch.tensor([[[[1.0, 0.0]], [[2.0, 0.0]], [[6.0, 3.0]]]])
    assert grey(x).tolist() == [[[[3.0, 1.0]]] * 3]


def test_the_result_owns_its_memory() -> None:
    x = torch.zeros(1, 3, 2, 2)
    grey(x)[:, 0] += 1.0
    assert x.abs().max().item() == 0.0
    assert grey(x).is_contiguous()
