"""Applies a trained dataflow to files: of any size, in tiles, with opacity and depth kept."""
