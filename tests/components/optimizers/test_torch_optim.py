"""PyTorch's optimizers by name: each of them trains, and takes the groups that the engine makes."""

import pytest
import torch

from artschool.components.optimizers import torch_optim  # noqa: F401  # registers them
from artschool.registry import optimizers

NAMES = [
    "adadelta",
    "adafactor",
    "adagrad",
    "adam",
    "adamax",
    "adamw",
    "asgd",
    "nadam",
    "radam",
    "rmsprop",
    "rprop",
    "sgd",
]


@pytest.mark.parametrize("name", NAMES)
def test_an_optimizer_moves_downhill_whatever_the_shape_and_ignores_the_engines_mark(name: str) -> None:
    params = [torch.nn.Parameter(torch.ones(shape)) for shape in [(2, 3), (3,), (), (2, 1, 3, 3)]]
    groups = [
        {"params": params[:1], "exempt": False},
        {"params": params[1:], "exempt": True, "weight_decay": 0.0},
    ]
    optimizer = optimizers.get(name).target(groups, lr=0.1)
    for _ in range(3):
        optimizer.zero_grad()
        torch.autograd.backward([param.square().sum() for param in params])
        optimizer.step()
    assert all((param < 1.0).all() for param in params)


def test_those_that_cannot_train_any_network_are_left_out() -> None:
    assert not {"lbfgs", "muon", "sparse_adam"} & set(optimizers.names())


def test_every_other_optimizer_of_pytorch_is_there() -> None:
    classes = {
        name.lower()
        for name, value in vars(torch.optim).items()
        if isinstance(value, type) and issubclass(value, torch.optim.Optimizer)
    }
    assert classes - {"optimizer", "lbfgs", "muon", "sparseadam"} <= set(optimizers.names())
