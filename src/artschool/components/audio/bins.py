"""Statistics of frequency bands, read from a file."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from torch import Tensor, nn

from artschool.errors import CheckpointError
from artschool.registry import injectors
from artschool.storage.tensors import read_content


@injectors.register
class FrequencyBinNormalize(nn.Module):
    """Normalize each frequency band: `(x - shift) / scale`.

    Args:
        stats: File with the tensors `shift` and `scale`, one number per band: `.safetensors`, or a mapping or pair
            written by `torch.save`.

    Raises:
        CheckpointError: The file cannot be read or has other contents.
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
            x: (B, F, T), such as a spectrogram. F is the number of bands in the file.

        Returns:
            (B, F, T).
        """
        return (x - self._shift) / self._scale


def read_bins(file: Path, names: Sequence[str], count: int | None = None) -> list[Tensor]:
    """Read tensors (F,), float32, from a file: by name, or in order if the file does not have these names.

    Args:
        count: Required number of bands. None: any number, the same for all tensors.

    Raises:
        CheckpointError: The file cannot be read or has other contents.
    """
    content = read_content(file)
    if isinstance(content, Mapping):
        found = [content[name] for name in names] if content.keys() >= set(names) else list(content.values())
    else:
        found = list(content) if isinstance(content, list | tuple) else [content]
    if len(found) != len(names) or not all(isinstance(value, Tensor) for value in found):
        raise CheckpointError(
            f"{file}: expected the tensors {' and '.join(names)} and nothing else, got {_description(content)}. "
            "Fix: save these tensors, one number per band"
        )
    bands = [value.float().flatten() for value in found]
    expected = len(bands[0]) if count is None else count
    if any(len(band) != expected for band in bands):
        counts = " and ".join(str(len(band)) for band in bands)
        required = "the same number of bands in each tensor" if count is None else f"{count} bands"
        raise CheckpointError(
            f"{file}: expected {required}, got {counts}. Fix: compute the numbers from the same kind of spectrogram"
        )
    return bands


def _description(content: object) -> str:
    if isinstance(content, Mapping):
        return f"a mapping with the keys {', '.join(map(str, content))}" if content else "an empty mapping"
    kind = type(content).__name__
    return f"a {kind} of {len(content)}" if isinstance(content, list | tuple) else f"a {kind}"
