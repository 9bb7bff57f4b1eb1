"""The components that ship with the package, one concept a module."""
