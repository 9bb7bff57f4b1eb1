"""Which files are found, and where their results belong."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.apply.jobs import find_jobs
from artschool.errors import ConfigError, DataError

ENDINGS = {".png": ".png", ".jpg": ".png", ".mp4": ".mp4"}


@pytest.fixture
def photos(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("in/a.jpg", "in/b/c.PNG", "in/b/clip.mp4", "in/b/notes.txt", "in/.hidden/d.png", "in/Thumbs.db"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    return tmp_path


def found(*inputs: str, output: str = "out") -> list[tuple[str, str]]:
    return [
        (job.source.as_posix(), job.target.as_posix())
        for job in find_jobs(inputs, Path(output), ENDINGS, is_file=output.endswith(".png"))
    ]


@pytest.mark.usefixtures("photos")
def test_files_folders_and_patterns() -> None:
    tree = [("in/a.jpg", "out/a.png"), ("in/b/c.PNG", "out/b/c.png"), ("in/b/clip.mp4", "out/b/clip.mp4")]
    assert found("in") == tree
    assert found("in/") == tree
    assert found("in/**/*") == tree
    assert found("in/**/*.mp4", "in/a.jpg") == [tree[2], tree[0]]
    assert found("in/b/c.PNG") == [("in/b/c.PNG", "out/c.png")]
    assert found("in", "in/a.jpg") == tree  # The same file twice is read once.
    assert found("in/a.jpg", output="big.png") == [("in/a.jpg", "big.png")]


@pytest.mark.usefixtures("photos")
def test_results_of_an_earlier_call_are_not_read() -> None:
    assert found(".", output="in/b") == [("in/a.jpg", "in/b/in/a.png")]


@pytest.mark.usefixtures("photos")
@pytest.mark.parametrize(
    ("inputs", "output", "error", "said"),
    [
        (["in/none.png"], "out", DataError, r"^in/none\.png: does not exist \(expected a file, a folder or a pattern"),
        (
            ["in/b/notes.txt"],
            "out",
            DataError,
            r"^in/b/notes\.txt: expected a file with one of the endings \.png, \.jpg",
        ),
        (["in/*.gif"], "out", DataError, r"^in/\*\.gif: no file matches"),
        (["empty"], "out", DataError, r"^empty: expected files with the endings \.png, .*, got 1 file: 1 \.txt"),
        (["in"], "in", ConfigError, r"in/b/c\.png: the result would replace an input\. Fix: choose another folder"),
        (
            ["in/a.jpg", "other/a.png"],
            "out",
            ConfigError,
            r"^in/a\.jpg and other/a\.png would both be written to out/a",
        ),
        (["in"], "x.png", ConfigError, r"^in/a\.jpg and in/b/c\.PNG would both be written to x\.png"),
    ],
)
def test_what_cannot_be_done_is_refused(inputs: list[str], output: str, error: type[Exception], said: str) -> None:
    Path("empty").mkdir()
    Path("empty/x.txt").touch()
    Path("other").mkdir()
    Path("other/a.png").touch()
    if output == "in":
        Path("in/b/c.PNG").rename("in/b/c.png")
    with pytest.raises(error, match=said):
        found(*inputs, output=output)
