"""The built-in loggers: console, JSON lines, TensorBoard and images."""
