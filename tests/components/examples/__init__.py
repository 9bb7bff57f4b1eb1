"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from examples import general, injectors, losses
from examples.example import Example

EXAMPLES: list[Example] = [example for module in (general, injectors, losses) for example in module.EXAMPLES]
