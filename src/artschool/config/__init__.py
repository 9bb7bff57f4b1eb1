"""Reads and checks the parts of a file: its tree, sections, components, names, keys and gates."""
