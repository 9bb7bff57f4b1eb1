"""`artschool apply` and `Model.apply` on images of a run whose data is gone."""

from __future__ import annotations

import shutil
from pathlib import Path
from unittest.mock import Mock

import numpy as np
import PIL.Image
import pytest
import torch
from torch import Tensor

import artschool as art
from artschool.apply.opened import applied_from
from artschool.media.images import Image, read_image, write_image
from artschool.model.model import Model
from tests.engine import toy_parts
from tests.reports.small import SUPER_RESOLUTION, artschool, one_step, write_images

RANGED = SUPER_RESOLUTION.replace("scale: 2, batch", "scale: 2, values: [-1, 1], batch").replace(
    "{type: psnr,", "{type: psnr, data_range: 2,"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run on values in -1..1, after a few iterations, without its data."""
    folder = tmp_path_factory.mktemp("apply")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("sr.yml").write_text(RANGED + "ema: {decay: 0.5, networks: [gen]}\n")
        write_images(Path("pics"), 3)
        write_images(Path("held"), 1)
        code, printed = artschool("train", "sr.yml", "--no-trace")
        assert code == 0, printed
        shutil.rmtree("pics")
        shutil.rmtree("held")
    return folder


@pytest.fixture
def here(folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_images(Path("in/a"), 2, 20, 30)
    write_image(Path("in/deep.png"), Image(torch.rand(3, 15, 11), torch.rand(1, 15, 11), 16))
    return folder / "runs/sr"


def expected(model: Model, color: Tensor) -> Tensor:
    """The result by hand: the average, on values in -1..1."""
    with torch.no_grad():
        result: Tensor = model["gen.ema"](color[None] * 2 - 1)[0]
    return (result / 2 + 0.5).clamp(0, 1)


def test_a_folder_is_upscaled_as_the_run_was_trained(here: Path) -> None:
    code, printed = artschool("apply", str(here), "in", "-o", "out")
    assert code == 0, printed
    assert printed.splitlines() == [
        "sr of evaluate.v, by gen (average), after 4 iterations: 3 files",
        "wrote 3 files to out",
    ]
    model = art.open(here)
    for name in ("a/000.png", "a/001.png", "deep.png"):
        given, found = read_image(Path("in") / name), read_image(Path("out") / name)
        assert found.bits == given.bits
        error = 0.51 / (2**found.bits - 1)
        torch.testing.assert_close(found.color, expected(model, given.color), atol=error, rtol=0)


def test_results_that_exist_are_skipped(here: Path) -> None:
    Path("out/a").mkdir(parents=True)
    Path("out/a/000.png").write_text("mine")
    _, printed = artschool("apply", str(here), "in/a", "-o", "out/a")
    assert "2 files; 1 skipped, whose results exist (--overwrite replaces them)" in printed
    assert printed.endswith("wrote 1 file to out/a\n")
    assert Path("out/a/000.png").read_text() == "mine"
    _, printed = artschool("apply", str(here), "in/a", "-o", "out/a", "--overwrite")
    assert printed.endswith("wrote 2 files to out/a\n")
    assert read_image(Path("out/a/000.png")).color.shape == (3, 40, 60)


def test_a_broken_file_ends_with_3_after_the_others(here: Path) -> None:
    Path("in/broken.png").write_bytes(b"nothing")
    code, printed = artschool(
        "apply", str(here), "in", "-o", "out", "--tile", "12", "--overlap", "4", "--batch-size", "4"
    )
    assert code == 3
    assert printed.splitlines()[1:] == [
        "wrote 3 files to out",
        "in/broken.png: expected an image (BMP, JPEG, PNG, TIFF, WEBP), got another format. "
        "Fix: replace the file or remove it",
        "1 file failed",
    ]


def test_the_result_of_one_file_may_be_named(here: Path) -> None:
    assert artschool("apply", str(here), "in/a/000.png", "-o", "large.webp", "--no-average")[0] == 0
    assert read_image(Path("large.webp")).color.shape == (3, 40, 60)


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["in", "-o", "out", "--output-key", "none"], 2, "unknown key 'none'. Available keys: sr"),
        (
            ["in", "-o", "out", "--tile", "20"],
            2,
            "--tile 20 --overlap 16: expected a tile of more than twice the overlap",
        ),
        (["in", "-o", "out", "--suffix", ".xyz"], 2, "--suffix .xyz: expected one of .png, .jpg"),
        (["none", "-o", "out"], 3, "none: does not exist (expected a file, a folder or a pattern such as"),
        (["in", "-o", "in"], 2, "the result would replace an input. Fix: choose another folder with -o"),
        (["in", "-o", "out", "--checkpoint", "best"], 6, "has no best checkpoint"),
    ],
)
def test_mistakes_start_nothing(here: Path, arguments: list[str], code: int, said: str) -> None:
    found, printed = artschool("apply", str(here), *arguments)
    assert (found, said in printed) == (code, True), printed
    assert not Path("out").exists()


@pytest.mark.usefixtures("registries")
def test_vectors_are_for_python(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    data, plugin = "part_samples, length: 6, width: 5", str(toy_parts.__file__)
    text = one_step("rows", plugin=plugin, data=data, network="part_shift", loss="mean, in: y")
    Path("rows.yml").write_text(text)
    assert artschool("train", "rows.yml", "--no-trace")[0] == 0
    Path("in").mkdir()
    Path("in/a.npy").touch()
    code, printed = artschool("apply", "runs/rows", "in", "-o", "out")
    assert code == 3
    assert printed.splitlines()[-2:] == [
        "in: expected files with the endings .wav, .flac, .ogg, .mp3, got 1 file: 1 .npy",
        "    Samples of 'x' have shape (5,), which `artschool apply` reads as sound. "
        "Fix: for other numbers, call `artschool.open(RUN).apply({'x': batch}, 'y')` in Python",
    ]
    for given in ("in/a.npy", "in/*.npy"):
        code, again = artschool("apply", "runs/rows", given, "-o", "out")
        assert (code, again.splitlines()[-1]) == (3, printed.splitlines()[-1])
    assert artschool("apply", "runs/rows", "none", "-o", "out")[1].splitlines()[-1].startswith("none: does not exist")
    batch = torch.rand(3, 5)
    torch.testing.assert_close(art.open("runs/rows").apply({"x": batch}, "y")["y"], batch - 0.04)


def test_samples_of_more_dimensions_are_for_python() -> None:
    model = Mock(examples={"clip": Mock(shape=(8, 3, 4, 4))}, inputs=Mock(return_value=["clip"]))
    with pytest.raises(art.ConfigError) as error:
        applied_from(model, "y")
    assert str(error.value) == (
        "'clip' has samples of shape (8, 3, 4, 4). Expected images (C, H, W) or sound (T,) or (C, T). "
        "Fix: call `artschool.open(RUN).apply({'clip': batch}, 'y')` in Python"
    )


def test_an_image_gives_one_of_its_kind(here: Path) -> None:
    model = art.open(here)
    path = Path("in/a/000.png")
    result = read_image(path).color
    by_hand = (expected(model, result) * 255).round().to(torch.uint8).permute(1, 2, 0).numpy()
    with PIL.Image.open(path) as opened:
        opened.load()
    for value in (path, str(path), opened):
        found = model.apply(value)
        assert isinstance(found, PIL.Image.Image)
        assert np.array_equal(np.asarray(found), by_hand)
    assert np.array_equal(model.apply(np.asarray(opened), "sr", tile=18, overlap=8), by_hand)
    deep = model.apply(np.asarray(opened).astype(np.uint16) * 257)
    assert deep.dtype == np.uint16
    assert np.abs(deep / 257 - by_hand).max() < 0.51
    assert model.apply(np.zeros((8, 9), np.uint8)).shape[:2] == (16, 18)
    assert model.apply(PIL.Image.new("RGBA", (9, 8))).mode == "RGBA"
    with pytest.raises(art.DataError, match=r"expected an image \(H, W\) or \(H, W, 1 to 4\), uint8 or uint16"):
        model.apply(np.zeros((8, 9, 3)))
    with pytest.raises(art.DataError, match=r"expected a tensor, an array, an image of Pillow or a path, got int"):
        model.apply(3)
