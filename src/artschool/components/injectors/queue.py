"""A queue of rows of earlier batches."""

from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool import ranks
from artschool.components.injectors.ring import push
from artschool.registry import injectors
from artschool.registry.signature import Context, Count


@injectors.register
class Queue(nn.Module):
    """Keep the last rows of a key, such as the keys of MoCo's momentum encoder, and return those before this batch.

    Several processes keep the same queue, with the rows of all of them. With `accumulate`, a micro-batch finds the rows
    of those before it. Evaluations read the queue and add nothing. What it holds is part of a checkpoint.

    Source: He et al. 2020, arXiv:1911.05722, section 3.2 and algorithm 1.
    """

    rows: Tensor
    count: Tensor

    def __init__(
        self, *, size: Count, shape: list[Count], initial: Literal["sphere", "normal", "zeros"] = "sphere"
    ) -> None:
        """Create the queue.

        Args:
            size: Number of rows to keep.
            shape: Shape of a row.
            initial: Rows before there are others: `normal` noise, noise of length 1 over the first dimension of a row
                (`sphere`), or `zeros`.
        """
        super().__init__()
        rows = torch.zeros(size, *shape) if initial == "zeros" else torch.randn(size, *shape)
        self.register_buffer("rows", F.normalize(rows, dim=1) if initial == "sphere" else rows)
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Return the queue, then add a batch.

        Args:
            x: (B, ...), with rows of the shape `shape`.
            context: Says whether to add rows.

        Returns:
            (size, ...), without gradient. A copy, which later batches do not change.

        Raises:
            ConfigError: The rows of `x` do not have the shape `shape`.
        """
        before = self.rows.clone()
        if context.training:
            new = ranks.gather_rows(x.detach())
            push(self.rows, self.count, new)
            self.count += len(new)
        return before
