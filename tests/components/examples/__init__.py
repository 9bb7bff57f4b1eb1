"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from examples.diffusion import EXAMPLES as DIFFUSION
from examples.example import Example
from examples.general import EXAMPLES as GENERAL

EXAMPLES: list[Example] = [*DIFFUSION, *GENERAL]
