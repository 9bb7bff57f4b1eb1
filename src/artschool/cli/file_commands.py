"""The commands that write or read a file to train. None of them trains."""

from __future__ import annotations

import gc
import sys
from pathlib import Path

import click

from artschool.cli.options import AS_JSON, CONFIG, FILE, OVERRIDES, Count


@click.command("new")
@click.argument("names", nargs=-1, metavar="[TEMPLATE] [DIR]")
@click.option("--data", type=FILE, metavar="FOLDER", help="Folder of your files, which the new file is fitted to.")
@click.option("--list", "listed", is_flag=True, help="List templates and recipes.")
def new_folder(names: tuple[str, ...], data: Path | None, listed: bool) -> None:
    """Write a folder with a file to train, from a template.

    DIR is the folder. TEMPLATE is the name of a template, or recipe:NAME for a recipe.

    Looks at the files of FOLDER to choose sizes, batch, classes and a held-out part, and checks the written file.
    Without arguments, lists templates and recipes. Overwrites nothing.
    """
    from artschool.cli.new import new_command

    new_command(names, data, listed=listed)


@click.command()
@CONFIG
@OVERRIDES
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
    type=Count(min=1),
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


@click.command("lint")
@click.argument("config", required=False, metavar="[CONFIG]")
@OVERRIDES
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


@click.command()
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


@click.command()
@click.argument("one", metavar="A", type=FILE)
@click.argument("other", metavar="B", type=FILE)
@OVERRIDES
def diff(one: Path, other: Path, overrides: tuple[str, ...]) -> None:
    """Compare the files A and B by their effect, ignoring notation.

    KEY=VALUE overrides values of B: `diff a.yml a.yml seed=1` shows the effect of an override.

    Exits with 0 if the files are equivalent, 1 if they differ, 2 if one has faults.
    """
    from artschool.cli.diff import diff_command

    if diff_command(one, other, overrides):
        sys.exit(1)


@click.command()
@CONFIG
@OVERRIDES
@click.option(
    "-o",
    "--output",
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


@click.command()
@CONFIG
@OVERRIDES
@click.option(
    "--at", metavar="0,100,...", help="Iterations at which to print learning rates. [default: where they change]"
)
@AS_JSON
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
@click.option("--ranks", type=Count(min=1), help="With --gpu: number of processes. [default: 1]")
def plan(
    config: Path,
    overrides: tuple[str, ...],
    at: str | None,
    as_json: bool,
    svg: Path | None,
    gpu: str | None,
    ranks: int | None,
) -> None:
    """Print when CONFIG trains, evaluates and saves.

    With --gpu, also what it takes on a GPU, without having one. Otherwise computed from the file alone.
    """
    from artschool.cli.plan import plan_command

    if ranks is not None and gpu is None:
        raise click.UsageError("--ranks needs --gpu.")
    plan_command(config, overrides, at=at, as_json_text=as_json, svg=svg, gpu=gpu, processes=ranks or 1)


@click.command()
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


@click.command()
@click.argument("config", type=FILE, required=False)
@click.option("-o", "--output", type=FILE, help="Write only the schema, to this file. -: to standard output.")
def schema(config: Path | None, output: Path | None) -> None:
    """Write a JSON Schema of CONFIG, for editors.

    Writes the schema next to CONFIG, and adds a first line to CONFIG that names it. Editors then complete and check the
    file. Without CONFIG, prints the schema of the built-in components.
    """
    from artschool.cli.schema import schema_command

    schema_command(config, output)


@click.command()
@CONFIG
def convert(config: Path) -> None:
    """Convert a DL-Art-School file.

    Prints the file in the language of artschool, with comments where the meaning changes.
    """
    from artschool.cli.convert import convert_command

    convert_command(config)


COMMANDS = (new_folder, check, lint_file, explain, diff, graph, plan, components, schema, convert)
