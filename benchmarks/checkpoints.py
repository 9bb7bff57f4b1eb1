"""How long a save keeps the training waiting, and what memory it takes, in the foreground and in the background.

    python benchmarks/checkpoints.py [MILLIONS OF PARAMETERS] [DEVICE]

Each line is one process: a network with AdamW and an average, saved three times with three iterations in between.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

PLUGIN = """
import torch
from torch import nn
from typing import TypedDict
from artschool.registry import datasets, networks

class Sample(TypedDict):
    x: torch.Tensor

@datasets.register("rows")
class Rows:
    def __len__(self) -> int:
        return 64
    def __getitem__(self, index: int) -> Sample:
        return {"x": torch.ones(1024)}

@networks.register("large")
def large(millions: int = 25) -> nn.Module:
    return nn.Sequential(*(nn.Linear(1024, 1024) for _ in range(millions)))
"""
FILE = """
name: large
plugins: [plugin.py]
data: {{train: {{type: rows, batch_size: 2}}}}
networks: {{net: {{type: large, millions: {millions}}}}}
steps:
  main:
    trains: net
    optimizer: {{type: adamw, lr: 1e-6}}
    injectors: {{y: {{type: forward, network: net, in: x, out: y}}}}
    losses: {{mean: {{type: mean, in: y, weight: 1.0}}}}
ema: {{decay: 0.9, networks: [net]}}
train: {{iterations: 9, device: {device}}}
checkpoint: {{every: 3, keep_last: 1, background: {background}}}
log: {{every: 1000}}
"""


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def measure(background: str, millions: int, device: str) -> dict[str, float]:
    """Train in this process."""
    import artschool
    from artschool.engine import checkpoint
    from artschool.engine.saving import settle

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "plugin.py").write_text(PLUGIN)
        (folder / "file.yml").write_text(FILE.format(millions=millions, device=device, background=background))
        run = artschool.load(folder / "file.yml", run_dir=folder / "run")
        waits: list[float] = []
        save = checkpoint.save

        def timed(run: artschool.Run) -> None:
            settle(run)  # What a save waits for because the one before is not written yet depends on the interval.
            before = time.perf_counter()
            save(run)
            waits.append(time.perf_counter() - before)

        checkpoint.save = timed  # type: ignore[assignment]  # as the loop calls it
        peak, is_over = [0], threading.Event()

        def watch() -> None:
            while not is_over.wait(0.005):
                peak[0] = max(peak[0], resident())

        before = [0]

        def begin(iteration: int, folder: Path) -> None:
            if iteration == 1:
                threading.Thread(target=watch, daemon=True).start()
            if iteration == 2:
                before[0] = peak[0]  # With the gradients of an iteration, and before the first save.

        run.update_hooks = [begin]
        run.train()
        is_over.set()
        size = sum(file.stat().st_size for file in (folder / "run" / "checkpoints" / "00000009").iterdir())
    return {"wait": sorted(waits)[len(waits) // 2], "memory": (peak[0] - before[0]) / size, "size": size}


def main() -> None:
    """Print a line for each way."""
    millions, device = (sys.argv[1:] + ["25", "cpu"][len(sys.argv) - 1 :])[:2]
    for background in ("false", "true"):
        command = [sys.executable, __file__, "--one", background, millions, device]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        found = json.loads(done.stdout.splitlines()[-1])
        where = "background" if background == "true" else "foreground"
        print(
            f"{where}: training waits {found['wait']:.3f} s for a checkpoint of {found['size'] / 1e6:.0f} MB; "
            f"peak memory beyond training: {found['memory']:.0%} of it"
        )


if __name__ == "__main__":
    if sys.argv[1:2] == ["--one"]:
        print(json.dumps(measure(sys.argv[2], int(sys.argv[3]), sys.argv[4])))
    else:
        main()
