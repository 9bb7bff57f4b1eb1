"""What `artschool lint` prints, and what `check` and `train` say of the same."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.errors import ConfigError
from tests.config.bad_files import SOUND

pytestmark = pytest.mark.usefixtures("registries")
FINDING = """\
gan.yml:19:47: steps.gen.losses.pixel.weight: is 0, so the loss costs time and trains nothing (weight-zero)
    Fix: remove the loss.
"""
EXPLAINED = """\
weight-zero

A loss has weight 0.

The loss and its gradient are computed, but train nothing. Remove the loss. To watch its value, an evaluation is
cheaper. Each call of a network moves its spectral norms and running statistics, and draws the numbers of its
dropout, so a run without the loss may differ. A loss with `out`, whose value others read, is not reported.

To allow it, write `# lint: allow weight-zero: reason` on its line or the line above.
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("gan.yml").write_text(SOUND)
    return tmp_path


def run(*arguments: str) -> tuple[int, str]:
    result = CliRunner().invoke(cli, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result.exit_code, result.output


def spoil() -> None:
    assert SOUND.count("in: [sr, hq], weight: 1.0") == 1
    Path("gan.yml").write_text(SOUND.replace("in: [sr, hq], weight: 1.0", "in: [sr, hq], weight: 0"))


def test_a_file_without_findings_is_told_and_gives_0() -> None:
    assert run("lint", "gan.yml") == (0, "gan.yml: no findings.\n")


def test_findings_are_listed_and_give_1() -> None:
    spoil()
    assert run("lint", "gan.yml") == (1, f"{FINDING}gan.yml: 1 finding.\n")


def test_check_warns_of_them_and_still_gives_0() -> None:
    spoil()
    code, output = run("check", "gan.yml")
    assert code == 0 and output.startswith(f"warning: {FINDING}gan ")
    assert output.endswith("gan.yml: valid. 1 warning.\n")


def test_rules_are_listed_and_explained() -> None:
    code, output = run("lint", "--rules")
    assert code == 0 and "weight-zero " in output and "A loss has weight 0.\n" in output
    assert run("lint", "--rules", "weight-zero") == (0, EXPLAINED)


def test_a_reason_is_wrapped_at_words_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("FORCE_COLOR", "1"), ("TERM", "xterm"), ("COLUMNS", "70")):
        monkeypatch.setenv(name, value)
    _, output = run("lint", "--rules", "weight-zero")
    assert max(map(len, output.splitlines())) <= 70 and output.split() == EXPLAINED.split()


def test_an_unknown_rule_is_told_the_nearest() -> None:
    with pytest.raises(ConfigError, match=r"^unknown rule 'weight-zeros'\n(.|\n)*Did you mean 'weight-zero'\?"):
        run("lint", "--rules", "weight-zeros")


def test_without_a_file_it_says_what_it_wants() -> None:
    code, output = run("lint")
    assert code == 2 and "Missing argument 'CONFIG'; or use --rules." in output
