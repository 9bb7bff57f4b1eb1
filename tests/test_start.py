"""From a file to a run."""

from __future__ import annotations

from pathlib import Path

import pytest

import artschool
from tests.engine import toy_run


def test_the_file_is_kept_as_it_was_given_whatever_the_locale(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read = Path.read_text

    def with_ascii_unless_told(path: Path, encoding: str = "ascii", errors: str | None = None) -> str:
        return read(path, encoding, errors)

    monkeypatch.setattr(Path, "read_text", with_ascii_unless_told)
    file = toy_run.write(tmp_path, "train.iterations=1")
    file.write_text(f"{file.read_text()}# é, 日\n", encoding="utf-8")
    artschool.load(file, run_dir=tmp_path / "run").train()
    assert (tmp_path / "run" / "config.yml").read_bytes() == file.read_bytes()
