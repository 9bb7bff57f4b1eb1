"""The command `artschool`: parses arguments, calls a function, prints, and sets the exit code.

Slow imports wait until a command runs.
"""

from artschool.cli.main import main

__all__ = ["main"]
