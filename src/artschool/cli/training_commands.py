"""The commands that train."""

from __future__ import annotations

import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from artschool.cli.options import AS_JSON, CONFIG, FILE, OVERRIDES, RUN_FOLDER, Count
from artschool.cli.streams import harmless
from artschool.wording.hidden import hidden_in_output


@click.command()
@CONFIG
@OVERRIDES
@RUN_FOLDER
@click.option(
    "--resume",
    default="auto",
    show_default=True,
    metavar="auto|never|N|PATH",
    help="Checkpoint to resume from. auto: the newest one, if any; never: require a folder without checkpoints; "
    "N: the one after N iterations.",
)
@click.option("--branch", metavar="NAME", help="Continue in a folder of this name next to that of the run.")
@click.option(
    "--allow",
    multiple=True,
    metavar="KEY",
    help="Setting that may differ from that of the checkpoint, such as seed or data.train. May be repeated.",
)
@click.option("--no-trace", is_flag=True, help="Skip the dry run of each step on tensors without data.")
def train(
    config: Path,
    overrides: tuple[str, ...],
    run_dir: Path | None,
    resume: str,
    branch: str | None,
    allow: tuple[str, ...],
    no_trace: bool,
) -> None:
    """Train the networks of CONFIG, or resume an interrupted run.

    CONFIG may also be config.yml or resolved.yml of a run folder, which resumes that run.
    """
    from artschool.cli.train import train_command

    with redirect_stdout(harmless(sys.stdout)), hidden_in_output():
        train_command(config, overrides, run_dir, resume=resume, branch=branch, allow=allow, traced=not no_trace)


@click.command("sweep")
@CONFIG
@click.argument("arguments", nargs=-1, metavar="[KEY=RANGE | KEY=VALUE]...")
@click.option("--metric", metavar="NAME:min|max", help="Metric of an evaluation to improve, such as held/psnr:max.")
@click.option(
    "--trials", type=Count(min=1), default=20, show_default=True, help="Trials of the sweep, on all machines."
)
@click.option("--jobs", type=Count(min=1), default=1, show_default=True, help="Trials to train at the same time here.")
@click.option("--seeds", type=Count(min=1), help="Trainings of each trial, whose mean counts. [default: 1]")
@click.option("--seed", type=Count(min=0), help="Seed of the values to try. [default: drawn]")
@click.option(
    "--pruner",
    type=click.Choice(["median", "none"]),
    default="median",
    show_default=True,
    help="Which trials end early. median: those that are worse than the median of the others at the same iteration.",
)
@click.option("--storage", metavar="URL", help="Database of the sweep, for several machines. [default: SQLite]")
@click.option("--name", help="Name of the sweep. [default: that of the file]")
@click.option("--dir", "folder", type=FILE, help="Folder of the sweep. [default: sweeps/<name>]")
@click.option("--resume", is_flag=True, help="Continue a sweep. Ranges and --metric may be left out.")
@click.option("--no-trace", is_flag=True, help="Start trainings without the dry run of each step.")
@click.option("--json", "as_json", is_flag=True, help="Print the result as one JSON object.")
def sweep_file(
    config: Path, arguments: tuple[str, ...], metric: str | None, pruner: str, no_trace: bool, **options: Any
) -> None:
    """Train CONFIG with many values, and find the best ones.

    A RANGE is log(1e-5,1e-2), uniform(0,1), int(1,8) or choice(16,32); quote it for the shell. Each trial is a run in a
    process of its own, in the folder sweeps/<name>/<number>. The same command continues an interrupted sweep; with the
    same --storage and --name, further machines join it.
    """
    from artschool.cli.sweep import sweep_command

    flags = ("--no-trace",) if no_trace else ()
    sweep_command(config, arguments, metric, is_pruning=pruner == "median", options=flags, **options)


@click.command()
@CONFIG
@OVERRIDES
@click.option("--iterations", type=Count(min=1), default=20, show_default=True, help="Number of iterations to time.")
@click.option("--warmup", type=Count(min=0), default=5, show_default=True, help="Number of iterations before them.")
@click.option(
    "--trace", type=FILE, metavar="FILE", help="Also write a Chrome trace of two further iterations to a JSON file."
)
@AS_JSON
def profile(
    config: Path, overrides: tuple[str, ...], iterations: int, warmup: int, trace: Path | None, as_json: bool
) -> None:
    """Train some iterations, and print where time and memory go.

    Suggests what to change. The run folder is neither read nor written.
    """
    from artschool.cli.profile import profile_command

    profile_command(config, overrides, iterations=iterations, warmup=warmup, trace=trace, as_json=as_json)


@click.command("resume-test")
@CONFIG
@OVERRIDES
@click.option("--iterations", type=Count(min=2), default=10, show_default=True, help="Number of iterations to train.")
@click.option("--stop", type=Count(min=1), help="Number of iterations before the stop. [default: half]")
def resume_test_file(config: Path, overrides: tuple[str, ...], iterations: int, stop: int | None) -> None:
    """Test that a resumed training equals an uninterrupted one.

    Trains some iterations of CONFIG straight, and again with a stop and a resume in another process. Compares all bits
    of the state and all logged numbers. The run folder is neither read nor written.

    Exits with 0 if they are the same, 6 if they differ.
    """
    from artschool.cli.resume_test import resume_test_command

    resume_test_command(config, overrides, iterations=iterations, stop=stop)


COMMANDS = (train, sweep_file, profile, resume_test_file)
