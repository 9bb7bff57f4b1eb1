"""A pool of images that a generator has made earlier, from which a critic learns."""

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.errors import ConfigError
from artschool.registry import injectors
from artschool.registry.signature import Context, Count, UnitInterval


@injectors.register
class ImagePool(nn.Module):
    """Replace some generated images by earlier ones, as CycleGAN does for its critics.

    While the pool is not full, each image is added and returned. Then, with `probability`, an image takes the place of
    a random one in the pool, which is returned instead of it; otherwise the image itself is returned.

    Several processes keep the same pool, with the images of all of them. An evaluation gets its images back. What the
    pool holds is part of a checkpoint.

    Source: Shrivastava et al. 2017, arXiv:1612.07828, section 2.3; Zhu et al. 2017, arXiv:1703.10593, section 4.
    """

    images: Tensor
    count: Tensor

    def __init__(self, *, size: Count = 50, probability: UnitInterval = 0.5) -> None:
        """Create the pool.

        Args:
            size: Number of images to keep.
            probability: Probability that an image is exchanged.
        """
        super().__init__()
        self._size, self._probability = size, probability
        self.register_buffer("images", torch.zeros(0))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))

    def forward(self, x: Tensor, context: Context) -> Tensor:
        """Exchange images.

        Args:
            x: (B, C, H, W), generated images; rows of another shape work as well.
            context: Says whether to exchange, and draws.

        Returns:
            Images of the shape of `x`, without gradient.

        Raises:
            ConfigError: The images have another shape than before.
        """
        x = x.detach()
        if not context.training:
            return x
        if len(self.images) == 0:
            self.images = x.new_zeros(self._size, *x.shape[1:])
        if x.shape[1:] != self.images.shape[1:]:
            raise ConfigError(f"expected images of shape {tuple(self.images.shape[1:])}, got {tuple(x.shape[1:])}")
        counts = ranks.gather(len(x))
        coins = torch.rand(sum(counts), device=x.device, generator=context.generator)
        picks = torch.randint(self._size, (sum(counts),), device=x.device, generator=context.generator)
        # All processes exchange the images of all of them alike.
        ranks.broadcast([coins, picks])
        exchange = zip(ranks.gather_rows(x), coins < self._probability, picks, strict=True)
        returned = torch.stack([self._exchange(*each) for each in exchange])
        # A trace is a single process whatever the rank of its process is.
        first = sum(counts[: ranks.rank()]) if ranks.world_size() > 1 else 0
        return returned[first : first + len(x)]

    def _exchange(self, image: Tensor, is_exchanged: Tensor, pick: Tensor) -> Tensor:
        """The image to return for an image. Does not wait for the device."""
        is_filling = self.count < self._size
        place = torch.where(is_filling, self.count, pick)[None]
        earlier = self.images.index_select(0, place)[0]
        is_kept = is_filling | is_exchanged
        self.images.index_copy_(0, place, torch.where(is_kept, image, earlier)[None])
        self.count += is_filling
        return torch.where(is_kept & ~is_filling, earlier, image)
