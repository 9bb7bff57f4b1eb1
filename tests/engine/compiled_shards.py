"""A sharded GAN in two processes, eager and compiled, for `test_compiled.py`. A layer thaws after three iterations."""

from __future__ import annotations

import json
import sys
from functools import partial
from pathlib import Path

import torch
from torch import nn

from artschool import ranks
from artschool.components.builtins import load_builtins
from artschool.registry import networks
from tests.engine import toy_run
from tests.engine.forked import in_processes

UNITS = 'networks.gen={type: compiled_shards, wrap: ["0", "4"]}'
OPTIONS = (UNITS, "train.parallel=shard", "train.iterations=9", "evaluate.held_out.every=4", "checkpoint={every: 100}")


def thawing() -> nn.Module:
    """The generator of the toy run. Its last convolution trains from iteration 3."""
    generator = toy_run.run_generator()
    for parameter in generator.get_submodule("4").parameters():
        parameter.DO_NOT_TRAIN_UNTIL = 3  # type: ignore[attr-defined]  # as artschool documents
    return generator


def train(folder: Path, backend: str, rank: int) -> None:
    import artschool

    own = folder / f"{backend}{rank}"
    own.mkdir()
    compiled = () if backend == "eager" else (f"train.compile={{backend: {backend}}}",)
    run = artschool.load(toy_run.write(own, *OPTIONS, *compiled), run_dir=folder / backend)
    recorder = toy_run.recorded(run)
    run.train()
    weights = {
        f"{owner}.{name}": ranks.whole(value).tolist()
        for owner, module in run.stateful.items()
        for name, value in module.state_dict().items()
    }
    found = {"weights": weights, "notes": recorder.notes, "psnr": recorder.values("held_out/psnr")}
    (folder / f"{backend}{rank}.json").write_text(json.dumps(found))


if __name__ == "__main__":
    torch.set_num_threads(1)
    load_builtins()
    networks.register("compiled_shards", thawing)
    for name in sys.argv[2:]:
        in_processes(2, partial(train, Path(sys.argv[1]), name))
