"""Faults that strike a run of two processes while it trains, or its folder between two launches."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from artschool.storage.checkpoint_files import Checkpoint
from artschool.storage.fault_points import FAULT_POINTS
from tests.faults.two_ranks import ITERATIONS, TwoRanks, differences

Strike = Callable[[TwoRanks, "subprocess.Popen[bytes]", random.Random], None]
MOST_LAUNCHES = 4


@dataclass(frozen=True)
class Fault:
    """A fault.

    Attributes:
        name: What happens, in a user's words.
        strike: Does it to a run that trains.
        afterwards: Does it to the folder of a run that has ended.
        environment: Variables of the first launch, drawn at random.
        harmless: Whether the first launch must finish its training all the same.
        saves: Whether the first launch must save each iteration that it has finished before the fault.
    """

    name: str
    strike: Strike = lambda run, launched, chance: None
    afterwards: Callable[[TwoRanks, random.Random], None] = lambda run, chance: None
    environment: Callable[[random.Random], dict[str, str]] = field(default=lambda chance: {})
    harmless: bool = False
    saves: bool = False


def tried(fault: Fault, reference: Checkpoint, folder: Path, chance: random.Random) -> list[str]:
    """Let a fault strike a new run at a random iteration, and run the command again until the run has finished.

    Returns:
        What is wrong. Empty: no iteration is lost that had been saved, no process is left, and the final weights,
        optimizers, averages and log are those of a run that nothing struck, bit by bit.
    """
    run, found = TwoRanks(folder), list[str]()
    launched = run.launch(**fault.environment(chance))
    run.wait_until(chance.randrange(1, ITERATIONS - 5), launched)
    time.sleep(chance.uniform(0, 0.1))
    saved = [len(run.logged())] if fault.saves else run.store.numbers()[-1:]
    fault.strike(run, launched, chance)
    found += _ended(run, launched)
    if fault.harmless and launched.returncode != 0:
        found.append(f"exit code {launched.returncode}")
    if run.store.numbers()[-1:] < saved:
        found.append(f"iteration {saved} is lost: {run.store.numbers()}")
    fault.afterwards(run, chance)
    for _ in range(MOST_LAUNCHES):
        if launched.returncode == 0:
            return found + differences(run, reference)
        launched = run.launch()
        found += _ended(run, launched)
    return [*found, f"not finished after {MOST_LAUNCHES} more launches, exit code {launched.returncode}"]


def trained(folder: Path) -> Checkpoint:
    """The final checkpoint of a run that nothing strikes."""
    run = TwoRanks(folder)
    problems = _ended(run, run.launch())
    if problems:
        raise AssertionError(problems)
    return run.final()


def _ended(run: TwoRanks, launched: subprocess.Popen[bytes]) -> list[str]:
    try:
        launched.wait(timeout=120)
    except subprocess.TimeoutExpired:
        run.left(seconds=0)
        launched.wait()
        return ["the command does not end"]
    left = run.left()
    return [f"{len(left)} processes are left"] if left else []


def _signal_to_rank(number: signal.Signals) -> Strike:
    def strike(run: TwoRanks, launched: subprocess.Popen[bytes], chance: random.Random) -> None:
        if ranks := run.ranks():
            with suppress(ProcessLookupError):
                os.kill(chance.choice(ranks), number)

    return strike


def _graceful(number: signal.Signals, *, launcher: bool = False) -> Fault:
    target, strike = ("launcher", _signal_to_launcher) if launcher else ("rank", _signal_to_rank)
    return Fault(f"{number.name} to {'the' if launcher else 'a'} {target}", strike(number), saves=True)


def _signal_to_launcher(number: signal.Signals) -> Strike:
    return lambda run, launched, chance: launched.send_signal(number)


def _stop_for_a_while(run: TwoRanks, launched: subprocess.Popen[bytes], chance: random.Random) -> None:
    ranks = run.ranks()
    stopped = chance.choice(ranks) if ranks else launched.pid
    with suppress(ProcessLookupError):
        os.kill(stopped, signal.SIGSTOP)
        time.sleep(chance.uniform(1, 4))
        os.kill(stopped, signal.SIGCONT)


def _second_run(run: TwoRanks, launched: subprocess.Popen[bytes], chance: random.Random) -> None:
    second = run.train_alone()
    if launched.poll() is None and second.returncode != 5:
        raise AssertionError(f"a second run in the folder ends with {second.returncode}: {second.stdout[-500:]}")


def _newest(run: TwoRanks, chance: random.Random) -> Path | None:
    numbers = run.store.numbers()
    if len(numbers) < 2:
        return None
    return chance.choice(sorted(path for path in run.store.path(numbers[-1]).iterdir() if path.stat().st_size))


def _flip_a_bit(run: TwoRanks, chance: random.Random) -> None:
    if (path := _newest(run, chance)) is not None:
        data = bytearray(path.read_bytes())
        data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        path.write_bytes(data)


def _remove_a_file(run: TwoRanks, chance: random.Random) -> None:
    if (path := _newest(run, chance)) is not None:
        path.unlink()


def _cut_the_log(run: TwoRanks, chance: random.Random) -> None:
    log = run.folder / "run" / "metrics.jsonl"
    with log.open("ab") as file:
        file.write(b'{"iteration": 61, "gen/tot')


def _at_a_fault_point(action: str) -> Callable[[random.Random], dict[str, str]]:
    return lambda chance: {
        "ARTSCHOOL_FAULT": f"{chance.choice(FAULT_POINTS)}:{chance.randrange(1, 40)}={action}",
    }


_TERMINATE, _KILL = _signal_to_rank(signal.SIGTERM), _signal_to_rank(signal.SIGKILL)
FAULTS = (
    Fault("a rank is killed", _KILL),
    Fault("the launcher is killed", _signal_to_launcher(signal.SIGKILL)),
    *(_graceful(number, launcher=True) for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)),
    *(
        _graceful(number)
        for number in (
            *(signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGQUIT),
            *(signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU),
        )
    ),
    Fault("a rank is stopped for seconds", _stop_for_a_while, harmless=True),
    Fault("a second run in the folder", _second_run, harmless=True),
    Fault("a kill within a save", environment=_at_a_fault_point("kill")),
    Fault("the disk is full once", environment=_at_a_fault_point("disk_full")),
    Fault("the disk fails once", environment=_at_a_fault_point("io_error")),
    Fault("the disk is slow once", environment=_at_a_fault_point("sleep:3"), harmless=True),
    Fault("a bit of a checkpoint flips", _TERMINATE, _flip_a_bit),
    Fault("a file of a checkpoint is gone", _KILL, _remove_a_file),
    Fault("the log ends within a line", _KILL, _cut_the_log),
)


def table(minutes: float, seed: int, report: Callable[[str], None]) -> dict[str, list[int]]:
    """Let random faults strike for so many minutes, each at least once.

    Args:
        report: Takes a line for each try that fails.

    Returns:
        The number of tries and of failures by fault.
    """
    counts = {fault.name: [0, 0] for fault in FAULTS}
    chance, end = random.Random(seed), time.monotonic() + 60 * minutes
    with TemporaryDirectory() as folder:
        reference = trained(Path(folder) / "reference")
        while time.monotonic() < end or not all(tries for tries, _ in counts.values()):
            missing = [fault for fault in FAULTS if not counts[fault.name][0]]
            fault, number = chance.choice(missing or FAULTS), sum(tries for tries, _ in counts.values())
            place = Path(folder) / str(number)
            try:
                found = tried(fault, reference, place, chance)
            except AssertionError as error:
                found = [str(error)]
            counts[fault.name][0] += 1
            counts[fault.name][1] += bool(found)
            for line in found:
                report(f"{fault.name}, try {number}: {line}")
            if found:
                report("\n".join(_tail(path) for path in sorted(place.glob("launch-*.txt"))))
    return counts


def _tail(path: Path) -> str:
    return f"--- {path.name}\n" + "\n".join(path.read_text(errors="replace").splitlines()[-15:])
