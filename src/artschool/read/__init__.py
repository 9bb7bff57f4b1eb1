"""Reads a file and checks it."""
