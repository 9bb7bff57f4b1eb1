"""Word and character error rates."""

from __future__ import annotations

from typing import Any

from torch import nn

from artschool.errors import ConfigError
from artschool.registry import ComponentRole, metrics
from artschool.registry.signature import Text


class _ErrorRate(nn.Module):
    """Errors in all texts divided by the length of all real ones. A module, so that it moves to the run's device."""

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self._metric = metric

    def update(self, fake: Text, real: Text) -> None:
        """Add a batch.

        Args:
            fake: Recognized texts, one per sample.
            real: Reference texts, one per sample.

        Raises:
            ConfigError: The numbers of texts differ.
        """
        if len(fake) != len(real):
            raise ConfigError(f"expected a reference for each of {len(fake)} texts, got {len(real)}")
        self._metric.update(fake, real)

    def compute(self) -> Any:
        """Return the rate over all texts of all processes; 0 if all are correct."""
        return self._metric.compute()

    def reset(self) -> None:
        """Discard all texts."""
        self._metric.reset()


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
class Wer(_ErrorRate):
    """Word error rate: inserted, deleted and replaced words, divided by the number of real words; lower is better."""

    def __init__(self) -> None:
        from torchmetrics.text import WordErrorRate

        super().__init__(WordErrorRate())


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
class Cer(_ErrorRate):
    """Character error rate: inserted, deleted and replaced characters per real character; lower is better."""

    def __init__(self) -> None:
        from torchmetrics.text import CharErrorRate

        super().__init__(CharErrorRate())
