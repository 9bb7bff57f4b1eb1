"""The command `artschool`: groups its commands, and converts errors to exit codes. torch waits until one runs."""

from __future__ import annotations

import errno
import gc
import os
import signal
import sys
from contextlib import AbstractContextManager, nullcontext
from itertools import chain

import click

from artschool.cli import file_commands, run_commands, training_commands
from artschool.cli.last_signals import LastSignals
from artschool.cli.streams import harmless, open_streams
from artschool.cli.threads import tell_of_threads
from artschool.engine.signals import interrupting
from artschool.errors import ArtschoolError, ConfigError, ResourceError
from artschool.release import VERSION
from artschool.shortages import shortage_error
from artschool.wording.hidden import hidden_in_output

SECTIONS = {
    "Write and check a file": file_commands.COMMANDS,
    "Train": training_commands.COMMANDS,
    "Use runs": run_commands.COMMANDS,
}

ALONE = ("new", "schema", "sweep", "resume-test", "sample", "apply", "export", "push", "replay")
"""The commands that write something in one process. Several would write the same."""


class _Sections(click.Group):
    """A group whose help lists the commands by section."""

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write a list of commands for each section."""
        longest = max(map(len, self.commands))
        for title, commands in SECTIONS.items():
            with formatter.section(title):
                width = formatter.width - 6 - longest
                formatter.write_dl(
                    [(str(each.name).ljust(longest), each.get_short_help_str(width)) for each in commands]
                )


@click.group(
    cls=_Sections,
    commands=list(chain.from_iterable(SECTIONS.values())),
    context_settings={"help_option_names": ["-h", "--help"]},
)
@click.version_option(VERSION, prog_name="artschool")
@click.pass_context
def cli(context: click.Context) -> None:
    """Train any set of PyTorch networks that learn together, from one YAML file.

    KEY=VALUE arguments override values of the file, as in steps.gen.optimizer.lr=1e-4.
    """
    from artschool.torch_version import check_torch

    check_torch()
    try:
        os.getcwd()  # noqa: PTH109  Path's method is the same
    except FileNotFoundError:  # Libraries of torch cannot be loaded there, and end the process.
        raise ConfigError("the working folder was deleted. Fix: go to one that exists, as by `cd`") from None
    if context.invoked_subcommand in ALONE and os.environ.get("WORLD_SIZE", "1") != "1":
        fix = "Fix: start it without torchrun (and without WORLD_SIZE in the environment)"
        raise ConfigError(f"{context.invoked_subcommand} runs in one process. {fix}")


def main() -> None:
    """Run the command, and convert errors to exit codes."""
    open_streams()
    _end_with_launcher()
    sys.stderr = harmless(sys.stderr)
    last = LastSignals()
    # A process that waits for the others of a launcher in a call of C would not notice a signal.
    is_alone = os.environ.get("WORLD_SIZE", "1") == "1"
    if is_alone:
        last.listen()
    try:
        with hidden_in_output():
            _run(interrupting() if is_alone else nullcontext())
    except BaseException as end:
        last.code = end.code if isinstance(end, SystemExit) and isinstance(end.code, int) else 1
        raise
    finally:
        last.listen()
        tell_of_threads()


def _run(signals: AbstractContextManager[None]) -> None:
    try:
        with signals:
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
    except Exception as error:
        problem = _of_the_machine(error)
        click.echo(str(problem), err=True)
        sys.exit(problem.exit_code)
    finally:
        gc.freeze()  # A last garbage collection, through all of torch, would take a second.


def _of_the_machine(error: Exception) -> ArtschoolError:
    """The error in place of one that the machine has caused, wherever that was. Any other one is raised again."""
    if isinstance(error, OSError) and error.errno == errno.ENAMETOOLONG:
        return ConfigError(f"{error.filename}: the path is too long")
    if isinstance(error, PermissionError) and error.filename is not None:
        return ResourceError(f"{error.filename}: {error.strerror}. Fix: ask its owner for access, or name another path")
    if (shortage := shortage_error(error)) is not None:
        return shortage
    raise error


def _end_with_launcher() -> None:
    """Stop as after SIGTERM when the launcher of several processes, or a sweep, is killed and cannot tell this one.

    The first thing that a process does: it does not notice a launcher that ends earlier.
    """
    known = os.environ.pop("ARTSCHOOL_ENDS_WITH", None)
    if known is not None or "WORLD_SIZE" in os.environ:
        from artschool.storage.processes import end_with_parent

        end_with_parent(int(known or os.getppid()), signal.SIGTERM)
