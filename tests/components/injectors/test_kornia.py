"""Changes of images by kornia."""

from __future__ import annotations

import re
import sys
from typing import Any

import pytest
import torch
from torch import Tensor

from artschool.components.injectors.kornia import Kornia
from artschool.data.seeds import seed_all
from artschool.errors import ConfigError, ResourceError

BLUR: dict[str, Any] = {"kernel_size": [3, 3], "sigma": [0.5, 0.5], "p": 1.0}


def tensors(result: Tensor | list[Tensor]) -> list[Tensor]:
    """The results by input; of one input, its result alone is given."""
    return [result] if isinstance(result, Tensor) else result


def test_the_options_are_those_of_the_library() -> None:
    """A point is blurred to the kernel: the outer product of exp(-x^2 / (2 sigma^2)), divided by its sum."""
    point = torch.zeros(1, 1, 5, 5)
    point[0, 0, 2, 2] = 1
    line = (-torch.tensor([1.0, 0.0, 1.0]) / (2 * 0.5**2)).exp()
    line = line / line.sum()
    (blurred,) = tensors(Kornia(name="RandomGaussianBlur", options=BLUR)([point]))
    torch.testing.assert_close(blurred[0, 0, 1:4, 1:4], line[:, None] * line)


def test_the_seed_determines_the_numbers_and_inputs_share_them() -> None:
    change = Kornia(name="RandomRotation", options={"degrees": 90.0, "p": 1.0})
    image = torch.rand(4, 3, 8, 8)
    mask = image[:, :1]
    seed_all(3)
    first, of_mask = change([image, mask])
    assert torch.equal(first[:, :1], of_mask) and not torch.equal(first, image)
    assert not torch.equal(first, tensors(change([image]))[0])
    seed_all(3)
    assert torch.equal(first, tensors(change([image]))[0])


def test_gradients_pass_and_half_precision_is_widened() -> None:
    image = torch.rand(2, 3, 8, 8, dtype=torch.bfloat16, requires_grad=True)
    (blurred,) = tensors(Kornia(name="RandomGaussianBlur", options=BLUR)([image]))
    blurred.sum().backward()  # type: ignore[no-untyped-call]  # torch has no types for it
    assert blurred.dtype is torch.float32
    assert image.grad is not None and (image.grad > 0).all()


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("RandomGausianBlur", {}, "kornia has no augmentation 'RandomGausianBlur'. Did you mean 'RandomGaussianBlur'?"),
        ("AugmentationBase2D", {}, "kornia has no augmentation 'AugmentationBase2D'."),
        (
            "RandomHorizontalFlip",
            {"probability": 1},
            "options of RandomHorizontalFlip: unknown option 'probability'. "
            "Available options: keepdim, p, p_batch, same_on_batch.",
        ),
    ],
)
def test_unknown_names_and_options_are_told(name: str, options: dict[str, Any], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        Kornia(name=name, options=options)
    assert str(caught.value) == message


def test_images_of_two_sizes_are_refused() -> None:
    change = Kornia(name="RandomHorizontalFlip")
    with pytest.raises(ConfigError, match=r"^kornia: expected inputs of one size, got \(2, 4, 4\) and \(2, 8, 8\)$"):
        change([torch.rand(2, 3, 4, 4), torch.rand(2, 3, 8, 8)])


def test_a_package_that_is_not_there_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    for known in [known for known in sys.modules if known.partition(".")[0] == "kornia"]:
        monkeypatch.delitem(sys.modules, known)

    class NotThere:
        def find_spec(self, found: str, path: Any = None, target: Any = None) -> None:
            if found.partition(".")[0] == "kornia":
                raise ModuleNotFoundError("No module named 'kornia'", name="kornia")

    monkeypatch.setattr(sys, "meta_path", [NotThere(), *sys.meta_path])
    with pytest.raises(ResourceError, match=re.escape("Fix: pip install 'artschool[kornia]'")):
        Kornia(name="RandomRotation")
