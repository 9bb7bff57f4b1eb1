"""The number of samples in the iterations of a run, which may have begun to count at another number than 0."""

from __future__ import annotations

from artschool.config.train_section import TrainSection
from artschool.data.sampler import Batches


def samples_after(iteration: int, section: TrainSection, batches: Batches) -> int:
    """Number of samples in the first `iteration` iterations of a run, over all processes."""
    count = batches.samples_before
    if section.start_samples is None:
        return count(iteration)
    return section.start_samples + count(iteration) - count(section.start_iteration)
