"""Stores checkpoints and tensors in files that survive a crash."""
