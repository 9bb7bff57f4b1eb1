"""The launchers in `examples/`: they parse, call a command that exists, and mark what a user edits."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import click
import pytest
import yaml

from artschool.cli.main import cli

EXAMPLES = Path(__file__).parents[1] / "examples"
SCRIPTS = ("torchrun.sh", "slurm.sbatch")
ALL = (*SCRIPTS, "kubernetes.yaml", "skypilot.yaml")
STUB = "#!/usr/bin/env bash\n"


def stub(folder: Path, name: str, body: str) -> None:
    """A program that stands for one of a cluster."""
    folder.mkdir(exist_ok=True)
    (folder / name).write_text(STUB + body)
    (folder / name).chmod(0o755)


def environment(folder: Path, **variables: str) -> dict[str, str]:
    return {"PATH": f"{folder}{os.pathsep}{os.environ['PATH']}", "HOME": str(folder), **variables}


def printed_arguments(command: Sequence[str], folder: Path, **variables: str) -> list[str]:
    """The arguments with which a command calls torchrun."""
    stub(folder, "torchrun", 'printf "%s\\n" "$@"\n')
    return subprocess.run(
        command, env=environment(folder, **variables), capture_output=True, text=True, check=True, timeout=30
    ).stdout.splitlines()


def trains(arguments: Sequence[str]) -> dict[str, Any]:
    """The parameters of `artschool train` in the arguments of torchrun."""
    start = arguments.index("-m")
    assert arguments[start + 1 : start + 3] == ["artschool", "train"]
    command = cli.commands["train"]
    with command.make_context("train", list(arguments[start + 3 :])) as context:
        assert isinstance(context, click.Context)
        return dict(context.params)


def launcher(arguments: Sequence[str]) -> dict[str, str]:
    """The options of torchrun, which it accepts."""
    from torch.distributed.run import get_args_parser

    known = vars(get_args_parser().parse_args(list(arguments)))
    return {name: str(value) for name, value in known.items()}


@pytest.mark.parametrize("name", ALL)
def test_what_a_user_edits_is_marked(name: str) -> None:
    assert "# EDIT: " in (EXAMPLES / name).read_text()


def test_every_file_is_tested() -> None:
    assert {path.name for path in EXAMPLES.iterdir()} == set(ALL)


@pytest.mark.parametrize("name", SCRIPTS)
def test_scripts_are_bash(name: str) -> None:
    subprocess.run(["bash", "-n", EXAMPLES / name], check=True, timeout=30)


def test_torchrun_on_several_machines(tmp_path: Path) -> None:
    arguments = printed_arguments(["bash", str(EXAMPLES / "torchrun.sh"), "train.iterations=5"], tmp_path / "bin")
    assert trains(arguments)["overrides"] == ("train.iterations=5",)
    options = launcher(arguments)
    assert (options["nnodes"], options["nproc_per_node"], options["max_restarts"]) == ("2", "gpu", "3")
    assert (options["rdzv_backend"], options["rdzv_endpoint"]) == ("c10d", "node0.example.com:29400")


SLURM = {"SLURM_JOB_ID": "41234", "SLURM_NNODES": "2", "SLURM_JOB_NODELIST": "node[0-1]"}


def test_slurm_meets_at_the_first_host(tmp_path: Path) -> None:
    stub(tmp_path / "bin", "scontrol", 'printf "node0\\nnode1\\n"\n')
    stub(tmp_path / "bin", "srun", 'exec "$@"\n')
    script = str(EXAMPLES / "slurm.sbatch")
    arguments = printed_arguments(["bash", script, "train.iterations=5"], tmp_path / "bin", **SLURM)
    assert trains(arguments)["overrides"] == ("train.iterations=5",)
    options = launcher(arguments)
    assert (options["nnodes"], options["rdzv_endpoint"], options["rdzv_id"]) == ("2", "node0:21234", "41234")


def test_slurm_saves_and_queues_again_before_the_time_limit(tmp_path: Path) -> None:
    """SLURM sends USR1 to the script; `scancel` sends TERM to the processes of `srun`, which then end."""
    folder = tmp_path / "bin"
    stub(folder, "scontrol", f'echo "$@" >> {tmp_path}/scontrol; echo node0\n')
    # A bare system may lack `sleep`.
    training = f"{sys.executable} -c 'import time; time.sleep(30)'"
    saving = f"trap 'echo saved > {tmp_path}/saved; exit 143' TERM"
    stub(folder, "srun", f"{saving}\necho $$ > {tmp_path}/step\n{training} & wait\n")
    stub(folder, "scancel", f'echo "$@" > {tmp_path}/scancel; kill -TERM "$(cat {tmp_path}/step)"\n')
    process = subprocess.Popen(["bash", str(EXAMPLES / "slurm.sbatch")], env=environment(folder, **SLURM))
    try:
        deadline = time.monotonic() + 20
        while not (tmp_path / "step").exists() or not (tmp_path / "step").read_text():
            assert time.monotonic() < deadline
            time.sleep(0.02)
        time.sleep(0.1)
        process.send_signal(signal.SIGUSR1)
        assert process.wait(timeout=20) == 0
    finally:
        process.kill()
    assert (tmp_path / "saved").read_text() == "saved\n"
    assert (tmp_path / "scancel").read_text() == "--signal=TERM 41234\n"
    assert (tmp_path / "scontrol").read_text().splitlines() == ["show hostnames node[0-1]", "requeue 41234"]


def test_slurm_ends_with_the_exit_code_of_the_run(tmp_path: Path) -> None:
    stub(tmp_path / "bin", "scontrol", "echo node0\n")
    stub(tmp_path / "bin", "srun", "exit 3\n")
    script = ["bash", str(EXAMPLES / "slurm.sbatch")]
    assert subprocess.run(script, env=environment(tmp_path / "bin", **SLURM), timeout=30, check=False).returncode == 3


def test_kubernetes_runs_torchrun_with_a_runtime_of_the_same_file() -> None:
    runtime, job = yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text())
    assert (runtime["kind"], job["kind"]) == ("TrainingRuntime", "TrainJob")
    assert job["spec"]["runtimeRef"]["name"] == runtime["metadata"]["name"]
    trainer = job["spec"]["trainer"]
    assert trainer["command"] == ["torchrun"]
    folder = trains(trainer["args"])["run_dir"]
    assert launcher(trainer["args"])["nproc_per_node"] == "gpu"
    (replicas,) = runtime["spec"]["template"]["spec"]["replicatedJobs"]
    pod = replicas["template"]["spec"]["template"]["spec"]
    mounts = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
    assert mounts.keys() == {volume["name"] for volume in pod["volumes"]}
    assert folder.is_relative_to(mounts["shared"])


def test_skypilot_runs_torchrun_on_every_machine(tmp_path: Path) -> None:
    task = yaml.safe_load((EXAMPLES / "skypilot.yaml").read_text())
    variables = {
        "SKYPILOT_NUM_NODES": "2",
        "SKYPILOT_NUM_GPUS_PER_NODE": "8",
        "SKYPILOT_NODE_RANK": "1",
        "SKYPILOT_NODE_IPS": "10.0.0.1\n10.0.0.2",
    }
    arguments = printed_arguments(["bash", "-c", task["run"]], tmp_path / "bin", **variables, **task["envs"])
    assert trains(arguments)["run_dir"] == Path(task["envs"]["RUN_DIR"])
    assert trains(arguments)["run_dir"].is_relative_to(*task["volumes"])
    options = launcher(arguments)
    assert (options["nnodes"], options["nproc_per_node"], options["node_rank"]) == ("2", "8", "1")
    assert options["master_addr"] == "10.0.0.1"
    assert shlex.split(task["setup"], comments=True)[:2] == ["pip", "install"]
