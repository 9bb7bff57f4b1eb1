"""Results of operations on tensors without values: as those of the operations themselves."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional as F

from artschool.trace.fake import fake_tensors

RESAMPLED: dict[str, Callable[[Tensor], Tensor]] = {
    "grid_sample": lambda image: F.grid_sample(image, image.new_zeros(2, 4, 5, 2), align_corners=False),
    "bicubic": lambda image: F.interpolate(image, size=(4, 5), mode="bicubic"),
    "bicubic by a factor": lambda image: F.interpolate(image, scale_factor=1.5, mode="bicubic"),
    "bilinear": lambda image: F.interpolate(image, scale_factor=(0.5, 2), mode="bilinear"),
}


@pytest.mark.parametrize("name", RESAMPLED)
@pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_resampled_images_are_laid_out_as_for_real(name: str, layout: torch.memory_format, dtype: torch.dtype) -> None:
    def laid_out(image: Tensor) -> tuple[object, ...]:
        image = image.to(dtype).contiguous(memory_format=layout).requires_grad_()
        result = RESAMPLED[name](image)
        (gradient,) = torch.autograd.grad(result.sum(), image)
        return result.shape, result.stride(), result.dtype, gradient.shape, gradient.dtype

    real = laid_out(torch.zeros(2, 3, 8, 10))
    with fake_tensors():
        assert laid_out(torch.zeros(2, 3, 8, 10)) == real


@pytest.mark.parametrize(
    ("fails", "says"),
    [
        (lambda x: F.interpolate(x, scale_factor=0.05, mode="bilinear"), "cannot become 0 pixels high and 0 wide"),
        (lambda x: F.interpolate(x, size=(0, 3), mode="bicubic"), "cannot become 0 pixels high and 3 wide"),
        (lambda x: F.interpolate(x.long(), size=(4, 3), mode="bicubic"), "int64 cannot become"),
        (lambda x: F.grid_sample(x, x.new_zeros(2, 4, 5, 3), align_corners=False), r"grid \(2, 4, 5, 3\) float32 does"),
        (lambda x: F.grid_sample(x, x.new_zeros(2, 4, 5, 2).double(), align_corners=False), "float64 does not fit"),
        (lambda x: F.grid_sample(x, x.new_zeros(3, 4, 5, 2), align_corners=False), r"grid \(3, 4, 5, 2\) float32 does"),
    ],
)
def test_what_cannot_be_resampled_for_real_cannot_without_values(fails: Callable[[Tensor], Tensor], says: str) -> None:
    with pytest.raises((RuntimeError, NotImplementedError)):
        fails(torch.zeros(2, 3, 8, 10))
    with fake_tensors(), pytest.raises(RuntimeError, match=says):
        fails(torch.zeros(2, 3, 8, 10))
