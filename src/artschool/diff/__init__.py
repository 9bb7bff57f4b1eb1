"""Compares two files by their effect."""
