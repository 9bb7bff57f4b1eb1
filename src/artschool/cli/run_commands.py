"""The commands that use runs: folders that a training has written."""

from __future__ import annotations

import sys
from pathlib import Path

import click

from artschool.cli.options import (
    AS_JSON,
    CHECKPOINT,
    CONFIG,
    DEVICE,
    FILE,
    NO_AVERAGE,
    OVERRIDES,
    RUN_FOLDER,
    AppliedFiles,
    Count,
    TrainedRun,
    grouped,
)


@click.command("runs")
@click.argument("folders", nargs=-1, type=FILE, metavar="[FOLDER]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_runs(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the runs in each FOLDER, or in `runs`.

    Prints state, finished iterations, speed, size on the disk, and the best metric. Reads the run folders alone.
    """
    from artschool.cli.runs import runs_command

    runs_command(folders, as_json=as_json)


@click.command()
@click.argument("runs", nargs=-1, type=FILE, metavar="[RUN]...")
@click.option("--save", type=FILE, metavar="FILE", help="Write the page to an HTML file that needs no other, and end.")
@click.option("--port", type=Count(0, 65535), default=0, help="Port of the page. [default: a free one]")
def show(runs: tuple[Path, ...], save: Path | None, port: int) -> None:
    """Show each RUN on a page, also while it trains.

    RUN is a run folder, or a folder with runs. [default: runs] The page is served to this machine alone. It has curves,
    images, audio, dataflow, plan, file, metrics, incidents and times, of several runs side by side.
    """
    from artschool.cli.show import show_command

    show_command(runs, port, save)


@click.command("eval")
@CONFIG
@OVERRIDES
@RUN_FOLDER
@click.option("--checkpoint", type=FILE, help="Folder of the checkpoint. [default: the newest of the run]")
@AS_JSON
def evaluate(
    config: Path, overrides: tuple[str, ...], run_dir: Path | None, checkpoint: Path | None, as_json: bool
) -> None:
    """Run the evaluations of CONFIG on a checkpoint.

    Prints the metrics. Writes no files.
    """
    from artschool.cli.eval import eval_command

    eval_command(config, overrides, run_dir, checkpoint, as_json=as_json)


@click.command()
@click.argument("run", type=FILE)
@click.argument("arguments", nargs=-1, metavar="[KEY]... [KEY=VALUE]...")
@click.option("-o", "--output", type=FILE, required=True, help="Folder to write to.")
@click.option("-n", "count", type=Count(min=1), default=64, show_default=True, help="Number of samples.")
@click.option("--seed", type=Count(min=0), default=0, show_default=True, help="Seed of the random numbers.")
@CHECKPOINT
@DEVICE
@click.option("--batch-size", type=Count(min=1), help="Samples that are computed at once. [default: 64]")
@NO_AVERAGE
@grouped(trained=TrainedRun)
def sample(
    trained: TrainedRun,
    arguments: tuple[str, ...],
    output: Path,
    count: int,
    seed: int,
    batch_size: int | None,
) -> None:
    """Draw samples with the networks of a RUN folder.

    Writes them as files, and prints their names. Computes each KEY of an evaluation or a step, by default what the
    run's networks generate. KEY=VALUE gives inputs, such as label=3 or label=[3,7]; other labels cycle over their
    classes. Needs no training data.
    """
    from artschool.cli.sample import sample_command

    sample_command(trained, arguments, output, count=count, seed=seed, batch_size=batch_size)


@click.command()
@click.argument("run", type=FILE)
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="Folder to write to, or a file for a single input.")
@click.option("--output-key", "key", metavar="KEY", help="Key to compute. [default: what the run's networks compute]")
@click.option("--input-key", "given", metavar="KEY", help="Key that the files give. [default: the only one needed]")
@CHECKPOINT
@DEVICE
@click.option(
    "--tile",
    type=Count(min=1),
    metavar="SIZE",
    help="Divide larger inputs into tiles of SIZE pixels or samples, which bounds memory. [default: whole inputs]",
)
@click.option(
    "--overlap",
    type=Count(min=0),
    default=16,
    show_default=True,
    help="Pixels or samples on each side that a tile shares with its neighbors, and that are blended.",
)
@click.option("--suffix", metavar=".EXT", help="Ending of the results. [default: .png, .wav, or that of a video]")
@click.option("--batch-size", "batch", type=Count(min=1), default=1, show_default=True, help="Images computed at once.")
@click.option("--overwrite", is_flag=True, help="Replace results that exist. They are skipped otherwise.")
@NO_AVERAGE
@grouped(trained=TrainedRun, files=AppliedFiles)
def apply(
    trained: TrainedRun,
    files: AppliedFiles,
    key: str | None,
    given: str | None,
    tile: int | None,
    overlap: int,
    batch: int,
) -> None:
    """Apply the networks of a RUN to images, audio and videos.

    RUN is a run folder, or a config file whose networks have `weights:`. INPUTS are files, folders, and patterns in
    quotes such as 'photos/**/*.jpg'. Results keep their place below a folder. Needs no training data.

    Exits with 3 if a file cannot be read. The others are written.
    """
    from artschool.apply.tiles import Tiling
    from artschool.cli.apply import apply_command

    apply_command(trained, files, key, given, Tiling(tile, overlap, batch))


@click.command()
@click.argument("run", type=FILE)
@click.argument("network", required=False)
@click.option(
    "--to",
    type=click.Choice(["safetensors", "pt", "pt2", "onnx", "diffusers"]),
    help="Format. [default: safetensors; the adapters alone, if the network has some]",
)
@click.option("-o", "--output", type=FILE, required=True, help="Folder to create.")
@CHECKPOINT
@NO_AVERAGE
@click.option("--merged", is_flag=True, help="Add adapters to the weights, and write all of them.")
@grouped(trained=TrainedRun)
def export(trained: TrainedRun, network: str | None, to: str | None, output: Path, merged: bool) -> None:
    """Write a NETWORK of RUN as a folder that stands alone.

    The folder has the weights, a config.json, a model card, and inference.py, with which other programs use it. That
    needs torch alone (or onnxruntime). The export runs it and prints the largest difference. Prints the written files.

    RUN is a run folder or its config file. NETWORK is a name such as `gen`, `gen.ema` for a moving average, or
    `vq.encode` for a method. It may be left out if there is only one.
    """
    from artschool.cli.export import export_command

    export_command(trained, network, to, output, merged=merged)


@click.command()
@click.argument("folder", type=FILE)
@click.argument("repository", metavar="OWNER/NAME")
@click.option("--public", is_flag=True, help="Create a public repository. [default: private]")
@click.option("--yes", is_flag=True, help="Do not ask.")
def push(folder: Path, repository: str, public: bool, yes: bool) -> None:
    """Upload an exported FOLDER to Hugging Face.

    Lists the files, their sizes and the visibility, and asks first.
    """
    from artschool.cli.push import push_command

    push_command(folder, repository, public=public, confirmed=yes)


@click.command()
@click.argument("run", required=False, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def doctor(run: Path | None, as_json: bool) -> None:
    """Find what is wrong with this machine, or with a RUN folder.

    Looks at versions, devices, memory, disk and clock, and at lock, checkpoints, log and incidents of RUN. Changes
    nothing.

    Exits with 0 if nothing is wrong, 1 otherwise.
    """
    from artschool.cli.doctor import doctor_command

    if doctor_command(run, as_json=as_json):
        sys.exit(1)


@click.command()
@click.argument("path", type=FILE, metavar="RUN_OR_INCIDENT")
def replay(path: Path) -> None:
    """Reproduce an incident, and find the first bad tensor.

    Trains in one process from the checkpoint before the incident. RUN_OR_INCIDENT is a folder below `incidents`, or a
    run folder: then the newest incident is taken. Writes no files.

    Exits with 0 if the incident is reproduced, 1 if it is not.
    """
    from artschool.cli.replay import replay_command

    if not replay_command(path):
        sys.exit(1)


COMMANDS = (list_runs, show, evaluate, sample, apply, export, push, doctor, replay)
