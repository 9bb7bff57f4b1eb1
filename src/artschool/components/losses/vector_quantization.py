"""Losses that pull an encoder and a codebook together."""

from torch import Tensor

from artschool.components.losses.pixel import l2
from artschool.registry import ComponentRole, losses


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def vq_commitment(encoded: Tensor, quantized: Tensor) -> Tensor:
    """Mean squared distance of an encoder's output to its nearest codes. Only the encoder gets gradients.

    The usual weight is 0.25, the paper's beta.

    Args:
        encoded: Any shape, before quantization.
        quantized: The same shape: the vectors of the codes, not their straight-through copy.

    Raises:
        ConfigError: The shapes differ.

    Source: van den Oord et al. 2017, arXiv:1711.00937, eq. 3, the last term.
    """
    return l2(encoded, quantized.detach())


@losses.register(roles=ComponentRole.MINIMIZED, mean_over="samples")
def vq_codebook(encoded: Tensor, quantized: Tensor) -> Tensor:
    """Mean squared distance of the nearest codes to an encoder's output. Only the codebook gets gradients.

    A codebook that follows moving averages does not need this loss.

    Args:
        encoded: Any shape, before quantization.
        quantized: The same shape: the vectors of the codes, not their straight-through copy.

    Raises:
        ConfigError: The shapes differ.

    Source: van den Oord et al. 2017, arXiv:1711.00937, eq. 3, the second term.
    """
    return l2(encoded.detach(), quantized)
