"""Loads batches: sampling, seeds, workers, collation and unreadable samples."""
