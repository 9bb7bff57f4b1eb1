"""Situations in which trainers are reported to go wrong without an error, each in small, through the commands."""
