"""A disk that refuses something costs no training: it is told, tried again, and ends the run only if it goes on."""

from __future__ import annotations

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from artschool.engine import checkpoint, room
from artschool.errors import ResourceError
from artschool.storage import durable
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.refusing_disk import ALWAYS, environment
from tests.engine.toy_run import fingerprint, load, recorded, write

SHORT = ("train.iterations=12", "evaluate={}", "checkpoint={every: 3, keep_last: 2}")


def python(folder: Path, *arguments: str, **variables: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments],
        env={**os.environ, "OMP_NUM_THREADS": "1", **variables},
        cwd=folder, capture_output=True, text=True, timeout=120, check=False,
    )  # fmt: skip


@pytest.mark.slow
def test_errors_that_pass_are_told_and_cost_no_bit(tmp_path: Path) -> None:
    """Over five seconds: the command starts, and imports torch.

    EIO at the save after 3 iterations, ENOSPC at the next one, ESTALE at the one after it, and a file of the first
    checkpoint that another process has open on NFS.
    """
    file = write(tmp_path, *SHORT, "log.every=100")
    rules = (
        ("fsync", errno.EIO, 1, 1, ".tmp-00000003"),
        ("write", errno.ENOSPC, 1, 1, ".tmp-00000005"),
        ("fsync", errno.ESTALE, 1, 1, ".tmp-00000006"),
        ("nfs", errno.EBUSY, *ALWAYS, "del-00000009"),
    )
    command = ("-m", "artschool", "train", str(file), "--run-dir", "run", "--no-trace", "checkpoint.keep_last=1")
    done = python(tmp_path, *command, **environment(tmp_path, *rules))
    assert done.returncode == 0, done.stdout + done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith("warning: the checkpoint")]
    assert [line[: line.index(" is not")] for line in lines] == [
        f"warning: the checkpoint after iteration {number}" for number in (3, 5, 6)
    ]
    reasons = ("Input/output error", "No space left on device", "Stale file handle")
    for count, (line, reason) in enumerate(zip(lines, reasons, strict=True), 1):
        assert f"({count} of 10 failures in a row that end the run)" in line and reason in line
    assert done.stdout.count("warning: an old checkpoint could not be deleted, which is tried again") == 1
    assert CheckpointStore(tmp_path / "run/checkpoints").numbers() == [12]
    run = load(tmp_path, *SHORT, "log.every=100")
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *SHORT, "log.every=100")
    recorded(whole)
    assert fingerprint(run) == fingerprint(whole.train())


SMALL = "import sys; from pathlib import Path; from artschool.storage.durable import check_file_system as check"
CHECK = f"{SMALL}\ntry: check(Path('.'))\nexcept Exception as error: sys.exit(type(error).__name__ + ': ' + str(error))"


@pytest.mark.parametrize(
    ("rule", "says"),
    [
        (("fsync", errno.EINVAL, *ALWAYS, "/"), "sync a file there: Invalid argument"),
        (("fsync", errno.EINVAL, 2, 2, ".tmp-probe"), "sync a folder there: Invalid argument"),
        (("rename", errno.EPERM, 2, 2, ".tmp-probe"), "rename a folder there: Operation not permitted"),
        (
            ("rename", errno.EXDEV, 1, 1, ".tmp-probe"),
            "rename a file to one that exists there: Invalid cross-device link",
        ),
        (("write", errno.EROFS, *ALWAYS, ".tmp-probe"), "write a file there: Read-only file system"),
        (("write", errno.EDQUOT, *ALWAYS, ".tmp-probe"), "write a file there: Disk quota exceeded"),
        (("write", errno.ENOSPC, *ALWAYS, ".tmp-probe"), "write a file there: No space left on device"),
    ],
)
def test_a_file_system_that_cannot_keep_checkpoints_is_refused(
    tmp_path: Path, rule: tuple[str, int, int, int, str], says: str
) -> None:
    (tmp_path / "run").mkdir()
    found = python(tmp_path / "run", "-c", CHECK, **environment(tmp_path, rule))
    assert found.returncode == 1
    fix = "Fix: delete files" if rule[0] == "write" else "Checkpoints could not be kept safe. Fix: choose a folder"
    fix = "Fix: mount the file system so that" if rule[1] == errno.EROFS else fix
    assert found.stderr.startswith(f"ResourceError: .: cannot {says}. {fix}")
    assert not list((tmp_path / "run").iterdir())


def test_it_is_refused_before_the_first_iteration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    sync = durable._sync

    def refuse(path: Path) -> None:
        if path.is_dir() and "probe" in path.name:
            raise OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        sync(path)

    run = load(tmp_path, *SHORT)
    recorder = recorded(run)
    monkeypatch.setattr(durable, "_sync", refuse)
    with pytest.raises(ResourceError, match=r"run: cannot sync a folder there: Invalid argument\. .* with --run-dir$"):
        run.train()
    assert (run.iteration, recorder.updates) == (0, [])


def test_refusals_in_a_row_end_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """They are tried after 2, 4, ... more iterations, and wherever a checkpoint is due."""
    monkeypatch.setattr(checkpoint, "PAUSES", (0.0, 0.0, 0.0))
    run = load(tmp_path, "checkpoint={every: 5, max_failures: 4}", "evaluate={}")
    recorder = recorded(run)
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_manifest=io_error")
    with pytest.raises(ResourceError, match="00000015: cannot write: Input/output error") as error:
        run.train()
    assert run.iteration == 15
    tried = [note.split()[5] for note in recorder.notes if "is not saved" in note]
    assert tried == ["5", "7", "10"]
    assert error.value.__notes__[0].startswith("The last iterations could not be saved: ")
    assert not list(run.store.folder.iterdir())


def test_the_last_save_is_tried_three_times(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checkpoint, "PAUSES", (0.0, 0.0, 0.0))
    run = load(tmp_path, "train.iterations=4", "evaluate={}")
    recorder = recorded(run)
    tries, draft = [0], run.store.draft

    def refuse(number: int) -> object:
        tries[0] += 1
        if tries[0] < 4:
            raise ResourceError("full")
        return draft(number)

    monkeypatch.setattr(run.store, "draft", refuse)
    run.train()
    assert (tries, run.store.numbers(), len(recorder.notes)) == ([4], [4], 3)


def test_a_best_value_whose_checkpoint_was_refused_is_not_the_best(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    values = iter([1.0, 3.0, 2.0, 1.5])
    best = "checkpoint={every: 100, keep_last: 1, keep_best: {metric: held_out/psnr, mode: max}}"
    run = load(tmp_path, best, "evaluate.held_out.every=5")
    monkeypatch.setattr(type(run.evaluations[0]), "run", lambda *_: {"held_out/psnr": next(values)})
    draft = run.store.draft

    def refuse(number: int) -> object:
        if number == 10:
            raise ResourceError("full")
        return draft(number)

    monkeypatch.setattr(run.store, "draft", refuse)
    recorded(run)
    run.train()
    assert (run.best, run.store.numbers()) == ((2.0, 15), [15, 20])


def test_checkpoints_in_the_image_of_a_container_are_replaced_and_deleted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """overlayfs cannot rename a folder of a lower layer."""
    rename, refused = os.rename, list[str]()

    def overlay(source: Path, target: Path) -> None:
        if Path(source).name in ("00000003", "00000012"):
            refused.append(f"{Path(source).name} {Path(target).name.split('-')[0]}")
            raise OSError(errno.EXDEV, os.strerror(errno.EXDEV))
        rename(source, target)

    monkeypatch.setattr(os, "rename", overlay)
    run = load(tmp_path, *SHORT)
    recorder = recorded(run)
    run.train()
    assert (run.store.all_numbers(), recorder.notes) == ([9, 12], [])
    assert {"00000003 .del", "00000012 .old"} <= {*refused}
    assert all(run.store.verify(number).iteration == number for number in (9, 12))
    assert sorted(path.name for path in run.store.folder.iterdir()) == ["00000009", "00000012"]


def test_an_old_checkpoint_that_stays_costs_only_space(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NFS, a deleted file that another process has open keeps its folder from being deleted."""
    run = load(tmp_path, *SHORT, "checkpoint.keep_last=1")
    recorder = recorded(run)
    unlink = Path.unlink

    def nfs(path: Path, missing_ok: bool = False) -> None:
        if "del-00000003" in path.parent.name and path.name == "manifest.json":
            path.rename(path.with_name(".nfs0001"))
        elif path.name.startswith(".nfs"):
            raise OSError(errno.EBUSY, os.strerror(errno.EBUSY))
        else:
            unlink(path, missing_ok)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "unlink", nfs)
        run.train()
    assert run.store.numbers() == [12]
    assert len([note for note in recorder.notes if "could not be deleted, which is tried again" in note]) == 1
    store = CheckpointStore(run.store.folder)
    store.clean()
    assert [path.name for path in run.store.folder.iterdir()] == ["00000012"]


def test_each_new_folder_is_synced_into_its_parent(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    synced: list[Path] = []
    sync = durable._sync

    def record(path: Path) -> None:
        synced.append(path)
        sync(path)

    monkeypatch.setattr(durable, "_sync", record)
    from artschool.engine.run_folder import create_run_folder

    assert create_run_folder(tmp_path / "a" / "b" / "run") == [tmp_path / part for part in ("a/b/run", "a/b", "a")]
    assert synced == [tmp_path, tmp_path / "a", tmp_path / "a/b"]


@pytest.mark.parametrize("existing", [0, 2])
def test_checkpoints_that_do_not_fit_are_refused_before_the_first_iteration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, existing: int
) -> None:
    """The size is that of a saved checkpoint, apart from names, and what is there already needs no room."""
    if existing:
        load(tmp_path, *SHORT, "train.iterations=6").train()
    run = load(tmp_path, *SHORT)
    recorder = recorded(run)
    size = room.checkpoint_bytes(run) + sum(room.optimizer_bytes(s.update) for s in run.steps if s.update is not None)
    monkeypatch.setattr(room, "free_bytes", lambda folder: (3 - existing) * size - 1)
    number = "1 checkpoint takes" if existing else "3 checkpoints take"
    with pytest.raises(ResourceError, match=rf"run: {number} [\d.]+ kB, but only [\d.]+ kB are free\. Fix: lower"):
        run.train()
    assert recorder.updates == []
    monkeypatch.setattr(room, "free_bytes", lambda folder: (3 - existing) * size)
    run.train()
    files = (path for path in (run.folder / "checkpoints/00000012").iterdir() if path.suffix == ".safetensors")
    written = 0
    for path in files:
        header = int.from_bytes(path.read_bytes()[:8], "little")
        written += path.stat().st_size - 8 - header
    assert size == pytest.approx(written, rel=0.02)
    assert json.loads((run.folder / "checkpoints/00000012/state.json").read_text())["iteration"] == 12
