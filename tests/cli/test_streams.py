"""Where a training prints does not decide how it ends."""

from __future__ import annotations

import fcntl
import io
import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest
from rich.console import Console

from artschool import outputs, waits
from artschool.cli.streams import harmless
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.wording.hidden import hidden_in_output
from tests.engine import toy_run

ASCII = {"PYTHONIOENCODING": "ascii", "LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0"}


def train(folder: Path, stdout: int, stderr: int, *overrides: str) -> int:
    """The exit code of the command in a folder with an odd name, given by a relative path."""
    toy_run.write(folder, "log.every=1")
    command = [sys.executable, "-m", "artschool", "train", "--no-trace", "--run-dir", "-rün 1", "--", "toy.yml"]
    environment = {**os.environ, **ASCII, "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [*command, *overrides], cwd=folder, env=environment, stdout=stdout, stderr=stderr, timeout=300, check=False
    )
    return done.returncode


@pytest.fixture
def odd(tmp_path: Path) -> Path:
    folder = tmp_path / "-Bilder für 空 'x'"
    folder.mkdir()
    return folder


@pytest.mark.soak
@pytest.mark.parametrize(
    ("overrides", "code"), [((), 0), pytest.param(("data.train.fail_at=3",), 3, marks=pytest.mark.soak)]
)
def test_a_full_disk_under_the_output_changes_no_exit_code(odd: Path, overrides: tuple[str, ...], code: int) -> None:
    """Over five seconds: the command imports torch."""
    with Path("/dev/full").open("wb") as full:
        assert train(odd, full.fileno(), full.fileno(), *overrides) == code
    assert code or CheckpointStore(odd / "-rün 1" / "checkpoints").numbers()[-1] == 20


@pytest.mark.soak
def test_a_terminal_that_is_gone_stops_nothing(odd: Path) -> None:
    """Over five seconds: the command imports torch."""
    terminal, end = os.openpty()
    gone = threading.Timer(3, os.close, [terminal])
    gone.start()
    try:
        assert train(odd, end, end) == 0
    finally:
        gone.join()
        os.close(end)
    assert CheckpointStore(odd / "-rün 1" / "checkpoints").numbers()[-1] == 20


def test_what_a_file_does_not_take_is_dropped() -> None:
    with open("/dev/full", "w") as full:  # noqa: PTH123  as Python opens standard output
        stream = harmless(full)
        assert stream.write("text") == 4
        stream.flush()
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "w") as pipe:
        print("text", file=harmless(pipe), flush=True)


def unread(kind: str) -> tuple[int, int]:
    """The two ends of a terminal or of a small pipe."""
    if kind == "terminal":
        return os.openpty()
    reader, writer = os.pipe()
    fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 16384)
    return reader, writer


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_slow_reader_gets_everything(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "PATIENCE_MS", 10)
    monkeypatch.setattr(waits, "is_ending", lambda: False)
    reader, writer = unread(kind)
    text = "".join(f"{number:09}\n" for number in range(20_000))
    read: list[bytes] = []

    def read_later() -> None:
        while len(b"".join(read).replace(b"\r", b"")) < len(text):
            read.append(os.read(reader, 4096))

    thread = threading.Timer(0.2, read_later)
    thread.daemon = True
    thread.start()
    with os.fdopen(writer, "w") as file, harmless(file) as stream:
        print(text, end="", file=stream)
        thread.join(20)
    os.close(reader)
    assert b"".join(read).replace(b"\r", b"").decode() == text


@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_process_that_ends_waits_for_no_reader(kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outputs, "PATIENCE_MS", 10)
    monkeypatch.setattr(waits, "is_ending", lambda: True)
    reader, writer = unread(kind)
    stream = harmless(open(writer, "w", closefd=False))  # noqa: SIM115  as Python opens standard output
    thread = threading.Thread(target=stream.write, args=("x" * 1_000_000,), daemon=True)
    thread.start()
    thread.join(5)
    assert not thread.is_alive()
    stream.close()
    assert b"xxx" in os.read(reader, 4096)
    os.close(reader)
    os.close(writer)


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["terminal", "pipe"])
def test_a_signal_saves_and_ends_a_run_whose_output_nobody_reads(tmp_path: Path, kind: str) -> None:
    """Over five seconds: the command imports torch, and fills a terminal."""
    toy_run.write(tmp_path, "log.every=1", "train.iterations=100000", "checkpoint.every=100000")
    command = [sys.executable, "-m", "artschool", "train", "--no-trace", "--run-dir", "run", "toy.yml"]
    reader, writer = unread(kind)
    process = subprocess.Popen(command, cwd=tmp_path, stdout=writer, stderr=writer)
    os.close(writer)
    try:
        with pytest.raises(subprocess.TimeoutExpired):
            process.wait(20)
        process.send_signal(signal.SIGTERM)
        assert process.wait(10) == 143
    finally:
        process.kill()
        process.wait()
        os.close(reader)
    assert CheckpointStore(tmp_path / "run" / "checkpoints").numbers()


def test_every_character_is_printed_in_the_encoding_of_the_stream(tmp_path: Path) -> None:
    with (tmp_path / "out").open("w", encoding="ascii") as file:
        stream = harmless(file)
        print("né", "\udcff", file=stream)
        stream.buffer.write(b"bytes\n")
    assert (tmp_path / "out").read_bytes() == b"n\\xe9 \\udcff\nbytes\n"


def test_a_stream_without_a_file_stays(capsys: pytest.CaptureFixture[str]) -> None:
    stream = io.StringIO()
    assert harmless(stream) is stream
    assert harmless(None) is None  # type: ignore[arg-type]  # a stream that was closed before the start


def test_output_that_a_component_has_closed_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("stdout", "stderr"):
        monkeypatch.setattr(sys, name, io.StringIO())
    with hidden_in_output():
        for stream in (sys.stdout, sys.stderr):
            stream.close()
            Console(file=stream).print("nowhere")
            print("nowhere", file=stream, flush=True)


LEFT_THREAD = """
import sys, threading, time
from artschool.cli import threads
from artschool.cli.main import main

threads.PATIENCE_S = 0.2
threading.Thread(target=time.sleep, args=(float(sys.argv.pop()),), name="fetcher").start()
main()
"""


@pytest.mark.parametrize(("seconds", "is_told"), [(0.0, False), (1.5, True)])
def test_a_process_that_waits_for_a_thread_says_so(seconds: float, is_told: bool) -> None:
    command = [sys.executable, "-c", LEFT_THREAD, "--version", str(seconds)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=True)
    said = "the command is done, but waits for the end of threads: fetcher. Fix: start threads with `daemon=True`"
    assert (said in done.stderr) == is_told
    assert "version" in done.stdout


@pytest.mark.parametrize("closed", [">&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_at_the_start_change_nothing(closed: str, tmp_path: Path) -> None:
    command = f"{sys.executable} -m artschool explain toy.yml {closed}"
    toy_run.write(tmp_path)
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, cwd=tmp_path, check=False)
    assert done.returncode == 0, done.stderr
    assert "Traceback" not in done.stderr


IN_A_DELETED_FOLDER = """
import os, sys

os.mkdir("gone")
os.chdir("gone")
os.rmdir("../gone")
os.execv(sys.executable, [sys.executable, "-m", "artschool", "check", "../toy.yml"])
"""


def test_a_working_folder_that_was_deleted_is_an_error(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-c", IN_A_DELETED_FOLDER], capture_output=True, text=True, cwd=tmp_path, check=False
    )
    assert done.returncode == 2
    assert "the working folder was deleted. Fix: go to one that exists, as by `cd`\n" in done.stderr
