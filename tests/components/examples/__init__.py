"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from examples.example import Example
from examples.gan import EXAMPLES as GAN
from examples.general import EXAMPLES as GENERAL

EXAMPLES: list[Example] = [*GENERAL, *GAN]
