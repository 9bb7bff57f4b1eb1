import errno
import hashlib
import os
import random
import resource
import signal
import time
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import safetensors.torch
import torch

from artschool.errors import CheckpointError, ResourceError
from artschool.storage import checkpoint_files, durable, fault_points
from artschool.storage.checkpoint_files import FileRecord, UnreadableCheckpointError, encode_manifest
from artschool.storage.checkpoint_store import CheckpointStore, Manifest, NewerCheckpointError


@pytest.fixture
def store(tmp_path: Path) -> CheckpointStore:
    return CheckpointStore(tmp_path / "run" / "checkpoints")


def save(store: CheckpointStore, number: int, value: float | None = None, size: int = 4) -> Path:
    fill = float(number) if value is None else value
    tensors = {
        "gen": {"weight": torch.full((size,), fill)},
        "gen.ema": {"weight": torch.full((2,), fill)},
        "state": {},
    }
    with store.draft(number) as draft:
        draft.write(tensors, {"value": fill})
        draft.finish(config_hash="c0ffee", world_size=2)
    return store.path(number)


def value(store: CheckpointStore, number: int) -> float:
    """The one value that all parts of a checkpoint hold."""
    checkpoint = store.load(number)
    fill: float = checkpoint.state["value"]
    assert checkpoint.number == number
    assert all((tensor == fill).all() for named in checkpoint.tensors.values() for tensor in named.values())
    return fill


def names(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir())


def final_name(path: int | Path) -> str:
    """The name of a path or an open file; a temporary one is written `tmp:name`."""
    path = Path(f"/proc/self/fd/{path}").readlink() if isinstance(path, int) else path
    split = durable.split_temporary(path)
    return ":".join(split) if split else path.name


def start(action: Callable[[], object], fault: str = "") -> int:
    """Run something in another process, which has torch already imported. Returns its id."""
    with warnings.catch_warnings():
        # Newer Pythons warn that threads do not survive a fork; the child uses none.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        try:
            os.environ["ARTSCHOOL_FAULT"] = fault
            fault_points._calls.clear()
            action()
            os._exit(0)
        except BaseException:
            os._exit(1)
    return child


def finish(child: int) -> int:
    """The exit status; negative for a signal."""
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def test_a_checkpoint_comes_back_with_all_its_parts(store: CheckpointStore) -> None:
    path = save(store, 123)
    assert path == store.folder / "00000123"
    assert names(path) == [
        "gen.ema.safetensors",
        "gen.safetensors",
        "manifest.json",
        "state.json",
        "state.safetensors",
    ]
    for checkpoint in (store.load(123), checkpoint_files.load(path)):
        assert (checkpoint.number, checkpoint.path) == (123, path)
        assert checkpoint.tensors.keys() == {"gen", "gen.ema", "state"}
        assert checkpoint.tensors["gen"]["weight"].tolist() == [123.0] * 4
        assert checkpoint.tensors["state"] == {}
        assert checkpoint.state == {"value": 123.0}
    manifest = store.verify(123)
    assert (manifest.schema, manifest.iteration, manifest.world_size, manifest.config_hash) == (
        3,
        123,
        2,
        "c0ffee",
    )
    assert manifest.versions["torch"] == str(torch.__version__)
    assert manifest.versions.keys() == {"artschool", "torch", "python"}
    for name, record in manifest.files.items():
        data = (path / name).read_bytes()
        assert (record.size, record.sha256) == (len(data), hashlib.sha256(data).hexdigest())


def test_a_loaded_tensor_does_not_depend_on_the_file(store: CheckpointStore) -> None:
    path = save(store, 1)
    weight = store.load(1).tensors["gen"]["weight"]
    (path / "gen.safetensors").write_bytes(bytes(1000))
    weight += 1
    assert weight.tolist() == [2.0] * 4


def test_numbers_are_ordered_as_numbers_and_only_plain_folders_count(store: CheckpointStore, tmp_path: Path) -> None:
    assert store.numbers() == []
    assert store.newest_valid(pytest.fail) is None
    for number in (100_000_000, 99_999_999, 0):
        save(store, number)
    for odd in ("1", "0000000123", "00000004.bak", "best", "0000001²"):
        (store.folder / odd).mkdir()
        (store.folder / odd / "manifest.json").touch()
    (store.folder / "00000005").mkdir()
    (store.folder / "00000006").symlink_to(store.folder / "00000000")
    (store.folder / "00000007").touch()
    assert store.numbers() == [0, 99_999_999, 100_000_000]
    assert store.newest_valid(pytest.fail) == 100_000_000


def test_a_missing_number_lists_those_there_are(store: CheckpointStore) -> None:
    save(store, 1)
    save(store, 2)
    with pytest.raises(
        CheckpointError, match=r"checkpoints/00000003: checkpoint does not exist\. Available checkpoints: 1, 2$"
    ):
        store.load(3)
    with pytest.raises(CheckpointError, match=r"checkpoints/00000003: folder does not exist$"):
        checkpoint_files.load(store.folder / "00000003")


def test_a_renamed_checkpoint_is_found_out_and_loads_by_its_path(store: CheckpointStore) -> None:
    path = save(store, 1).rename(store.folder / "00000002")
    for read in (store.verify, store.load):
        with pytest.raises(
            CheckpointError, match=r"00000002: contains the checkpoint 00000001\. Fix: rename the folder$"
        ):
            read(2)
    assert checkpoint_files.load(path).number == 1


def damages(data: bytes, chance: random.Random) -> Iterator[tuple[str, bytes]]:
    for _ in range(20):
        position = chance.randrange(len(data) * 8)
        flipped = bytearray(data)
        flipped[position // 8] ^= 1 << position % 8
        yield "damaged: ", bytes(flipped)
    for length in (0, 1, len(data) // 2, len(data) - 1):
        yield f"damaged: wrong size (expected {len(data)} bytes, got {length})", data[:length]
    yield f"damaged: wrong size (expected {len(data)} bytes, got {len(data) + 1})", data + b"\n"
    yield "damaged: ", bytes(len(data))


def test_every_damage_is_found_and_named_before_anything_is_loaded(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, chance = save(store, 1), random.Random(0)
    monkeypatch.setattr(safetensors.torch, "load", lambda _: pytest.fail("loaded before all was verified"))
    for name in names(path):
        data = (path / name).read_bytes()
        for reason, damaged in damages(data, chance):
            (path / name).write_bytes(damaged)
            expected = f"{path / name}: " + ("damaged: " if name == "manifest.json" else reason)
            for read in (
                lambda: store.verify(1),
                lambda: store.load(1),
                lambda: checkpoint_files.load(path),
            ):
                with pytest.raises(CheckpointError) as caught:
                    read()
                assert str(caught.value).startswith(expected)
        (path / name).unlink()
        with pytest.raises(CheckpointError, match=rf"00000001/{name}: missing$"):
            store.load(1)
        (path / name).symlink_to("/dev/null")
        with pytest.raises(CheckpointError, match=rf"00000001/{name}: not a regular file$"):
            store.load(1)
        (path / name).unlink()
        (path / name).write_bytes(data)
    store.verify(1)


def test_the_newest_valid_one_is_found_and_the_damaged_are_reported(store: CheckpointStore) -> None:
    for number in (1, 2, 10, 11):
        save(store, number)
    (store.folder / "00000011" / "manifest.json").unlink()
    (store.folder / "00000010" / "gen.safetensors").unlink()
    reports: list[str] = []
    assert store.newest_valid(reports.append) == 2
    assert reports == [
        f"warning: skipping checkpoint 11: {store.folder}/00000011/manifest.json: missing",
        f"warning: skipping checkpoint 10: {store.folder}/00000010/gen.safetensors: missing",
    ]
    save(store, 11)
    assert value(store, 11) == 11.0
    assert store.newest_valid(pytest.fail) == 11


def test_a_checkpoint_that_cannot_be_read_now_is_not_passed_over(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A run that went on from an older one would write over it. A bad block is damage, and passed over."""
    save(store, 1)
    save(store, 2)
    opened = Path.open
    refused = errno.EACCES

    def open_refused(self: Path, *arguments: Any, **options: Any) -> Any:
        if self.match("00000002/gen.safetensors"):
            raise OSError(refused, os.strerror(refused))
        return opened(self, *arguments, **options)

    monkeypatch.setattr(Path, "open", open_refused)
    with pytest.raises(
        UnreadableCheckpointError, match=r"gen\.safetensors: cannot read: Permission denied\. Fix: make it"
    ):
        store.newest_valid(pytest.fail)
    refused = errno.EIO
    reports: list[str] = []
    assert store.newest_valid(reports.append) == 1
    assert "cannot read: Input/output error" in reports[0]


def forge(store: CheckpointStore, **changes: Any) -> None:
    """Give checkpoint 1 another manifest, with the right hash."""
    manifest = store.verify(1)
    (store.folder / "00000001" / "manifest.json").write_bytes(
        encode_manifest(Manifest(**{**{name: getattr(manifest, name) for name in vars(manifest)}, **changes}))
    )


def test_a_newer_schema_says_what_is_needed_and_is_not_passed_over(store: CheckpointStore) -> None:
    save(store, 0)
    save(store, 1)
    forge(store, schema=7, versions={"artschool": "4.2"})
    text = (
        r"manifest\.json: saved by a newer version \(schema 7, this version reads up to 3\)\. "
        r"Fix: install artschool >= 4\.2$"
    )
    with pytest.raises(NewerCheckpointError, match=text):
        store.load(1)
    with pytest.raises(NewerCheckpointError, match=text):
        store.newest_valid(pytest.fail)


@pytest.mark.parametrize("name", ["../00000000/gen.safetensors", "/etc/passwd", "manifest.json", "a/b.safetensors", ""])
def test_a_manifest_names_no_file_outside_its_folder(store: CheckpointStore, name: str) -> None:
    save(store, 1)
    forge(store, files={**store.verify(1).files, name: store.verify(1).files["state.json"]})
    with pytest.raises(CheckpointError, match=f"lists '{name}', which is not a file of a checkpoint"):
        store.verify(1)


def test_a_manifest_of_wrong_types_or_without_the_state_is_refused(store: CheckpointStore) -> None:
    save(store, 1)
    forge(store, files={"gen.safetensors": store.verify(1).files["gen.safetensors"]})
    with pytest.raises(CheckpointError, match=r"manifest\.json: does not list state\.json"):
        store.verify(1)
    save(store, 1)
    forge(store, iteration="1")
    with pytest.raises(
        CheckpointError, match=r"manifest\.json: not a manifest: iteration: Input should be a valid integer$"
    ):
        store.verify(1)


def test_a_manifest_that_is_deeply_nested_is_damaged(store: CheckpointStore) -> None:
    (save(store, 1) / "manifest.json").write_text("[" * 200_000)
    with pytest.raises(CheckpointError, match=r"manifest\.json: damaged"):
        store.verify(1)


def test_a_right_hash_of_wrong_content_is_an_error_with_a_name(store: CheckpointStore) -> None:
    data = b"[1, 2]"
    for name in ("gen.safetensors", "state.json"):
        path = save(store, 1)
        record = FileRecord(len(data), hashlib.sha256(data).hexdigest())
        forge(store, files={**store.verify(1).files, name: record})
        (path / name).write_bytes(data)
        with pytest.raises(CheckpointError, match=rf"{name}: cannot read: "):
            store.load(1)


@pytest.mark.parametrize("now", [{"first"}, {"second"}, {"first", "second"}, set()])
def test_what_is_written_before_a_pause_may_change_in_it(store: CheckpointStore, now: set[str]) -> None:
    live = {"first": torch.arange(4.0), "second": torch.arange(6)}
    expected = {name: value.clone() for name, value in live.items()}
    with store.draft(1) as draft:
        # Of the others, there is a copy.
        given = {name: live[name] if name in now else expected[name] for name in live}
        draft.begin({"gen": given}, {"gen": now})
        for value in live.values():
            value.resize_(9).fill_(7)
        draft.write({"gen": given, "late": {"x": torch.ones(2)}}, {"value": 1})
        draft.finish(config_hash="", world_size=1)
    store.verify(1)
    loaded = store.load(1).tensors
    assert {name: value.tolist() for name, value in loaded["gen"].items()} == {
        name: value.tolist() for name, value in expected.items()
    }
    assert loaded["late"]["x"].tolist() == [1.0, 1.0]


@pytest.mark.parametrize("stem", ["../gen", "a/b", "", ".hidden", "a b", "gen\n"])
def test_a_stem_that_is_no_plain_name_is_refused(store: CheckpointStore, stem: str) -> None:
    with pytest.raises(CheckpointError, match="is not a valid file name"), store.draft(1) as draft:
        draft.write({stem: {}}, {})
    assert names(store.folder) == []


def test_a_negative_number_is_refused(store: CheckpointStore) -> None:
    with pytest.raises(ValueError, match="the number of a checkpoint cannot be negative, got -1"):
        save(store, -1)


def test_the_order_of_syncs_and_renames_of_a_save_and_a_replacement(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, 1)
    events: list[str] = []

    def record(call: str) -> None:
        original = getattr(os, call)

        def recorded(*paths: int | Path) -> None:
            events.append(" ".join([call, *map(final_name, paths)]))
            original(*paths)

        monkeypatch.setattr(os, call, recorded)

    for call in ("fsync", "rename", "unlink"):
        record(call)
    save(store, 1)
    assert events == [
        "fsync gen.ema.safetensors",
        "fsync gen.safetensors",
        "fsync manifest.json",
        "fsync state.json",
        "fsync state.safetensors",
        "fsync tmp:00000001",
        "rename 00000001 old:00000001",
        "rename tmp:00000001 00000001",
        "fsync checkpoints",
        "rename old:00000001 del:00000001",
        "fsync checkpoints",
        "unlink gen.ema.safetensors",
        "unlink gen.safetensors",
        "unlink manifest.json",
        "unlink state.json",
        "unlink state.safetensors",
    ]


@pytest.mark.parametrize("point", fault_points.FAULT_POINTS)
def test_a_kill_at_any_passage_of_any_fault_point_loses_nothing_announced(tmp_path: Path, point: str) -> None:
    """Three saves with rotation, then the last again with another value; killed at passage 1, 2, ..."""
    kills = 0
    while True:
        folder, log = tmp_path / str(kills) / "checkpoints", tmp_path / f"{kills}.log"
        log.touch()
        child = start(partial(save_four_times, folder, log), f"{point}:{kills + 1}=kill")
        status = finish(child)
        announced = [float(line) for line in log.read_text().split()]
        store = CheckpointStore(folder)
        for _ in ("before clean", "after clean"):
            newest = store.newest_valid(pytest.fail)
            assert (newest is not None) or not announced
            if newest is not None:
                assert value(store, newest) >= max(announced, default=0)
            store.clean()
        if folder.exists():
            assert names(folder) == [f"{number:08d}" for number in store.numbers()]
        if newest is not None:
            save(store, newest, 9.0)
            assert value(store, newest) == 9.0
        if status == 0:
            break
        assert status == -signal.SIGKILL
        kills += 1
    assert kills == {
        "before_write": 20, "after_write": 20, "before_fsync": 4, "before_manifest": 4,
        "before_rename": 7, "after_rename": 4, "before_rotate": 3, "mid_rotate": 10,
    }[point]  # fmt: skip


def save_four_times(folder: Path, log: Path) -> None:
    store = CheckpointStore(folder)
    for number, fill in ((1, 1.0), (2, 2.0), (3, 3.0), (3, 3.5)):
        save(store, number, fill)
        with log.open("a") as stream:
            stream.write(f"{fill}\n")
        if fill != 3.5:
            store.rotate([], keep_last=2)


@pytest.mark.parametrize("kills", [12, pytest.param(500, marks=pytest.mark.soak)])
def test_kills_at_random_times_corrupt_and_lose_nothing(tmp_path: Path, kills: int) -> None:
    """500 of them in `make soak`, since each takes a fraction of a second."""
    folder, log, chance = tmp_path / "checkpoints", tmp_path / "log", random.Random(0)
    log.touch()
    announced = 0

    def save_on_and_on() -> None:
        store = CheckpointStore(folder)
        store.clean()
        for number in range(announced + 1, announced + 100_000):
            save(store, number, size=20_000)
            with log.open("a") as stream:
                stream.write(f"{number}\n")
            store.rotate([], keep_last=2)

    for _ in range(kills):
        size, child = log.stat().st_size, start(save_on_and_on)
        while log.stat().st_size == size:
            assert os.waitpid(child, os.WNOHANG) == (0, 0)
            time.sleep(0.001)
        time.sleep(chance.uniform(0, 0.1))
        os.kill(child, signal.SIGKILL)
        assert finish(child) == -signal.SIGKILL
        announced = int(log.read_text().split()[-1])
        store = CheckpointStore(folder)
        newest = store.newest_valid(pytest.fail)
        assert newest in (announced, announced + 1)
        assert value(store, newest) == newest
        announced = newest


def test_the_same_kill_ruins_a_writer_in_place(store: CheckpointStore, monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: without the temporary folder, the harness above does see the damage."""
    save(store, 1)

    @contextmanager
    def in_place(target: Path, **_: object) -> Iterator[Path]:
        for path in target.iterdir():
            path.unlink()
        yield target

    monkeypatch.setattr(durable, "committed_folder", in_place)
    assert finish(start(lambda: save(store, 1), "before_manifest=kill")) == -signal.SIGKILL
    reports: list[str] = []
    assert store.newest_valid(reports.append) is None
    assert reports == [f"warning: skipping checkpoint 1: {store.folder}/00000001/manifest.json: missing"]


@pytest.mark.parametrize("existing", [1, 2])
@pytest.mark.parametrize(
    "point",
    ["before_write", "after_write:3", "before_write:5", "before_fsync", "before_manifest", "before_rename"],
)
def test_a_full_disk_leaves_what_was_there_and_nothing_else(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, point: str, existing: int
) -> None:
    save(store, existing)
    fault_points._calls.clear()
    monkeypatch.setenv("ARTSCHOOL_FAULT", f"{point}=disk_full")
    with pytest.raises(
        ResourceError,
        match=r"00000002.*: cannot write: No space left .* \((\d+ bytes needed, )?\d+ bytes free\)$",
    ):
        save(store, 2, 7.0)
    assert names(store.folder) == [f"{existing:08d}"]
    assert value(store, existing) == existing
    monkeypatch.delenv("ARTSCHOOL_FAULT")
    save(store, 2, 7.0)
    assert value(store, 2) == 7.0


def test_a_disk_without_inodes_is_told_apart_from_a_full_one(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_write=disk_full")
    disk = SimpleNamespace(f_files=100, f_favail=0, f_frsize=4096, f_blocks=100, f_bfree=50, f_bavail=50)
    monkeypatch.setattr(os, "statvfs", lambda path: disk)
    with pytest.raises(ResourceError, match=r"bytes free\)\. Fix: delete files: the disk has no inode left"):
        save(store, 1)
    disk.f_files = 0  # The file system counts none.
    with pytest.raises(ResourceError, match=r"bytes free\)$"):
        save(store, 1)


def test_a_file_size_limit_of_the_system_is_a_resource_error(store: CheckpointStore, tmp_path: Path) -> None:
    save(store, 1)

    def save_too_much() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
        try:
            save(store, 2, size=1000)
        except ResourceError as error:
            (tmp_path / "error").write_text(str(error))

    assert finish(start(save_too_much)) == 0
    message = (tmp_path / "error").read_text()
    assert message.startswith(
        f"{store.folder}/00000002/gen.safetensors: cannot write: File too large (4080 bytes needed, "
    )
    assert message.endswith(" bytes free). Fix: raise the limit of the size of files (`ulimit -f`)")
    assert names(store.folder) == ["00000001"]
    assert value(store, 1) == 1.0


def test_rotation_keeps_exactly_the_newest_and_the_named(store: CheckpointStore) -> None:
    for number in (8, 9, 10, 100, 101):
        save(store, number)
    assert store.rotate([9, 77], keep_last=2) == [8, 10]
    assert names(store.folder) == ["00000009", "00000100", "00000101"]
    assert store.rotate([9], keep_last=2) == []
    assert store.rotate([], keep_last=1) == [9, 100]
    assert store.rotate([], keep_last=5) == []
    with pytest.raises(ValueError, match="keep_last: expected at least 1, got 0"):
        store.rotate([], keep_last=0)


def test_at_every_deletion_of_twenty_saves_the_newest_is_valid(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks, original = [0], fault_points.fault_point

    def check(point: str) -> None:
        original(point)
        if saved and point in ("mid_rotate", "before_rotate", "before_rename", "after_rename"):
            checks[0] += 1
            assert CheckpointStore(store.folder).newest_valid(pytest.fail) in (saved, saved + 1)

    saved = 0
    monkeypatch.setattr(fault_points, "fault_point", check)
    for number in range(1, 21):
        save(store, number)
        saved = number
        store.rotate([1], keep_last=2)
        assert store.numbers() == sorted({1, number - 1, number} - {0})
    assert checks[0] > 100


def test_rotation_spares_the_last_saved_and_does_not_count_the_damaged(store: CheckpointStore) -> None:
    for number in (10, 20, 30):
        save(store, number)
    (store.folder / "00000030" / "gen.safetensors").unlink()
    again = CheckpointStore(store.folder)
    assert again.newest_valid(lambda _: None) == 20
    save(again, 25)
    assert again.rotate([], keep_last=2) == [10]
    assert again.numbers() == [20, 25, 30]
    assert again.rotate([], keep_last=1) == [20]

    other = CheckpointStore(store.folder)
    save(other, 12)
    assert other.rotate([], keep_last=1) == [25]
    assert other.numbers() == [12, 30]


def test_rotation_and_cleaning_touch_no_foreign_folder_and_follow_no_link(
    store: CheckpointStore, tmp_path: Path
) -> None:
    for number in range(1, 8):
        save(store, number)
    folder, outside = store.folder, tmp_path / "outside"
    (folder / "00000001").rename(outside)
    (folder / "00000001").symlink_to(outside)
    (folder / "00000002" / "notes.txt").touch()
    (folder / "00000003" / "sub").mkdir()
    (folder / "00000004" / "link.safetensors").symlink_to(outside / "gen.safetensors")
    (folder / "best").mkdir()
    for kind in ("tmp", "del", "old"):
        (folder / f".{kind}-00000001-0000000a").symlink_to(outside)
        (folder / f".{kind}-00000005-0000000a").mkdir()
        (folder / f".{kind}-00000005-0000000a" / "notes.txt").touch()
        (folder / f".{kind}-best-0000000a").mkdir()
    before, inside = names(folder), {path: names(path) for path in folder.iterdir()}
    assert store.rotate([], keep_last=1) == [5, 6]
    store.clean()
    gone = {"00000005", "00000006", ".old-00000005-0000000a"}
    assert set(before) - set(names(folder)) <= gone
    assert all(names(path) == content for path, content in inside.items() if path.name not in gone)


@pytest.mark.parametrize("kind", ["link", "file", "notes"])
def test_saving_over_something_foreign_is_refused(store: CheckpointStore, tmp_path: Path, kind: str) -> None:
    path = save(store, 1)
    if kind == "notes":
        (path / "notes.txt").touch()
    else:
        path.rename(tmp_path / "moved")
        path.touch() if kind == "file" else path.symlink_to(tmp_path / "moved")
    blamed = "notes.txt" if kind == "notes" else "00000001"
    with pytest.raises(
        CheckpointError,
        match=f"00000001: '{blamed}' is in the way and is not part of a checkpoint. Fix: move it elsewhere$",
    ):
        save(store, 1, 5.0)
    assert names(store.folder) == ["00000001"]
    assert checkpoint_files.load(tmp_path / "moved" if kind != "notes" else path).state == {"value": 1.0}


def test_a_store_behind_a_link_is_refused(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "checkpoints").symlink_to(tmp_path / "real")
    with pytest.raises(
        CheckpointError, match="checkpoints: the folder is a link; checkpoints are not deleted through links"
    ):
        CheckpointStore(tmp_path / "checkpoints")


@pytest.mark.parametrize("replacement", ["none", "good", "damaged"])
def test_cleaning_restores_what_was_set_aside_unless_its_replacement_is_good(
    store: CheckpointStore, replacement: str
) -> None:
    save(store, 1, 5.0).rename(store.folder / ".old-00000001-0000000a")
    if replacement != "none":
        aside = (store.folder / ".old-00000001-0000000a").rename(store.folder / "elsewhere")
        save(store, 1, 6.0)
        aside.rename(store.folder / ".old-00000001-0000000a")
    if replacement == "damaged":
        (store.folder / "00000001" / "gen.safetensors").write_bytes(b"")
    store.clean()
    assert names(store.folder) == ["00000001"]
    assert value(store, 1) == (6.0 if replacement == "good" else 5.0)


def test_what_was_set_aside_stays_while_something_foreign_has_its_place(store: CheckpointStore, tmp_path: Path) -> None:
    aside = save(store, 1).rename(store.folder / ".old-00000001-0000000a")
    (store.folder / "00000001").symlink_to(tmp_path)
    store.clean()
    assert names(store.folder) == [aside.name, "00000001"]
    assert value(store, 1) == 1.0


def test_a_failure_while_deleting_is_told_once_and_costs_only_space(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    save(store, 1)
    save(store, 2)
    fault_points._calls.clear()
    monkeypatch.setenv("ARTSCHOOL_FAULT", "mid_rotate=io_error")
    for _ in range(2):
        assert store.rotate([], keep_last=1) == []
    (warning,) = store.deletion.warnings
    assert "00000001: cannot write: Input/output error" in warning
    monkeypatch.delenv("ARTSCHOOL_FAULT")
    assert store.numbers() == [2]
    store.clean()
    assert names(store.folder) == ["00000002"]


@pytest.mark.parametrize("linked", [True, False])
def test_amending_replaces_values_of_the_state_and_writes_no_tensor_again(
    store: CheckpointStore, monkeypatch: pytest.MonkeyPatch, linked: bool
) -> None:
    def refuse(self: Path, target: Path) -> None:
        raise OSError("links are not supported")

    if not linked:
        monkeypatch.setattr(Path, "hardlink_to", refuse)
    path = save(store, 1)
    tensors, before = path / "gen.safetensors", (path / "gen.safetensors").stat().st_ino
    store.amend(1, {"seen": float("inf")})
    assert store.load(1).state == {"value": 1.0, "seen": float("inf")}
    assert store.load(1).manifest.config_hash == "c0ffee"
    assert (tensors.stat().st_ino == before, tensors.stat().st_nlink) == (linked, 1)
    assert names(store.folder) == ["00000001"]


def test_amending_what_is_missing_or_damaged_is_refused(store: CheckpointStore) -> None:
    with pytest.raises(CheckpointError, match=r"checkpoint does not exist\. Available checkpoints: none"):
        store.amend(1, {})
    path = save(store, 1)
    (path / "state.json").write_bytes((path / "state.json").read_bytes() + b" ")
    with pytest.raises(
        CheckpointError, match=r"state\.json: damaged: its SHA-256 differs from the one in the manifest"
    ):
        store.amend(1, {})


@pytest.mark.parametrize("point", ["before_write", "before_fsync", "before_rename", "after_rename"])
def test_a_kill_while_amending_leaves_the_old_or_the_new_state(store: CheckpointStore, point: str) -> None:
    save(store, 1)
    for nth in (1, 2):
        assert finish(start(lambda: store.amend(1, {"seen": 1}), f"{point}:{nth}=kill")) in (0, -signal.SIGKILL)
        store.clean()
        assert store.load(1).state in ({"value": 1.0}, {"value": 1.0, "seen": 1})
        assert names(store.folder) == ["00000001"]


def test_thinning_out_keeps_the_weights_of_all_and_the_rest_of_the_newest(tmp_path: Path) -> None:
    store = CheckpointStore(tmp_path)
    for number in (1, 2, 3):
        tensors = {"net": {"w": torch.ones(number)}, "state.optimizers": {"m": torch.ones(9)}}
        with store.draft(number) as draft:
            draft.write(tensors, {"iteration": number})
            draft.finish(config_hash="", world_size=1)
    assert store.thin_out("state.optimizers", [1]) == [2]
    assert store.thin_out("state.optimizers", [1]) == []
    for number, has_state in ((1, True), (2, False), (3, True)):
        loaded = store.load(number)
        assert loaded.tensors["net"]["w"].tolist() == [1.0] * number
        assert ("state.optimizers" in loaded.tensors) == has_state
        assert (tmp_path / f"{number:08d}" / "state.optimizers.safetensors").exists() == has_state
    assert store.rotate([], keep_last=None) == []
