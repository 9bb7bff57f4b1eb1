"""Vectors replaced by the nearest of a learnt codebook."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.losses.precision import without_autocast
from artschool.registry import networks
from artschool.registry.signature import Count, Fraction, UnitInterval

SMOOTHING = 1e-5


@networks.register
class VectorQuantizer(nn.Module):
    """Replaces each vector by the nearest code; codes are moving averages of the vectors that chose them.

    With n_i the number of vectors nearest to code i in an update and s_i their sum, the averages N_i and S_i move as
    `N_i = decay N_i + (1 - decay) n_i`, likewise S_i, and code i is S_i / N_i, where N_i is smoothed after Laplace
    to `(N_i + 1e-5) / (N + codes * 1e-5) * N` with N the sum of all. Gradients pass straight through to the vectors.

    Nothing but `after_step` moves the codebook, by what came since `before_step` in train mode with gradients
    enabled, all micro-batches and processes together. The trainer calls both on a network that a step trains; a
    network that holds one as a part hands its own on. A batch with NaN or infinite vectors moves nothing.

    Source: van den Oord et al. 2017, arXiv:1711.00937, section 3 and appendix A.1; Razavi et al. 2019,
    arXiv:1906.00446, section 2.1. Restarts: Dhariwal et al. 2020, arXiv:2005.00341, section 3.1.

    Args:
        num_codes: Vectors in the codebook.
        dim: Channels of a vector.
        decay: UnitInterval of the codebook's moving averages that stays at each update.
        restart_below: A code whose N_i is below this share of the mean one is dead: it becomes a random vector of the
            last micro-batch, with the mean N_i. 0 leaves dead codes dead.
    """

    codebook: Tensor
    uses: Tensor
    sums: Tensor
    new_uses: Tensor
    new_sums: Tensor

    def __init__(
        self, *, num_codes: Count, dim: Count, decay: Fraction = 0.99, restart_below: UnitInterval = 0.01
    ) -> None:
        super().__init__()
        self.decay, self.restart_below = decay, restart_below
        self.register_buffer("codebook", torch.randn(num_codes, dim))
        self.register_buffer("uses", torch.zeros(num_codes))
        self.register_buffer("sums", torch.zeros(num_codes, dim))
        # Empty between iterations, so no part of a checkpoint.
        self.register_buffer("new_uses", torch.zeros(num_codes), persistent=False)
        self.register_buffer("new_sums", torch.zeros(num_codes, dim), persistent=False)
        self._vectors: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantise.

        Args:
            x: (B, dim, ...).

        Returns:
            The codes' vectors in the shape of x; the commitment loss, a scalar: the mean square of x minus its
            codes' vectors, with gradients for x alone; and the codes (B, ...), whole numbers in 0..num_codes-1.
        """
        vectors, codes = self._nearest(x)
        if self.training and torch.is_grad_enabled():
            self._collect(vectors, codes)
        quantized = self.decode_codes(codes)
        commitment = (x.to(quantized.dtype) - quantized).square().mean()
        return x + (quantized.to(x.dtype) - x).detach(), commitment, codes

    def encode(self, x: Tensor) -> Tensor:
        """(B, dim, ...) to the nearest codes (B, ...)."""
        return self._nearest(x)[1]

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes (B, ...) to their vectors (B, dim, ...)."""
        return self.codebook[codes].movedim(-1, 1)

    def before_step(self, step: int) -> None:
        """Forget what other steps left."""
        self.new_uses.zero_()
        self.new_sums.zero_()
        self._vectors = None

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the codebook by what came since `before_step`; every process has to call it."""
        if self._vectors is None:
            return
        draws, sizes = self._draws_and_sizes(self._vectors)
        ranks.sum_in_place([self.new_uses, self.new_sums, draws, sizes])
        finite = self.new_sums.isfinite().all()
        self.uses.lerp_(torch.where(finite, self.new_uses, self.uses), 1 - self.decay)
        self.sums.lerp_(torch.where(finite, self.new_sums, self.sums), 1 - self.decay)
        if self.restart_below:
            self._restart(draws, sizes, self._vectors, finite)
        total = self.uses.sum()
        smooth = (self.uses + SMOOTHING) / (total + len(self.uses) * SMOOTHING) * total
        used = (self.uses > 0)[:, None]
        self.codebook.copy_(torch.where(used, self.sums / smooth[:, None], self.codebook))
        self.before_step(step)

    def get_debug_values(self, step: int, name: str) -> dict[str, Tensor]:
        """The perplexity of the averaged uses: how many codes, used equally, would be as uncertain."""
        shares = self.uses / self.uses.sum().clamp(min=SMOOTHING)
        return {"codebook_perplexity": torch.special.entr(shares).sum().exp()}

    def _nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of x as rows, and their codes (B, ...)."""
        places = x.detach().movedim(1, -1).to(self.codebook.dtype)
        vectors = places.reshape(-1, places.shape[-1])
        with without_autocast(x):
            # |v - c|^2 without |v|^2, which is the same for every code.
            codes = torch.addmm(self.codebook.square().sum(1), vectors, self.codebook.T, alpha=-2).argmin(1)
        return vectors, codes.view(places.shape[:-1])

    @torch.no_grad()
    def _collect(self, vectors: Tensor, codes: Tensor) -> None:
        # A product, not index_add_, whose order of summation is left open on a GPU.
        chosen = (codes.reshape(-1, 1) == torch.arange(len(self.uses), device=codes.device)).to(vectors.dtype)
        self.new_uses += chosen.sum(0)
        with without_autocast(vectors):
            self.new_sums += chosen.T @ vectors
        self._vectors = vectors

    def _draws_and_sizes(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """Numbers in 0..1 for each code, drawn by the main process, and how many vectors each process has.

        Both are zero where other processes fill them in, so that a sum gives them to all.
        """
        draws = torch.rand(len(self.uses), device=vectors.device) * ranks.is_main()
        sizes = torch.zeros(ranks.world_size(), dtype=torch.int64, device=vectors.device)
        sizes[ranks.rank()] = len(vectors)
        return draws, sizes

    def _restart(self, draws: Tensor, sizes: Tensor, vectors: Tensor, finite: Tensor) -> None:
        """Put dead codes on vectors, chosen from those of all processes as if one process had them all."""
        total = sizes.sum()
        index = (draws * total).long().minimum(total - 1) - sizes[: ranks.rank()].sum()
        here = (index >= 0) & (index < len(vectors))
        chosen = torch.where(here[:, None], vectors[index.clamp(0, len(vectors) - 1)], 0.0)
        ranks.sum_in_place([chosen])
        mean = self.uses.mean()
        dead = (self.uses < self.restart_below * mean) & finite
        self.uses.copy_(torch.where(dead, mean, self.uses))
        self.sums.copy_(torch.where(dead[:, None], chosen * mean, self.sums))
