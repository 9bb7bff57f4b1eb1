"""What an evaluation shows: the same samples each time, as images, sound and animated images."""

from __future__ import annotations

import math
import wave
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from artschool import ranks
from artschool.engine.run import Run
from artschool.engine.samples import Samples
from artschool.engine.shown import spectrogram
from artschool.errors import ConfigError
from artschool.logs.fail_safe import FailSafeLogger
from artschool.logs.pictures import PictureLogger
from artschool.logs.tensorboard import TensorBoardLogger
from artschool.registry import datasets
from tests.engine import toy_run
from tests.logs.test_tensorboard import events

RATE = 8000
SHOWN = (
    "data.val={type: shown_media, batch_size: 4, keys: [lq, hq, label, wave, wave_lengths, frames]}",
    "evaluate.held_out.every=2",
    "train.iterations=4",
    "log.every=4",
    "evaluate.held_out.metrics={}",
    "evaluate.held_out.pictures={keys: [sr, hq], most: 6}",
    f"evaluate.held_out.audio={{keys: [wave], most: 2, rate: {RATE}}}",
    "evaluate.held_out.video={keys: [frames], most: 3, fps: 5, labels: label}",
)


@datasets.register("shown_media")
class Media:
    """Seven samples: an image in random noise, a tone of its own length, and a video."""

    def __len__(self) -> int:
        return 7

    def __getitem__(self, index: int) -> dict[str, Any]:
        hq = torch.rand(3, 8, 8)
        tone = torch.sin(2 * math.pi * 1000 / RATE * torch.arange(2000.0))
        frames = torch.full((4, 1, 8, 8), index / 10) + torch.arange(4).view(4, 1, 1, 1) / 20
        return {
            "lq": torch.nn.functional.avg_pool2d(hq, 2),
            "hq": hq,
            "label": index,
            "wave": tone[None],
            "wave_lengths": 1500 + index,
            "frames": frames,
        }


class Watcher(toy_run.Recorder):
    """Keeps what is shown."""

    def __init__(self) -> None:
        super().__init__()
        self.images: dict[tuple[str, int], Tensor] = {}
        self.waves: dict[tuple[str, int], tuple[Sequence[Tensor], int]] = {}
        self.counts: list[tuple[str, int, int]] = []

    def picture(self, key: str, iteration: int, values: Tensor) -> None:
        self.images[key, iteration] = values

    def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
        self.waves[key, iteration] = waves, rate

    def evaluating(self, name: str, done: int, total: int) -> None:
        self.counts.append((name, done, total))


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Run, Watcher]:
    run = toy_run.load(tmp_path_factory.mktemp("shown"), *SHOWN)
    watcher = Watcher()
    run.loggers = [watcher, PictureLogger(), TensorBoardLogger()]
    run.train()
    return run, watcher


def test_the_same_first_samples_are_drawn_by_the_weights_of_each_evaluation(trained: tuple[Run, Watcher]) -> None:
    run, watcher = trained
    assert watcher.images["held_out/hq", 2].shape == (6, 3, 8, 8)  # Of two batches.
    assert torch.equal(watcher.images["held_out/hq", 2], watcher.images["held_out/hq", 4])
    assert not torch.equal(watcher.images["held_out/sr", 2], watcher.images["held_out/sr", 4])
    small = torch.nn.functional.avg_pool2d(watcher.images["held_out/hq", 4], 2)
    averaged = run.emas["gen"].module.eval()
    with torch.no_grad():
        torch.testing.assert_close(averaged(small), watcher.images["held_out/sr", 4])


def test_sound_ends_at_its_length_and_has_a_spectrogram(trained: tuple[Run, Watcher]) -> None:
    run, watcher = trained
    waves, rate = watcher.waves["held_out/wave", 4]
    assert [tuple(each.shape) for each in waves] == [(1, 1500), (1, 1501)] and rate == RATE
    assert watcher.images["held_out/wave", 4].shape == (2, 1, 513, 1500 // 256 + 1)
    with wave.open(str(run.folder / "pictures/held_out/wave/00000004-1.wav")) as file:
        assert (file.getnframes(), file.getframerate(), file.getnchannels()) == (1501, RATE, 1)
        samples = np.frombuffer(file.readframes(1501), dtype="<i2") / 32767
    assert np.abs(samples - waves[1][0].numpy()).max() < 1e-4
    assert (run.folder / "pictures/held_out/wave/00000004.png").is_file()


def test_a_spectrogram_is_white_at_the_frequency_of_a_tone() -> None:
    tone = torch.sin(2 * math.pi * 1000 / RATE * torch.arange(4000.0))
    image = spectrogram(torch.stack([tone, tone]))[0, 0]
    row = int(image[:, 8].argmax())
    assert 512 - row == 1000 * 1024 // RATE and image[row, 8] > 0.99
    assert image[100, 8] < 0.5


def test_a_video_is_an_animated_grid_with_labels(trained: tuple[Run, Watcher]) -> None:
    run, _ = trained
    with Image.open(run.folder / "pictures/held_out/frames/00000004.gif") as image:
        assert getattr(image, "n_frames", 1) == 4 and image.info["duration"] == 200
        assert image.height == 2 * (8 + 16) + 2  # Two rows of images with a line of text.
        image.seek(3)
        gray = np.asarray(image.convert("L"))
    assert abs(int(gray[4, 4]) - round(255 * 0.15)) <= 2


def test_tensorboard_has_the_sound_and_the_animation(trained: tuple[Run, Watcher]) -> None:
    run, _ = trained
    values = [(event.step, value) for event in events(run.folder) for value in event.summary.value]
    sounds = {value.tag: value.audio for step, value in values if value.HasField("audio") and step == 3}
    assert sorted(sounds) == ["held_out/wave/0", "held_out/wave/1"]
    assert sounds["held_out/wave/0"].sample_rate == RATE and sounds["held_out/wave/0"].length_frames == 1500
    assert sounds["held_out/wave/0"].encoded_audio_string[:4] == b"RIFF"
    images = {value.tag: value.image for step, value in values if value.HasField("image") and step == 3}
    assert images["held_out/frames"].encoded_image_string[:4] == b"GIF8"
    assert images["held_out/frames"].height == 50 and "held_out/sr" in images


def test_labels_are_below_images_of_training(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "log.pictures={every: 1, keys: [hq], labels: name, most: 2}", "train.iterations=1")
    watcher = Watcher()
    run.loggers = [watcher]
    run.train()
    (image,) = [image for (key, _), image in watcher.images.items() if key == "hq"]
    assert image.shape[0] == 1 and image.shape[2] == 8 + 16 and image.shape[3] > 2 * 8  # Wider than the images.
    assert image.amin() < 0.5 < image.amax()


def test_samples_of_several_processes_are_those_of_one(monkeypatch: pytest.MonkeyPatch) -> None:
    batches = [{"x": torch.arange(3) + 3 * index, "name": [f"{index}{i}" for i in "abc"]} for index in range(4)]
    one, first, second = (Samples(["x", "name", "absent"], 7, 3) for _ in range(3))
    for index, batch in enumerate(batches):
        one.add(index, batch)
        (first, second)[index % 2].add(index, batch)
    one.gather()
    monkeypatch.setattr(ranks, "gather_on_main", lambda value: [second._batches, value])
    first.gather()
    assert [int(x) for x in one.by_key["x"]] == list(range(7)) == [int(x) for x in first.by_key["x"]]
    assert one.by_key["name"] == first.by_key["name"] == ["0a", "0b", "0c", "1a", "1b", "1c", "2a"]
    assert one.by_key["absent"] == []


def test_a_kept_sample_has_memory_of_its_own() -> None:
    """As a view of its batch, it would change with that, and be sent to the main process with all of it."""
    samples, batch = Samples(["x"], 2, 4), torch.zeros(4, 8)
    samples.add(0, {"x": batch})
    batch.fill_(1)
    samples.gather()
    assert torch.stack(samples.by_key["x"]).tolist() == [[0.0] * 8] * 2
    assert [row.untyped_storage().nbytes() for row in samples.by_key["x"]] == [32, 32]


def test_images_of_several_sizes_are_side_by_side(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, *SHOWN[:5], "evaluate.held_out.pictures={keys: [hq]}")
    watcher = Watcher()
    run.loggers = [watcher]
    evaluation = run.evaluations[0]
    assert evaluation.samples is not None
    evaluation.samples.by_key = {"hq": [torch.zeros(3, 4, 6), torch.zeros(3, 5, 2)]}
    from artschool.engine.shown import show

    show(run, evaluation)
    image = watcher.images["held_out/hq", 0]
    assert image.shape == (2, 3, 5, 6)
    assert image[0, 0, 4].tolist() == [1.0] * 6 and image[1, 0, 0].tolist() == [0.0, 0.0, 1.0, 1.0, 1.0, 1.0]


def test_what_cannot_be_shown_costs_a_warning_and_no_bit_of_the_training(
    tmp_path: Path, trained: tuple[Run, Watcher]
) -> None:
    class Breaks(Watcher):
        def audio(self, key: str, iteration: int, waves: Sequence[Tensor], rate: int) -> None:
            raise ValueError("no sound card")

    run = toy_run.load(tmp_path, *SHOWN)
    breaks, plain = Breaks(), toy_run.Recorder()
    run.loggers = [FailSafeLogger(breaks, plain.note), FailSafeLogger(plain, plain.note)]
    run.train()
    assert [note for note in plain.notes if "switched off" in note] == [
        "warning: Breaks failed in 'audio' and is switched off until the run is resumed: ValueError: no sound card"
    ]
    assert [key for key, _, _ in plain.pictures] == ["held_out/sr", "held_out/hq", "held_out/wave"] * 2
    assert toy_run.fingerprint(run) == toy_run.fingerprint(trained[0])


def test_the_trace_knows_what_can_be_shown(tmp_path: Path) -> None:
    options = ("evaluate.held_out.pictures={keys: [wave]}", "evaluate.held_out.audio={keys: [lq], rate: 8000}")
    with pytest.raises(ConfigError) as caught:
        toy_run.load(tmp_path, *SHOWN[:5], *options, "evaluate.held_out.video={keys: [hq]}", traced=True)
    said = [str(fault).partition(": ")[2].splitlines() for fault in caught.value.faults]
    assert said == [
        [
            "evaluate.held_out.audio.keys: 'lq' cannot be shown: it is (4, 3, 4, 4) float32",
            "    Sound is (B, T), or (B, C, T) with one or two channels C.",
        ],
        [
            "evaluate.held_out.video.keys: 'hq' cannot be shown: it is (4, 3, 8, 8) float32",
            "    A video is a sequence of images (B, T, 1 or 3, H, W).",
        ],
    ]


def test_an_evaluation_counts_its_batches(trained: tuple[Run, Watcher]) -> None:
    assert trained[1].counts == [("held_out", done, 2) for done in (0, 1, 2)] * 2
