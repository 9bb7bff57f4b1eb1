"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from examples import audio, diffusion, gan, general, injectors, losses, representation
from examples.example import Example

MODULES = (audio, diffusion, gan, general, injectors, losses, representation)
EXAMPLES: list[Example] = [example for module in MODULES for example in module.EXAMPLES]
from examples.general import EXAMPLES as GENERAL
from examples.injectors import EXAMPLES as INJECTORS
from examples.video import EXAMPLES as VIDEO

EXAMPLES: list[Example] = [*GENERAL, *INJECTORS, *VIDEO]
