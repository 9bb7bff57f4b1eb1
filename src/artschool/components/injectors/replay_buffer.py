"""Rows of earlier batches, from which new batches are drawn."""

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.injectors.ring import push
from artschool.registry import injectors
from artschool.registry.signature import Context, Count


@injectors.register
class ReplayBuffer(nn.Module):
    """Keep the last rows of several keys together, and draw a batch from them, each row with equal probability.

    Several processes keep the same rows, those of all of them, and each draws its own. An evaluation draws nothing: it
    gets what it gives. What the buffer holds is part of a checkpoint.

    Source: Mnih et al. 2015, doi:10.1038/nature14236, algorithm 1.
    """

    count: Tensor

    def __init__(self, *, size: Count, rows: Count | None = None) -> None:
        """Create the buffer.

        Args:
            size: Number of rows to keep.
            rows: Number of rows to draw. null: as many as the batch has.
        """
        super().__init__()
        self._size, self._rows = size, rows
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, values: list[Tensor], context: Context) -> list[Tensor]:
        """Add a batch, then draw one.

        Args:
            values: Tensors (B, ...), whose rows belong together.
            context: Says whether to add rows, and draws.

        Returns:
            For each of `values`, the rows drawn, without gradient.

        Raises:
            ConfigError: A row has another shape than before.
        """
        values = [value.detach() for value in values]
        if not context.training:
            return values
        new = [ranks.gather_rows(value) for value in values]
        kept = [self._push(f"kept_{index}", rows) for index, rows in enumerate(new)]
        self.count += len(new[0])
        filled = self.count.clamp(max=self._size)
        draws = torch.rand(self._rows or len(values[0]), device=filled.device, generator=context.generator)
        places = (draws * filled).long().minimum(filled - 1)
        return [rows[places] for rows in kept]

    def _push(self, name: str, rows: Tensor) -> Tensor:
        if name not in self._buffers:
            self.register_buffer(name, rows.new_zeros(self._size, *rows.shape[1:]))
        kept = self.get_buffer(name)
        push(kept, self.count, rows)
        return kept
