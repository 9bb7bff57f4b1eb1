"""Predicts what a run takes on a GPU: memory, operations, exchange between processes, and time."""
