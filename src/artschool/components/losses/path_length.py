"""Path length regularization: equal steps in the latent space make equal changes in the images."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.precision import at_least_float32
from artschool.errors import ConfigError
from artschool.registry import ComponentRole, losses
from artschool.registry.signature import Context, Fraction


@losses.register(roles={ComponentRole.SECOND_ORDER, ComponentRole.MINIMIZED}, mean_over="samples")
class PathLength(nn.Module):
    """StyleGAN2's path length regularization.

    `mean (|J^T y| - a)^2`. J is the Jacobian of the images with respect to their styles, and y is normal noise divided
    by the root of the number of pixels. |.| is the norm of a style, or the root mean square over several styles. a is
    the moving average of |J^T y|, `a = decay * a + (1 - decay) * mean`.

    An iteration uses the average of the iterations before it, so micro-batches and several processes change nothing.
    In the first iteration the average is not defined yet, and the loss is 0. The loss is also 0 if the images have no
    gradient: in evaluations, and when the step does not train.

    Source: Karras et al. 2020, arXiv:1912.04958, section 3.2 and eq. 4; lazy by `every`, with n times the weight.

    Args:
        decay: Fraction of the moving average that is kept at each update, in 0..1.
    """

    average: Tensor
    updates: Tensor
    pending: Tensor

    def __init__(self, *, decay: Fraction = 0.99) -> None:
        super().__init__()
        self._decay = decay
        self._iteration: int | None = None
        self.register_buffer("average", torch.zeros(()))
        self.register_buffer("updates", torch.zeros(()))
        # Sum and number of the lengths since the last update of the average.
        self.register_buffer("pending", torch.zeros(2))

    def forward(self, styles: Tensor, images: Tensor, context: Context) -> Tensor:
        """Compare path lengths with their average.

        Args:
            styles: (B, D), or (B, L, D) with a style for each of L layers; the input of the generator.
            images: (B, C, H, W), the output of the generator for `styles`.
            context: Gives the iteration.

        Raises:
            ConfigError: `images` do not depend on `styles`.
        """
        if not images.requires_grad:
            return torch.zeros_like(self.average)
        if context.iteration != self._iteration:
            self._iteration = context.iteration
            self._move_average()
        lengths = _lengths(styles, images)
        found = lengths.detach()
        self.pending = self.pending + ranks.mean(torch.stack([found.sum(), torch.ones_like(found).sum()]))
        target = torch.where(self.updates > 0, self.average, found)
        return (lengths - target).square().mean()

    def _move_average(self) -> None:
        mean = self.pending[0] / self.pending[1]
        moved = torch.where(self.updates > 0, torch.lerp(self.average, mean, 1 - self._decay), mean)
        # Nothing pending gives 0 / 0. A non-finite length must not stay in the average forever.
        finite = mean.isfinite()
        self.average = torch.where(finite, moved, self.average)
        self.updates = self.updates + finite
        self.pending = torch.zeros_like(self.pending)


def _lengths(styles: Tensor, images: Tensor) -> Tensor:
    """`|J^T y|` of each sample, (B,), which is differentiable itself."""
    images = at_least_float32(images)
    noise = torch.randn_like(images) / math.sqrt(images[0, 0].numel())
    gradient = None
    if styles.requires_grad:
        (gradient,) = torch.autograd.grad((images * noise).sum(), styles, create_graph=True, allow_unused=True)
    if gradient is None:
        raise ConfigError(
            "path_length: images do not depend on styles. Fix: take both from the same step, and the styles that are "
            "the input of the generator, with gradients"
        )
    num_styles = gradient[0].numel() // gradient.shape[-1]
    norms: Tensor = torch.linalg.vector_norm(at_least_float32(gradient).flatten(1), dim=1)
    return norms / math.sqrt(num_styles)
