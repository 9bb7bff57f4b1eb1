"""How many shards a process reads in an epoch, with a free shuffle and with one in chunks. Nothing is loaded.

    python benchmarks/shards.py [--shards 200] [--samples 1000] [--batch 256] [--window 20000]

For each number of processes: the mean number of shards that a process reads, and how often it fetches one if its cache
holds an eighth of the shards, the least recently used one going first.
"""

from __future__ import annotations

import argparse
from collections import OrderedDict

from artschool.data.sampler import Batches, InChunks, RankSampler


def fetches(batches: Batches, samples: int, rank: int, world_size: int, cached: int) -> tuple[int, int]:
    """The number of shards that a process reads in an epoch, and of those that its cache lacks when it reads them."""
    cache: OrderedDict[int, None] = OrderedDict()
    seen, missed = set[int](), 0
    for batch in RankSampler(batches, 0, batches.per_epoch, rank, world_size):
        for position in batch:
            shard = position.sample // samples
            seen.add(shard)
            missed += shard not in cache
            cache[shard] = None
            cache.move_to_end(shard)
            if len(cache) > cached:
                cache.popitem(last=False)
    return len(seen), missed


def main() -> None:
    """Count and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shards", type=int, default=200, help="number of shards")
    parser.add_argument("--samples", type=int, default=1000, help="samples in a shard")
    parser.add_argument("--batch", type=int, default=256, help="batch size over all processes")
    parser.add_argument("--window", type=int, default=20000, help="samples that are mixed with each other")
    arguments = parser.parse_args()
    length, cached = arguments.shards * arguments.samples, arguments.shards // 8
    for name, shuffle in (("free", True), ("chunks", InChunks(arguments.samples, arguments.window))):
        batches = Batches("data.train", length, arguments.batch, seed=0, shuffle=shuffle, drop_last=True)
        for world_size in (1, 8, 64):
            counts = [fetches(batches, arguments.samples, rank, world_size, cached) for rank in range(world_size)]
            read, missed = (sum(each) / world_size for each in zip(*counts, strict=True))
            print(f"{name} processes {world_size} read {read:.1f} fetched {missed:.1f} of {arguments.shards} shards")


if __name__ == "__main__":
    main()
