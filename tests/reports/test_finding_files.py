"""Links, hidden files, empty folders and the home directory."""

from __future__ import annotations

import io
import tarfile
import zipfile
from pathlib import Path

import pytest

from artschool.components.datasets.finding import endings_of, is_hidden, list_folder
from artschool.components.datasets.image_folder import ImageFolder
from artschool.components.datasets.sources import Tar
from artschool.errors import DataError
from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

RESOURCE_FORK = bytes.fromhex("0005160700020000") + b"Mac OS X        " + bytes(200)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder, with the images and the file of a run."""
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "pics" / "own", 2)
    write_images(tmp_path / "elsewhere", 4)
    write_images(tmp_path / "held", 2)
    (tmp_path / "sr.yml").write_text(SUPER_RESOLUTION)
    return tmp_path


def test_a_linked_folder_belongs_to_the_data_set(folder: Path) -> None:
    (folder / "pics" / "more").symlink_to("../elsewhere")
    code, printed = artschool("train", "sr.yml", "--no-trace")
    assert code == 0
    assert "6 samples in batches of 2" in printed


def test_circles_and_doubles_are_read_once_and_reported_once(folder: Path) -> None:
    (folder / "pics" / "again").symlink_to("own")
    (folder / "elsewhere" / "back").symlink_to("../pics")
    (folder / "pics" / "more").symlink_to("../elsewhere")
    (folder / "pics" / "gone").symlink_to("../nowhere")
    code, printed = artschool("train", "sr.yml")
    assert code == 0
    assert "6 samples in batches of 2" in printed
    assert [line for line in printed.splitlines() if line.startswith("note: data.train")] == [
        "note: data.train: pics/gone is a broken link to ../nowhere",
        "note: data.train: pics/again is a link to a folder that is read already",
        "note: data.train: pics/more/back is a link to a folder that is read already",
    ]


def test_the_order_is_that_of_the_names_and_folders_keep_their_own(tmp_path: Path) -> None:
    for name in ("b/2.png", "b/1.png", "a-b/0.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"")
    (tmp_path / "a").symlink_to("b")
    assert list_folder(tmp_path).names == ["a", "a-b", "a-b/0.png", "b", "b/1.png", "b/2.png"]


def test_a_link_to_a_folder_above_reads_no_folder_twice(tmp_path: Path) -> None:
    write_images(tmp_path / "all" / "pics", 1)
    write_images(tmp_path / "all" / "more", 1)
    (tmp_path / "all" / "pics" / "up").symlink_to("..")
    names = list_folder(tmp_path / "all" / "pics").names
    assert names == ["000.png", "up", "up/more", "up/more/000.png", "up/pics"]


@pytest.mark.parametrize(
    "name", ["._000.png", ".DS_Store", "Thumbs.db", "desktop.ini", ".trash/x.png", "__MACOSX/x.png"]
)
def test_what_systems_leave_beside_the_data_is_passed_over(folder: Path, name: str) -> None:
    assert is_hidden(name) and is_hidden(f"deep/{name}")
    for place in ("pics", "held"):
        (folder / place / name).parent.mkdir(exist_ok=True)
        (folder / place / name).write_bytes(RESOURCE_FORK)
    assert len(ImageFolder(path=folder / "pics")) == 2
    with zipfile.ZipFile("pics.zip", "w") as archive:
        for file in sorted(Path("pics").rglob("*.png")):
            archive.write(file)
    assert len(ImageFolder(path=Path("pics.zip"))) == 2


def test_a_folder_whose_own_path_is_hidden_is_read(tmp_path: Path) -> None:
    write_images(tmp_path / ".cache" / "pics", 1)
    assert len(ImageFolder(path=tmp_path / ".cache" / "pics")) == 1


def test_an_archive_of_the_current_folder_and_its_links_are_read(folder: Path) -> None:
    with tarfile.open("pics.tar", "w") as archive:
        archive.add("pics/own", ".")
        for name, target, kind in (
            ("./deep/link.png", "../000.png", tarfile.SYMTYPE),
            ("./hard.png", "./001.png", tarfile.LNKTYPE),
            ("./gone.png", "nothing.png", tarfile.SYMTYPE),
        ):
            entry = tarfile.TarInfo(name)
            entry.type, entry.linkname = kind, target
            archive.addfile(entry)
    archive_of_links = Tar(Path("pics.tar"))
    assert archive_of_links.read("./deep/link.png") == Path("pics/own/000.png").read_bytes()
    assert archive_of_links.read("./hard.png") == Path("pics/own/001.png").read_bytes()
    images = ImageFolder(path=Path("pics.tar"))
    assert len(images) == 4
    assert images.remarks == ["pics.tar/./gone.png is a link to nothing.png, which is no file of the archive"]


def test_an_empty_result_says_what_was_found(folder: Path) -> None:
    (folder / "scans").mkdir()
    for index in range(3):
        (folder / "scans" / f"{index}.GIF").write_bytes(b"")
    (folder / "scans" / "notes").write_bytes(b"")
    said = (
        r"no images in scans \(expected \.png, .*, got 4 files: 3 \.gif, 1 without ending\)\. Fix: add some or correct"
    )
    with pytest.raises(DataError, match=said):
        ImageFolder(path=Path("scans"))
    with pytest.raises(DataError, match=r"no images in scans "):  # Also where another folder has some.
        ImageFolder(path=[Path("pics"), Path("scans")])
    (folder / "pics" / "extra.gif").write_bytes(b"")
    assert ImageFolder(path=Path("pics")).remarks == [
        "pics: passed over 1 file: 1 .gif (supported: .png, .jpg, .jpeg, .webp, .bmp, .tif, .tiff)"
    ]


def test_many_endings_are_cut_short() -> None:
    names = [f"x.{letter}" for letter in "abcdefgh"]
    assert endings_of([*names, "y.a"]) == "9 files: 2 .a, 1 .b, 1 .c, 1 .d, 1 .e, 1 .f, ..."


def test_a_tilde_is_the_home_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "sub").mkdir()
    (folder / "sub" / "home.yml").write_text("base: ~/sr.yml\nplugins: [~/parts.py]\nruns: ~/sub/runs\n")
    (folder / "parts.py").write_text("")
    monkeypatch.chdir(folder / "sub")
    train = "data.train.path=[~/pics, ~/elsewhere]"
    code, printed = artschool("train", "home.yml", train, "data.val.path=~/held", "--no-trace")
    assert code == 0, printed
    assert "6 samples in batches of 2" in printed
    assert (folder / "sub" / "runs" / "sr").is_dir()
    weights = "networks.gen.weights.file=~/gone.safetensors"
    code, printed = artschool(
        "train", "home.yml", train, "data.val.path=~/held", weights, "--no-trace", "--run-dir=~/x"
    )
    assert code != 0 and f"{folder}/gone.safetensors" in printed


def test_the_home_of_a_user_who_does_not_exist_is_named_as_written(folder: Path) -> None:
    code, printed = artschool("train", "sr.yml", "data.train.path=~nobody_here/pics", "--no-trace")
    assert code == 3
    assert "image_folder: ~nobody_here/pics does not exist" in printed


def test_a_network_of_a_file_in_the_home_directory(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(folder))
    (folder / "other.yml").write_text("networks: {gen: {type: edsr, scale: 2, width: 8, blocks: 1}}\n")
    (folder / "from.yml").write_text(
        SUPER_RESOLUTION.replace("{type: edsr, scale: 2, width: 8, blocks: 1}", "{from: ~/other.yml}")
    )
    assert artschool("check", "from.yml")[0] == 0


def test_a_tar_that_is_cut_is_a_bad_sample(folder: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w") as archive:
        archive.add("pics/own/000.png", "a.png")
    (folder / "cut.tar").write_bytes(buffer.getvalue())
    images = ImageFolder(path=Path("cut.tar"))
    (folder / "cut.tar").write_bytes(buffer.getvalue()[:600])
    with pytest.raises(DataError, match=r"cut\.tar/a\.png: file is truncated"):
        images[0]
