"""The commands. Each parses, calls one function and prints; torch is imported only once a command runs."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

FILE = click.Path(path_type=Path)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="artschool")
def cli() -> None:
    """Train any set of PyTorch networks that learn together, from one YAML file."""


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1)
@click.option("--run-dir", type=FILE, help="Where to write; runs/<name> otherwise.")
@click.option(
    "--resume",
    default="auto",
    show_default=True,
    metavar="auto|never|PATH",
    help="Which checkpoint to go on from.",
)
@click.option("--no-trace", is_flag=True, help="Start without running each step on tensors without values first.")
def train(config: Path, overrides: tuple[str, ...], run_dir: Path | None, resume: str, no_trace: bool) -> None:
    """Train CONFIG, with values changed as KEY=VALUE. The same command starts and resumes."""
    from artschool.cli.train import train_command

    train_command(config, overrides, run_dir, resume, traced=not no_trace)


@cli.command("eval")
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1)
@click.option("--run-dir", type=FILE, help="The run's folder; runs/<name> otherwise.")
@click.option("--checkpoint", type=FILE, help="A checkpoint's folder; the newest of the run otherwise.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
def evaluate(
    config: Path, overrides: tuple[str, ...], run_dir: Path | None, checkpoint: Path | None, as_json: bool
) -> None:
    """Run the evaluations of CONFIG on a checkpoint of its run. Nothing is written."""
    from artschool.cli.eval import eval_command

    eval_command(config, overrides, run_dir, checkpoint, as_json=as_json)


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1)
@click.option(
    "--no-plugins",
    is_flag=True,
    help="Run no code that the file names; what only a plugin knows is reported.",
)
@click.option(
    "--trace", "traced", is_flag=True, help="Run each step on tensors without values: shapes, gradients, memory."
)
def check(config: Path, overrides: tuple[str, ...], no_plugins: bool, traced: bool) -> None:
    """Prove CONFIG without starting anything, and show what it does."""
    gc.disable()  # A short command: looking for cycles while torch is imported takes a tenth of its time,
    try:
        from artschool.cli.check import check_command

        check_command(config, overrides, with_plugins=not no_plugins, traced=traced)
    finally:
        gc.freeze()  # and so would a first look through all that came meanwhile.
        gc.enable()


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1)
@click.option("-o", "output", type=FILE, help="An .html page, an .svg picture, or a .mmd file.")
@click.option("--trace", "traced", is_flag=True, help="Tell the shapes of keys, from a trace.")
def graph(config: Path, overrides: tuple[str, ...], output: Path | None, traced: bool) -> None:
    """Draw the dataflow of CONFIG."""
    from artschool.cli.graph import graph_command

    graph_command(config, overrides, output, traced=traced)


@cli.command("lint")
@click.argument("config", required=False, metavar="[CONFIG]")
@click.argument("overrides", nargs=-1)
@click.option("--rules", is_flag=True, help="List the rules, or explain the one that stands in place of CONFIG.")
@click.option("--no-plugins", is_flag=True, help="Run no code that the file names.")
def lint_file(config: str | None, overrides: tuple[str, ...], rules: bool, no_plugins: bool) -> None:
    """Judge CONFIG: what is allowed, but probably not meant. The exit code is 1 if there is any."""
    from artschool.cli.lint import lint_command, rules_command

    if rules:
        rules_command(config)
    elif config is None:
        raise click.UsageError("name a file, or write --rules")
    elif lint_command(Path(config), overrides, with_plugins=not no_plugins):
        sys.exit(1)


@cli.command()
@click.argument("config", metavar="CONFIG[:LINE]")
@click.argument("rest", nargs=-1, metavar="[PATH] [KEY=VALUE]...")
def explain(config: str, rest: tuple[str, ...]) -> None:
    """Tell what stands at a LINE or PATH of CONFIG: what it is, its value, where that came from, what reads it.

    A LINE may have a column after it, `file.yml:17:24`. PATH is such as steps.gen.optimizer.lr, or the name of a key.
    """
    from artschool.cli.explain import explain_command

    explain_command(config, rest)


@cli.command()
@click.argument("one", metavar="A", type=FILE)
@click.argument("other", metavar="B", type=FILE)
@click.argument("overrides", nargs=-1, metavar="[KEY=VALUE]...")
def diff(one: Path, other: Path, overrides: tuple[str, ...]) -> None:
    """Tell what the files A and B do differently, by consequence; how they are written does not count.

    Values changed as KEY=VALUE are those of B: `diff a.yml a.yml seed=1` tells what an override does.

    The exit code is that of diff: 0 when they mean the same, 1 when they differ, 2 when one of them is wrong.
    """
    from artschool.cli.diff import diff_command

    if diff_command(one, other, overrides):
        sys.exit(1)


@cli.command()
@click.argument("config", type=FILE)
@click.argument("overrides", nargs=-1)
@click.option(
    "--at", metavar="0,100,...", help="The iterations whose rates are told; those where they change otherwise."
)
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object.")
@click.option(
    "--svg", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Draw it into a file as well."
)
def plan(config: Path, overrides: tuple[str, ...], at: str | None, as_json: bool, svg: Path | None) -> None:
    """Show when CONFIG trains, evaluates and saves what. Nothing is computed."""
    from artschool.cli.plan import plan_command

    plan_command(config, overrides, at=at, as_json_text=as_json, svg=svg)


@cli.command()
@click.argument("kind", required=False)
@click.argument("name", required=False)
@click.option(
    "--plugin",
    "plugins",
    multiple=True,
    metavar="FILE",
    help="Import a plugin first, to list its components too.",
)
def components(kind: str | None, name: str | None, plugins: tuple[str, ...]) -> None:
    """List the components of a KIND, or describe the one called NAME."""
    from artschool.cli.components import components_command

    components_command(kind, name, plugins)


@cli.command()
@click.argument("config", type=FILE, required=False)
@click.option("-o", "--output", type=FILE, help="Write only the schema, and here; - prints it.")
def schema(config: Path | None, output: Path | None) -> None:
    """Write the JSON Schema of CONFIG beside it, for an editor to complete and check it.

    Without CONFIG, print that of the components that ship.
    """
    from artschool.cli.schema import schema_command

    schema_command(config, output)


@cli.command()
@click.argument("config", type=FILE)
def convert(config: Path) -> None:
    """Print a DL-Art-School file in our language, with comments on what changed."""
    from artschool.cli.convert import convert_command

    convert_command(config)


def main() -> None:
    """Run the command, and turn errors into exit codes: 2 for the file, others as in the errors themselves."""
    from artschool.errors import ArtschoolError, ConfigError

    try:
        cli(standalone_mode=False)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except click.Abort:
        sys.exit(130)
    except KeyboardInterrupt:
        sys.exit(130)
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
        gc.freeze()  # Looking for cycles a last time, through all of torch, takes a second.
