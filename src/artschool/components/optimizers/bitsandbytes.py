"""Adam with moments of 8 bits, or in memory that a GPU shares with the CPU, by bitsandbytes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

from torch.optim.optimizer import Optimizer, ParamsT

from artschool.components.optimizers.small_adam import small_adam
from artschool.registry import ComponentRole, optimizers

_CLASSES = {
    "adam8bit": "Adam8bit",
    "adamw8bit": "AdamW8bit",
    "paged_adam": "PagedAdam",
    "paged_adamw": "PagedAdamW",
    "paged_adam8bit": "PagedAdam8bit",
    "paged_adamw8bit": "PagedAdamW8bit",
}


@optimizers.register(roles=ComponentRole.ADAPTIVE)
def bitsandbytes(
    params: ParamsT,
    *,
    name: Literal["adam8bit", "adamw8bit", "paged_adam", "paged_adamw", "paged_adam8bit", "paged_adamw8bit"],
    lr: float = 1e-3,
    betas: tuple[float, float] = (0.9, 0.999),
    eps: float = 1e-8,
    weight_decay: float | None = None,
    min_8bit_size: int = 4096,
) -> Optimizer:
    """Adam or AdamW with moments of 8 bits, or paged ones. Requires `pip install 'artschool[bitsandbytes]'`.

    Those with `paged` keep their moments in memory that the driver moves between the GPU and the CPU, so that an
    iteration that needs much memory does not fail. On a CPU they are like those without. `found_inf` is not supported,
    so skipping a non-finite update costs one synchronization per step. Networks that are sharded cannot use it.

    Source: Dettmers et al. 2021, arXiv:2110.02861; for pages Dettmers et al. 2023, arXiv:2305.14314, section 3.

    Args:
        params: Parameters or groups of parameters, as for every PyTorch optimizer.
        name: Name of the optimizer in `bitsandbytes.optim`, in lower case. Those without `8bit` have 32 bits.
        lr: Learning rate.
        betas: Decay rates of the first and second moments: the fractions that are kept at each step.
        eps: Number to add to the root of the second moment.
        weight_decay: Weight decay. null: 0.01 for AdamW, 0 for Adam.
        min_8bit_size: Number of elements from which a tensor has moments of 8 bits.

    Raises:
        ResourceError: bitsandbytes is not installed.
        ConfigError: A parameter is sharded.
    """
    options = {
        "lr": lr,
        "betas": betas,
        "eps": eps,
        "weight_decay": weight_decay,
        "min_8bit_size": min_8bit_size if name.endswith("8bit") else None,
    }
    return small_adam(params, name, "bitsandbytes.optim", _CLASSES[name], _Repaged, options)


class _Repaged(Optimizer):
    """Moves moments that a resume has loaded back into paged memory."""

    is_paged: bool
    get_state_buffer: Callable[..., Any]

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        if self.is_paged:
            for parameter, slots in self.state.items():
                for name in ("state1", "state2"):
                    loaded = slots.get(name)
                    if parameter.is_cuda and loaded is not None and not getattr(loaded, "is_paged", False):
                        slots[name] = self.get_state_buffer(parameter, dtype=loaded.dtype)
                        slots[name].copy_(loaded)
        return super().step(closure)
