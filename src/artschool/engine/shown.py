"""Passes the samples that an evaluation shows to the loggers: images, sound and animated images."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from artschool.config.report_sections import AudioSection, ImagesSection, ShownSection, VideoSection
from artschool.engine.evaluate import Evaluation
from artschool.engine.pictures import as_images, captions, draw, same_size, scaled, warn_once
from artschool.engine.run_state import RunState
from artschool.media.grid import grid

Rows = Mapping[str, Sequence[Any]]
"""The values of each sample, by key."""
WINDOW, HOP = 1024, 256
"""Samples of sound in a window of a spectrogram, and between two windows."""
DECIBELS = 80.0
"""Range of a spectrogram: what is so much quieter than the loudest value is black."""


def show(run: RunState, evaluation: Evaluation) -> None:
    """Pass the samples of an evaluation that has just run to the loggers. Only the main process has loggers."""
    if evaluation.samples is None or not run.loggers:
        return
    section, rows = run.sections.evaluate[evaluation.name], evaluation.samples.by_key
    if section.pictures is not None:
        _pictures(run, evaluation.name, section.pictures, rows)
    if section.audio is not None:
        _audio(run, evaluation.name, section.audio, rows)
    if section.video is not None:
        _video(run, evaluation.name, section.video, rows)


def _pictures(run: RunState, name: str, section: ImagesSection, rows: Rows) -> None:
    for key, values, texts in _samples(section, rows):
        images = same_size([as_images(group, section, key) for group in _grouped(values)])
        warn_once(run, f"evaluate.{name}.pictures", key, images, section.range_of(key))
        draw(run, f"{name}/{key}", images, texts)


def _audio(run: RunState, name: str, section: AudioSection, rows: Rows) -> None:
    for key, values, texts in _samples(section, rows):
        lengths = [int(length) for length in rows.get(f"{key}_lengths") or ()] or [wave.shape[-1] for wave in values]
        waves = [wave.reshape(-1, wave.shape[-1])[:, :end] for wave, end in zip(values, lengths, strict=False)]
        draw(run, f"{name}/{key}", same_size([spectrogram(wave) for wave in waves]), texts)
        run.send("audio", f"{name}/{key}", run.iteration, waves, section.rate)


def _video(run: RunState, name: str, section: VideoSection, rows: Rows) -> None:
    from artschool.media.video import write_video

    for key, values, texts in _samples(section, rows):
        length = max(len(value) for value in values)
        videos = same_size([scaled(group, section, key) for group in _grouped([_lasting(v, length) for v in values])])
        warn_once(run, f"evaluate.{name}.video", key, videos, section.range_of(key))
        sheets = [sheet for frame in videos.unbind(1) if (sheet := grid(frame, texts)) is not None]
        if sheets:
            frames = [torch.from_numpy(sheet).permute(2, 0, 1) / 255 for sheet in sheets]
            with TemporaryDirectory() as folder:
                file = Path(folder, "samples.gif")
                write_video(file, frames, section.fps)
                run.send("video", f"{name}/{key}", run.iteration, file.read_bytes())


def _samples(section: ShownSection, rows: Rows) -> list[tuple[str, list[Tensor], list[str]]]:
    """The samples of each key that has any, with their captions."""
    texts = captions(list(rows.get(section.labels or "", ()))[: section.most])
    found = [(key, [row for row in rows.get(key, ()) if isinstance(row, Tensor)]) for key in section.keys]
    return [(key, values[: section.most], texts) for key, values in found if values]


def _grouped(values: Sequence[Tensor]) -> list[Tensor]:
    """One batch of all samples, or, if their sizes differ, a batch of each."""
    if len({value.shape for value in values}) == 1:
        return [torch.stack(list(values))]
    return [value.unsqueeze(0) for value in values]


def _lasting(frames: Tensor, length: int) -> Tensor:
    """Repeat the last frame of a video up to a number of frames."""
    return torch.cat([frames, frames[-1:].expand(length - len(frames), *frames.shape[1:])])


def spectrogram(wave: Tensor) -> Tensor:
    """Draw the magnitudes of a sound in decibels: white is the loudest, low frequencies are at the bottom.

    Args:
        wave: (C, T). Channels are averaged.

    Returns:
        (1, 1, 513, T // 256 + 1) in 0..1.
    """
    mono = wave.float().mean(0)
    mono = F.pad(mono, (0, max(WINDOW - len(mono), 0)))
    window = torch.hann_window(WINDOW)
    magnitudes = torch.stft(mono, WINDOW, HOP, window=window, return_complex=True).abs()
    decibels = 20 * magnitudes.clamp(min=1e-5).log10()
    return ((decibels - decibels.amax()) / DECIBELS + 1).clamp(0, 1).flip(0)[None, None]
