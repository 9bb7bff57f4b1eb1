"""The commands. Each parses its arguments and calls one function. torch is imported only when a command runs."""

from __future__ import annotations

import gc
import os
import signal
import sys
from contextlib import redirect_stdout
from pathlib import Path
from typing import Any

import click

from artschool.cli.streams import harmless
from artschool.release import VERSION
from artschool.wording.hidden import hidden_in_output

FILE = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(VERSION, prog_name="artschool")
def cli() -> None:
    """Train any set of PyTorch networks that learn together, from one YAML file.

    KEY=VALUE arguments override values of the file, as in steps.gen.optimizer.lr=1e-4.
    """
    from artschool.torch_version import check_torch

    check_torch()


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--run-dir", type=FILE, help="Folder of the run. [default: runs/<name>]")
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


@cli.command("eval")
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--run-dir", type=FILE, help="Folder of the run. [default: runs/<name>]")
@click.option("--checkpoint", type=FILE, help="Folder of the checkpoint. [default: the newest of the run]")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    config: Path, overrides: tuple[str, ...], run_dir: Path | None, checkpoint: Path | None, as_json: bool
) -> None:
    """Run the evaluations of CONFIG on a checkpoint.

    Prints the metrics. Writes no files.
    """
    from artschool.cli.eval import eval_command

    eval_command(config, overrides, run_dir, checkpoint, as_json=as_json)


@cli.command()
@click.argument("run", type=FILE)
@click.argument("arguments", nargs=-1, metavar="[KEY]... [KEY=VALUE]...")
@click.option("-o", "--output", type=FILE, required=True, help="Folder to write to.")
@click.option("-n", "count", type=click.IntRange(min=1), default=64, show_default=True, help="Number of samples.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Seed of the random numbers.")
@click.option(
    "--checkpoint",
    default="last",
    show_default=True,
    metavar="best|last|N|FOLDER",
    help="Checkpoint: best by checkpoint.keep_best, the newest, after N iterations, or a folder.",
)
@click.option("--device", default="auto", show_default=True, help="Device, such as cpu or cuda:1.")
@click.option(
    "--batch-size", type=click.IntRange(min=1), metavar="N", help="Samples that are computed at once. [default: 64]"
)
@click.option("--no-average", is_flag=True, help="Use the networks themselves, not their moving averages.")
def sample(
    run: Path,
    arguments: tuple[str, ...],
    output: Path,
    count: int,
    seed: int,
    checkpoint: str,
    device: str,
    batch_size: int | None,
    no_average: bool,
) -> None:
    """Draw samples with the networks of a RUN folder, and write them as files.

    Computes each KEY of an evaluation or a step, by default what the run's networks generate. KEY=VALUE gives inputs,
    such as label=3 or label=[3,7]; other labels cycle over their classes. Needs no training data. Prints the written
    files.
    """
    from artschool.cli.sample import sample_command

    sample_command(
        run,
        arguments,
        output,
        count=count,
        seed=seed,
        checkpoint=checkpoint,
        device=device,
        batch_size=batch_size,
        raw=no_average,
    )


@cli.command()
@click.argument("run", type=FILE)
@click.argument("inputs", nargs=-1, required=True)
@click.option("-o", "--output", type=FILE, required=True, help="Folder to write to, or a file for a single input.")
@click.option("--output-key", "key", metavar="KEY", help="Key to compute. [default: what the run's networks compute]")
@click.option("--input-key", "given", metavar="KEY", help="Key that the files give. [default: the only one needed]")
@click.option(
    "--checkpoint",
    default="last",
    show_default=True,
    metavar="best|last|N|FOLDER",
    help="Checkpoint: best by checkpoint.keep_best, the newest, after N iterations, or a folder.",
)
@click.option("--device", default="auto", show_default=True, help="Device, such as cpu or cuda:1.")
@click.option(
    "--tile",
    type=click.IntRange(min=1),
    metavar="SIZE",
    help="Divide larger inputs into tiles of SIZE pixels or samples, which bounds memory. [default: whole inputs]",
)
@click.option(
    "--overlap",
    type=click.IntRange(min=0),
    default=16,
    show_default=True,
    help="What a tile sees beyond its own area, on each side, blended with its neighbors.",
)
@click.option("--suffix", metavar=".EXT", help="Ending of the results. [default: .png, .wav, or that of a video]")
@click.option(
    "--batch-size", "batch", type=click.IntRange(min=1), default=1, show_default=True, help="Images computed at once."
)
@click.option("--overwrite", is_flag=True, help="Replace results that exist. They are skipped otherwise.")
@click.option("--no-average", "raw", is_flag=True, help="Use the networks themselves, not their moving averages.")
def apply(
    run: Path,
    inputs: tuple[str, ...],
    output: Path,
    key: str | None,
    given: str | None,
    checkpoint: str,
    device: str,
    tile: int | None,
    overlap: int,
    suffix: str | None,
    batch: int,
    overwrite: bool,
    raw: bool,
) -> None:
    """Apply the networks of a RUN to images, audio and videos.

    RUN is a run folder, or a config file whose networks have `weights:`. INPUTS are files, folders, and patterns in
    quotes such as 'photos/**/*.jpg'. Results keep their place below a folder. Needs no training data.

    Exits with 3 if a file cannot be read. The others are written.
    """
    from artschool.cli.apply import apply_command

    apply_command(
        run,
        inputs,
        output,
        key=key,
        given=given,
        checkpoint=checkpoint,
        device=device,
        tile=tile,
        overlap=overlap,
        suffix=suffix,
        batch=batch,
        overwrite=overwrite,
        raw=raw,
    )


@cli.command()
@click.argument("run", type=FILE)
@click.argument("network", required=False)
@click.option(
    "--to",
    type=click.Choice(["safetensors", "pt", "pt2", "onnx", "diffusers"]),
    help="Format. [default: safetensors; the adapters alone, if the network has some]",
)
@click.option("-o", "--output", type=FILE, required=True, help="Folder to create.")
@click.option(
    "--checkpoint", default="last", show_default=True, metavar="best|last|N", help="Checkpoint, or its folder."
)
@click.option("--no-average", is_flag=True, help="Use the network itself, not its moving average.")
@click.option("--merged", is_flag=True, help="Add adapters to the weights, and write all of them.")
def export(
    run: Path, network: str | None, to: str | None, output: Path, checkpoint: str, no_average: bool, merged: bool
) -> None:
    """Write a NETWORK of RUN for other programs, as a folder that stands alone.

    The folder has the weights, a config.json, a model card, and inference.py, which needs torch alone (or onnxruntime).
    The export runs it and prints the largest difference. Prints the written files.

    RUN is a run folder or its config file. NETWORK is a name such as `gen`, `gen.ema` for a moving average, or
    `vq.encode` for a method. It may be left out if there is only one.
    """
    from artschool.cli.export import export_command

    export_command(run, network, to, output, checkpoint, merged=merged, raw=no_average)


@cli.command()
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


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--no-plugins",
    is_flag=True,
    help="Do not import the plugins of the file. Their components count as unknown.",
)
@click.option(
    "--trace",
    "traced",
    is_flag=True,
    help="Also run each step on tensors without data, and print shapes, gradients and memory.",
)
@click.option(
    "--ranks",
    type=click.IntRange(min=1),
    metavar="N",
    help="With --trace: run as one of N processes that share each batch. [default: those of torchrun, or 1]",
)
def check(config: Path, overrides: tuple[str, ...], no_plugins: bool, traced: bool, ranks: int | None) -> None:
    """Check CONFIG for faults, and summarize what it does.

    Starts no training and writes no files.
    """
    if ranks is not None and not traced:
        raise click.UsageError("--ranks needs --trace.")
    # Garbage collection during the import of torch takes a tenth of this short command.
    gc.disable()
    try:
        from artschool.cli.check import check_command

        check_command(config, overrides, with_plugins=not no_plugins, traced=traced, processes=ranks)
    finally:
        gc.freeze()  # A first collection of everything imported would take as long.
        gc.enable()


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "-o",
    "output",
    type=FILE,
    help="Output file: .html (interactive page), .svg (drawing) or .mmd (Mermaid text). [default: print Mermaid text]",
)
@click.option(
    "--trace", "traced", is_flag=True, help="Show the shapes of keys, from a run of each step on tensors without data."
)
def graph(config: Path, overrides: tuple[str, ...], output: Path | None, traced: bool) -> None:
    """Draw the dataflow of CONFIG."""
    from artschool.cli.graph import graph_command

    graph_command(config, overrides, output, traced=traced)


@cli.command("lint")
@click.argument("config", required=False, metavar="[CONFIG]")
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option("--rules", is_flag=True, help="List all rules. With the name of a rule in place of CONFIG, explain it.")
@click.option("--no-plugins", is_flag=True, help="Do not import the plugins of the file.")
def lint_file(config: str | None, overrides: tuple[str, ...], rules: bool, no_plugins: bool) -> None:
    """Find probable mistakes in a valid CONFIG.

    Exits with 1 if there are findings, 0 otherwise.
    """
    from artschool.cli.lint import lint_command, rules_command

    if rules:
        rules_command(config)
    elif config is None:
        raise click.UsageError("Missing argument 'CONFIG'; or use --rules.")
    elif lint_command(Path(config), overrides, with_plugins=not no_plugins):
        sys.exit(1)


@cli.command()
@click.argument("config", metavar="CONFIG[:LINE]")
@click.argument("rest", nargs=-1, metavar="[PATH] [KEY=VALUE]...")
def explain(config: str, rest: tuple[str, ...]) -> None:
    """Explain an option or a key of CONFIG.

    Prints the meaning of the option, its value, where that was set, and what reads it.

    LINE may include a column, as in file.yml:17:24. PATH is the path of an option, such as steps.gen.optimizer.lr, or
    the name of a key.
    """
    from artschool.cli.explain import explain_command

    explain_command(config, rest)


@cli.command()
@click.argument("one", metavar="A", type=FILE)
@click.argument("other", metavar="B", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def diff(one: Path, other: Path, overrides: tuple[str, ...]) -> None:
    """Compare the files A and B by their effect, ignoring notation.

    KEY=VALUE overrides values of B: `diff a.yml a.yml seed=1` shows the effect of an override.

    Exits with 0 if the files are equivalent, 1 if they differ, 2 if one has faults.
    """
    from artschool.cli.diff import diff_command

    if diff_command(one, other, overrides):
        sys.exit(1)


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--at", metavar="0,100,...", help="Iterations at which to print learning rates. [default: where they change]"
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--svg",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Also draw the timeline into an SVG file.",
)
@click.option(
    "--gpu",
    metavar="NAME",
    help="Also predict memory, exchange and time on a GPU, such as h100, from a run on tensors without data.",
)
@click.option("--ranks", type=click.IntRange(min=1), metavar="N", help="With --gpu: number of processes. [default: 1]")
def plan(
    config: Path,
    overrides: tuple[str, ...],
    at: str | None,
    as_json: bool,
    svg: Path | None,
    gpu: str | None,
    ranks: int | None,
) -> None:
    """Print when CONFIG trains, evaluates and saves, and what it takes on a GPU.

    Needs no GPU. Without --gpu, computed from the file alone, without running it.
    """
    from artschool.cli.plan import plan_command

    if ranks is not None and gpu is None:
        raise click.UsageError("--ranks needs --gpu.")
    plan_command(config, overrides, at=at, as_json_text=as_json, svg=svg, gpu=gpu, processes=ranks or 1)


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--iterations", type=click.IntRange(min=1), default=20, show_default=True, help="Number of iterations to time."
)
@click.option(
    "--warmup", type=click.IntRange(min=0), default=5, show_default=True, help="Number of iterations before them."
)
@click.option(
    "--trace", type=FILE, metavar="FILE", help="Also write a Chrome trace of two further iterations to a JSON file."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def profile(
    config: Path, overrides: tuple[str, ...], iterations: int, warmup: int, trace: Path | None, as_json: bool
) -> None:
    """Train some iterations of CONFIG, and print where time and memory go.

    Suggests what to change. The run folder is neither read nor written.
    """
    from artschool.cli.profile import profile_command

    profile_command(config, overrides, iterations=iterations, warmup=warmup, trace=trace, as_json=as_json)


@cli.command("resume-test")
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
@click.option(
    "--iterations", type=click.IntRange(min=2), default=10, show_default=True, help="Number of iterations to train."
)
@click.option("--stop", type=click.IntRange(min=1), help="Number of iterations before the stop. [default: half]")
def resume_test_file(config: Path, overrides: tuple[str, ...], iterations: int, stop: int | None) -> None:
    """Test that a resumed training of CONFIG equals an uninterrupted one.

    Trains some iterations straight, and again with a stop and a resume in another process. Compares all bits of the
    state and all logged numbers. The run folder is neither read nor written.

    Exits with 0 if they are the same, 6 if they differ.
    """
    from artschool.cli.resume_test import resume_test_command

    resume_test_command(config, overrides, iterations=iterations, stop=stop)


@cli.command("runs")
@click.argument("folders", nargs=-1, type=FILE, metavar="[FOLDER]...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def list_runs(folders: tuple[Path, ...], as_json: bool) -> None:
    """List the runs in each FOLDER, or in `runs`.

    Prints state, finished iterations, speed, size on the disk, and the best metric. Reads the run folders alone.
    """
    from artschool.cli.runs import runs_command

    runs_command(folders, as_json=as_json)


@cli.command()
@click.argument("runs", nargs=-1, type=FILE, metavar="[RUN]...")
@click.option("--save", type=FILE, metavar="FILE", help="Write the page to an HTML file that needs no other, and end.")
@click.option("--port", type=click.IntRange(0, 65535), default=0, help="Port of the page. [default: a free one]")
def show(runs: tuple[Path, ...], save: Path | None, port: int) -> None:
    """Show each RUN on a page, also while it trains.

    RUN is a run folder, or a folder with runs. [default: runs] The page is served to this machine alone. It has curves,
    images, audio, dataflow, plan, file, metrics, incidents and times, of several runs side by side.
    """
    from artschool.cli.show import show_command

    show_command(runs, port, save)


@cli.command("sweep")
@click.argument("config", type=FILE)
@click.argument("arguments", nargs=-1, metavar="[KEY=RANGE | KEY=VALUE]...")
@click.option("--metric", metavar="NAME:min|max", help="Metric of an evaluation to improve, such as held/psnr:max.")
@click.option(
    "--trials", type=click.IntRange(min=1), default=20, show_default=True, help="Trials of the sweep, on all machines."
)
@click.option(
    "--jobs", type=click.IntRange(min=1), default=1, show_default=True, help="Trials to train at the same time here."
)
@click.option("--seeds", type=click.IntRange(min=1), help="Trainings of each trial, whose mean counts. [default: 1]")
@click.option("--seed", type=click.IntRange(min=0), help="Seed of the values to try. [default: drawn]")
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
    """Train CONFIG many times with other values, and find the best ones.

    A RANGE is log(1e-5,1e-2), uniform(0,1), int(1,8) or choice(16,32); quote it for the shell. Each trial is a run in a
    process of its own, in the folder sweeps/<name>/<number>. The same command continues an interrupted sweep; with the
    same --storage and --name, further machines join it.
    """
    from artschool.cli.sweep import sweep_command

    flags = ("--no-trace",) if no_trace else ()
    sweep_command(config, arguments, metric, is_pruning=pruner == "median", options=flags, **options)


@cli.command()
@click.argument("run", required=False, type=FILE)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON list.")
def doctor(run: Path | None, as_json: bool) -> None:
    """Find what is wrong with this machine, or with the run folder RUN.

    Looks at versions, devices, memory, disk and clock, and at lock, checkpoints, log and incidents of RUN. Changes
    nothing.

    Exits with 0 if nothing is wrong, 1 otherwise.
    """
    from artschool.cli.doctor import doctor_command

    if doctor_command(run, as_json=as_json):
        sys.exit(1)


@cli.command()
@click.argument("path", type=FILE, metavar="RUN_OR_INCIDENT")
def replay(path: Path) -> None:
    """Reproduce an incident of a run, and find the first tensor that went wrong.

    Trains in one process from the checkpoint before the incident. RUN_OR_INCIDENT is a folder below `incidents`, or a
    run folder: then the newest incident is taken. Writes no files.

    Exits with 0 if the incident is reproduced, 1 if it is not.
    """
    from artschool.cli.replay import replay_command

    if not replay_command(path):
        sys.exit(1)


@cli.command()
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    help="Plugin to import first, so that its components are listed too. May be repeated.",
)
def components(kind: str | None, name: str | None, plugins: tuple[str, ...]) -> None:
    """List components, or describe one.

    Lists all kinds, the components of a KIND, or the options of the component NAME.
    """
    from artschool.cli.components import components_command

    components_command(kind, name, plugins)


@cli.command()
@click.argument("config", type=FILE, required=False)
@click.option("-o", "--output", type=FILE, help="Write only the schema, to this file. -: to standard output.")
def schema(config: Path | None, output: Path | None) -> None:
    """Write a JSON Schema of CONFIG, for editors.

    Writes the schema next to CONFIG, and adds a first line to CONFIG that names it. Editors then complete and check the
    file. Without CONFIG, prints the schema of the built-in components.
    """
    from artschool.cli.schema import schema_command

    schema_command(config, output)


@cli.command("new")
@click.argument("names", nargs=-1, metavar="[TEMPLATE] [DIR]")
@click.option("--data", type=FILE, metavar="FOLDER", help="Folder of your files, which the new file is fitted to.")
@click.option("--list", "listed", is_flag=True, help="List templates and recipes.")
def new_folder(names: tuple[str, ...], data: Path | None, listed: bool) -> None:
    """Write the folder DIR with a file to train, from a TEMPLATE or from a recipe (recipe:NAME).

    Looks at the files of FOLDER to choose sizes, batch, classes and a held-out part, and checks the written file.
    Without arguments, lists templates and recipes. Overwrites nothing.
    """
    from artschool.cli.new import new_command

    new_command(names, data, listed=listed)


@cli.command()
@click.argument("config", type=FILE)
def convert(config: Path) -> None:
    """Convert a DL-Art-School file.

    Prints the file in the language of artschool, with comments where the meaning changes.
    """
    from artschool.cli.convert import convert_command

    convert_command(config)


def main() -> None:
    """Run the command, and convert errors to exit codes."""
    _end_with_launcher()
    sys.stderr = harmless(sys.stderr)
    with hidden_in_output():
        _run()


def _run() -> None:
    from artschool.errors import ArtschoolError, ConfigError

    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (click.Abort, KeyboardInterrupt) as error:
        interrupt = error.__cause__ or error  # click raises Abort from KeyboardInterrupt.
        if str(interrupt):
            click.echo(str(interrupt), err=True)
        sys.exit(getattr(interrupt, "exit_code", 130))
    except ConfigError as error:
        count = len(error.faults)
        notes = getattr(error, "__notes__", [])
        # Notes other than the warnings about the file come from a component, in a run that had started.
        ending = "." if len(notes) > len(error.warnings) else "; nothing was started."
        click.echo("\n".join([*notes, str(error)]) + f"\n{count} fault{'s' if count > 1 else ''}{ending}", err=True)
        sys.exit(error.exit_code)
    except ArtschoolError as error:
        click.echo("\n".join([str(error), *getattr(error, "__notes__", [])]), err=True)
        sys.exit(error.exit_code)
    finally:
        gc.freeze()  # A last garbage collection, through all of torch, would take a second.


def _end_with_launcher() -> None:
    """Stop as after SIGTERM when the launcher of several processes, or a sweep, is killed and cannot tell this one.

    The first thing that a process does: it does not notice a launcher that ends earlier.
    """
    known = os.environ.pop("ARTSCHOOL_ENDS_WITH", None)
    if known is not None or "WORLD_SIZE" in os.environ:
        from artschool.storage.processes import end_with_parent

        end_with_parent(int(known or os.getppid()), signal.SIGTERM)
