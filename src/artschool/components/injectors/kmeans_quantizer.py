"""Vectors as the numbers of their nearest centroids."""

from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from artschool.errors import ResourceError
from artschool.registry import injectors


@injectors.register
class KmeansQuantizer(nn.Module):
    """The nearest of K centroids to each vector of a sequence, by Euclidean distance: tokens for a language model."""

    def __init__(self, *, centroids: Path) -> None:
        """Read the centroids.

        Args:
            centroids: A file of `.safetensors`, or of `torch.save`, with one matrix (K, C) in it.

        Raises:
            ResourceError: It is not there, or holds no matrix, or several.
        """
        super().__init__()
        self.centroids: Tensor
        self.register_buffer("centroids", _matrix(centroids).float(), persistent=False)

    @torch.no_grad()
    def forward(self, x: Tensor) -> Tensor:
        """x: (B, C, T), floating point. Returns (B, T), 0..K-1; NaN is the farthest of all."""
        vectors, centroids = x.float().transpose(1, 2), self.centroids.float()[None]
        # Not by a product of matrices, which autocast would compute in 16 bits.
        distances = torch.cdist(vectors, centroids, compute_mode="donot_use_mm_for_euclid_dist")
        return distances.nan_to_num(nan=torch.inf).argmin(-1)


def _matrix(file: Path) -> Tensor:
    if not file.is_file():
        raise ResourceError(f"no file of centroids {file}")
    try:
        content: Any = load_file(file) if file.suffix == ".safetensors" else torch.load(file, "cpu", weights_only=True)
    except Exception as error:  # A damaged file may raise anything at all.
        raise ResourceError(f"{file} cannot be read: save a matrix by safetensors or torch.save") from error
    parts = (
        content.values() if isinstance(content, dict) else content if isinstance(content, list | tuple) else [content]
    )
    found = [part for part in parts if isinstance(part, Tensor) and part.dim() == 2]
    if len(found) != 1:
        raise ResourceError(f"{file} holds {len(found)} matrices (K, C); centroids are the only one of a file")
    return found[0]
