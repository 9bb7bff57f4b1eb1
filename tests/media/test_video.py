"""Videos keep their frames, their rate and their sound through a file."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

from artschool.errors import DataError
from artschool.media.video import _frames_of_container, open_video, write_video


def frames(height: int = 16, width: int = 24) -> list[Tensor]:
    """A square that moves over a smooth background."""
    background = torch.linspace(0.2, 0.6, width).expand(3, height, width) * torch.tensor([1, 0.8, 0.5])[:, None, None]
    moved = []
    for index in range(5):
        frame = background.clone()
        frame[0, 4:12, 4 * index : 4 * index + 8] = 0.9
        moved.append(frame)
    return moved


def read(path: Path) -> tuple[list[Tensor], Fraction, int]:
    with open_video(path) as video:
        return list(video.frames), video.rate, video.count


@pytest.mark.parametrize(("suffix", "error"), [(".png", 0.002), (".webp", 0.002), (".gif", 0.1)])
def test_an_animation_is_read_as_it_was_written(tmp_path: Path, suffix: str, error: float) -> None:
    written = frames()
    write_video(tmp_path / f"x{suffix}", iter(written), 20)
    found, rate, count = read(tmp_path / f"x{suffix}")
    assert (float(rate), count) == (20, 5)
    torch.testing.assert_close(torch.stack(found), torch.stack(written), atol=error, rtol=0)
    assert [path.name for path in tmp_path.iterdir()] == [f"x{suffix}"]


@pytest.mark.parametrize("suffix", [".mp4", ".mkv", ".webm"])
@pytest.mark.parametrize("width", [24, 23])
def test_a_video_is_read_as_it_was_written(tmp_path: Path, suffix: str, width: int) -> None:
    pytest.importorskip("av")
    written = frames(width=width)
    write_video(tmp_path / f"x{suffix}", iter(written), Fraction(30000, 1001))
    found, rate, _ = read(tmp_path / f"x{suffix}")
    assert len(found) == 5
    assert rate == Fraction(30000, 1001) or suffix == ".mkv"  # In whole milliseconds.
    differences = (torch.stack(found) - torch.stack(written)).abs()
    assert float(differences.mean()) < 0.03
    assert float((torch.stack(found).mean((0, 2, 3)) - torch.stack(written).mean((0, 2, 3))).abs().max()) < 0.02


class Turned:
    """A video stream that stores the frames of a phone that was turned, as PyAV has it."""

    def __init__(self, rotation: int | None) -> None:
        if rotation is not None:
            self.rotation = rotation

    def decode(self, stream: object) -> list[Turned]:
        return [self]

    def to_ndarray(self, format: str) -> np.ndarray[Any, Any]:
        assert format == "rgb24"
        return np.arange(6, dtype=np.uint8).reshape(2, 3, 1).repeat(3, 2)


@pytest.mark.parametrize(
    ("rotation", "shown"),
    [
        (None, [[0, 1, 2], [3, 4, 5]]), (0, [[0, 1, 2], [3, 4, 5]]), (180, [[5, 4, 3], [2, 1, 0]]),
        (90, [[2, 5], [1, 4], [0, 3]]), (-90, [[3, 0], [4, 1], [5, 2]]),
    ],
)  # fmt: skip
def test_frames_of_a_turned_phone_are_upright(rotation: int | None, shown: list[list[int]]) -> None:
    (frame,) = _frames_of_container(Path("x.mov"), Turned(rotation), None)
    assert (255 * frame[0]).round().tolist() == shown


def test_the_sound_is_copied(tmp_path: Path) -> None:
    av: Any = pytest.importorskip("av")
    with av.open(str(tmp_path / "in.mp4"), "w") as container:
        picture, sound = container.add_stream("libx264", rate=5), container.add_stream("aac", rate=8000)
        picture.width = picture.height = 16
        picture.pix_fmt = "yuv420p"
        for _ in range(5):
            container.mux(picture.encode(av.VideoFrame(16, 16, "yuv420p")))
        container.mux(picture.encode())
        tone = (torch.sin(torch.arange(8000) * 0.3) / 2).numpy()[None]
        samples = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
        samples.rate = 8000
        container.mux(sound.encode(samples))
        container.mux(sound.encode())
    write_video(tmp_path / "out.mp4", frames(), 5, sound=tmp_path / "in.mp4")

    def packets(name: str) -> list[bytes]:
        with av.open(str(tmp_path / name)) as container:
            return [bytes(packet) for packet in container.demux(container.streams.audio[0]) if packet.size]

    assert len(packets("in.mp4")) > 5
    assert packets("out.mp4") == packets("in.mp4")


@pytest.mark.parametrize(
    ("name", "said"),
    [("x.gif", r"x\.gif: expected a video, got no frames"), ("x.txt", r"x\.txt: expected a video with one of the end")],
)
def test_what_is_not_a_video_is_refused(tmp_path: Path, name: str, said: str) -> None:
    with pytest.raises(DataError, match=said):
        write_video(tmp_path / name, [], 10)
    (tmp_path / "y.webp").write_bytes(b"nothing")
    with pytest.raises(DataError, match=r"y\.webp: expected an animated image"):
        read(tmp_path / "y.webp")
    assert [path.name for path in tmp_path.iterdir()] == ["y.webp"]


def test_an_animation_that_is_cut_or_too_large_is_an_error_of_the_data(tmp_path: Path) -> None:
    write_video(tmp_path / "x.gif", [torch.rand(3, 32, 32) for _ in range(2)], 20)
    whole = (tmp_path / "x.gif").read_bytes()
    for data in (whole[:900], whole[:6] + b"\xff" * 4 + whole[10:]):  # In the first frame; a size of 65535 x 65535.
        (tmp_path / "x.gif").write_bytes(data)
        with pytest.raises(DataError, match=r"x\.gif: expected an animated image: "):
            read(tmp_path / "x.gif")
