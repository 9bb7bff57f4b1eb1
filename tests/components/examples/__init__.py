"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from examples.example import Example
from examples.general import EXAMPLES as GENERAL
from examples.injectors import EXAMPLES as INJECTORS
from examples.video import EXAMPLES as VIDEO

EXAMPLES: list[Example] = [*GENERAL, *INJECTORS, *VIDEO]
