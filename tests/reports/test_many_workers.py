"""More workers than the cores can serve are told once, before they start."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.build import data
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images


@pytest.mark.parametrize(("workers", "count"), [(8, 0), (9, 1)])
def test_many_workers_are_told_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int, count: int) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(data, "cores", lambda: 2)
    write_images(tmp_path / "pics", 4)
    write_images(tmp_path / "held", 2)
    Path("sr.yml").write_text(SUPER_RESOLUTION)
    code, printed = artschool("train", "sr.yml", f"data.train.workers={workers}", "train.iterations=1")
    assert code == 0
    assert [line for line in printed.splitlines() if "workers" in line] == [
        f"note: data.train: {workers} workers share 2 cores, which takes memory and makes none of them faster. "
        "Fix: data.train.workers=2, or a few more where they wait for a disk or a network"
    ] * count
