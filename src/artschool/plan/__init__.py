"""Computes what happens at which iteration, without running anything."""
