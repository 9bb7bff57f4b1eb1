"""Numbers for each frequency band, from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from artschool.errors import CheckpointError
from artschool.registry import injectors
from artschool.storage.tensors import read_content


@injectors.register
class FrequencyBinNormalize(nn.Module):
    """Subtract a shift from each frequency band, then divide it by a scale: `(x - shift) / scale`.

    Args:
        stats: A file with the tensors `shift` and `scale`, a number for each band: `.safetensors`, or the mapping or
            the pair that `torch.save` wrote.

    Raises:
        CheckpointError: The file cannot be read or holds something else.
    """

    _shift: Tensor
    _scale: Tensor

    def __init__(self, *, stats: Path) -> None:
        super().__init__()
        shift, scale = read_bins(stats, ["shift", "scale"])
        self.register_buffer("_shift", shift[:, None], persistent=False)
        self.register_buffer("_scale", scale[:, None], persistent=False)

    def forward(self, x: Tensor) -> Tensor:
        """Normalize.

        Args:
            x: (B, F, T) with as many bands F as the file has, such as a spectrogram.

        Returns:
            The same shape.
        """
        return (x - self._shift) / self._scale


def read_bins(file: Path, names: Sequence[str], count: int | None = None) -> list[Tensor]:
    """Read tensors (F,) from a file, float32: by name, or without names in their order.

    Args:
        count: How many bands there have to be; None for any number, the same in all.

    Raises:
        CheckpointError: The file cannot be read, or holds something else.
    """
    content = read_content(file)
    if isinstance(content, Mapping):
        found = [content[name] for name in names] if content.keys() >= set(names) else list(content.values())
    else:
        found = list(content) if isinstance(content, list | tuple) else [content]
    if len(found) != len(names) or not all(isinstance(value, Tensor) for value in found):
        raise CheckpointError(f"{file} should hold {' and '.join(names)}, a tensor each, and nothing else")
    bands = [value.float().flatten() for value in found]
    expected = len(bands[0]) if count is None else count
    if any(len(band) != expected for band in bands):
        counts = ", ".join(str(len(band)) for band in bands)
        wanted = "as many in each" if count is None else str(count)
        raise CheckpointError(f"{file} has numbers for {counts} bands; needed are {wanted}")
    return bands
