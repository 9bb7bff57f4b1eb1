"""The command itself: exit codes, and what it imports before it has to."""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from artschool.cli.main import ALONE, cli, main
from artschool.errors import ConfigError
from artschool.torch_version import OLDEST
from tests.config.bad_files import SOUND
from tests.reports.small import artschool

LAZY = """
import sys
import click
from artschool.cli.main import cli
commands = ("train", "eval", "check", "components", "schema")
for arguments in (["--help"], ["--version"], *([command, "--help"] for command in commands)):
    cli(arguments, standalone_mode=False)
print(sorted({"torch", "numpy", "pydantic", "rich", "yaml", "torchmetrics"} & set(sys.modules)))
"""


def exit_code(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> object:
    monkeypatch.setattr(sys, "argv", ["artschool", *arguments])
    try:
        main()
    except SystemExit as stop:
        return stop.code
    return 0


def test_help_imports_nothing_heavy() -> None:
    environment = {"PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-W", "error", "-c", LAZY]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
    assert "Train any set of PyTorch networks that learn together, from one YAML file." in done.stdout


def test_help_names_every_command() -> None:
    result = CliRunner().invoke(cli, ["-h"])
    assert result.exit_code == 0
    for command in ("train", "eval", "check", "components", "convert"):
        assert f"\n  {command} " in result.output


def test_help_lists_each_command_once_in_the_section_of_its_purpose() -> None:
    sections = CliRunner().invoke(cli, ["--help"]).output.split("\n\n")[-3:]
    listed = {
        head[:-1]: [line.split()[0] for line in lines] for head, *lines in (each.splitlines() for each in sections)
    }
    assert list(listed) == ["Write and check a file", "Train", "Use runs"]
    assert "..." not in "".join(sections), "a summary is cut"
    assert listed["Train"] == ["train", "sweep", "profile", "resume-test"]
    assert sorted(name for names in listed.values() for name in names) == sorted(cli.commands)


@pytest.mark.parametrize(
    ("arguments", "code", "says"),
    [
        (["check", "gan.yml"], 0, ""),
        (["check", "gan.yml", "seed=1"], 0, ""),
        (
            ["check", "gan.yml", "seed=x"],
            2,
            "override 'seed=x': seed: expected a whole number, got text 'x'\n1 fault; nothing was started.\n",
        ),
        (["check", "gan.yml", "a", "b"], 2, "expected path.to.key=value\n2 faults; nothing was started.\n"),
        (["check", "none.yml"], 2, "none.yml: file does not exist\n    YAML files in .: gan.yml.\n"),
        (["check"], 2, "Error: Missing argument 'CONFIG'.\n"),
        (["chekc"], 2, "Error: No such command 'chekc'"),
        (["components", "losses"], 0, ""),
        (["components", "lossez"], 2, "Did you mean 'losses'?\n1 fault; nothing was started.\n"),
        (["components", "losses", "l3"], 2, "unknown loss 'l3'. Available losses: "),
    ],
)
def test_exit_codes(
    arguments: list[str],
    code: int,
    says: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gan.yml").write_text(SOUND)
    assert exit_code(monkeypatch, *arguments) == code
    captured = capsys.readouterr()
    assert says in captured.err
    assert (captured.out == "") == (code != 0) and (captured.err == "") == (code == 0)


def test_a_path_that_is_too_long_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("gan.yml").write_text(SOUND)
    name = f"{'a' * 300}.py"
    assert exit_code(monkeypatch, "check", "gan.yml", f"plugins=[{name}]") == 2
    assert capsys.readouterr().err == f"{tmp_path / name}: the path is too long\n"


def test_ctrl_c_returns_130(monkeypatch: pytest.MonkeyPatch) -> None:
    def interrupted(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("artschool.cli.components.components_command", interrupted)
    assert exit_code(monkeypatch, "components") == 130


def test_a_fault_of_a_run_that_had_started_does_not_claim_that_nothing_was(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def failed(*_: object, **__: object) -> None:
        error = ConfigError("l2 compares equal shapes")
        error.add_note("gan.yml:3:4: steps.gen.losses.pixel")
        raise error

    monkeypatch.setattr("artschool.cli.components.components_command", failed)
    assert exit_code(monkeypatch, "components") == 2
    assert capsys.readouterr().err.splitlines()[-2:] == ["l2 compares equal shapes", "1 fault."]


@pytest.mark.parametrize(
    "arguments", [["-m", "artschool", "check", "x.yml"], ["-c", "import artschool; artschool.load"]]
)
def test_an_older_torch_is_refused_before_it_is_imported(tmp_path: Path, arguments: list[str]) -> None:
    (tmp_path / "torch").mkdir()
    (tmp_path / "torch" / "__init__.py").write_text("raise AssertionError('imported')")
    (tmp_path / "torch-2.9.1+cpu.dist-info").mkdir()
    (tmp_path / "torch-2.9.1+cpu.dist-info" / "METADATA").write_text("Name: torch\nVersion: 2.9.1+cpu\n")
    environment = {"PYTHONPATH": ":".join([str(tmp_path), *sys.path])}
    done = subprocess.run([sys.executable, *arguments], capture_output=True, text=True, env=environment, check=False)
    assert done.stderr.splitlines()[-1].removeprefix("artschool.errors.ResourceError: ") == (
        "torch 2.9.1+cpu is too old (expected 2.10 or later). Fix: `pip install 'torch>=2.10'`"
    )
    assert done.returncode == (5 if "-m" in arguments else 1)


def test_the_oldest_torch_is_the_one_that_pip_installs() -> None:
    file = Path(__file__).parents[2] / "pyproject.toml"
    project = tomllib.loads(file.read_text(encoding="utf-8"))["project"]
    assert f"torch>={'.'.join(map(str, OLDEST))}" in project["dependencies"]


@pytest.mark.parametrize("command", ALONE)
def test_a_command_of_one_process_is_refused_in_several(command: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert artschool(command, "some") == (
        2,
        f"{command} runs in one process. Fix: start it without torchrun (and without WORLD_SIZE in the environment)\n"
        "1 fault; nothing was started.\n",
    )
