"""The trainings of `gpu.py`: each as a config file, and as a tuned loop written by hand."""

from __future__ import annotations

import copy
import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from artschool.components.networks.rrdb import RRDB
from artschool.components.networks.unet import Unet
from artschool.components.networks.vgg_critic import VggCritic
from artschool.registry import datasets, networks

Sample = dict[str, Any]
DECAY = 0.999
CLIP = 1.0


@datasets.register("gpu_pairs")
class Pairs(Dataset[Sample]):
    """Random images in memory, and the same images in small.

    Args:
        size: Height and width of the large images in pixels.
        scale: The factor between both.
        length: Number of samples.
    """

    def __init__(self, *, size: int, scale: int = 2, length: int = 512) -> None:
        self._hq = torch.rand(length, 3, size, size, generator=torch.Generator().manual_seed(0))
        self._lq = F.avg_pool2d(self._hq, scale)

    def __len__(self) -> int:
        return len(self._hq)

    def __getitem__(self, index: int) -> Sample:
        return {"lq": self._lq[index], "hq": self._hq[index]}


@datasets.register("gpu_labelled")
class Labelled(Dataset[Sample]):
    """Random images in -1..1 in memory, each with a class in 0..9."""

    def __init__(self, *, size: int, length: int = 512) -> None:
        self._images = torch.rand(length, 3, size, size, generator=torch.Generator().manual_seed(0)) * 2 - 1

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Sample:
        return {"image": self._images[index], "label": index % 10}


@networks.register("gpu_generator")
def generator(*, width: int) -> nn.Module:
    """Upscale by 2."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2)
    )


@networks.register("gpu_critic")
def critic(*, width: int) -> nn.Module:
    """Tell real from fake."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 3, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 1, 3, 1, 1),
    )  # fmt: skip


class Hand(ABC):
    """A loop as somebody would write and tune it who has this one training in mind.

    It has what the config file asks for: fused optimizers, clipping, an average, autocast, channels last, pinned
    memory, workers, and losses that stay on the device until they are printed.
    """

    def __init__(self, data: Dataset[Sample], batch_size: int, device: torch.device, *, workers: int) -> None:
        self.device = device
        loader = DataLoader(
            data, batch_size, shuffle=True, drop_last=True, num_workers=workers, pin_memory=device.type == "cuda",
            persistent_workers=workers > 0,
        )  # fmt: skip
        self._batches = self._moved(itertools.chain.from_iterable(itertools.repeat(loader)))
        self._losses: list[Tensor] = []

    def _moved(self, batches: Iterator[Sample]) -> Iterator[Sample]:
        for batch in batches:
            yield {name: value.to(self.device, non_blocking=True) for name, value in batch.items()}

    def run(self, iterations: int) -> None:
        """Train for a number of iterations, then read the losses."""
        for _ in range(iterations):
            self._losses.append(self.train(next(self._batches)))
        torch.stack(self._losses).mean().item()
        self._losses = []

    @abstractmethod
    def train(self, batch: Sample) -> Tensor:
        """One iteration; returns a loss without waiting for the device."""

    def prepared(self, network: nn.Module, *, compiled: bool) -> nn.Module:
        """A network on the device, in channels last on a GPU."""
        form = torch.channels_last if self.device.type == "cuda" else torch.contiguous_format
        network = network.to(self.device, memory_format=form)  # type: ignore[call-overload]  # torch's stub lacks it
        # Not by the method `compile`, which leaves the containers of torch, such as Sequential, as they are.
        return torch.compile(network) if compiled else network  # type: ignore[return-value]  # a module gives a module

    @staticmethod
    def optimizer(network: nn.Module) -> torch.optim.Optimizer:
        """Fused AdamW."""
        return torch.optim.AdamW(network.parameters(), lr=1e-4, fused=True)

    @staticmethod
    @torch.no_grad()
    def average(ema: nn.Module, network: nn.Module) -> None:
        """Move an average towards its network."""
        torch._foreach_lerp_(list(ema.parameters()), list(network.parameters()), 1 - DECAY)

    @staticmethod
    def update(optimizer: torch.optim.Optimizer, network: nn.Module) -> None:
        """Clip, step, and drop the gradients."""
        nn.utils.clip_grad_norm_(network.parameters(), CLIP, foreach=True)
        optimizer.step()
        optimizer.zero_grad()


class HandGan(Hand):
    """A generator that upscales, and a critic, with hinge losses or relativistic ones."""

    def __init__(
        self, gen: nn.Module, critic: nn.Module, *data: Any, workers: int, compiled: bool, relative: bool, weight: float
    ) -> None:
        super().__init__(*data, workers=workers)
        self._ema = self.prepared(copy.deepcopy(gen).requires_grad_(False), compiled=False)
        self._gen, self._critic = self.prepared(gen, compiled=compiled), self.prepared(critic, compiled=compiled)
        self._gen_optimizer, self._critic_optimizer = self.optimizer(gen), self.optimizer(critic)
        self._relative, self._weight = relative, weight

    def train(self, batch: Sample) -> Tensor:
        """The generator, then the critic on the same images."""
        lq, hq = batch["lq"], batch["hq"]
        self._critic.requires_grad_(False)
        fake = self._gen(lq)
        pixel = F.l1_loss(fake, hq)
        loss = pixel + self._weight * self._generator_loss(fake, hq)
        loss.backward()
        self.update(self._gen_optimizer, self._gen)
        self._critic.requires_grad_(True)
        self._critic_loss(fake.detach(), hq).backward()
        self.update(self._critic_optimizer, self._critic)
        self.average(self._ema, self._gen)
        return pixel.detach()

    def _generator_loss(self, fake: Tensor, hq: Tensor) -> Tensor:
        fakes = self._critic(fake)
        if not self._relative:
            return -fakes.mean()
        with torch.no_grad():
            reals = self._critic(hq)
        return _relative(fakes, reals)

    def _critic_loss(self, fake: Tensor, hq: Tensor) -> Tensor:
        fakes, reals = self._critic(fake), self._critic(hq)
        return _relative(reals, fakes) if self._relative else F.relu(1 - reals).mean() + F.relu(1 + fakes).mean()


def _relative(real: Tensor, fake: Tensor) -> Tensor:
    return F.softplus(fake.mean() - real).mean() + F.softplus(fake - real.mean()).mean()


class HandFlow(Hand):
    """A U-Net that learns flow matching, conditioned on the class."""

    def __init__(self, unet: nn.Module, *data: Any, workers: int, compiled: bool, autocast: bool) -> None:
        super().__init__(*data, workers=workers)
        self._ema = self.prepared(copy.deepcopy(unet).requires_grad_(False), compiled=False)
        self._unet = self.prepared(unet, compiled=compiled)
        self._optimizer = self.optimizer(unet)
        self._autocast: Callable[[], AbstractContextManager[Any]] = nullcontext
        if autocast:
            self._autocast = partial(torch.autocast, self.device.type, dtype=torch.bfloat16)

    def train(self, batch: Sample) -> Tensor:
        """A random point between noise and image."""
        x = batch["image"]
        noise, t = torch.randn_like(x), torch.rand(len(x), device=x.device)
        with self._autocast():
            velocity = self._unet(noise + t.view(-1, 1, 1, 1) * (x - noise), t, batch["label"])
            loss = (velocity - (x - noise)).square().mean()
        loss.backward()
        self.update(self._optimizer, self._unet)
        self.average(self._ema, self._unet)
        return loss.detach()


GAN = """
name: {name}
data: {{train: {{type: gpu_pairs, size: {size}, scale: {scale}, batch_size: {batch_size}, workers: {workers}}}}}
networks: {{gen: {gen}, critic: {critic}}}
steps:
  gen:
    trains: gen
    optimizer: {{type: adamw, lr: 1e-4}}
    clip_grad_norm: 1.0
    injectors: {{up: {{type: forward, network: gen, in: lq, out: sr}}}}
    losses:
      pixel: {{type: l1, in: [sr, hq], weight: 1.0}}
      adversarial: {{type: generator_gan, kind: {kind}, network: critic, fake: sr, real: hq, weight: {weight}}}
  critic:
    trains: critic
    optimizer: {{type: adamw, lr: 1e-4}}
    clip_grad_norm: 1.0
    losses: {{gan: {{type: discriminator_gan, kind: {kind}, network: critic, fake: sr, real: hq, weight: 1.0}}}}
ema: {{decay: 0.999, networks: [gen]}}
"""
FLOW = """
name: {name}
data: {{train: {{type: gpu_labelled, size: {size}, batch_size: {batch_size}, workers: {workers}}}}}
networks: {{unet: {unet}}}
steps:
  unet:
    trains: unet
    optimizer: {{type: adamw, lr: 1e-4}}
    clip_grad_norm: 1.0
    injectors:
      flow: {{type: flow_matching, network: unet, in: image, conditions: {{label: label}}, out: [error, _, _]}}
    losses: {{velocity: {{type: mean, in: error, weight: 1.0}}}}
ema: {{decay: 0.999, networks: [unet]}}
"""


@dataclass(frozen=True)
class Training:
    """A training in both forms.

    Attributes:
        precision: Value of `train.precision`.
        file: Text of the config file, without the section `train`.
        data: Makes the data set of the loop.
        hand: Makes the loop from data set, batch size and device.
    """

    name: str
    precision: str
    batch_size: int
    file: str
    data: Callable[[], Dataset[Sample]]
    hand: Callable[..., Hand]


def trainings(*, small: bool, workers: int) -> list[Training]:
    """The toy GAN, the U-Net in bfloat16 and the ESRGAN pair.

    Args:
        small: Whether the last two have sizes that a CPU can train, to try the script.
    """
    return [_toy(workers), _unet(small, workers), _esrgan(small, workers)]


def _toy(workers: int) -> Training:
    file = GAN.format(
        name="toy_gan", size=32, scale=2, batch_size=8, workers=workers, kind="hinge", weight=0.1,
        gen="{type: gpu_generator, width: 16}", critic="{type: gpu_critic, width: 16}",
    )  # fmt: skip

    def hand(*data: Any, compiled: bool) -> Hand:
        parts = generator(width=16), critic(width=16)
        return HandGan(*parts, *data, workers=workers, compiled=compiled, relative=False, weight=0.1)

    return Training("toy_gan", "fp32", 8, file, partial(Pairs, size=32), hand)


def _unet(small: bool, workers: int) -> Training:
    size, batch_size = (16, 2) if small else (64, 64)
    options: Mapping[str, Any] = {
        "in_channels": 3, "width": 16 if small else 128, "multipliers": [1, 2] if small else [1, 2, 3],
        "blocks": 1 if small else 3, "attention": [2] if small else [4], "num_classes": 10, "time_scale": 1000.0,
    }  # fmt: skip
    listed = ", ".join(f"{name}: {value}" for name, value in options.items())
    file = FLOW.format(name="unet", size=size, batch_size=batch_size, workers=workers, unet=f"{{type: unet, {listed}}}")

    def hand(*data: Any, compiled: bool) -> Hand:
        return HandFlow(Unet(**options), *data, workers=workers, compiled=compiled, autocast=True)

    return Training("unet", "bf16", batch_size, file, partial(Labelled, size=size), hand)


def _esrgan(small: bool, workers: int) -> Training:
    size, batch_size, width, blocks = (32, 2, 8, 1) if small else (128, 16, 64, 8)
    gen = {"scale": 4, "width": width, "growth": width // 2, "blocks": blocks}
    critic = {"image_size": size, "width": width, "stages": 3 if small else 5}
    file = GAN.format(
        name="esrgan", size=size, scale=4, batch_size=batch_size, workers=workers, kind="ragan", weight=0.005,
        gen=f"{{type: rrdb, {', '.join(f'{name}: {value}' for name, value in gen.items())}}}",
        critic=f"{{type: vgg_critic, {', '.join(f'{name}: {value}' for name, value in critic.items())}}}",
    )  # fmt: skip

    def hand(*data: Any, compiled: bool) -> Hand:
        parts = RRDB(**gen), VggCritic(**critic)  # type: ignore[arg-type]  # values of several types
        return HandGan(*parts, *data, workers=workers, compiled=compiled, relative=True, weight=0.005)

    return Training("esrgan", "fp32", batch_size, file, partial(Pairs, size=size, scale=4), hand)
