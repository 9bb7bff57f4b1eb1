"""A small recognizer of speech."""

from __future__ import annotations

from torch import Tensor, nn

from artschool import networks


@networks.register
class SpeechEncoder(nn.Module):
    """Separable convolutions over a spectrogram, half as many frames come out: QuartzNet's kind, Kriman et al. 2019.

    Args:
        bands: Of the spectrogram.
        classes: Tokens, and one for the blank of CTC.
        width: Channels.
        blocks: Residual blocks.
    """

    def __init__(self, *, bands: int = 40, classes: int, width: int = 128, blocks: int = 5) -> None:
        super().__init__()
        self.first = nn.Conv1d(bands, width, 5, stride=2, padding=2)
        self.blocks = nn.ModuleList([Block(width) for _ in range(blocks)])
        self.last = nn.Sequential(nn.GroupNorm(1, width), nn.SiLU(), nn.Conv1d(width, classes, 1))

    def forward(self, mel: Tensor) -> Tensor:
        """(B, bands, T) to logits (B, T / 2, classes)."""
        x = self.first(mel)
        for block in self.blocks:
            x = x + block(x)
        return self.last(x).transpose(1, 2)


class Block(nn.Sequential):
    """What each channel does over time, then what channels do with each other."""

    def __init__(self, width: int) -> None:
        super().__init__(
            nn.GroupNorm(1, width),
            nn.Conv1d(width, width, 11, padding=5, groups=width),
            nn.Conv1d(width, 2 * width, 1),
            nn.GLU(1),
            nn.Conv1d(width, width, 1),
            nn.Dropout(0.1),
        )
