"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from examples.example import Example
from examples.general import EXAMPLES as GENERAL
from examples.injectors import EXAMPLES as INJECTORS

EXAMPLES: list[Example] = [*GENERAL, *INJECTORS]
from examples.losses import EXAMPLES as LOSSES

EXAMPLES: list[Example] = [*GENERAL, *LOSSES]
