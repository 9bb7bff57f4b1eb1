"""What the trainer costs beside a hand-written loop: the same toy GAN with EMA and metrics, in turns in one process.

    python benchmarks/overhead.py [--rounds 100] [--chunk 10] [--threads 1]

Prints the CPU time of the trainer divided by that of the loop, the median over the rounds and the quartiles, a line
each: with the defaults, without the non-finite guard, and for other trainers where they are installed (see
`others.py`). The networks are tiny so that the trainers' own cost shows; in training worth the name it vanishes.
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
from others import OTHERS
from torch import Tensor, nn

import artschool
from artschool.engine.logger import Logger, Record
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
log: {{every: {log_every}}}
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
    """Lets the loop run a chunk after each chunk of somebody else, and takes the CPU time of both."""

    def __init__(self, loop: Callable[[int], None], chunk: int) -> None:
        self._loop = loop
        self._chunk = chunk
        self._start = time.process_time()
        self.ratios: list[float] = []

    def advance(self, iteration: int) -> None:
        """Take turns."""
        if iteration % self._chunk:
            return
        other = time.process_time() - self._start
        begin = time.process_time()
        self._loop(self._chunk)
        self.ratios.append(other / (time.process_time() - begin))
        self._start = time.process_time()

    def __str__(self) -> str:
        # Without the first rounds, which warm up.
        low, median, high = statistics.quantiles(self.ratios[3:], n=4)
        return f"{median:.2f} ({low:.2f} to {high:.2f})"


class Turns(Logger):
    """Tells the referee of each log point, so that nothing else of the trainer's time is the referee's."""

    def __init__(self, referee: Referee) -> None:
        self._referee = referee

    def log(self, record: Record) -> None:
        """Take turns."""
        self._referee.advance(int(record["iteration"]) + 1)


def measure(non_finite: str, iterations: int, chunk: int) -> Referee:
    """The ratios of our trainer, with all its loggers."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        file = folder / "overhead.yml"
        file.write_text(CONFIG.format(iterations=iterations, non_finite=non_finite, log_every=LOG_EVERY))
        run = artschool.load(file, run_dir=folder / "run")
        referee = Referee(Loop(folder).run, chunk)
        run.loggers = [*run.loggers, Turns(referee)]
        run.train()
    return referee


def measure_other(train: Callable[..., None], iterations: int, chunk: int) -> Referee:
    """The ratios of another trainer."""
    with tempfile.TemporaryDirectory() as name:
        referee = Referee(Loop(Path(name)).run, chunk)
        train(generator(), critic(), Pairs(), iterations, referee.advance)
    return referee


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=100, help="how often both sides take their turn")
    parser.add_argument("--chunk", type=int, default=10, help=f"iterations of a turn, a multiple of {LOG_EVERY}")
    parser.add_argument("--threads", type=int, default=1, help="threads of torch; with one, neighbours disturb less")
    arguments = parser.parse_args()
    torch.set_num_threads(arguments.threads)
    iterations = (arguments.rounds + 3) * arguments.chunk
    for name, non_finite in (("artschool", "skip"), ("artschool-unguarded", "ignore")):
        print(f"{name} {measure(non_finite, iterations, arguments.chunk)}", flush=True)
    for name, train in OTHERS.items():
        try:
            print(f"{name} {measure_other(train, iterations, arguments.chunk)}", flush=True)
        except ModuleNotFoundError as error:
            print(f"{name} not measured: {error.name} is not installed")


if __name__ == "__main__":
    main()
