"""What the trainer costs beside a hand-written loop: the same toy GAN with EMA and metrics, in turns in one process.

    python benchmarks/overhead.py [--rounds 150] [--chunk 10]

Prints the median over the rounds of trainer time divided by loop time, a line each with the defaults and without the
non-finite guard. The networks are tiny so that the trainer's own cost shows; in training worth the name it vanishes.
"""

from __future__ import annotations

import argparse
import copy
import json
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, TypedDict

import torch
import torch.nn.functional as F
from torch import Tensor, nn

import artschool
from artschool.engine.run import Run
from artschool.registry import datasets, networks

CONFIG = """
name: overhead
data: {{train: {{type: bench_pairs, batch_size: 8}}}}
networks: {{gen: {{type: bench_generator}}, critic: {{type: bench_critic}}}}
steps:
  gen:
    trains: gen
    optimizer: {{type: adamw, lr: 1e-3}}
    injectors: {{up: {{type: forward, network: gen, in: lq, out: sr}}}}
    losses:
      pixel: {{type: l1, in: [sr, hq], weight: 1.0}}
      adversarial: {{type: generator_gan, kind: hinge, network: critic, fake: sr, weight: 0.1}}
  critic:
    trains: critic
    optimizer: {{type: adamw, lr: 1e-3}}
    losses: {{gan: {{type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0}}}}
train: {{iterations: {iterations}, non_finite: {non_finite}}}
ema: {{decay: 0.999, networks: [gen]}}
"""
LOG_EVERY = 10
METRICS = ("pixel", "adversarial", "total", "critic", "d_real", "d_fake")
"""What both sides log."""


class Pair(TypedDict):
    """A sample."""

    lq: Tensor
    hq: Tensor


@datasets.register("bench_pairs")
class Pairs:
    """Random pictures in memory."""

    def __init__(self, length: int = 512) -> None:
        generator = torch.Generator().manual_seed(0)
        self._hq = torch.rand(length, 3, 32, 32, generator=generator)
        self._lq = F.avg_pool2d(self._hq, 2)

    def __len__(self) -> int:
        return len(self._hq)

    def __getitem__(self, index: int) -> Pair:
        return {"lq": self._lq[index], "hq": self._hq[index]}


@networks.register("bench_generator")
def generator(width: int = 16) -> nn.Module:
    """Upscale by 2."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, padding=1), nn.SiLU(), nn.Conv2d(width, 12, 3, padding=1), nn.PixelShuffle(2)
    )


@networks.register("bench_critic")
def critic(width: int = 16) -> nn.Module:
    """Tell real from fake."""
    return nn.Sequential(
        nn.Conv2d(3, width, 3, 2, 1), nn.LeakyReLU(0.2), nn.Conv2d(width, width, 3, 2, 1), nn.LeakyReLU(0.2),
        nn.Conv2d(width, 1, 3, 1, 1),
    )  # fmt: skip


class Loop:
    """The same training as one would write it by hand."""

    def __init__(self, folder: Path) -> None:
        torch.manual_seed(0)
        self.gen, self.critic = generator(), critic()
        self.ema = copy.deepcopy(self.gen).requires_grad_(False)
        self.gen_optimizer = torch.optim.AdamW(self.gen.parameters(), lr=1e-3, fused=True)
        self.critic_optimizer = torch.optim.AdamW(self.critic.parameters(), lr=1e-3, fused=True)
        self.batches = self._load(torch.utils.data.DataLoader(Pairs(), 8, shuffle=True, drop_last=True))
        self.log = (folder / "loop.jsonl").open("w", buffering=1)
        self.iteration = 0

    @staticmethod
    def _load(loader: Any) -> Iterator[dict[str, Tensor]]:
        while True:
            yield from loader

    def run(self, iterations: int) -> None:
        """Train for a number of iterations."""
        kept: dict[str, list[Tensor]] = {name: [] for name in METRICS}
        for _ in range(iterations):
            batch = next(self.batches)
            lq, hq = batch["lq"], batch["hq"]
            self.critic.requires_grad_(False)
            sr = self.gen(lq)
            pixel = F.l1_loss(sr, hq)
            adversarial = -self.critic(sr).mean()
            total = pixel + 0.1 * adversarial
            total.backward()
            self.gen_optimizer.step()
            self.gen_optimizer.zero_grad()
            self.critic.requires_grad_(True)
            real, fake = self.critic(hq), self.critic(sr.detach())
            loss = F.relu(1 - real).mean() + F.relu(1 + fake).mean()
            loss.backward()
            self.critic_optimizer.step()
            self.critic_optimizer.zero_grad()
            with torch.no_grad():
                torch._foreach_lerp_(list(self.ema.parameters()), list(self.gen.parameters()), 0.001)
            numbers = (pixel, adversarial, total, loss, real.detach().mean(), fake.detach().mean())
            for name, value in zip(METRICS, numbers, strict=True):
                kept[name].append(value.detach())
            self.iteration += 1
            if self.iteration % LOG_EVERY == 0:
                record = {name: torch.stack(values).mean().item() for name, values in kept.items()}
                self.log.write(json.dumps({"iteration": self.iteration, **record}) + "\n")
                kept = {name: [] for name in METRICS}


class Referee:
    """A logger that lets the loop run a chunk after each chunk of the trainer, and times both."""

    def __init__(self, loop: Callable[[int], None], chunk: int) -> None:
        self._loop = loop
        self._chunk = chunk
        self._start = 0.0
        self.ratios: list[float] = []

    def start(self, run: Run) -> None:
        """Begin timing."""
        self._start = time.perf_counter()

    def advance(self, run: Run) -> None:
        """Take turns."""
        if run.iteration % self._chunk:
            return
        trainer = time.perf_counter() - self._start
        begin = time.perf_counter()
        self._loop(self._chunk)
        self.ratios.append(trainer / (time.perf_counter() - begin))
        self._start = time.perf_counter()

    def log(self, record: Any) -> None:
        """Nothing."""

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        """Nothing."""

    def note(self, message: str) -> None:
        """Nothing."""

    def close(self) -> None:
        """Nothing."""


def measure(non_finite: str, rounds: int, chunk: int) -> list[float]:
    """The ratio of each round."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "overhead.yml"
        file.write_text(CONFIG.format(iterations=(rounds + 1) * chunk, non_finite=non_finite))
        run = artschool.load(file, run_dir=folder / "run")
        referee = Referee(Loop(folder).run, chunk)
        run.loggers = [*run.loggers, referee]
        run.train()
    return referee.ratios[1:]  # The first round warms up.


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=150)
    parser.add_argument("--chunk", type=int, default=10)
    arguments = parser.parse_args()
    for name, non_finite in (("artschool", "skip"), ("artschool-unguarded", "ignore")):
        ratios = measure(non_finite, arguments.rounds, arguments.chunk)
        print(f"{name} {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
