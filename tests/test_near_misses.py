"""A suggestion is made for what looks like a slip, and for nothing else."""

import pytest

from artschool.errors import nearest

NAMES = ["optimizer", "lr", "gen", "disc", "hr", "batch_size", "adam", "adamw", "iterations", "feature_matching", "l1"]


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("optimzer", "optimizer"),  # a letter is missing
        ("opitmizer", "optimizer"),  # two are swapped
        ("optimizzer", "optimizer"),  # one is doubled
        ("optimiser", "optimizer"),  # one is wrong
        ("optimizers", "optimizer"),  # plural
        ("iteration", "iterations"),
        ("Optimizer", "optimizer"),
        ("AdamW", "adamw"),
        ("Adam-W", "adamw"),
        ("batch-size", "batch_size"),
        ("batchsize", "batch_size"),
        ("BatchSize", "batch_size"),
        ("batch", "batch_size"),
        ("discriminator", "disc"),
        ("generator", "gen"),
        ("feature-matchng", "feature_matching"),
        ("gne", "gen"),
        ("genn", "gen"),
        ("ge", "gen"),
        ("dsic", "disc"),
        ("disk", "disc"),
        ("HR", "hr"),
        ("rl", "lr"),
        ("L1", "l1"),
    ],
)
def test_what_looks_like_a_slip_is_answered_with_the_name(written: str, meant: str) -> None:
    assert nearest(written, NAMES) == f"Did you mean {meant!r}?"


@pytest.mark.parametrize("written", ["sr", "pen", "gan", "l2", "x", "l", "learning_rate", "scheduler", "hinge"])
def test_another_word_is_answered_with_nothing(written: str) -> None:
    assert nearest(written, NAMES) == ""
