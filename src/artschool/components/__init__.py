"""The built-in components, one concept per module."""
