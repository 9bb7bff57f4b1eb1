"""The files of this folder are those that docs/trainings.md shows, so the command has to accept them."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from tests.famous.compare import FOLDER


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize("file", sorted(FOLDER.glob("*.yml")), ids=lambda file: file.stem)
def test_a_training_passes_the_check_and_the_trace(file: Path) -> None:
    result = CliRunner().invoke(cli, ["check", "--trace", str(file)])
    assert result.exit_code == 0, result.output
    assert f"{file.name}: valid." in result.output
    assert "warning:" not in result.output
