"""Results of files: their names, depth, opacity, sound and frames, and what happens to files that are broken."""

from __future__ import annotations

import shutil
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image as Pillow
from safetensors.torch import load_file
from torch import Tensor

from artschool.apply.applied import Applied
from artschool.apply.files import Summary, apply_to_files, endings_for
from artschool.apply.jobs import find_jobs
from artschool.apply.sizes import Function, find_sizes
from artschool.apply.tiles import Tiling
from artschool.errors import ConfigError, ResourceError
from artschool.media.audio import read_recording, write_audio
from artschool.media.images import Image, read_image, write_image
from artschool.media.video import open_video, write_video


def double(values: Tensor) -> Tensor:
    """Twice the size, and half the brightness."""
    return F.interpolate(values, scale_factor=2.0) / 2


def applied(function: Function = double, channels: int = 3, size: tuple[int, ...] = (8, 8)) -> Applied:
    return Applied("sr", function, channels, len(size), find_sizes(function, (channels, *size)), Tiling(32, 4))


def run(folder: Path, chosen: Applied, suffix: str | None = None, batch: int = 2, rate: int | None = None) -> Summary:
    jobs = find_jobs([str(folder / "in")], folder / "out", endings_for(chosen, suffix))
    return apply_to_files(chosen, jobs, batch=batch, rate=rate)


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("alpha", [True, False])
def test_an_image_keeps_its_depth_its_opacity_and_its_channels(
    tmp_path: Path, channels: int, bits: int, *, alpha: bool
) -> None:
    image = Image(torch.rand(channels, 40, 30), torch.rand(1, 40, 30) if alpha else None, 8 if bits == 8 else 16)
    (tmp_path / "in/sub").mkdir(parents=True)
    write_image(tmp_path / "in/sub/x.png", image)
    assert run(tmp_path, applied()) == Summary(1, [])
    found = read_image(tmp_path / "out/sub/x.png")
    error = 1.01 / (2**bits - 1)
    assert (found.bits, found.color.shape) == (bits, (channels, 80, 60))
    torch.testing.assert_close(found.color, double(image.color[None])[0], atol=error, rtol=0)
    if image.alpha is None:
        assert found.alpha is None
    else:
        assert found.alpha is not None
        smooth = F.interpolate(image.alpha[None], (80, 60), mode="bicubic", antialias=True)[0].clamp(0, 1)
        torch.testing.assert_close(found.alpha, smooth, atol=2 * error, rtol=0)


def test_images_of_one_size_are_computed_together_in_their_order(tmp_path: Path) -> None:
    sizes: list[tuple[int, ...]] = []

    def function(values: Tensor) -> Tensor:
        sizes.append(tuple(values.shape))
        return double(values)

    chosen = applied(function)
    (tmp_path / "in").mkdir()
    for index, (height, width) in enumerate([(8, 8), (8, 8), (8, 8), (8, 9), (8, 8)]):
        write_image(tmp_path / f"in/{index}.png", torch.full((3, height, width), index / 10))
    sizes.clear()
    assert run(tmp_path, chosen) == Summary(5, [])
    assert sizes == [(2, 3, 8, 8), (1, 3, 8, 8), (1, 3, 8, 9), (1, 3, 8, 8)]
    for index in range(5):
        assert float(read_image(tmp_path / f"out/{index}.png").color.mean()) == pytest.approx(index / 20, abs=0.003)


def test_color_in_a_function_of_gray_and_gray_in_one_of_color() -> None:
    color, gray = torch.rand(2, 3, 8, 8), torch.rand(2, 1, 8, 8)
    torch.testing.assert_close(applied(channels=1)(color), double(color))
    torch.testing.assert_close(applied()(gray), double(gray))
    brown = torch.tensor([0.6, 0.4, 0.2]).reshape(3, 1, 1)
    torch.testing.assert_close(applied(lambda values: values * brown)(gray), gray * brown)
    luma = (color * torch.tensor([0.299, 0.587, 0.114]).reshape(3, 1, 1)).sum(1, keepdim=True)
    torch.testing.assert_close(applied(lambda values: values * brown, channels=1)(color), luma * brown)


def test_values_have_the_range_of_the_data() -> None:
    chosen = Applied("sr", lambda values: values * 10, 1, 2, find_sizes(double, (1, 8, 8)))
    chosen = Applied("sr", double, 1, 2, chosen.sizes, range=(-1.0, 1.0), result_range=(0.0, 0.5))
    # White is 1 for the function, which makes 0.5 of it: white. Mid gray is 0: black.
    assert chosen(torch.tensor([1.0, 0.5]).reshape(1, 1, 1, 2)).flatten().tolist() == [1, 1, 0, 0] * 2


def test_a_broken_file_does_not_end_the_others(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    for name in "acd":
        write_image(tmp_path / f"in/{name}.png", torch.rand(3, 8, 8))
    (tmp_path / "in/b.png").write_bytes((tmp_path / "in/a.png").read_bytes()[:60])
    write_image(tmp_path / "in/e.png", Image(torch.rand(3, 8, 8), torch.rand(1, 8, 8)))
    found = run(tmp_path, applied(), ".jpg")
    assert found.written == 3
    assert [message.partition(":")[0] for message in found.failed] == [f"{tmp_path}/in/b.png", f"{tmp_path}/out/e.jpg"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["a.jpg", "c.jpg", "d.jpg"]


def test_an_error_of_the_function_names_the_file(tmp_path: Path) -> None:
    def picky(values: Tensor) -> Tensor:
        if values.shape[3] == 9:
            raise RuntimeError("no")
        return double(values)

    sizes = find_sizes(double, (3, 8, 8))
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in/a.png", torch.rand(3, 8, 9))
    write_image(tmp_path / "in/b.png", torch.rand(3, 8, 8))
    assert run(tmp_path, Applied("sr", picky, 3, 2, sizes)) == Summary(1, [f"{tmp_path}/in/a.png: RuntimeError: no"])


def test_a_full_disk_ends_everything(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in/a.png", torch.rand(3, 8, 8))
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_write=disk_full")
    with pytest.raises(ResourceError, match=r"out/a\.png: cannot write: No space left"):
        run(tmp_path, applied())


@pytest.mark.parametrize(("suffix", "result"), [(".gif", ".gif"), (".webp", ".png"), (".png", ".png")])
def test_every_frame_of_an_animation_is_computed(tmp_path: Path, suffix: str, result: str) -> None:
    frames = [torch.full((3, 8, 10), index / 5) for index in range(5)]
    (tmp_path / "in").mkdir()
    write_video(tmp_path / f"in/x{suffix}", frames, 20)
    assert run(tmp_path, applied()) == Summary(1, [])
    with open_video(tmp_path / f"out/x{result}") as video:
        found = list(video.frames)
    assert (video.rate, [tuple(frame.shape) for frame in found]) == (20, [(3, 16, 20)] * 5)
    for index, frame in enumerate(found):
        torch.testing.assert_close(frame, torch.full_like(frame, index / 10), atol=0.003, rtol=0)


def test_every_frame_of_a_video_is_computed(tmp_path: Path) -> None:
    pytest.importorskip("av")
    (tmp_path / "in").mkdir()
    write_video(tmp_path / "in/x.mp4", [torch.full((3, 16, 16), index / 8) for index in range(7)], Fraction(25))
    assert run(tmp_path, applied(), ".webp") == Summary(1, [])
    with open_video(tmp_path / "out/x.webp") as video:
        means = [float(frame.mean()) for frame in video.frames]
    assert means == pytest.approx([index / 16 for index in range(7)], abs=0.02)


@pytest.mark.parametrize("channels", [1, 2])
def test_sound_is_computed_at_the_rate_of_the_data(tmp_path: Path, channels: int) -> None:
    def upsample(values: Tensor) -> Tensor:
        return F.interpolate(values, scale_factor=2.0, mode="linear") / 2

    tone = torch.sin(torch.arange(4000) * 0.05).expand(channels, -1) / 2
    (tmp_path / "in").mkdir()
    write_audio(tmp_path / "in/x.wav", tone, 8000)
    chosen = applied(upsample, 1, (160,))
    chosen = Applied("wav", upsample, 1, 1, chosen.sizes, Tiling(500, 20))
    assert run(tmp_path, chosen, rate=4000) == Summary(1, [])
    found = read_recording(tmp_path / "out/x.wav")
    assert (found.rate, found.samples.shape) == (8000, (channels, 4000))  # Halved by the rate, and doubled.
    torch.testing.assert_close(found.samples[:, 100:-100], tone[:, 100:-100] / 2, atol=0.01, rtol=0)


def test_other_results_are_tensors(tmp_path: Path) -> None:
    chosen = applied(lambda values: values.mean((2, 3)))
    assert chosen.sizes is None
    (tmp_path / "in").mkdir()
    pixels = np.random.default_rng(0).integers(0, 256, (9, 7, 3), dtype=np.uint8)
    Pillow.fromarray(pixels).save(tmp_path / "in/x.bmp")
    assert run(tmp_path, chosen) == Summary(1, [])
    found = load_file(tmp_path / "out/x.safetensors")["sr"]
    torch.testing.assert_close(found, torch.from_numpy(pixels / 255).float().mean((0, 1)))
    with pytest.raises(ConfigError, match=r"--suffix \.png: expected one of \.safetensors"):
        endings_for(chosen, ".png")


def test_few_files_are_in_memory(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    write_image(tmp_path / "in/0.png", torch.rand(3, 8, 8))
    for index in range(1, 40):
        shutil.copy(tmp_path / "in/0.png", tmp_path / f"in/{index}.png")
    ahead: list[int] = []
    jobs = find_jobs([str(tmp_path / "in")], tmp_path / "out", endings_for(applied()))
    opened = iter(jobs)

    class Counted:
        count = 0

        def __iter__(self) -> Counted:
            return self

        def __next__(self) -> object:
            Counted.count += 1
            return next(opened)

    apply_to_files(applied(), Counted(), batch=2, step=lambda count: ahead.append(Counted.count))  # type: ignore[arg-type]
    assert ahead[0] <= 7
    assert max(later - index * 2 for index, later in enumerate(ahead)) <= 7
