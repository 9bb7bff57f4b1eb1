"""Every injector and loss with inputs to call it on: what `test_every_component.py` proves of all of them."""

from tests.components.examples import audio, diffusion, gan, general, injectors, losses, representation, video
from tests.components.examples.example import Example

MODULES = (audio, diffusion, gan, general, injectors, losses, representation, video)
EXAMPLES: list[Example] = [example for module in MODULES for example in module.EXAMPLES]
