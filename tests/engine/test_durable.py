import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from artschool.errors import ResourceError
from artschool.storage import durable, fault_points

Calls = list[tuple[str, str]]


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> Calls:
    """What is synced and renamed, in order, by final name: a temporary one is written `tmp:name`."""
    recorded: Calls = []

    def name(path: str | Path) -> str:
        split = durable.split_temporary(Path(path))
        return ":".join(split) if split else Path(path).name

    def recording(call: str, original: Callable[..., None]) -> Callable[..., None]:
        def record(source: int | Path, *target: Path) -> None:
            path = Path(f"/proc/self/fd/{source}").readlink() if isinstance(source, int) else source
            recorded.append((call, " to ".join(map(name, [path, *target]))))
            original(source, *target)

        return record

    for call in ("fsync", "rename", "replace"):
        monkeypatch.setattr(os, call, recording(call, getattr(os, call)))
    return recorded


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], None]]:
    def set_fault(fault: str) -> None:
        fault_points._calls.clear()
        monkeypatch.setenv("ARTSCHOOL_FAULT", fault)

    yield set_fault
    fault_points._calls.clear()


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def test_write_file_syncs_the_file_before_the_rename_and_the_folder_after(tmp_path: Path, calls: Calls) -> None:
    durable.write_file(tmp_path / "config.yml", b"name: a\n")
    assert calls == [
        ("fsync", "tmp:config.yml"),
        ("replace", "tmp:config.yml to config.yml"),
        ("fsync", tmp_path.name),
    ]
    assert (tmp_path / "config.yml").read_bytes() == b"name: a\n"
    assert names(tmp_path) == ["config.yml"]


def test_committed_folder_syncs_files_folder_renames_and_syncs_the_parent(tmp_path: Path, calls: Calls) -> None:
    with durable.committed_folder(tmp_path / "new") as folder:
        durable.write_bytes(folder / "b", b"2")
        durable.write_bytes(folder / "a", b"1")
        assert not (tmp_path / "new").exists()
    assert calls == [
        ("fsync", "a"),
        ("fsync", "b"),
        ("fsync", "tmp:new"),
        ("rename", "tmp:new to new"),
        ("fsync", tmp_path.name),
    ]
    assert names(tmp_path / "new") == ["a", "b"]


def test_replacing_a_folder_sets_the_old_aside_only_when_the_new_is_on_the_disk(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "new").mkdir()
    aside = durable.temporary_path(tmp_path / "new", "old")
    with durable.committed_folder(tmp_path / "new", aside=aside) as folder:
        durable.write_bytes(folder / "a", b"1")
    assert calls == [
        ("fsync", "a"),
        ("fsync", "tmp:new"),
        ("rename", "new to old:new"),
        ("rename", "tmp:new to new"),
        ("fsync", tmp_path.name),
    ]
    assert names(tmp_path) == [aside.name, "new"]


def test_make_folder_syncs_each_parent_it_adds_to(tmp_path: Path, calls: Calls) -> None:
    durable.make_folder(tmp_path / "a" / "b")
    assert calls == [("fsync", tmp_path.name), ("fsync", "a")]
    durable.make_folder(tmp_path / "a" / "b")
    assert len(calls) == 2


def test_move_folder_syncs_the_parent(tmp_path: Path, calls: Calls) -> None:
    (tmp_path / "a").mkdir()
    durable.move_folder(tmp_path / "a", tmp_path / "b")
    assert calls == [("rename", "a to b"), ("fsync", tmp_path.name)]


@pytest.mark.parametrize("point", ["before_write", "after_write", "before_fsync", "before_rename"])
@pytest.mark.parametrize(
    ("action", "reason"),
    [
        ("disk_full", r"No space left on device \(5 bytes needed, \d+ bytes free\)"),
        ("io_error", "Input/output error"),
    ],
)
def test_a_refused_file_names_path_and_reason_and_leaves_the_old_one(
    tmp_path: Path, arm: Callable[[str], None], point: str, action: str, reason: str
) -> None:
    path = tmp_path / "config.yml"
    path.write_bytes(b"old")
    arm(f"{point}={action}")
    with pytest.raises(ResourceError, match=rf"config\.yml: cannot write: {reason}$") as caught:
        durable.write_file(path, b"12345")
    assert str(caught.value).startswith(f"{path}: ")
    assert path.read_bytes() == b"old"
    assert names(tmp_path) == ["config.yml"]


def test_a_folder_that_goes_before_its_file_has_its_name_is_an_error_of_the_disk(tmp_path: Path) -> None:
    (tmp_path / "a").mkdir()
    message = f"{tmp_path / 'a' / 'b'}: cannot write: No such file or directory"
    for commit in (durable.committed_file, durable.committed_folder):
        with pytest.raises(ResourceError) as caught, commit(tmp_path / "a" / "b"):
            (tmp_path / "a").rename(tmp_path / "moved")
        assert str(caught.value).startswith(message)
        (tmp_path / "moved").rename(tmp_path / "a")


@pytest.mark.parametrize("point", ["before_write", "after_write", "before_fsync", "before_rename"])
def test_a_folder_that_fails_is_removed(tmp_path: Path, arm: Callable[[str], None], point: str) -> None:
    arm(f"{point}=disk_full")
    with (
        pytest.raises(ResourceError, match=r"/new(/a)?: cannot write: No space left on device \(3 bytes needed"),
        durable.committed_folder(tmp_path / "new") as folder,
    ):
        durable.write_bytes(folder / "a", b"123")
    assert names(tmp_path) == []


def test_an_error_in_the_block_removes_the_folder_and_is_passed_on(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), durable.committed_folder(tmp_path / "new") as folder:
        durable.write_bytes(folder / "a", b"1")
        raise KeyboardInterrupt
    assert names(tmp_path) == []


@pytest.mark.parametrize("nth", [1, 2])
def test_a_failed_replacement_puts_the_old_folder_back(tmp_path: Path, arm: Callable[[str], None], nth: int) -> None:
    (tmp_path / "new").mkdir()
    (tmp_path / "new" / "old").touch()
    arm(f"before_rename:{nth}=raise")
    aside = durable.temporary_path(tmp_path / "new", "old")
    committed = durable.committed_folder(tmp_path / "new", aside=aside)
    with pytest.raises(RuntimeError, match="fault point before_rename"), committed:
        pass
    assert names(tmp_path) == ["new"]
    assert names(tmp_path / "new") == ["old"]


def test_what_is_already_there_is_not_replaced_not_even_an_empty_folder_or_a_dangling_link(
    tmp_path: Path,
) -> None:
    (tmp_path / "empty").mkdir()
    (tmp_path / "link").symlink_to("nowhere")
    for name in ("empty", "link"):
        committed = durable.committed_folder(tmp_path / name)
        with pytest.raises(ResourceError, match=rf"/{name}: cannot write: File exists"), committed:
            pass
    with pytest.raises(ResourceError, match="/empty/a: cannot write: File exists"):
        (tmp_path / "empty" / "a").touch()
        durable.write_bytes(tmp_path / "empty" / "a", b"1")
    assert names(tmp_path) == ["empty", "link"]


def test_remove_leftovers_takes_own_temporary_files_and_nothing_else(tmp_path: Path) -> None:
    leftover = durable.temporary_path(tmp_path / "config.yml", "tmp")
    stay = [".tmp-config.yml", ".tmp-x-0123456g", "config.yml", ".old-x-01234567"]
    for path in [leftover, *(tmp_path / name for name in stay)]:
        path.touch()
    (tmp_path / ".tmp-link-01234567").symlink_to(tmp_path / "config.yml")
    (tmp_path / ".tmp-folder-01234567").mkdir()
    probe = durable.temporary_path(tmp_path / "probe", "tmp")  # Of a check of the file system that was killed.
    probe.mkdir()
    (probe / "old").touch()
    assert durable.remove_leftovers(tmp_path) == [leftover, probe]
    assert names(tmp_path) == sorted([*stay, ".tmp-link-01234567", ".tmp-folder-01234567"])


def test_a_fault_point_counts_passages(arm: Callable[[str], None]) -> None:
    arm("before_write:2=raise")
    fault_points.fault_point("before_write")
    fault_points.fault_point("after_write")
    with pytest.raises(RuntimeError, match=r"^fault point before_write$"):
        fault_points.fault_point("before_write")
    fault_points.fault_point("before_write")
    arm("before_write=raise")
    for _ in range(2):
        with pytest.raises(RuntimeError):
            fault_points.fault_point("before_write")


def test_a_fault_point_sleeps(arm: Callable[[str], None], monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr("time.sleep", slept.append)
    arm("before_write=sleep:0.25")
    fault_points.fault_point("before_write")
    arm("before_write=sleep")
    fault_points.fault_point("before_write")
    assert slept == [0.25, 1.0]


@pytest.mark.parametrize("fault", ["before_writ=kill", "before_write", "before_write:0=kill", "before_write=kill:3"])
def test_a_misspelt_fault_is_refused(arm: Callable[[str], None], fault: str) -> None:
    arm(fault)
    with pytest.raises(ValueError, match=r"expected name\[:nth\]=action; names: before_write, after_write"):
        fault_points.fault_point("before_rename")


def test_an_unknown_action_is_refused(arm: Callable[[str], None]) -> None:
    arm("before_write=explode")
    with pytest.raises(ValueError, match="unknown action 'explode'; actions: kill, disk_full, io_error, raise, sleep"):
        fault_points.fault_point("before_write")


_WRITES = """
import sys
from pathlib import Path
from artschool.storage.durable import write_file
for text in (b"one", b"two"):
    write_file(Path(sys.argv[1]), text)
"""


@pytest.mark.parametrize(
    ("point", "content"),
    [
        ("before_write", b"one"),
        ("after_write", b"one"),
        ("before_fsync", b"one"),
        ("before_rename", b"one"),
        ("after_rename", b"two"),
    ],
)
def test_a_killed_write_leaves_the_old_file_or_the_new_one(tmp_path: Path, point: str, content: bytes) -> None:
    path = tmp_path / "file"
    environment = {
        **os.environ,
        "ARTSCHOOL_FAULT": f"{point}:2=kill",
        "PYTHONPATH": os.pathsep.join(sys.path),
    }
    result = subprocess.run([sys.executable, "-c", _WRITES, str(path)], env=environment, check=False)
    assert result.returncode == -signal.SIGKILL
    assert path.read_bytes() == content
    assert len(durable.remove_leftovers(tmp_path)) == (point in ("after_write", "before_fsync", "before_rename"))
    assert names(tmp_path) == ["file"]


def test_writing_does_not_import_torch() -> None:
    code = "import sys, artschool.storage.durable; assert 'torch' not in sys.modules"
    subprocess.run(
        [sys.executable, "-c", code], env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, check=True
    )
