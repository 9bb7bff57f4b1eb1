"""Trains some iterations of a file and measures its parts: time, memory, FLOPs. Suggests what to change."""
