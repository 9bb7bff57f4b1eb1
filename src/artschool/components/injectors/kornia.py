"""Changes and corruptions of images by kornia."""

from __future__ import annotations

import importlib
import inspect
from functools import partial
from typing import Any

from torch import Tensor

from artschool.components.library_options import refuse_unknown
from artschool.components.precision import at_least_float32, without_autocast
from artschool.errors import ConfigError
from artschool.extras import extra
from artschool.registry import injectors
from artschool.wording.names import nearest


@injectors.register
class Kornia:
    """Change each image by an augmentation of kornia: blur, noise, JPEG, color, crop, rotation and others.

    Each image gets random numbers of its own, and the images of all inputs at one position of the batch get the same
    ones. Gradients pass where kornia's operation has some. Computed in float32 or better.

    Args:
        name: Name of a class of `kornia.augmentation`, such as `RandomGaussianBlur`.
        options: Arguments of the class, such as `{kernel_size: [5, 5], sigma: [0.1, 2.0], p: 0.5}`; a list becomes a
            tuple. Most classes change an image with the probability `p`.

    Raises:
        ResourceError: kornia is not installed.
        ConfigError: The class does not exist, or does not take the options.
    """

    def __init__(self, *, name: str, options: dict[str, Any] = {}) -> None:  # noqa: B006  # never changed
        kind = _augmentation(name)
        refuse_unknown(f"options of {name}", options, inspect.signature(kind).parameters)
        # Made for each call, since an augmentation remembers its last numbers.
        self._make = partial(kind, **{option: _tuples(value) for option, value in options.items()})
        try:
            self._make()
        except Exception as error:  # Each class checks its arguments in its own way.
            raise ConfigError(f"options of {name}: {error}") from error

    def __call__(self, inputs: list[Tensor]) -> Tensor | list[Tensor]:
        """Change images.

        Args:
            inputs: Images (B, C, H, W) of one size, in 0..1 for most classes; (B, C, D, H, W) for the classes that end
                in `3D`.

        Returns:
            The changed images: a tensor, or a list for several `inputs`.

        Raises:
            ConfigError: The sizes differ, so that a change of one image is none of another.
        """
        images = [at_least_float32(x) for x in inputs]
        if len(sizes := {(len(x), *x.shape[2:]) for x in images}) > 1:
            raise ConfigError(f"kornia: expected inputs of one size, got {' and '.join(map(str, sorted(sizes)))}")
        change = self._make()
        with without_autocast(images[0]):
            draws = change.forward_parameters(images[0].shape)
            changed = [change(x, params=draws) for x in images]
        return changed if len(changed) > 1 else changed[0]


def _augmentation(name: str) -> Any:
    """A class of kornia by its name. Its base classes and its classes for several images do not count."""
    with extra("kornia"):
        package = importlib.import_module("kornia.augmentation")
    bases = (package.AugmentationBase2D, package.AugmentationBase3D)
    classes = inspect.getmembers(package, lambda value: inspect.isclass(value) and issubclass(value, bases))
    known = {found: value for found, value in classes if "Base" not in found}
    if name not in known:
        raise ConfigError(f"kornia has no augmentation {name!r}. {nearest(name, known)}".strip())
    return known[name]


def _tuples(value: Any) -> Any:
    return tuple(map(_tuples, value)) if isinstance(value, list) else value
