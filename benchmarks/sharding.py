"""What sharded networks cost beside replicated ones, in turns in the same processes.

    torchrun --nproc-per-node 2 benchmarks/sharding.py [--rounds 12] [--chunk 2] [--width 512]

Both sides train a network of 25 million parameters with AdamW and a moving average. Prints the median over the rounds
of the time with `parallel: shard` divided by that with `replicate`, and the bytes that a process keeps in between.
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import torch
import torch.distributed as dist
import yaml
from distributed import shared_folder  # Its module registers the data set.
from torch import Tensor, nn

import artschool
from artschool import ranks
from artschool.engine.freeze import all_frozen
from artschool.engine.loop import train_once
from artschool.engine.run import Run
from artschool.registry import networks

CONFIG = """
name: sharding
data: {{train: {{type: bench_labelled, batch_size: {batch}}}}}
networks: {{net: {{type: bench_blocks, width: {width}}}}}
steps:
  main:
    trains: net
    optimizer: {{type: adamw, lr: 0.0001}}
    clip_grad_norm: 1.0
    injectors: {{classify: {{type: forward, network: net, in: image, out: logits}}}}
    losses: {{class: {{type: cross_entropy, in: [logits, label], weight: 1.0}}}}
train: {{iterations: 1000000, parallel: {parallel}}}
ema: {{decay: 0.999, networks: [net]}}
"""


@networks.register("bench_blocks")
def blocks(width: int = 512, depth: int = 10) -> nn.Module:
    """(B, 3, 32, 32) to logits (B, 10); 25 million parameters by default, most of them in ten layers of one list."""
    head = nn.Sequential(nn.Conv2d(3, 64, 3, 2, 1), nn.ReLU(), nn.Conv2d(64, 256, 3, 2, 1), nn.ReLU())
    body = [
        nn.Sequential(nn.Conv2d(width, width, 3, padding=1), nn.GroupNorm(8, width), nn.ReLU()) for _ in range(depth)
    ]
    return nn.Sequential(
        head, nn.Conv2d(256, width, 3, 2, 1), *body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(width, 10)
    )


class Side:
    """A run that trains some iterations at a time."""

    def __init__(self, folder: Path, parallel: str, options: argparse.Namespace) -> None:
        text = CONFIG.format(batch=options.batch, width=options.width, parallel=parallel)
        self.run = artschool.load(yaml.safe_load(text), run_dir=folder / parallel)
        self._batches = self.run.streams.iterations(1_000_000, self.run.device)

    def seconds(self, iterations: int) -> float:
        """The time of some iterations, from barrier to barrier."""
        dist.barrier()
        start = time.perf_counter()
        for _ in range(iterations):
            train_once(self.run, next(self._batches))
        dist.barrier()
        return time.perf_counter() - start

    def kept(self) -> int:
        """The bytes of parameters, averages and optimizer state in this process."""
        return sum(ranks.local(tensor).nbytes for tensor in kept_tensors(self.run))


def kept_tensors(run: Run) -> Iterator[Tensor]:
    """What a run keeps between iterations."""
    for module in (*run.networks.values(), *(ema.module for ema in run.emas.values())):
        yield from module.parameters()
    for step in run.steps:
        if step.update is not None:
            for slots in step.update.optimizer.state.values():
                yield from (value for value in slots.values() if isinstance(value, Tensor))


def main() -> None:
    """Measure, and print on rank 0."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=12)
    parser.add_argument("--chunk", type=int, default=2)
    parser.add_argument("--width", type=int, default=512, help="channels; 512: 25 million parameters")
    parser.add_argument("--batch", type=int, default=16, help="samples in one iteration, over all processes")
    options = parser.parse_args()
    torch.set_num_threads(1)
    with shared_folder() as folder, ExitStack() as stack:
        sides = [Side(folder, parallel, options) for parallel in ("replicate", "shard")]
        for side in sides:
            stack.enter_context(all_frozen(side.run.networks.values()))
        rounds = [[side.seconds(options.chunk) for side in sides] for _ in range(options.rounds + 1)][1:]
        ratio = statistics.median(shard / replicate for replicate, shard in rounds)
        replicate, shard = (1000 * statistics.median(column) / options.chunk for column in zip(*rounds, strict=True))
        whole, part = (side.kept() / 2**20 for side in sides)
        if ranks.is_main():
            print(f"{ratio:.3f} of the time with replicate ({shard:.0f} ms and {replicate:.0f} ms per iteration)")
            print(f"{part:.0f} MiB of parameters, averages and optimizer state per process; replicate: {whole:.0f} MiB")


if __name__ == "__main__":
    main()
