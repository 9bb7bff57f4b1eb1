"""Options that a file gives to a class of another package."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from artschool.errors import ConfigError
from artschool.wording.names import allowed


def refuse_unknown(where: str, options: Iterable[str], known: Collection[str]) -> None:
    """Look at the names of options before a class gets them.

    Args:
        where: What the options belong to, such as `options of DDIMScheduler`.

    Raises:
        ConfigError: One of them is not known.
    """
    for option in options:
        if option not in known:
            raise ConfigError(f"{where}: unknown option {option!r}. {allowed('Available options', option, known)}")
