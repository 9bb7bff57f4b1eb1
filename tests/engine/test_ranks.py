"""Several processes: the same numbers as one, and a fault on one ends all. Each test starts real processes."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from artschool import ranks
from artschool.engine.signals import interrupting
from artschool.errors import ResourceError
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.test_hangs import free_port
from tests.engine.toy_run import load, recorded, write

# Where a gradient is rounding noise, Adam divides it by itself; eps keeps such elements from moving by a whole rate.
PLAIN = ("networks.gen={type: toy_plain_generator}", "train.accumulate=2", "steps.gen.optimizer.eps=1e-4")
PLUGIN_FOLDERS = os.pathsep.join(str(path) for path in (Path(__file__).parents[2], Path(__file__).parents[2] / "src"))


def launch(
    folder: Path, file: Path, num_ranks: int, *options: str, command: str = "train", **environment: str
) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [
            sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={num_ranks}",
            "-m", "artschool", command, str(file), "--run-dir", str(folder / "run"), *options,
        ],
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS, **environment},
    )  # fmt: skip


def finish(process: subprocess.Popen[str], timeout_s: float = 180) -> tuple[int, str]:
    output, _ = process.communicate(timeout=timeout_s)
    return process.returncode, output


@pytest.mark.slow
def test_two_ranks_give_the_weights_of_one_process(tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    file = write(tmp_path, *PLAIN)
    code, output = finish(launch(tmp_path, file, 2, "--no-trace"))
    assert code == 0, output
    (tmp_path / "one").mkdir()
    one = load(tmp_path / "one", *PLAIN)
    recorded(one)
    one.train()
    saved = CheckpointStore(tmp_path / "run" / "checkpoints").load(20)
    assert saved.manifest.world_size == 2
    for name, network in one.networks.items():
        for key, value in network.state_dict().items():
            torch.testing.assert_close(saved.tensors[name][key], value, rtol=0, atol=1e-6)
    for key, value in one.emas["gen"].module.state_dict().items():
        torch.testing.assert_close(saved.tensors["gen.ema"][key], value, rtol=0, atol=1e-6)
    assert output.count("held_out/psnr") >= 1


@pytest.mark.soak
def test_two_ranks_agree_on_how_many_batches_make_an_update(tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    options = (*PLAIN, "steps.gen.batch_sizing={poll_parameters: 2, max_full_batches: 4}", "log.every=1")
    code, output = finish(launch(tmp_path, write(tmp_path, *options, "steps.gen.optimizer.shard=true"), 2))
    assert code == 0, output
    (tmp_path / "one").mkdir()
    one = load(tmp_path / "one", *options)
    recorder = recorded(one)
    one.train()
    lines = [json.loads(line) for line in (tmp_path / "run" / "metrics.jsonl").read_text().splitlines()]
    taken = [line["gen/accumulated"] for line in lines if "gen/accumulated" in line]
    assert taken == recorder.values("gen/accumulated")
    assert len(taken) > 3
    saved = CheckpointStore(tmp_path / "run" / "checkpoints").load(20)
    for key, value in one.networks["gen"].state_dict().items():
        torch.testing.assert_close(saved.tensors["gen"][key], value, rtol=0, atol=1e-6)


@pytest.mark.slow
def test_a_fault_on_one_rank_ends_all(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch, and the launcher ends them."""
    file = write(tmp_path, "data.train.fail_at=3")
    code, output = finish(launch(tmp_path, file, 2))
    assert code != 0
    assert "data.train: sample 3 (epoch 0) raised OSError: cannot decode" in output
    assert not list((tmp_path / "run").glob("checkpoints/*"))


@pytest.mark.soak
def test_terminating_two_ranks_saves_one_iteration(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch, twice."""
    file = write(tmp_path, "train.iterations=100000", "checkpoint.every=100000", "log.every=1")
    process = launch(tmp_path, file, 2)
    deadline = time.monotonic() + 60
    while not (tmp_path / "run" / "metrics.jsonl").exists() and time.monotonic() < deadline:
        time.sleep(0.1)
    time.sleep(0.5)
    process.send_signal(signal.SIGTERM)
    _, output = finish(process)
    numbers = CheckpointStore(tmp_path / "run" / "checkpoints").numbers()
    assert len(numbers) == 1, output
    assert f"stopped after iteration {numbers[0]}; a checkpoint is saved" in output


@pytest.mark.soak
def test_two_ranks_evaluate_to_the_numbers_of_the_training(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    distances = [
        f"evaluate.held_out.metrics.{name}={{type: {name}, network: critic, in: [sr, hq]}}" for name in ("fid", "kid")
    ]
    file = write(tmp_path, *distances, "train.iterations=3", "data.val.batch_size=3", "log.every=1")
    run = load(tmp_path, *distances, "train.iterations=3", "data.val.batch_size=3", "log.every=1")
    recorded(run)
    trained = dict(run.train().last_evaluation)
    code, output = finish(launch(tmp_path, file, 2, "--json", command="eval"))
    assert code == 0, output
    numbers = json.loads(next(line for line in output.splitlines() if line.startswith("{")))
    assert numbers.pop("iteration") == 3
    assert numbers.keys() == {"held_out/psnr", "held_out/fid", "held_out/kid"}
    # Sums over other parts of the data, in float64.
    assert numbers == pytest.approx(trained, rel=1e-6)


def test_an_environment_of_half_a_launcher_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Some batch systems set WORLD_SIZE for a single process."""
    monkeypatch.setenv("WORLD_SIZE", "2")
    monkeypatch.delenv("RANK", raising=False)
    with pytest.raises(ResourceError, match=r"variable WORLD_SIZE is set, but RANK is not\. Fix: start the processes"):
        load(tmp_path)


def test_a_signal_ends_a_process_that_waits_for_the_others_to_start(tmp_path: Path) -> None:
    """It waits in a call of C, where a handler would not run."""
    child = os.fork()
    if not child:
        os.environ |= {"WORLD_SIZE": "2", "RANK": "0", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port())}
        try:
            with interrupting():
                load(tmp_path)
        finally:
            os._exit(1)
    time.sleep(2)
    os.kill(child, signal.SIGTERM)
    deadline = time.monotonic() + 20
    while (found := os.waitpid(child, os.WNOHANG)) == (0, 0) and time.monotonic() < deadline:
        time.sleep(0.05)
    if found == (0, 0):
        os.kill(child, signal.SIGKILL)
    assert os.WIFSIGNALED(found[1]) and os.WTERMSIG(found[1]) == signal.SIGTERM


def test_processes_that_cannot_connect_are_told_what_to_look_at(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(_: torch.device) -> None:
        raise RuntimeError("timed out connecting: refused\nException raised from connect at pair.cc:152")

    monkeypatch.setattr(ranks, "start", refuse)
    with pytest.raises(ResourceError, match=r"the processes cannot connect: timed out connecting: refused\. Fix: see"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("restarts", "machine", "uses_store", "is_lost"),
    [("3", "1", "True", True), ("0", "1", "True", False), ("3", "2", "True", False), ("3", "1", "False", False)],
)
def test_processes_of_several_machines_need_a_fresh_store_to_restart(
    monkeypatch: pytest.MonkeyPatch, restarts: str, machine: str, uses_store: str, is_lost: bool
) -> None:
    for name, value in {
        "WORLD_SIZE": "2", "LOCAL_WORLD_SIZE": machine, "TORCHELASTIC_MAX_RESTARTS": restarts,
        "TORCHELASTIC_USE_AGENT_STORE": uses_store,
    }.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    assert ranks.is_lost_at_restarts() is is_lost


def test_fewer_samples_than_ranks_are_refused() -> None:
    from artschool.data.sampler import Batches
    from artschool.errors import DataError

    with pytest.raises(DataError, match="a batch of 2 samples is too small for 3 processes"):
        Batches("data.train", 10, 2, seed=0, shuffle=True, drop_last=True, world_size=3)


@pytest.mark.parametrize(("batch", "world_size", "count", "parts"), [(5, 2, 3, 2), (5, 1, 3, 3), (4, 2, 4, 2)])
def test_every_process_cuts_its_part_alike(
    batch: int, world_size: int, count: int, parts: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    from artschool import ranks
    from artschool.engine.micro_batches import MicroBatches
    from artschool.engine.streams import Part

    monkeypatch.setattr(ranks, "world_size", lambda: world_size)
    for rank in range(world_size):
        own = torch.arange(batch)[batch * rank // world_size : batch * (rank + 1) // world_size]
        assert len(list(MicroBatches({"train": Part({"x": own}, batch)}, count, torch.device("cpu")))) == parts


@pytest.mark.soak
def test_two_ranks_stop_below_a_floor_when_one_process_does(tmp_path: Path) -> None:
    """Over five seconds: three processes import torch."""
    floor = "steps.gen.losses.adversarial.min_loss=0.09"
    options = (*PLAIN, "train.accumulate=1", floor, "steps.gen.losses.adversarial.after=0")
    code, output = finish(launch(tmp_path, write(tmp_path, *options), 2))
    assert code == 0, output
    (tmp_path / "one").mkdir()
    one = load(tmp_path / "one", *options, "log.every=1")
    recorder = recorded(one)
    one.train()
    values = recorder.values("gen/adversarial")
    assert min(values) < 0.09 < max(values), values
    saved = CheckpointStore(tmp_path / "run" / "checkpoints").load(20)
    for key, value in one.networks["gen"].state_dict().items():
        torch.testing.assert_close(saved.tensors["gen"][key], value, rtol=0, atol=1e-6)
