"""A run of two processes that faults strike, and what must be true of it after the same command has been run again."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import uuid
from contextlib import suppress
from pathlib import Path

import torch

from artschool.storage.checkpoint_files import Checkpoint
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.toy_run import write

ROOT = Path(__file__).parents[2]
ITERATIONS = 60
SHORT = (f"train.iterations={ITERATIONS}", "checkpoint.every=5", "checkpoint.keep_last=3", "log.every=1")
MARK = "ARTSCHOOL_TEST_OF_FAULTS"
"""An environment variable by which the processes of a run are found, also when their parent has died."""


class TwoRanks:
    """A run of two processes in a folder of its own.

    Attributes:
        folder: Where its file and its run folder are.
        output: What each of its launches has printed.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True)
        self.folder, self.output = folder, list[str]()
        self.store = CheckpointStore(folder / "run" / "checkpoints")
        self._file, self._mark = write(folder, *SHORT), uuid.uuid4().hex

    def launch(self, **environment: str) -> subprocess.Popen[bytes]:
        """Start the command under torchrun. Its output goes to a file, which no dead reader can block."""
        log = (self.folder / f"launch-{len(self.output)}.txt").open("xb")
        self.output.append(log.name)
        with log:
            return subprocess.Popen(
                [
                    *(sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"),
                    *("-m", "artschool", "train", str(self._file), "--run-dir", str(self.folder / "run")),
                    "--no-trace",
                ],
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
                env={
                    **os.environ,
                    "OMP_NUM_THREADS": "1",
                    "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src"))),
                    MARK: self._mark,
                    **environment,
                },
            )

    def train_alone(self) -> subprocess.CompletedProcess[str]:
        """Run the command in one process, beside the two."""
        return subprocess.run(
            [sys.executable, "-m", "artschool", "train", str(self._file), "--run-dir", str(self.folder / "run")],
            env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join((str(ROOT), str(ROOT / "src")))},
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )

    def ranks(self) -> list[int]:
        """Process ids of the ranks that are alive, by rank."""
        found = {}
        for process in _alive(self._mark):
            with suppress(OSError):
                rank = _environment(process).get("RANK")
                if rank is not None:
                    found[int(rank)] = process
        return [found[rank] for rank in sorted(found)]

    def wait_until(self, iteration: int, launched: subprocess.Popen[bytes]) -> None:
        """Wait until an iteration is logged, or the command ends."""
        deadline = time.monotonic() + 120
        while self.logged()[-1:] < [iteration] and launched.poll() is None:
            if time.monotonic() > deadline:
                raise AssertionError(f"iteration {iteration} has not come")
            time.sleep(0.02)

    def logged(self) -> list[int]:
        """The iterations in the log."""
        with suppress(FileNotFoundError):
            lines = (self.folder / "run" / "metrics.jsonl").read_text().splitlines(keepends=True)
            records = [json.loads(line) for line in lines if line.endswith("\n")]
            return [int(record["iteration"]) for record in records if "gen/total" in record]
        return []

    def left(self, seconds: float = 40) -> list[int]:
        """Processes that are still alive after a while. They are killed."""
        deadline = time.monotonic() + seconds
        while (found := _alive(self._mark)) and time.monotonic() < deadline:
            time.sleep(0.1)
        for process in found:
            with suppress(OSError):
                os.kill(process, signal.SIGKILL)
        return found

    def final(self) -> Checkpoint:
        """The last checkpoint."""
        return self.store.load(ITERATIONS)


def differences(run: TwoRanks, reference: Checkpoint) -> list[str]:
    """What a finished run has other than one that nothing struck: tensors, and lines of its log."""
    found = []
    final = run.final()
    if final.tensors.keys() != reference.tensors.keys():
        found.append(f"files {sorted(final.tensors.keys() ^ reference.tensors.keys())}")
    for name in sorted(final.tensors.keys() & reference.tensors.keys()):
        for key, value in reference.tensors[name].items():
            if not torch.equal(final.tensors[name][key], value):
                found.append(f"{name}: {key} differs")
    if run.logged() != list(range(ITERATIONS)):
        found.append(f"logged iterations {run.logged()}")
    return found


def _alive(mark: str) -> list[int]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with suppress(OSError):
                is_zombie = (entry / "stat").read_text().rpartition(")")[2].split()[0] == "Z"
                if not is_zombie and _environment(int(entry.name)).get(MARK) == mark:
                    found.append(int(entry.name))
    return found


def _environment(process: int) -> dict[str, str]:
    pairs = Path(f"/proc/{process}/environ").read_bytes().decode(errors="replace").split("\0")
    return dict(pair.split("=", 1) for pair in pairs if "=" in pair)
