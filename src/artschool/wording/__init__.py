"""Suggests names: corrects misspellings and resolves synonyms."""
