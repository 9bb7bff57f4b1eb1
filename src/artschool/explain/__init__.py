"""Explains a file: the value, origin and readers of each option and key."""
