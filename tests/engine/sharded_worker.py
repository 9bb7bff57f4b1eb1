"""Trains cases and saves what they came to: `python sharded_worker.py FOLDER CASES`, with the cases in a JSON file."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch

import artschool
from artschool import ranks
from artschool.engine import offload
from artschool.engine.captured_state import capture, optimizers_of, own_state
from tests.engine.toy_run import recorded


def train(file: Path, folder: Path, overrides: list[str]) -> dict[str, Any]:
    """The state of a run after training, with all parts of what is sharded."""
    run = artschool.load(file, overrides, run_dir=folder)
    recorder = recorded(run)
    kinds = [type(p).__name__ for network in run.networks.values() for p in network.parameters()]
    run.train()
    tensors, state = capture(run, ranks.gather(own_state(run)), optimizers_of(run))
    after = [type(p).__name__ for network in run.networks.values() for p in network.parameters()]
    return {
        "tensors": {name: {k: ranks.whole(v).clone() for k, v in values.items()} for name, values in tensors.items()},
        "records": recorder.records,
        "updates": state["updates"],
        "kinds": kinds,
        "kinds_after": after,
    }


def main(folder: Path, cases: dict[str, dict[str, Any]]) -> None:
    """Train the cases one after the other, or keep the error of one that is refused."""
    for name, case in cases.items():
        try:
            result = train(Path(case["file"]), folder / name, case["overrides"])
        except artschool.ArtschoolError as error:
            result = {"error": str(error)}
        if ranks.is_main():
            torch.save(result, folder / f"{name}.pt")
        ranks.wait()
    ranks.stop()


if __name__ == "__main__":
    torch.set_num_threads(1)
    offload.LEAST_BYTES, offload.PART_BYTES = 1, 1024
    main(Path(sys.argv[1]), json.loads(Path(sys.argv[2]).read_text()))
