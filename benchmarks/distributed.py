"""What several processes cost beside a hand-written DistributedDataParallel loop, in turns in the same processes.

    torchrun --nproc-per-node 2 benchmarks/distributed.py [--rounds 30] [--chunk 4] [--width 512]

Both sides train a network of 25 million parameters with AdamW on the same number of samples. Prints the median over the
rounds of trainer time divided by loop time, with and without the non-finite guard, and the milliseconds per iteration.
On a machine with other work, the ratio of the CPU time of rank 0 is more stable; it does not show waiting.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypedDict

import torch
import torch.distributed as dist
import torch.nn.functional as F
import yaml
from torch import Tensor, nn

import artschool
from artschool import ranks
from artschool.engine.logger import Logger
from artschool.engine.run import Run
from artschool.registry import datasets, networks

CONFIG = """
name: distributed
data: {{train: {{type: bench_labelled, batch_size: {batch}}}}}
networks: {{net: {{type: bench_classifier, width: {width}}}}}
steps:
  main:
    trains: net
    optimizer: {{type: adamw, lr: 0.0001}}
    injectors: {{classify: {{type: forward, network: net, in: image, out: logits}}}}
    losses: {{class: {{type: cross_entropy, in: [logits, label], weight: 1.0}}}}
train: {{iterations: {iterations}, non_finite: {non_finite}}}
checkpoint: {{every: 1000000}}
log: {{every: 10}}
"""
LOG_EVERY = 10


class Labelled(TypedDict):
    """A sample."""

    image: Tensor
    label: Tensor


@datasets.register("bench_labelled")
class LabelledImages:
    """Random images and classes in memory."""

    def __init__(self, length: int = 512) -> None:
        generator = torch.Generator().manual_seed(0)
        self._images = torch.rand(length, 3, 32, 32, generator=generator)
        self._labels = torch.randint(10, (length,), generator=generator)

    def __len__(self) -> int:
        return len(self._images)

    def __getitem__(self, index: int) -> Labelled:
        return {"image": self._images[index], "label": self._labels[index]}


@networks.register("bench_classifier")
def classifier(width: int = 512, depth: int = 10) -> nn.Module:
    """(B, 3, 32, 32) to logits (B, 10); 25 million parameters by default."""
    layers: list[nn.Module] = [nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 256, 3, 2, 1), nn.ReLU()]
    layers += [nn.Conv2d(256, width, 3, 2, 1), nn.BatchNorm2d(width), nn.ReLU()]
    for _ in range(depth):
        layers += [nn.Conv2d(width, width, 3, padding=1), nn.BatchNorm2d(width), nn.ReLU()]
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10))


class Loop:
    """The same training with DistributedDataParallel as one would write it by hand."""

    def __init__(self, batch: int, width: int) -> None:
        torch.manual_seed(0)
        data = LabelledImages()
        sampler = torch.utils.data.DistributedSampler(data, drop_last=True)
        loader = torch.utils.data.DataLoader(data, batch // dist.get_world_size(), sampler=sampler, drop_last=True)
        self._batches = self._load(loader)
        self._network = nn.parallel.DistributedDataParallel(classifier(width))
        self._optimizer = torch.optim.AdamW(self._network.parameters(), lr=1e-4, fused=True)
        self._losses: list[Tensor] = []

    @staticmethod
    def _load(loader: Any) -> Any:
        while True:
            yield from loader

    def run(self, iterations: int) -> None:
        """Train for a number of iterations."""
        for _ in range(iterations):
            batch = next(self._batches)
            loss = F.cross_entropy(self._network(batch["image"]), batch["label"])
            loss.backward()
            self._optimizer.step()
            self._optimizer.zero_grad()
            self._losses.append(loss.detach())
            if len(self._losses) == LOG_EVERY:
                torch.stack(self._losses).mean().item()
                self._losses.clear()


class Turns(Logger):
    """Lets the loop run a chunk after each chunk of the trainer, and times both from barrier to barrier."""

    def __init__(self, loop: Loop, chunk: int) -> None:
        self._loop = loop
        self._chunk = chunk
        self._start = (0.0, 0.0)
        self.rounds: list[tuple[float, ...]] = []

    def start(self, run: Run) -> None:
        """Begin the first chunk."""
        self._start = self._now()

    def advance(self, run: Run) -> None:
        """Take turns."""
        if run.iteration % self._chunk == 0:
            middle = self._now()
            self._loop.run(self._chunk)
            end = self._now()
            self.rounds.append(
                tuple(
                    stop - start
                    for pair in ((self._start, middle), (middle, end))
                    for start, stop in zip(*pair, strict=True)
                )
            )
            self._start = self._now()

    @staticmethod
    def _now() -> tuple[float, float]:
        dist.barrier()
        return time.perf_counter(), time.process_time()


def measure(folder: Path, non_finite: str, options: argparse.Namespace) -> str:
    """A line with the median ratio and the median times of an iteration."""
    iterations = (options.rounds + 2) * options.chunk
    text = CONFIG.format(iterations=iterations, non_finite=non_finite, batch=options.batch, width=options.width)
    run = artschool.load(yaml.safe_load(text), run_dir=folder / non_finite)
    turns = Turns(Loop(options.batch, options.width), options.chunk)
    run.loggers = [*run.loggers, turns]
    run.train()
    rounds = turns.rounds[2:]  # The first ones warm up.
    ratio, cpu = (statistics.median(each[i] / each[i + 2] for each in rounds) for i in range(2))
    ours, _, loop, _ = (1000 * statistics.median(column) / options.chunk for column in zip(*rounds, strict=True))
    times = f"{ours:.0f} ms and {loop:.0f} ms per iteration"
    return f"{ratio:.3f} of the loop with non_finite: {non_finite} ({times}; {cpu:.3f} of its CPU time)"


@contextmanager
def shared_folder() -> Iterator[Path]:
    """A temporary folder of rank 0, which all processes have, as those of a run must. The processes meet first."""
    ranks.start(torch.device("cpu"))
    with tempfile.TemporaryDirectory() as name:
        yield Path(ranks.tell(name, None))
        ranks.wait()
    ranks.stop()


def main() -> None:
    """Measure, and print on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--chunk", type=int, default=4)
    parser.add_argument("--width", type=int, default=512, help="channels; 512: 25 million parameters")
    parser.add_argument("--batch", type=int, default=16, help="samples in one iteration, over all processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with shared_folder() as folder:
        for non_finite in ("skip", "ignore"):
            line = measure(folder, non_finite, options)
            if ranks.is_main():
                print(line)


if __name__ == "__main__":
    main()
