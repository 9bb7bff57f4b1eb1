"""An autoencoder with a codebook."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.networks.vector_quantizer import VectorQuantizer
from artschool.errors import DataError
from artschool.registry import ComponentRole, networks
from artschool.registry.ranges import codes_of
from artschool.registry.signature import Count, Fraction, Natural, UnitInterval


@networks.register(
    roles=ComponentRole.STARTS_RANDOM, values=codes_of("encode", "get_codebook_indices", takes=["decode_codes"])
)
class VqVae(nn.Module):
    """An encoder of strided convolutions and residual blocks, a codebook, and the mirrored decoder.

    Source: van den Oord et al. 2017, arXiv:1711.00937, section 4.1.

    Args:
        in_channels: Number of channels of the input and output: 3 for colour images, the number of bins for a
            spectrogram.
        dims: Number of dimensions of a sample: 2 for images, 1 for sequences such as spectrograms (B, bins, T).
        width: Number of channels of the convolutions.
        halvings: Number of convolutions of stride 2. A code covers 2**halvings pixels a side.
        blocks: Number of residual blocks of the encoder, and of the decoder.
        num_codes: Number of vectors in the codebook.
        code_dim: Number of channels of a vector.
        decay: Fraction of the codebook's moving averages that is kept at each update, in 0..1.
        restart_below: Threshold for dead codes: the average use as a fraction of its mean over codes, in 0..1. A code
            below it becomes a random vector of the last micro-batch, see `vector_quantizer`. 0: no restarts.
    """

    def __init__(
        self,
        *,
        in_channels: Count = 3,
        dims: Literal[1, 2] = 2,
        width: Count = 128,
        halvings: Natural = 2,
        blocks: Natural = 2,
        num_codes: Count = 512,
        code_dim: Count = 64,
        decay: Fraction = 0.99,
        restart_below: UnitInterval = 0.01,
    ) -> None:
        super().__init__()
        conv, transposed = (nn.Conv2d, nn.ConvTranspose2d) if dims == 2 else (nn.Conv1d, nn.ConvTranspose1d)
        self.multiple = 2**halvings
        down: list[nn.Module] = []
        up: list[nn.Module] = []
        for index in range(halvings):
            down += [conv(width if index else in_channels, width, 4, 2, 1), nn.ReLU()]
            up += [nn.ReLU(), transposed(width, width if index < halvings - 1 else in_channels, 4, 2, 1)]
        self.encoder = nn.Sequential(
            *down,
            conv(width if halvings else in_channels, width, 3, padding=1),
            *(_Residual(conv, width) for _ in range(blocks)),
            nn.ReLU(),
            conv(width, code_dim, 1),
        )
        self.quantizer = VectorQuantizer(num_codes=num_codes, dim=code_dim, decay=decay, restart_below=restart_below)
        self.decoder = nn.Sequential(
            conv(code_dim, width, 3, padding=1),
            *(_Residual(conv, width) for _ in range(blocks)),
            *(up or [nn.ReLU(), conv(width, in_channels, 1)]),
        )

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Encode, quantize and decode.

        Args:
            x: (B, in_channels, H, W) or (B, in_channels, T), sides multiples of 2**halvings.

        Returns:
            The reconstruction, in the shape of x; the commitment loss, a scalar; the codes (B, H', W') or (B, T').

        Raises:
            DataError: A side is not a multiple of 2**halvings.
        """
        quantized, commitment, codes = self.quantizer(self._latents(x))
        return self.decoder(quantized), commitment, codes

    def encode(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) or (B, in_channels, T) to codes (B, H', W') or (B, T')."""
        return self.quantizer.encode(self._latents(x))

    def get_codebook_indices(self, x: Tensor) -> Tensor:
        """`encode`, under the name in networks of DL-Art-School."""
        return self.encode(x)

    def decode_codes(self, codes: Tensor) -> Tensor:
        """Codes (B, H', W') or (B, T') to (B, in_channels, H, W) or (B, in_channels, T)."""
        decoded: Tensor = self.decoder(self.quantizer.decode_codes(codes))
        return decoded

    def before_step(self, step: int) -> None:
        """Start to collect vectors for the codebook."""
        self.quantizer.before_step(step)

    def after_step(self, step: int) -> None:
        """Move the codebook."""
        self.quantizer.after_step(step)

    def get_debug_values(self, step: int, name: str) -> dict[str, Tensor]:
        """The values of the codebook."""
        return self.quantizer.get_debug_values(step, name)

    def _latents(self, x: Tensor) -> Tensor:
        if any(side % self.multiple for side in x.shape[2:]):
            raise DataError(
                f"vq_vae: sizes must be multiples of {self.multiple}, got {tuple(x.shape[2:])}. "
                "Fix: use the injector `pad`, or a crop"
            )
        latents: Tensor = self.encoder(x)
        return latents


class _Residual(nn.Module):
    def __init__(self, conv: type[nn.Conv1d | nn.Conv2d], width: int) -> None:
        super().__init__()
        self.inner = conv(width, width, 3, padding=1)
        self.outer = conv(width, width, 1)

    def forward(self, x: Tensor) -> Tensor:
        change: Tensor = self.outer(F.relu(self.inner(F.relu(x))))
        return x + change
