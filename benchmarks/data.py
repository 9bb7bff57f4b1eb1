"""What the loader costs beside a plain `DataLoader`: the same files, decoding and transforms, in turns in one process.

    python benchmarks/data.py [--processes 5] [--rounds 30] [--batches 10] [--workers 0 2] [--sources images shards]

Makes the files in a temporary folder. Prints our throughput divided by that of the plain loader, a line for each source
and number of workers: the median over the rounds, and of that the median over the processes, since the ratio
differs from one to the next. In brackets: the smallest and the largest of the processes. The plain side is
written as one writes it by hand: it seeds nothing per sample, checks no value and replaces no bad sample.
"""

from __future__ import annotations

import argparse
import io
import os
import statistics
import tarfile
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from contextlib import closing
from dataclasses import dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from artschool.build.data import build_streams, loader_of
from artschool.read.read import check_file

BATCH = 16
FILES = 256
SIDE = 256
PATCH = 128
RATE = 16000
ENDLESS = 1 << 40
CONFIG = """
name: data
data: {{train: {{{data}, batch_size: {batch}, workers: {workers}}}}}
networks: {{net: {{type: edsr, scale: 1}}}}
steps:
  main:
    trains: net
    optimizer: {{type: adamw, lr: 1e-3}}
    injectors: {{copy: {{type: forward, network: net, in: {key}, out: copied}}}}
    losses: {{pixel: {{type: l1, in: [copied, {key}], weight: 1.0}}}}
train: {{iterations: 1}}
"""
Sample = dict[str, Any]


class PlainImages(Dataset[Sample]):
    """Random patches of the images of a folder, flipped and turned at random, and their versions of half the size."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        image = Image.open(self.files[index]).convert("RGB")
        top = int(torch.randint(image.height - PATCH + 1, ()))
        left = int(torch.randint(image.width - PATCH + 1, ()))
        hq = as_tensor(np.asarray(image.crop((left, top, left + PATCH, top + PATCH))))
        if torch.rand(()) < 0.5:
            hq = hq.flip(-1)
        hq = hq.rot90(int(torch.randint(4, ())), (-2, -1))
        lq = F.interpolate(hq[None], scale_factor=0.5, mode="bicubic", antialias=True)[0].clamp(0, 1)
        return {"lq": lq, "hq": hq, "name": self.files[index].name}


class PlainShards(Dataset[Sample]):
    """Images and labels of .tar files whose offsets are known."""

    def __init__(self, folder: Path) -> None:
        self.samples: list[list[tuple[int, int, int]]] = []
        for path in sorted(folder.iterdir()):
            descriptor = os.open(path, os.O_RDONLY)
            with tarfile.open(path) as archive:
                spans = [(descriptor, entry.size, entry.offset_data) for entry in archive]
            self.samples += [spans[index : index + 2] for index in range(0, len(spans), 2)]

    def __len__(self) -> int:
        return len(self.samples)

    def __getitem__(self, index: int) -> Sample:
        image, label = (os.pread(*span) for span in self.samples[index])
        return {"image": as_tensor(np.asarray(Image.open(io.BytesIO(image)).convert("RGB"))), "label": int(label)}


class PlainAudio(Dataset[Sample]):
    """A random second of the recordings of a folder."""

    def __init__(self, folder: Path) -> None:
        self.files = sorted(folder.iterdir())

    def __len__(self) -> int:
        return len(self.files)

    def __getitem__(self, index: int) -> Sample:
        samples, _ = soundfile.read(self.files[index], dtype="float32", always_2d=True)
        start = int(torch.randint(len(samples) - RATE + 1, ()))
        audio = torch.from_numpy(samples.mean(1))[start : start + RATE]
        return {"audio": audio[None], "audio_lengths": RATE, "name": self.files[index].name}


def as_tensor(pixels: np.ndarray[Any, Any]) -> Tensor:
    """(H, W, 3) in 0..255 to (3, H, W) in 0..1."""
    return torch.from_numpy(np.array(pixels)).permute(2, 0, 1).float().div(255).contiguous()


def make_images(folder: Path, draw: np.random.Generator) -> None:
    """Write JPEG files."""
    for index in range(FILES):
        (folder / f"{index:04d}.jpg").write_bytes(photo(draw))


def make_shards(folder: Path, draw: np.random.Generator) -> None:
    """Write four .tar files of images and labels."""
    for number in range(4):
        with tarfile.open(folder / f"{number}.tar", "w") as archive:
            for index in range(FILES // 4):
                for ending, data in (("jpg", photo(draw)), ("cls", str(index % 10).encode())):
                    entry = tarfile.TarInfo(f"{index:04d}.{ending}")
                    entry.size = len(data)
                    archive.addfile(entry, io.BytesIO(data))


def make_audio(folder: Path, draw: np.random.Generator) -> None:
    """Write recordings of two to four seconds, as WAV and as FLAC."""
    for index in range(FILES):
        seconds = np.arange(draw.integers(2 * RATE, 4 * RATE)) / RATE
        sound = 0.4 * np.sin(2 * np.pi * draw.uniform(100, 400) * seconds) + draw.normal(0, 0.02, len(seconds))
        soundfile.write(folder / f"{index:04d}.{('wav', 'flac')[index % 2]}", sound, RATE)


def photo(draw: np.random.Generator) -> bytes:
    """A smooth image with noise, as JPEG: about as many bytes per pixel as a photograph."""
    coarse = draw.integers(0, 256, (12, 12, 3), dtype=np.uint8)
    smooth = np.asarray(Image.fromarray(coarse).resize((SIDE, SIDE), Image.Resampling.BICUBIC), dtype=np.int16)
    noisy = np.clip(smooth + draw.integers(-12, 13, smooth.shape), 0, 255).astype(np.uint8)
    buffer = io.BytesIO()
    Image.fromarray(noisy).save(buffer, "JPEG", quality=90)
    return buffer.getvalue()


@dataclass(frozen=True)
class Source:
    """Files, and both ways to read them.

    Attributes:
        make: Writes the files into a folder.
        data: The data set in a config file.
        key: A key of its samples.
        plain: The plain data set.
    """

    make: Callable[[Path, np.random.Generator], None]
    data: str
    key: str
    plain: Callable[[Path], Dataset[Sample]]


SOURCES = {
    "images": Source(
        make_images, f"type: image_folder, path: FOLDER, size: {PATCH}, scale: 2, augment: true", "hq", PlainImages
    ),
    "shards": Source(
        make_shards, "type: tar_shards, path: FOLDER, columns: {image: jpg, label: cls}", "image", PlainShards
    ),
    "audio": Source(
        make_audio, f"type: audio_folder, path: FOLDER, sample_rate: {RATE}, length: {RATE}", "audio", PlainAudio
    ),
}


def ours(source: Source, folder: Path, workers: int) -> Iterator[Sample]:
    """Batches without end from the data set of a config file."""
    file = folder.parent / "data.yml"
    data = source.data.replace("FOLDER", str(folder))
    file.write_text(CONFIG.format(data=data, key=source.key, batch=BATCH, workers=workers))
    config = check_file(file)
    streams = build_streams(config, {"train": loader_of(config, config.data["train"])})
    return streams.by_name["train"].load(0, ENDLESS, torch.device("cpu"))


def plain(source: Source, folder: Path, workers: int) -> Iterator[Sample]:
    """Batches without end from a plain loader, which keeps its workers from epoch to epoch."""
    options = {"persistent_workers": True, "multiprocessing_context": "fork"} if workers else {}
    loader = DataLoader(source.plain(folder), BATCH, shuffle=True, drop_last=True, num_workers=workers, **options)  # type: ignore[arg-type]
    while True:
        yield from loader


def measure(name: str, workers: int, rounds: int, batches: int) -> float:
    """The median ratio of throughput, ours by the plain one."""
    torch.set_num_threads(1)
    source = SOURCES[name]
    with tempfile.TemporaryDirectory() as made:
        folder = Path(made) / "files"
        folder.mkdir()
        source.make(folder, np.random.default_rng(0))
        with closing(ours(source, folder, workers)) as one, closing(plain(source, folder, workers)) as other:  # type: ignore[type-var]
            ratios = []
            for number in range(rounds + 2):
                # Whoever comes second finds warm caches, so both take turns at it.
                sides = (one, other) if number % 2 else (other, one)
                seconds = {id(side): timed(side, batches) for side in sides}
                ratios.append(seconds[id(other)] / seconds[id(one)])
    return statistics.median(ratios[2:])


def timed(side: Iterator[Sample], batches: int) -> float:
    """The seconds that a number of batches takes."""
    start = time.perf_counter()
    for _ in range(batches):
        batch = next(side)  # Kept until the next one is there, as by the variable of a training loop.
    del batch
    return time.perf_counter() - start


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--processes", type=int, default=5, help="how many processes measure, one after the other")
    parser.add_argument("--rounds", type=int, default=30, help="how often both sides take their turn")
    parser.add_argument("--batches", type=int, default=10, help="batches of a turn")
    parser.add_argument("--workers", type=int, nargs="+", default=[0, 2], help="numbers of worker processes")
    parser.add_argument("--sources", nargs="+", choices=SOURCES, default=[*SOURCES], help="what to read")
    arguments = parser.parse_args()
    with ProcessPoolExecutor(1, get_context("spawn"), max_tasks_per_child=1) as pool:
        for name in arguments.sources:
            for workers in arguments.workers:
                task = (measure, name, workers, arguments.rounds, arguments.batches)
                ratios = [pool.submit(*task).result() for _ in range(arguments.processes)]
                span = f"({min(ratios):.2f} to {max(ratios):.2f})"
                print(f"{name} workers {workers} ratio {statistics.median(ratios):.3f} {span}", flush=True)


if __name__ == "__main__":
    main()
