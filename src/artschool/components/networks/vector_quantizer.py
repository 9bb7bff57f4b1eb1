"""Vectors replaced by the nearest vectors of a learned codebook."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.components.precision import without_autocast
from artschool.registry import networks
from artschool.registry.ranges import codes_of
from artschool.registry.signature import Count, Fraction, UnitInterval

SMOOTHING = 1e-5


@networks.register(values=codes_of("encode", takes=["decode_codes"]))
class VectorQuantizer(nn.Module):
    """Replace each vector by the nearest code. A code is the moving average of the vectors assigned to it.

    In an update, n_i is the number of vectors nearest to code i, and s_i their sum. The averages move as `N_i = decay
    N_i + (1 - decay) n_i`, and S_i likewise. Code i is S_i / N_i, with Laplace smoothing of N_i to `(N_i + 1e-5) / (N +
    codes * 1e-5) * N`, where N is the sum of all N_i. Gradients pass straight through to the vectors.

    Only `after_step` moves the codebook, by the vectors since `before_step` of all micro-batches and processes.
    Vectors count in train mode with gradients enabled. The trainer calls both methods on a network that a step trains;
    a network that contains a quantizer must forward these calls. A batch with NaN or infinite vectors moves nothing.

    Source: van den Oord et al. 2017, arXiv:1711.00937, section 3 and appendix A.1; Razavi et al. 2019,
    arXiv:1906.00446, section 2.1. Restarts: Dhariwal et al. 2020, arXiv:2005.00341, section 3.1.

    Args:
        num_codes: Number of vectors in the codebook.
        dim: Number of channels of a vector.
        decay: Fraction of the codebook's moving averages that is kept at each update, in 0..1.
        restart_below: Threshold for dead codes: the average use N_i as a fraction of its mean over codes, in 0..1. A
            code below it becomes a random vector of the last micro-batch, with the mean use. 0: no restarts.
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
        # Empty between iterations, so not part of a checkpoint.
        self.register_buffer("new_uses", torch.zeros(num_codes), persistent=False)
        self.register_buffer("new_sums", torch.zeros(num_codes, dim), persistent=False)
        self._vectors: Tensor | None = None

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Quantize vectors.

        Args:
            x: (B, dim, ...).

        Returns:
            Three values. The vectors of the codes, in the shape of x. The commitment loss, a scalar: the mean squared
            difference of x and these vectors, with gradients only for x. The codes (B, ...), whole numbers in
            0..num_codes-1.
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
        """Discard the vectors that other steps collected."""
        self.new_uses.zero_()
        self.new_sums.zero_()
        self._vectors = None

    @torch.no_grad()
    def after_step(self, step: int) -> None:
        """Move the codebook by the vectors since `before_step`. Every process must call it."""
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
        """The perplexity of the averaged uses: the number of equally used codes with the same entropy."""
        fractions = self.uses / self.uses.sum().clamp(min=SMOOTHING)
        return {"codebook_perplexity": torch.special.entr(fractions).sum().exp()}

    def _nearest(self, x: Tensor) -> tuple[Tensor, Tensor]:
        """The vectors of x as rows, and their codes (B, ...)."""
        rows = x.detach().movedim(1, -1).to(self.codebook.dtype)
        vectors = rows.reshape(-1, rows.shape[-1])
        with without_autocast(x):
            # |v - c|^2 without |v|^2, which is the same for every code.
            codes = torch.addmm(self.codebook.square().sum(1), vectors, self.codebook.T, alpha=-2).argmin(1)
        return vectors, codes.view(rows.shape[:-1])

    @torch.no_grad()
    def _collect(self, vectors: Tensor, codes: Tensor) -> None:
        # A matrix product, because the order of summation of index_add_ is undefined on a GPU.
        chosen = (codes.reshape(-1, 1) == torch.arange(len(self.uses), device=codes.device)).to(vectors.dtype)
        self.new_uses += chosen.sum(0)
        with without_autocast(vectors):
            self.new_sums += chosen.T @ vectors
        self._vectors = vectors

    def _draws_and_sizes(self, vectors: Tensor) -> tuple[Tensor, Tensor]:
        """A random number in 0..1 for each code, drawn by the main process, and the number of vectors of each process.

        Both are zero at the elements of other processes, so that a sum over processes completes them.
        """
        draws = torch.rand(len(self.uses), device=vectors.device) * ranks.is_main()
        sizes = torch.zeros(ranks.world_size(), dtype=torch.int64, device=vectors.device)
        sizes[ranks.rank()].fill_(len(vectors))  # To assign the number would wait for the device.
        return draws, sizes

    def _restart(self, draws: Tensor, sizes: Tensor, vectors: Tensor, finite: Tensor) -> None:
        """Move dead codes to random vectors, chosen from all processes as if one process had all vectors."""
        total = sizes.sum()
        index = (draws * total).long().minimum(total - 1) - sizes[: ranks.rank()].sum()
        here = (index >= 0) & (index < len(vectors))
        chosen = torch.where(here[:, None], vectors[index.clamp(0, len(vectors) - 1)], 0.0)
        ranks.sum_in_place([chosen])
        mean = self.uses.mean()
        dead = (self.uses < self.restart_below * mean) & finite
        self.uses.copy_(torch.where(dead, mean, self.uses))
        self.sums.copy_(torch.where(dead[:, None], chosen * mean, self.sums))
