"""Adam with moments of 8 or 4 bits, by torchao."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import torch
from torch.optim.optimizer import Optimizer, ParamsT

from artschool.components.optimizers.small_adam import small_adam
from artschool.registry import ComponentRole, optimizers

_CLASSES = {
    "adam8bit": "Adam8bit",
    "adamw8bit": "AdamW8bit",
    "adam4bit": "Adam4bit",
    "adamw4bit": "AdamW4bit",
    "adamfp8": "AdamFp8",
    "adamwfp8": "AdamWFp8",
}


@optimizers.register(roles=ComponentRole.ADAPTIVE)
def torchao(
    params: ParamsT,
    *,
    name: Literal["adam8bit", "adamw8bit", "adam4bit", "adamw4bit", "adamfp8", "adamwfp8"],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float | None = None,
    amsgrad: bool = False,
    block_size: int | None = None,
    bf16_stochastic_round: bool = False,
) -> Optimizer:
    """Adam or AdamW whose moments take 8 or 4 bits instead of 32. Requires `pip install 'artschool[torchao]'`.

    Only tensors of at least 4096 elements, a multiple of `block_size`, have such moments. The update of a tensor is
    compiled on a GPU. `found_inf` is not supported, so skipping a non-finite update costs one synchronization per step.
    Networks that are sharded cannot use it.

    Source: Dettmers et al. 2021, arXiv:2110.02861; Li et al. 2023, arXiv:2309.01507, for 4 bits.

    Args:
        params: Parameters or groups of parameters, as for every PyTorch optimizer.
        name: Name of the optimizer in `torchao.optim`, in lower case. Those with `fp8` need a GPU that has it.
        lr: Learning rate.
        betas: Decay rates of the first and second moments: the fractions that are kept at each step.
        eps: Number to add to the root of the second moment.
        weight_decay: Weight decay. null: 0.01 for AdamW, 0 for Adam.
        amsgrad: Whether to divide by the largest second moment so far.
        block_size: Number of elements that share a scale. null: 256 for 8 bits, 128 for 4 bits.
        bf16_stochastic_round: Whether to round parameters of bfloat16 at random.

    Raises:
        ResourceError: torchao is not installed.
        ConfigError: A parameter is sharded.
    """
    options = {
        "lr": lr,
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "amsgrad": amsgrad,
        "block_size": block_size,
        "bf16_stochastic_round": bf16_stochastic_round,
    }
    return small_adam(params, name, "torchao.optim", _CLASSES[name], _WithRates, options)


class _WithRates(Optimizer):
    """Lets the rate of a group be a number, and computes without compilation on a CPU, where it would take minutes."""

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        rate = param_group.get("lr", self.defaults["lr"])
        super().add_param_group(param_group)
        self.param_groups[-1]["lr"] = rate  # torchao makes it a tensor of float32, and a schedule sets numbers.

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        rates = [group["lr"] for group in self.param_groups]
        on_cpu = all(p.device.type == "cpu" for group in self.param_groups for p in group["params"])
        for group, rate in zip(self.param_groups, rates, strict=True):
            group["lr"] = torch.as_tensor(rate, dtype=torch.float32)
        try:
            with torch.compiler.set_stance("force_eager" if on_cpu else "default"):
                return super().step(closure)
        finally:
            for group, rate in zip(self.param_groups, rates, strict=True):
                group["lr"] = rate
