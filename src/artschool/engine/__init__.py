"""Trains: the loop, train steps, updates, precision, averages, evaluations and checkpoints."""
