"""`python -m artschool` is the command `artschool`."""

from artschool.cli import main

main()
