"""Vectors as the numbers of their nearest centroids."""

from pathlib import Path

import torch
from torch import Tensor, nn

from artschool.errors import CheckpointError
from artschool.registry import injectors
from artschool.storage.tensors import read_content


@injectors.register
class KmeansQuantizer(nn.Module):
    """The nearest of K centroids to each vector of a sequence, by Euclidean distance: tokens for a language model."""

    def __init__(self, *, centroids: Path) -> None:
        """Read the centroids.

        Args:
            centroids: A file of `.safetensors`, or of `torch.save`, with one matrix (K, C) in it.

        Raises:
            CheckpointError: The file cannot be read, or holds no matrix, or several.
        """
        super().__init__()
        self.centroids: Tensor
        self.register_buffer("centroids", _matrix(centroids).float(), persistent=False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """Find the nearest centroids.

        Args:
            x: (B, C, T), floating point, with the C of the centroids.

        Returns:
            (B, T), whole numbers in 0..K-1; NaN is the farthest of all.
        """
        vectors, centroids = x.float().transpose(1, 2), self.centroids.float()[None]
        # Not by a product of matrices, which autocast would compute in 16 bits.
        distances = torch.cdist(vectors, centroids, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.nan_to_num(nan=torch.inf).argmin(-1)


def _matrix(file: Path) -> Tensor:
    content = read_content(file)
    if isinstance(content, dict):
        content = list(content.values())
    parts = content if isinstance(content, list | tuple) else [content]
    found = [part for part in parts if isinstance(part, Tensor) and part.dim() == 2]
    if len(found) != 1:
        raise CheckpointError(f"{file} holds {len(found)} matrices (K, C); centroids are the only one of a file")
    return found[0]
