"""Pairs of folders, frames, patches with their picture, trees of crops; folders, .zip and .tar alike."""

from __future__ import annotations

import multiprocessing
import pickle
import tarfile
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image

from artschool.components.datasets.crop_tree import CropTree
from artschool.components.datasets.frames import Frames
from artschool.components.datasets.image_folder import ImageFolder
from artschool.components.datasets.image_pairs import ImagePairs
from artschool.components.datasets.patch_with_reference import PatchWithReference
from artschool.components.datasets.sources import Tar, Zip
from artschool.errors import DataError


def save(path: Path, value: float | None = None, width: int = 8, height: int = 8) -> None:
    """A picture filled with a value, or whose red is the column and green the row, in steps of 1 / 51."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if value is not None:
        Image.new("RGB", (width, height), (round(value * 255),) * 3).save(path)
        return
    rows, columns = np.mgrid[:height, :width]
    Image.fromarray(np.stack([columns * 5, rows * 5, rows * 0], -1).astype(np.uint8)).save(path)


def packed(folder: Path, kind: str) -> Path:
    target = folder.with_suffix(kind)
    if kind == ".zip":
        with zipfile.ZipFile(target, "w", zipfile.ZIP_DEFLATED) as archive:
            for file in sorted(folder.rglob("*.png"), reverse=True):
                archive.write(file, file.relative_to(folder))
    else:
        with tarfile.open(target, "w") as tar:
            for file in sorted(folder.rglob("*.png"), reverse=True):
                tar.add(file, file.relative_to(folder))
    return target


@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_an_archive_reads_as_its_folder(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "pictures"
    for index, name in enumerate(("b.png", "deep/a.png", "c.png")):
        save(folder / name, index / 5)
    (folder / ".hidden.png").write_bytes(b"")
    plain, archive = ImageFolder(path=folder), ImageFolder(path=packed(folder, kind))
    assert [archive[i]["name"] for i in range(len(archive))] == ["b.png", "c.png", "a.png"]
    for index in range(3):
        assert torch.equal(plain[index]["hq"], archive[index]["hq"])
    again = pickle.loads(pickle.dumps(archive))  # As a spawned worker gets it.
    assert torch.equal(again[2]["hq"], plain[2]["hq"])


def _read(dataset: Any, queue: Any) -> None:
    queue.put([float(dataset[i % 3]["hq"].mean()) for i in range(60)])


@pytest.mark.parametrize("kind", [".zip", ".tar"])
def test_forked_workers_read_an_archive_side_by_side(tmp_path: Path, kind: str) -> None:
    folder = tmp_path / "pictures"
    for index in range(3):
        save(folder / f"{index}.png", index / 5, 64, 64)
    dataset = ImageFolder(path=packed(folder, kind))
    expected = [float(dataset[i % 3]["hq"].mean()) for i in range(60)]  # Opened here before the workers fork.
    context = multiprocessing.get_context("fork")
    queue = context.Queue()
    workers = [context.Process(target=_read, args=(dataset, queue)) for _ in range(3)]
    for worker in workers:
        worker.start()
    assert [queue.get(timeout=20) for _ in workers] == [expected] * 3
    for worker in workers:
        worker.join()


def test_names_that_lead_outside_an_archive_lead_nowhere(tmp_path: Path) -> None:
    save(tmp_path / "in" / "x.png", 0.2)
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.write(tmp_path / "in" / "x.png", "../../outside.png")
    assert ImageFolder(path=tmp_path / "a.zip")[0]["name"] == "outside.png"
    assert sorted(file.name for file in tmp_path.iterdir()) == ["a.zip", "in"]


def test_damaged_and_compressed_archives_are_told(tmp_path: Path) -> None:
    (tmp_path / "a.zip").write_bytes(b"PK nothing")
    with pytest.raises(DataError, match=r"a\.zip: cannot be read as \.zip: File is not a zip file\. Fix: "):
        Zip(tmp_path / "a.zip")
    with tarfile.open(tmp_path / "b.tar", "w:gz"):
        pass
    said = r"b\.tar: cannot be read as an uncompressed \.tar: .*\. Fix: create the archive again, without compression$"
    with pytest.raises(DataError, match=said):
        Tar(tmp_path / "b.tar")
    save(tmp_path / "in" / "x.png", 0.2)
    whole = packed(tmp_path / "in", ".tar").read_bytes()
    shard = Tar(tmp_path / "in.tar")
    (tmp_path / "in.tar").write_bytes(whole[: whole.index(b"IHDR") - 4])
    with pytest.raises(DataError, match=r"in\.tar/x\.png: file is truncated \(expected \d+ bytes, got 8\)\. Fix: "):
        shard.read("x.png")
    (tmp_path / "c.txt").write_text("")
    with pytest.raises(DataError, match=r"c\.txt: expected a folder, \.zip or \.tar, got a \.txt file\. Fix: "):
        ImageFolder(path=tmp_path / "c.txt")


def test_several_folders_are_one_and_names_can_be_left_out(tmp_path: Path) -> None:
    save(tmp_path / "a" / "z.png", 0.2)
    save(tmp_path / "a" / "ref.png", 0.6)
    save(tmp_path / "b" / "y.png", 0.4)
    folder = ImageFolder(path=[tmp_path / "b", tmp_path / "a"], exclude=["ref.*"], values=(-1.0, 1.0))
    assert [folder[i]["name"] for i in range(len(folder))] == ["y.png", "z.png"]
    torch.testing.assert_close(folder[0]["hq"], torch.full((3, 8, 8), -0.2))


def test_the_middle_square_is_shrunk_by_averaging(tmp_path: Path) -> None:
    save(tmp_path / "x.png", width=12, height=4)
    sample = ImageFolder(path=tmp_path, size=2, crop="middle")[0]
    torch.testing.assert_close(sample["hq"][0] * 51, torch.tensor([[4.5, 6.5]] * 2), atol=0.11, rtol=0)
    torch.testing.assert_close(sample["hq"][1] * 51, torch.tensor([[0.5] * 2, [2.5] * 2]), atol=0.11, rtol=0)


def test_flip_flips_and_turns_nothing(tmp_path: Path) -> None:
    save(tmp_path / "x.png")
    folder = ImageFolder(path=tmp_path, augment="flip")
    seen = set()
    for seed in range(20):
        torch.manual_seed(seed)
        hq = folder[0]["hq"]
        assert float(hq[1, 0].max()) == 0  # The first row stays the first.
        seen.add(float(hq[0, 0, 0]))
    assert len(seen) == 2


def test_pairs_are_cut_and_turned_alike(tmp_path: Path) -> None:
    for index in range(2):
        save(tmp_path / "lq" / f"{index}.png", width=9, height=7)
        large = Image.open(tmp_path / "lq" / f"{index}.png").resize((18, 14), Image.Resampling.NEAREST)
        (tmp_path / "hq").mkdir(exist_ok=True)
        large.save(tmp_path / "hq" / f"{index}.bmp")
    pairs = ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", size=8, scale=2, augment=True)
    assert len(pairs) == 2
    for seed in range(12):
        torch.manual_seed(seed)
        pair = pairs[1]
        assert pair["name"] == "1.bmp" and pair["hq"].shape == (3, 8, 8)
        assert torch.equal(pair["hq"], pair["lq"].repeat_interleave(2, 1).repeat_interleave(2, 2))


def test_pairs_that_do_not_match_are_told(tmp_path: Path) -> None:
    for side, name, width in (("lq", "a.png", 8), ("lq", "b.png", 8), ("hq", "a.png", 15)):
        save(tmp_path / side / name, width=width, height=width)
    said = r"^image_pairs: 1 image has no counterpart \(.*, got only in .*/lq: 'b'\)\. Fix: add or remove the image$"
    with pytest.raises(DataError, match=said):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq")
    (tmp_path / "lq" / "b.png").unlink()
    said = r"/hq/a\.png: expected 16 x 16, 2 times the size of its lq, got 15 x 15\. Fix: correct `scale`, or "
    with pytest.raises(DataError, match=said):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", scale=2)[0]
    with pytest.raises(DataError, match=r"^image_pairs: size: expected a multiple of scale 2, got 5\. Fix: use 6$"):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq", scale=2, size=5)
    save(tmp_path / "lq" / "a.bmp", width=8, height=8)
    with pytest.raises(
        DataError, match=r"^image_pairs: .*/lq: duplicate image 'a' \(expected one extension, got several"
    ):
        ImagePairs(lq=tmp_path / "lq", hq=tmp_path / "hq")


def test_frames_of_one_folder_are_stacked_in_order(tmp_path: Path) -> None:
    for video, count in (("a", 4), ("b", 2), ("c", 3)):
        for frame in range(count):
            save(tmp_path / video / f"{frame:03}.png", (frame + 1) / 5)
    frames = Frames(path=tmp_path, count=2, stride=2, size=4, scale=2)
    assert [frames[i]["name"] for i in range(len(frames))] == ["000.png", "001.png", "000.png"]
    sample = frames[1]
    assert sample["hq"].shape == (2, 3, 4, 4) and sample["lq"].shape == (2, 3, 2, 2)
    torch.testing.assert_close(sample["hq"][:, 0, 0, 0], torch.tensor([0.4, 0.8]))
    assert sample["corruption_entropy"].shape == (2, 0)
    with pytest.raises(
        DataError, match=r"no folder in .* has enough frames \(expected 7, got at most 4\)\. Fix: lower "
    ):
        Frames(path=tmp_path, count=4, stride=2)


def test_numbers_of_frames_count_by_their_value(tmp_path: Path) -> None:
    for frame in (1, 2, 9, 10, 11):
        save(tmp_path / f"take2_{frame}.png", frame / 15)
    frames = Frames(path=tmp_path, count=2)
    assert [frames[i]["name"] for i in range(4)] == ["take2_1.png", "take2_2.png", "take2_9.png", "take2_10.png"]
    torch.testing.assert_close(frames[2]["hq"][:, 0, 0, 0], torch.tensor([9, 10]) / 15)


def remarks_about(folder: Path, *numbers: int) -> list[str]:
    for number in numbers:
        save(folder / "shot1" / f"take2_{number:04}_left.png")
    return Frames(path=folder, count=2).remarks


def test_missing_frames_are_reported(tmp_path: Path) -> None:
    seem = "frames seem to be missing between shot1/take2_0002_left.png and shot1/take2_0004_left.png"
    fix = ", which count as consecutive. Fix: add them, or put the frames after them into another folder"
    assert remarks_about(tmp_path / "one", 1, 2, 4, 5, 6) == [f"{seem}{fix}"]
    assert remarks_about(tmp_path / "two", 1, 2, 4, 5, 6, 9, 10) == [f"{seem} and at 1 other place{fix}"]


@pytest.mark.parametrize("numbers", [(7, 8, 9), (0, 5, 10, 15), (1, 4, 6, 11), (3, 3)])
def test_frames_without_a_gap_or_a_usual_distance_are_not_reported(tmp_path: Path, numbers: tuple[int, ...]) -> None:
    save(tmp_path / "shot1" / "take9_0000_left.png")
    assert remarks_about(tmp_path, *numbers) == []


def test_frames_are_cut_and_turned_alike(tmp_path: Path) -> None:
    for frame in range(3):
        save(tmp_path / f"{frame}.png", width=16, height=12)
    frames = Frames(path=tmp_path, count=3, size=4, augment=True)
    for seed in range(8):
        torch.manual_seed(seed)
        hq = frames[0]["hq"]
        assert torch.equal(hq[0], hq[1]) and torch.equal(hq[0], hq[2])


def test_frames_of_different_sizes_are_refused_with_a_patch_too(tmp_path: Path) -> None:
    for frame, width in enumerate((16, 14)):
        save(tmp_path / f"{frame}.png", width=width, height=12)
    for size in (None, 4):
        with pytest.raises(DataError, match=r"expected one size for the 2 frames .*, got 14 x 12, 16 x 12"):
            Frames(path=tmp_path, count=2, size=size)[0]


def test_a_patch_comes_with_its_picture_and_place(tmp_path: Path) -> None:
    save(tmp_path / "x.png", width=40, height=32)
    patches = PatchWithReference(path=tmp_path, size=8, scale=2)
    for seed in range(6):
        torch.manual_seed(seed)
        sample = patches[0]
        assert sample["hq"].shape == (3, 8, 8) and sample["lq"].shape == (3, 4, 4)
        assert sample["hq_reference"].shape == (4, 8, 8) and sample["lq_reference"].shape == (4, 4, 4)
        row, column = float(sample["hq"][1, 0, 0]) * 51, float(sample["hq"][0, 0, 0]) * 51 - 4  # 4: left of the square
        assert sample["hq_center"].tolist() == [int((row + 4) / 4 + 1e-4), int((column + 4) / 4 + 1e-4)]
        assert float(sample["hq_reference"][3].sum()) == 4  # A patch of 8 in 32 is 2 in 8.
        assert sample["hq_reference"][3, round(row / 4), round(column / 4)] == 1
        assert sample["lq_center"].tolist() == [value // 2 for value in sample["hq_center"].tolist()]


def test_a_tree_holds_the_parts_of_each_square(tmp_path: Path) -> None:
    save(tmp_path / "x.png", width=16, height=16)
    sample = CropTree(path=tmp_path, size=4, levels=3, scale=2)[0]
    assert sample["hq"].shape == (21, 3, 4, 4) and sample["lq"].shape == (21, 3, 2, 2)
    last = sample["hq"][5:].reshape(4, 4, 3, 4, 4)
    assert float(last[1, 2, 0, 0, 0]) * 51 == pytest.approx(8) and float(last[1, 2, 1, 0, 0]) * 51 == pytest.approx(4)
    middle = sample["hq"][1:5].reshape(2, 2, 3, 4, 4)
    parts = last[2:, :2].permute(2, 0, 3, 1, 4).reshape(3, 8, 8)  # Of the lower left quarter.
    torch.testing.assert_close(middle[1, 0], torch.nn.functional.avg_pool2d(parts, 2))
