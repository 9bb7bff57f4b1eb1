"""Data and networks that are just large enough to go wrong: ten iterations take a few hundredths of a second."""

from __future__ import annotations

from typing import Any, Literal, TypedDict

import torch
from torch import Tensor, nn

from artschool import datasets, networks

NUM_CLASSES = 4
Flaw = Literal["none", "in_a_list", "in_place", "extra_state", "late_buffer"]
"""A mistake in the code of a network: a mutant asks for it by an option, since it changes only files."""


class TinySample(TypedDict):
    """`image` (1, 8, 8) in 0..white, `noise` (6,), and `label` in 0..3."""

    image: Tensor
    noise: Tensor
    label: int


@datasets.register(values=lambda known: {"image": (0.0, known.options["white"])})
class TinyImages:
    """A dozen images of random grey, brighter for larger labels."""

    def __init__(self, *, seed: int = 0, white: float = 1.0) -> None:
        generator = torch.Generator().manual_seed(seed)
        self._labels = [index % NUM_CLASSES for index in range(12)]
        grey = torch.rand(12, 1, 8, 8, generator=generator)
        self._images = white * (grey + torch.tensor(self._labels)[:, None, None, None]) / NUM_CLASSES
        self._noise = torch.randn(12, 6, generator=generator)

    def __len__(self) -> int:
        return len(self._labels)

    def __getitem__(self, index: int) -> TinySample:
        return {"image": self._images[index], "noise": self._noise[index], "label": self._labels[index]}


class Counter(nn.Module):
    """Has a state that is no tensor."""

    def get_extra_state(self) -> Any:
        return {"seen": 1}

    def set_extra_state(self, state: Any) -> None: ...


class TinyNetwork(nn.Module):
    """A network with a mistake in its code, if the file asks for one.

    Attributes:
        harmed: Whether the network has changed a value that it only reads.
    """

    def __init__(self, flaw: Flaw) -> None:
        super().__init__()
        self.flaw = flaw
        self.harmed = False
        self.scales = [nn.Parameter(torch.ones(()))] if flaw == "in_a_list" else []
        if flaw == "extra_state":
            self.counter = Counter()

    def read(self, x: Tensor) -> Tensor:
        """The input, as a flawed network reads it."""
        for scale in self.scales:
            x = x * scale
        if self.flaw == "in_place":
            self.harmed = True
            x = x.add_(0.1)
        if self.flaw == "late_buffer":
            self.register_buffer("mean", x.detach().mean((0, *range(2, x.dim()))))
        return x


@networks.register
class TinyPainter(TinyNetwork):
    """Noise to an image."""

    def __init__(self, *, width: int = 4, flaw: Flaw = "none") -> None:
        super().__init__(flaw)
        self.classes = nn.Embedding(NUM_CLASSES, 6)
        self.start = nn.Linear(6, 16 * width)
        self.last = nn.ConvTranspose2d(width, 1, 2, stride=2)

    def forward(self, noise: Tensor, label: Tensor) -> Tensor:
        """(B, 6) and (B,) to (B, 1, 8, 8) in 0..1."""
        features = self.start(self.read(noise) + self.classes(label)).tanh()
        image: Tensor = self.last(features.view(len(noise), -1, 4, 4)).sigmoid()
        return image


@networks.register
class TinyCritic(TinyNetwork):
    """Judges an image and its label."""

    def __init__(self, *, width: int = 4, flaw: Flaw = "none") -> None:
        super().__init__(flaw)
        self.first = nn.Conv2d(1, width, 4, stride=4)
        self.classes = nn.Embedding(NUM_CLASSES, 4 * width)
        self.last = nn.Linear(4 * width, 1)

    def forward(self, x: Tensor, label: Tensor) -> Tensor:
        """(B, 1, 8, 8) and (B,) to logits (B, 1)."""
        logits: Tensor = self.last(self.first(self.read(x)).flatten(1).tanh() + self.classes(label))
        return logits


@networks.register
class TinyReader(TinyNetwork):
    """Reads the label of an image."""

    def __init__(self, *, width: int = 4, flaw: Flaw = "none") -> None:
        super().__init__(flaw)
        self.layers = nn.Sequential(nn.Conv2d(1, width, 4, stride=4), nn.BatchNorm2d(width), nn.Tanh(), nn.Flatten())
        self.last = nn.Linear(4 * width, NUM_CLASSES)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1, 8, 8) to logits (B, 4)."""
        logits: Tensor = self.last(self.layers(self.read(x)))
        return logits


@networks.register
class TinyDenoiser(TinyNetwork):
    """Finds the noise in an image."""

    def __init__(self, *, width: int = 4, flaw: Flaw = "none") -> None:
        super().__init__(flaw)
        self.first = nn.Conv2d(1, width, 3, padding=1)
        self.time = nn.Linear(1, width)
        self.classes = nn.Embedding(NUM_CLASSES + 1, width)
        self.last = nn.Conv2d(width, 1, 3, padding=1)

    def forward(self, x: Tensor, t: Tensor, label: Tensor) -> Tensor:
        """(B, 1, 8, 8), times (B,) in 0..1000 and labels (B,), 4 for none, to (B, 1, 8, 8)."""
        condition = self.time(t[:, None].to(x.dtype) / 1000) + self.classes(label)
        noise: Tensor = self.last((self.first(self.read(x)) + condition[:, :, None, None]).tanh())
        return noise
