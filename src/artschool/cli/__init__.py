"""The command `artschool`: parse, call, print, exit code. Nothing heavy is imported before a command runs."""

from artschool.cli.main import main

__all__ = ["main"]
