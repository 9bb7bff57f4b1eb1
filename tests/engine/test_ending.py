"""Real signals at every point of a run: it saves what it has trained, and ends."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from pathlib import Path
from threading import Thread

import pytest

from artschool.engine import signals
from artschool.engine.run_state import RunState
from artschool.engine.signals import ENDING, Interrupted, interrupting
from artschool.errors import Stopped
from artschool.ranks.loopback import is_open_to_all
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.processes import start_of
from tests.engine import toy_run
from tests.engine.ending_parts import PLUGINS
from tests.engine.hanging_parts import PLUGINS as HANGING_PLUGINS
from tests.engine.test_hangs import start_ranks
from tests.engine.test_ranks import PLUGIN_FOLDERS, launch
from tests.engine.toy_run import Recorder, StopAfter, fingerprint, load, recorded, write

LONG = ("train.iterations=20", "checkpoint.every=1000", "log.every=1000")
SLOW_EVALUATION = (
    *LONG,
    PLUGINS,
    "data.val={type: ending_pairs, length: 40, batch_size: 2, seconds: 0.5}",
    "evaluate.held_out.every=7",
)
HANGING = (*LONG, PLUGINS, "data.train={type: ending_pairs, length: 40, batch_size: 8, hangs_at: 30, workers: 1}")


def send_when(is_time: Callable[[], bool], number: int) -> None:
    """Send a signal to this process as soon as something is the case."""

    def wait() -> None:
        deadline = time.monotonic() + 60
        while not is_time() and time.monotonic() < deadline:
            time.sleep(0.01)
        os.kill(os.getpid(), number)

    Thread(target=wait, daemon=True).start()


class SignalAfter(Recorder):
    """Sends a signal as soon as an iteration has finished and something slow has begun."""

    def __init__(self, iteration: int, number: int, delay: float = 0.2) -> None:
        super().__init__()
        self._iteration, self._number, self._delay, self.began = iteration, number, delay, 0.0

    def advance(self, run: RunState) -> None:
        if run.iteration == self._iteration:
            self.began = time.monotonic()
            send_when(lambda: time.monotonic() - self.began > self._delay, self._number)


@pytest.mark.parametrize("number", ENDING)
def test_every_signal_ends_the_iteration_and_saves_it(tmp_path: Path, number: signal.Signals) -> None:
    handlers = {each: signal.getsignal(each) for each in ENDING}
    run = load(tmp_path, *LONG, "evaluate={}")
    run.loggers = [StopAfter(3, number)]
    with pytest.raises(Stopped) as error:
        run.train()
    name = "Ctrl-C" if number == signal.SIGINT else number.name
    assert str(error.value) == (
        f"{name}: stopped after iteration 3; a checkpoint is saved. To resume, run the same command again"
    )
    assert error.value.exit_code == (130 if number == signal.SIGINT else 143)
    assert run.store.numbers() == [3]
    assert {each: signal.getsignal(each) for each in ENDING} == handlers


def test_a_run_that_ignores_sighup_outlives_its_terminal(tmp_path: Path) -> None:
    original = signal.signal(signal.SIGHUP, signal.SIG_IGN)  # As nohup does.
    try:
        run = load(tmp_path, *LONG, "evaluate={}")
        run.loggers = [StopAfter(3, signal.SIGHUP)]
        assert run.train().iteration == 20
    finally:
        signal.signal(signal.SIGHUP, original)


def test_a_signal_is_heard_between_the_batches_of_an_evaluation(tmp_path: Path) -> None:
    (tmp_path / "whole").mkdir()
    quick = [option.replace("seconds: 0.5", "seconds: 0") for option in SLOW_EVALUATION]
    whole = load(tmp_path / "whole", *quick)
    recorded(whole)
    expected = fingerprint(whole.train())
    run = load(tmp_path, *SLOW_EVALUATION)
    run.loggers = [sender := SignalAfter(7, signal.SIGTERM)]
    with pytest.raises(Stopped, match="SIGTERM: stopped after iteration 7; a checkpoint is saved"):
        run.train()
    assert time.monotonic() - sender.began < 15  # The evaluation takes 20 seconds.
    assert run.store.numbers() == [7]
    again = load(tmp_path, *quick)
    recorder = recorded(again)
    assert fingerprint(again.train()) == expected
    # The evaluation of which the signal was a part runs again.
    assert [record["iteration"] for record in recorder.records if "held_out/psnr" in record] == [6, 13, 19]


def test_the_signal_of_the_launcher_starts_no_second_wait() -> None:
    """torchrun sends SIGTERM when the first process has ended at a signal, which this one has heard of before."""
    with signals.noting():
        signals.note(signal.SIGUSR1)
        time.sleep(0.5)
        os.kill(os.getpid(), signal.SIGTERM)
        assert signals.noted() == signal.SIGTERM
        assert signal.getitimer(signal.ITIMER_REAL)[0] <= signals.PATIENCE_S - 0.5


def test_the_launcher_does_not_end_a_process_that_has_yet_to_say_why_it_ends(monkeypatch: pytest.MonkeyPatch) -> None:
    """torchrun sends SIGTERM at any time after another process has ended. It would kill this one, without a message."""
    before = {number: signal.getsignal(number) for number in ENDING}
    monkeypatch.setattr("artschool.ranks.world_size", lambda: 2)
    try:
        with pytest.raises(ZeroDivisionError), interrupting():
            raise ZeroDivisionError
        os.kill(os.getpid(), signal.SIGTERM)
        assert signal.getsignal(signal.SIGINT) == before[signal.SIGINT]
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def test_a_signal_ends_a_batch_of_an_evaluation_that_takes_minutes(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As a sampler with many steps does. Weights, buffers and modes are those of training when it is saved."""
    monkeypatch.setattr(signals, "PATIENCE_S", 0.5)
    run = load(tmp_path, *LONG, "evaluate.held_out.every=7")
    finished: list[object] = []

    def look(batch: Mapping[str, object]) -> None:
        time.sleep(30)
        finished.append(batch)

    run.evaluations[0].see = look
    run.loggers = [SignalAfter(7, signal.SIGTERM)]
    with pytest.raises(Stopped, match="SIGTERM: stopped after iteration 7; a checkpoint is saved"):
        run.train()
    assert not finished
    (tmp_path / "whole").mkdir()
    whole, again = load(tmp_path / "whole", *LONG), load(tmp_path, *LONG)
    for each in whole, again:
        recorded(each)
    assert again.iteration == 7
    assert fingerprint(again.train()) == fingerprint(whole.train())


@pytest.mark.parametrize("part", ["train", "val", "step"])
def test_a_signal_ends_the_wait_for_a_worker_that_hangs(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, part: str
) -> None:
    monkeypatch.setattr(signals, "PATIENCE_S", 0.3)
    options = [option.replace("data.train", f"data.{part.replace('step', 'train')}") for option in HANGING]
    if part == "step":
        up = "{type: forward, network: gen, in: lq, out: sr}"
        options += ["steps.gen.data=train", f"steps.critic.injectors.up={up}"]
    run = load(tmp_path, *options, "data.train.shuffle=false", "evaluate.held_out.every=2")
    finished = {"train": 3, "val": 2, "step": 1}[part]
    run.loggers = [SignalAfter(finished, signal.SIGTERM)]
    start = time.monotonic()
    with pytest.raises(Stopped, match=f"SIGTERM: stopped after iteration {finished}; a checkpoint is saved"):
        run.train()
    assert time.monotonic() - start < 60  # The worker hangs for an hour.
    assert run.store.numbers() == [finished]
    assert run.streams.given == {"train": finished * (2 if part == "step" else 1)}


def test_a_second_ctrl_c_ends_at_once_and_loses_nothing(tmp_path: Path) -> None:
    run = load(tmp_path, *LONG, "checkpoint.every=2", "evaluate={}")

    class Twice(Recorder):
        def advance(self, run: RunState) -> None:
            if run.iteration == 3:
                os.kill(os.getpid(), signal.SIGINT)
                os.kill(os.getpid(), signal.SIGINT)

    run.loggers = [Twice()]
    with pytest.raises(KeyboardInterrupt) as error:
        run.train()
    assert type(error.value) is KeyboardInterrupt
    assert str(error.value).startswith("Ctrl-C twice: stopped without a save. To resume")
    assert run.store.numbers() == [2]
    assert load(tmp_path, *LONG, "checkpoint.every=2", "evaluate={}").iteration == 2


def test_a_signal_while_the_run_is_built_ends_it_at_once(tmp_path: Path) -> None:
    mark = tmp_path / "mark"
    send_when(mark.exists, signal.SIGUSR1)
    start = time.monotonic()
    with pytest.raises(Interrupted, match=r"^SIGUSR1: stopped; no training is lost$") as error, interrupting():
        load(tmp_path, PLUGINS, f"networks.gen={{type: ending_generator, mark: {mark}, build: 60}}")
    assert error.value.exit_code == 143
    assert time.monotonic() - start < 40  # The network takes a minute to build.
    assert not (tmp_path / "run").exists()


class Swallows:
    """What its finalizer raises is printed and lost, as in an import, a hook of a fork or a callback of C."""

    def __del__(self) -> None:
        os.kill(os.getpid(), signal.SIGHUP)


SWALLOWED = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")


@SWALLOWED
def test_a_signal_that_a_finalizer_swallows_is_raised_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(signals, "REMINDER_S", 0.1)
    start = time.monotonic()
    with pytest.raises(Interrupted, match=r"^SIGHUP: stopped"), interrupting():
        Swallows()
        time.sleep(30)
    assert time.monotonic() - start < 25


@SWALLOWED
def test_a_signal_that_is_swallowed_before_the_training_ends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signals, "REMINDER_S", 600.0)
    with pytest.raises(Stopped, match="SIGHUP: stopped after iteration 1; a checkpoint is saved"), interrupting():
        run = load(tmp_path, *LONG, "evaluate={}")
        Swallows()
        run.train()
    assert run.store.numbers() == [1]


def test_a_signal_that_breaks_an_import_is_no_fault_of_the_file(tmp_path: Path) -> None:
    (tmp_path / "part.py").write_text(
        "import os, signal\n"
        "try:\n    os.kill(os.getpid(), signal.SIGTERM)\n"
        "except KeyboardInterrupt as error:\n    raise ImportError from error\n"
    )
    plugins = f"plugins=[{tmp_path / 'part.py'}]"
    with pytest.raises(Interrupted, match=r"^SIGTERM: stopped; no training is lost$") as error, interrupting():
        load(tmp_path, plugins)
    assert error.value.exit_code == 143


@pytest.mark.soak
def test_a_signal_in_the_trace_ends_its_process_too(tmp_path: Path) -> None:
    """Over five seconds: a process imports torch."""
    mark = tmp_path / "mark"
    file = write(tmp_path, PLUGINS, f"networks.gen={{type: ending_generator, mark: {mark}, call: 60}}")
    process = subprocess.Popen(
        [sys.executable, "-m", "artschool", "train", str(file), "--run-dir", str(tmp_path / "run")],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "OMP_NUM_THREADS": "1"},
    )  # fmt: skip
    deadline = time.monotonic() + 60
    while not mark.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    (child,) = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
    process.send_signal(signal.SIGTERM)
    output, _ = process.communicate(timeout=10)
    assert (process.returncode, output.splitlines()[-1]) == (
        143,
        "SIGTERM: stopped; no training is lost",
    )
    assert not start_of(int(child))


def ranks_of(launcher: int) -> list[int]:
    return [int(child) for child in Path(f"/proc/{launcher}/task/{launcher}/children").read_text().split()]


def wait_until(is_time: Callable[[], object], limit_s: float = 60) -> None:
    deadline = time.monotonic() + limit_s
    while not is_time():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_processes_whose_launcher_is_killed_save_and_end(tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    file = write(tmp_path, *LONG, "train.iterations=1000000", "evaluate={}", "log.every=1")
    launcher = launch(tmp_path, file, 2, "--no-trace")
    metrics = tmp_path / "run" / "metrics.jsonl"
    wait_until(lambda: metrics.exists() and metrics.read_text())
    processes = ranks_of(launcher.pid)
    assert len(processes) == 2
    launcher.kill()
    try:
        output, _ = launcher.communicate(timeout=30)  # Until no process has the pipe.
        wait_until(lambda: not any(start_of(process) for process in processes), 10)
    finally:
        for process in processes:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)
    (number,) = CheckpointStore(tmp_path / "run" / "checkpoints").numbers()
    assert f"SIGTERM: stopped after iteration {number}; a checkpoint is saved" in output
    assert len(metrics.read_text().splitlines()) == number


RAISING = """
import os
from torch import Tensor
from artschool.registry import losses
from artschool.registry.signature import Context

@losses.register("raising")
def raising(x: Tensor, *, context: Context) -> Tensor:
    if os.environ["RANK"] == "1" and context.iteration == 5:
        raise ValueError("the fault")
    return x.mean()
"""
KILLED = """
import os, signal
from torch import Tensor
from artschool.registry import losses
from artschool.registry.signature import Context

@losses.register("killed")
def killed(x: Tensor, *, context: Context) -> Tensor:
    if os.environ["RANK"] == "VICTIM" and context.iteration == 5:
        os.kill(os.getpid(), signal.SIGKILL)
    return x.mean()
"""
SHIM = """
import errno, os
from pathlib import Path
from artschool.storage import fault_points

if os.environ["RANK"] == os.environ["FULL"]:
    def full(name):
        if name == ("before_manifest" if os.environ["RANK"] == "0" else "before_write"):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
    fault_points.fault_point = full
"""


def exit_codes(output: str) -> list[int]:
    """The exit codes of the processes that the launcher lists, which are those that did not end with 0."""
    lines = [line for line in output.splitlines() if line.strip().startswith("exitcode")]
    return [int(line.partition(":")[2].split()[0]) for line in lines]


@pytest.mark.slow
@pytest.mark.parametrize("parallel", ["replicate", pytest.param("shard", marks=pytest.mark.soak)])
def test_the_rank_that_raises_speaks_first_and_all_end_with_its_exit_code(tmp_path: Path, parallel: str) -> None:
    """Over five seconds: three processes import torch. Sharded, it runs in the soak."""
    (tmp_path / "raising.py").write_text(RAISING)
    loss = "steps.gen.losses.raises={type: raising, in: sr, weight: 1.0}"
    plugins = f"plugins=[{Path(toy_run.__file__).resolve()}, {tmp_path / 'raising.py'}]"
    options = (plugins, "train.iterations=1000000", "evaluate={}", f"train.parallel={parallel}")
    launcher = launch(tmp_path, write(tmp_path, *LONG, loss, *options), 2, "--no-trace")
    output, _ = launcher.communicate(timeout=60)
    assert "ValueError: the fault" in output, output
    assert output.index("ValueError: the fault") < output.index("rank 0 ends because rank 1 has ended")
    assert output.count("Traceback") == 2  # Of rank 1, and of the launcher.
    assert exit_codes(output) == [1, 1]
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == [5]


@pytest.mark.soak
@pytest.mark.parametrize("victim", [0, 1])
def test_a_process_that_is_killed_ends_the_others_with_one_message(tmp_path: Path, victim: int) -> None:
    """Runs in the soak: two processes import torch, twice. No launcher ends the other one first."""
    (tmp_path / "killed.py").write_text(KILLED.replace("VICTIM", str(victim)))
    loss = "steps.gen.losses.killed={type: killed, in: sr, weight: 1.0}"
    plugins = f"plugins=[{Path(toy_run.__file__).resolve()}, {tmp_path / 'killed.py'}]"
    processes = start_ranks(tmp_path, *LONG, loss, plugins, "train.iterations=1000000", "evaluate={}")
    for process in processes:
        process.join(60)
    other = 1 - victim
    output = (tmp_path / f"rank{other}.txt").read_text()
    assert output.endswith(
        f"rank {other} ends because rank {victim} has ended without an error of its own, as a process that the system "
        "kills for its memory"
    )
    assert [processes[rank].exitcode for rank in (victim, other)] == [-signal.SIGKILL, 5]
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == ([5] if victim else [])


@pytest.mark.soak
@pytest.mark.parametrize("rank", [0, 1])
def test_a_save_that_fails_on_one_rank_ends_all_with_one_exit_code(tmp_path: Path, rank: int) -> None:
    """Runs in the soak: three processes import torch, twice."""
    (tmp_path / "full.py").write_text(SHIM)
    plugins = f"plugins=[{Path(toy_run.__file__).resolve()}, {tmp_path / 'full.py'}]"
    file = write(tmp_path, plugins, "train.parallel=shard", "checkpoint.background=false")
    output, _ = launch(tmp_path, file, 2, "--no-trace", FULL=str(rank)).communicate(timeout=60)
    told = "00000020: cannot write: No space left on device" if rank == 0 else "rank 1 could not save the checkpoint"
    assert told in output, output
    assert exit_codes(output) == [5, 5]
    assert not list(tmp_path.glob("run/checkpoints/0*"))


@pytest.mark.soak
@pytest.mark.parametrize("number", [signal.SIGHUP, signal.SIGQUIT, signal.SIGUSR1, signal.SIGUSR2, signal.SIGXCPU])
@pytest.mark.parametrize("slow", ["evaluation", "worker of rank 0", "worker of rank 1"])
def test_every_signal_to_the_launcher_saves_within_ten_seconds(tmp_path: Path, number: int, slow: str) -> None:
    """Runs in the soak: three processes import torch, fifteen times.

    torchrun passes on SIGHUP and SIGQUIT, and dies of the others. If the worker of another rank than 0 hangs, rank 0 is
    in the middle of an iteration, which it undoes when the other rank leaves.
    """
    mark, run = tmp_path / "mark", tmp_path / "run"
    hangs_at = {"worker of rank 0": 25, "worker of rank 1": 30}.get(slow)
    options = SLOW_EVALUATION if hangs_at is None else tuple(o.replace("30", str(hangs_at)) for o in HANGING)
    data = "val" if hangs_at is None else "train"
    # The first batch of an evaluation imports what its metrics need.
    marks = (f"data.{data}.mark={mark}", f"data.{data}.marks_at={8 if hangs_at is None else hangs_at}")
    file = write(tmp_path, *options, *marks, "log.every=1", "data.train.shuffle=false")
    launcher = launch(tmp_path, file, 2, "--no-trace")
    metrics = run / "metrics.jsonl"
    finished = 7 if hangs_at is None else 3
    lines = finished - (hangs_at is None)
    wait_until(lambda: mark.exists() and metrics.exists() and len(metrics.read_text().splitlines()) == lines, 120)
    launcher.send_signal(number)
    wait_until(lambda: CheckpointStore(run / "checkpoints").numbers() == [finished], 10)
    output, _ = launcher.communicate(timeout=60)
    assert f"stopped after iteration {finished}; a checkpoint is saved" in output
    assert "not saved" not in output
    assert not (run / "incidents").exists(), output


@pytest.mark.soak
@pytest.mark.parametrize("parallel", ["train.parallel=shard", "steps.gen.optimizer.shard=true"])
@pytest.mark.parametrize("hangs", [True, False])
def test_a_signal_to_one_process_saves_the_parts_of_all(tmp_path: Path, parallel: str, *, hangs: bool) -> None:
    """Runs in the soak: three processes import torch, four times. A worker of rank 1 hangs, so that it cannot agree."""
    mark = tmp_path / "mark"
    options = (*HANGING, f"data.train.mark={mark}", "data.train.marks_at=30") if hangs else (*LONG, "log.every=1")
    more = ("data.train.shuffle=false", "evaluate={}", "train.iterations=1000000", parallel)
    launcher = launch(tmp_path, write(tmp_path, *options, *more), 2, "--no-trace")
    metrics = tmp_path / "run" / "metrics.jsonl"
    wait_until(mark.exists if hangs else lambda: metrics.exists() and metrics.read_text(), 120)
    os.kill(ranks_of(launcher.pid)[1], signal.SIGTERM)
    output, _ = launcher.communicate(timeout=60)
    (number,) = CheckpointStore(tmp_path / "run" / "checkpoints").numbers()
    assert f"SIGTERM: stopped after iteration {number}; a checkpoint is saved" in output
    assert number == 3 or not hangs
    assert exit_codes(output) == [143, 143]


@pytest.mark.soak
@pytest.mark.parametrize(("signaled", "hangs"), [(0, 1), (1, 0), (1, 1)])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGUSR1, signal.SIGINT])
def test_a_signal_to_one_rank_ends_all_while_a_worker_hangs(
    tmp_path: Path, number: int, signaled: int, hangs: int
) -> None:
    """Runs in the soak: two processes wait for five seconds, nine times."""
    options = [f"data.train.at={30 if hangs else 25}", f"data.train.rank={hangs}", "data.train.workers=1"]
    data = "data.train={type: hanging_pairs, length: 40, batch_size: 8, shuffle: false}"
    processes = start_ranks(tmp_path, *LONG, HANGING_PLUGINS, data, *options, "evaluate={}", "log.every=1")
    try:
        metrics = tmp_path / "run" / "metrics.jsonl"
        wait_until(lambda: metrics.exists() and len(metrics.read_text().splitlines()) == 3)
        time.sleep(1)  # One rank waits for a sample, and the other one for that rank.
        os.kill(processes[signaled].pid or 0, number)
        wait_until(lambda: CheckpointStore(tmp_path / "run" / "checkpoints").numbers() == [3], 10)
        for process in processes:
            process.join(30)
    finally:
        for process in processes:
            process.kill()
            process.join()
    texts = [(tmp_path / f"rank{rank}.txt").read_text() for rank in (0, 1)]
    assert [process.exitcode for process in processes] == [130 if number == signal.SIGINT else 143] * 2, texts
    assert "stopped after iteration 3; a checkpoint is saved" in texts[0]


def listening(process: int) -> set[str]:
    """The addresses at which a process waits for connections, as hexadecimal numbers."""
    sockets = {str(link.readlink()) for link in Path(f"/proc/{process}/fd").iterdir()}
    rows = [
        line.split()
        for kind in ("tcp", "tcp6")
        for line in Path(f"/proc/{process}/net/{kind}").read_text().splitlines()
    ]
    return {row[1].partition(":")[0] for row in rows if row[3] == "0A" and f"socket:[{row[9]}]" in sockets}


FILE_STORE = ("--rdzv-backend=c10d", "--rdzv-conf=store_type=file")


@pytest.mark.soak
@pytest.mark.parametrize("is_open", [False, True])
def test_processes_of_one_machine_listen_on_loopback_only(tmp_path: Path, is_open: bool) -> None:
    """Runs in the soak: three processes import torch, twice."""
    file = write(tmp_path, *LONG, "train.iterations=1000000", "evaluate={}", "log.every=1")
    launcher = subprocess.Popen(
        [
            sys.executable, "-m", "torch.distributed.run", "--nproc-per-node=2",
            *(["--standalone"] if is_open else FILE_STORE),
            "-m", "artschool", "train", str(file), "--run-dir", str(tmp_path / "run"), "--no-trace",
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS,
             **({} if is_open else {"TORCH_DISABLE_SHARE_RDZV_TCP_STORE": "1"})},
    )  # fmt: skip
    try:
        metrics = tmp_path / "run" / "metrics.jsonl"
        wait_until(lambda: metrics.exists() and metrics.read_text())
        found = {process: listening(process) for process in (launcher.pid, *ranks_of(launcher.pid))}
    finally:
        launcher.terminate()
        output, _ = launcher.communicate(timeout=60)
    everywhere = {"0" * 8, "0" * 32}
    assert bool(everywhere & found.pop(launcher.pid)) == is_open
    assert found and all(addresses == {"0100007F"} for addresses in found.values())
    assert output.count("warning: torchrun listens on all network interfaces") == is_open


@pytest.mark.parametrize(("host", "is_open"), [("127.0.0.1", False), ("::1", False), ("0.0.0.0", True), ("::", True)])
def test_a_socket_that_other_machines_reach_is_found(host: str, is_open: bool) -> None:
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    with socket.socket(family) as server:
        server.bind((host, 0))
        assert not is_open_to_all(os.getpid())
        server.listen()
        assert is_open_to_all(os.getpid()) == is_open
