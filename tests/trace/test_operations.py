"""Operations on tensors without values: they give what the operations themselves give, and refuse what those refuse."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn
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


DOUBLE, HALF, WHOLE = torch.float64, torch.bfloat16, torch.int64


def ones(*shape: int, dtype: torch.dtype = torch.float32) -> Tensor:
    """A leaf, with a gradient where it can have one."""
    return torch.ones(shape, dtype=dtype, requires_grad=dtype.is_floating_point)


def autocast(compute: Callable[[], Tensor]) -> Tensor:
    with torch.autocast("cpu", torch.bfloat16):
        return compute()


def assigned(target: Tensor, index: Tensor, values: Tensor) -> Tensor:
    target = target.clone()
    target[index] = values
    return target


REFUSED: dict[str, tuple[Callable[[], Tensor], str]] = {
    "convolution": (
        lambda: nn.Conv2d(3, 4, 3, bias=False)(ones(2, 3, 9, 9, dtype=DOUBLE)),
        "convolution takes tensors of",
    ),
    "transposed": (lambda: nn.ConvTranspose1d(3, 4, 3)(ones(2, 3, 9, dtype=DOUBLE)), "found float64 and float32"),
    "depthwise": (lambda: F.conv1d(ones(2, 3, 9, dtype=HALF), ones(3, 1, 3), groups=3), "found bfloat16 and float32"),
    "convolution under autocast": (
        lambda: autocast(lambda: nn.Conv2d(3, 4, 3, bias=False)(ones(2, 3, 9, 9, dtype=DOUBLE))),
        "found float64 and bfloat16",
    ),
    "linear": (lambda: nn.Linear(3, 4)(ones(2, 3, dtype=DOUBLE)), "addmm takes tensors of one type"),
    "linear of whole numbers": (lambda: nn.Linear(3, 4)(ones(2, 5, 3, dtype=WHOLE)), "found float32 and int64"),
    "linear without bias": (lambda: nn.Linear(3, 4, bias=False)(ones(2, 3, dtype=HALF)), "found bfloat16 and float32"),
    "attention": (
        lambda: nn.MultiheadAttention(4, 2)(*[ones(5, 2, 4, dtype=DOUBLE)] * 3)[0],
        "takes tensors of one type",
    ),
    "cell": (lambda: nn.GRUCell(3, 4)(ones(2, 3), ones(2, 4, dtype=DOUBLE)), "takes tensors of one type"),
    "product": (lambda: ones(3, 4) @ ones(4, 2, dtype=DOUBLE), "mm takes tensors of one type"),
    "product with a vector": (lambda: ones(3, 4) @ ones(4, dtype=WHOLE), "mv takes tensors of one type"),
    "product added to a vector": (lambda: torch.addmv(ones(3), ones(3, 4), ones(4, dtype=DOUBLE)), "addmv takes"),
    "distances": (lambda: torch.cdist(ones(2, 3), ones(4, 3, dtype=DOUBLE)), "cdist takes tensors of one type"),
    "cross": (lambda: torch.cross(ones(2, 3), ones(2, 3, dtype=DOUBLE), dim=1), "linalg_cross takes"),
    "complex": (lambda: torch.complex(ones(3), ones(3, dtype=DOUBLE)).abs(), "complex takes tensors of one type"),
    "polar": (lambda: torch.polar(ones(3), ones(3, dtype=DOUBLE)).abs(), "polar takes tensors of one type"),
    "volumes": (
        lambda: F.grid_sample(ones(1, 1, 2, 2, 2, dtype=DOUBLE), ones(1, 2, 2, 2, 3), align_corners=False),
        "grid_sampler_3d takes tensors of one type",
    ),
    "batch norm": (lambda: nn.BatchNorm2d(3)(ones(2, 3, 4, 4, dtype=DOUBLE)), "native_batch_norm takes tensors of one"),
    "statistics alone": (
        lambda: nn.BatchNorm1d(3, affine=False)(ones(4, 3, dtype=DOUBLE)),
        "found float64 and float32",
    ),
    "layer norm": (lambda: nn.LayerNorm(3)(ones(2, 3, dtype=DOUBLE)), "native_layer_norm takes tensors of one type"),
    "group norm": (lambda: nn.GroupNorm(1, 4)(ones(2, 4, 3, dtype=DOUBLE)), "native_group_norm takes tensors of one"),
    "half weights": (lambda: F.layer_norm(ones(2, 3), (3,), ones(3, dtype=HALF)), "found float32 and bfloat16"),
    "probabilities": (
        lambda: F.binary_cross_entropy(ones(3), torch.ones(3, dtype=DOUBLE)),
        "binary_cross_entropy takes tensors of one type",
    ),
    "huber": (lambda: F.huber_loss(ones(3), torch.ones(3, dtype=DOUBLE)), "huber_loss takes tensors of one type"),
    "classes": (lambda: F.cross_entropy(ones(2, 3), ones(2, dtype=torch.int32)), "takes classes in int64, found int32"),
    "maps of classes": (
        lambda: F.cross_entropy(ones(2, 3, 4, 4), ones(2, 4, 4, dtype=torch.uint8)),
        "takes classes in int64, found uint8",
    ),
    "weights of classes": (
        lambda: F.cross_entropy(ones(2, 3), ones(2, dtype=WHOLE), torch.ones(3, dtype=DOUBLE)),
        "nll_loss takes tensors of one type",
    ),
    "whole log probabilities": (lambda: F.nll_loss(ones(2, 3, dtype=WHOLE), ones(2, dtype=WHOLE)), "found int64"),
    "whole logits": (
        lambda: F.cross_entropy(ones(2, 3, dtype=WHOLE), ones(2, dtype=WHOLE)),
        "log_softmax takes floating",
    ),
    "softmax": (lambda: ones(2, 3, dtype=WHOLE).softmax(1), "softmax takes floating-point numbers, found int64"),
    "activation": (lambda: F.gelu(ones(2, 3, dtype=WHOLE)), "gelu takes floating-point numbers"),
    "pooling": (lambda: F.adaptive_avg_pool2d(ones(1, 8, 8, dtype=torch.uint8), 2), "adaptive_avg_pool2d takes"),
    "deviation": (lambda: ones(3, dtype=WHOLE).std(), "std takes floating-point numbers"),
    "nearest": (lambda: F.interpolate(ones(1, 1, 4, 4, dtype=WHOLE), scale_factor=2), "upsample_nearest2d takes"),
    "antialias": (
        lambda: F.interpolate(ones(1, 1, 4, 4, dtype=WHOLE), size=2, mode="bilinear", antialias=True),
        "upsample_bilinear2d_aa takes floating-point numbers",
    ),
    "inverse of a mask": (lambda: 1 - ones(3, dtype=torch.bool), "a difference takes numbers, found bool; `~` inverts"),
    "difference of masks": (lambda: ones(3) - ones(3, dtype=torch.bool), "a difference takes numbers"),
    "select": (lambda: ones(4, 3).index_select(0, ones(2)), "index_select takes indices in int64, found float32"),
    "index_add": (lambda: ones(4, 3).index_add(0, ones(2, dtype=WHOLE), ones(2, 3, dtype=DOUBLE)), "index_add takes"),
    "assignment": (
        lambda: assigned(ones(4, 3), ones(2, dtype=WHOLE), ones(2, 3, dtype=HALF)),
        "index_put takes tensors of one type, found float32 and bfloat16",
    ),
}


def trained(compute: Callable[[], Tensor]) -> Tensor:
    result = compute()
    if result.requires_grad:
        result.sum().backward()  # type: ignore[no-untyped-call]  # torch
    return result


@pytest.mark.parametrize("name", REFUSED)
def test_types_that_a_kernel_refuses_are_refused_without_values(name: str) -> None:
    compute, says = REFUSED[name]
    with pytest.raises((RuntimeError, NotImplementedError, IndexError)):
        trained(compute)
    with fake_tensors(), pytest.raises(RuntimeError, match=says):
        trained(compute)


TAKEN: dict[str, Callable[[], Tensor]] = {
    "double convolution": lambda: F.conv2d(ones(2, 3, 9, 9, dtype=DOUBLE), ones(4, 3, 3, 3, dtype=DOUBLE)),
    "convolution under autocast": lambda: autocast(lambda: nn.Conv2d(3, 4, 3)(ones(2, 3, 9, 9, dtype=HALF))),
    "linear under autocast": lambda: autocast(lambda: nn.Linear(3, 4)(ones(2, 3))),
    "half images to batch norm": lambda: nn.BatchNorm2d(3)(ones(2, 3, 4, 4, dtype=HALF)),
    "half layer norm": lambda: F.layer_norm(ones(2, 3, dtype=HALF), (3,), ones(3, dtype=HALF)),
    "half images to group norm": lambda: nn.GroupNorm(1, 4)(ones(2, 4, 3, dtype=HALF)),
    "instance norm": lambda: nn.InstanceNorm2d(3)(ones(2, 3, 4, 4, dtype=DOUBLE)),
    "classes in bytes": lambda: F.cross_entropy(ones(2, 3), ones(2, dtype=torch.uint8), label_smoothing=0.1),
    "weights of probabilities": lambda: F.binary_cross_entropy(
        ones(3, dtype=HALF), torch.ones(3, dtype=HALF), torch.ones(3, dtype=HALF)
    ),
    "softmax to floats": lambda: ones(2, 3, dtype=WHOLE).softmax(1, dtype=torch.float32),
    "complex deviation": lambda: torch.complex(ones(3), ones(3)).std(),
    "nearest bytes": lambda: F.interpolate(ones(1, 1, 4, 4, dtype=torch.uint8), scale_factor=2),
    "difference with whole numbers": lambda: 1 - ones(3, dtype=WHOLE) - ones(3),
    "int32 to select": lambda: ones(4, 3).index_select(0, ones(2, dtype=torch.int32)),
    "int32 to add at": lambda: ones(4, 3).index_add(0, ones(2, dtype=torch.int32), ones(2, 3)),
    "one value for a mask": lambda: assigned(
        ones(4, 3), torch.ones(4, 3, dtype=torch.bool), torch.ones((), dtype=DOUBLE)
    ),
    "copy": lambda: ones(4, 3).clone().copy_(ones(4, 3, dtype=DOUBLE)),
}


@pytest.mark.parametrize("name", TAKEN)
def test_types_that_a_kernel_takes_give_the_same_without_values(name: str) -> None:
    real = trained(TAKEN[name])
    with fake_tensors():
        fake = trained(TAKEN[name])
        assert (fake.shape, fake.dtype) == (real.shape, real.dtype)


def test_fused_updates_need_no_memory() -> None:
    """Those that torch would run with values. No machine has this memory."""
    options: dict[str, Any] = {"lr": 0.1, "weight_decay": 0.0, "maximize": False}
    with fake_tensors():
        weights, state = [torch.empty(10**13)], [torch.ones(())]
        torch._fused_sgd_(
            weights, weights, [], momentum=0.0, dampening=0.0, nesterov=False, is_first_step=False, **options
        )
        torch._fused_adagrad_(weights, weights, weights, state, lr_decay=0.0, eps=1e-8, **options)
