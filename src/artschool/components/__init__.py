"""The components that ship with the package. Nothing is scanned: what is not listed here does not exist."""

MODULES: tuple[str, ...] = ()
