"""How many words or characters of texts are wrong."""

from __future__ import annotations

from typing import Annotated, Any, TypeAlias

from torch import nn

from artschool.registry import ComponentRole, metrics
from artschool.registry.signature import Marker, Role

Text: TypeAlias = Annotated[list[str], Marker(Role.KEY)]
"""A key whose value is a text for each sample."""


class _ErrorRate(nn.Module):
    """Errors of all texts over the length of all real ones. A module, so that it moves to the device of the run."""

    def __init__(self, metric: Any) -> None:
        super().__init__()
        self._metric = metric

    def update(self, fake: Text, real: Text) -> None:
        """Add a batch.

        Args:
            fake: What was understood, a text for each sample.
            real: What was said, as many texts.
        """
        self._metric.update(fake, real)

    def compute(self) -> Any:
        """The rate over all texts of all processes, 0 where all are right."""
        return self._metric.compute()

    def reset(self) -> None:
        """Forget all texts."""
        self._metric.reset()


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
class Wer(_ErrorRate):
    """Word error rate: words to insert, delete or replace, as a share of the words that were said."""

    def __init__(self) -> None:
        from torchmetrics.text import WordErrorRate

        super().__init__(WordErrorRate())


@metrics.register(roles=ComponentRole.LOWER_IS_BETTER)
class Cer(_ErrorRate):
    """Character error rate: characters to insert, delete or replace, as a share of those that were said."""

    def __init__(self) -> None:
        from torchmetrics.text import CharErrorRate

        super().__init__(CharErrorRate())
