"""What a component refuses while it is built is told with its place in the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import toy_parts
import toy_run

from artschool.errors import CheckpointError, ConfigError, DataError

MEL = "steps.main.injectors.mel={type: mel_spectrogram, in: x, win_length: 2000, out: mel}"
TOKENS = "steps.main.injectors.tokens={type: kmeans_quantizer, in: x, centroids: none.pth, out: tokens}"


@pytest.mark.parametrize(("override", "error"), [(MEL, ConfigError), (TOKENS, CheckpointError)])
def test_errors_of_ours_say_where(tmp_path: Path, override: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"toy\.yml:\d+:\d+: {re.escape(override.partition('=')[0])}: "):
        toy_parts.load(tmp_path, override)


def test_what_torch_refuses_says_where(tmp_path: Path) -> None:
    """A negative size raises a RuntimeError of torch."""
    with pytest.raises(ConfigError, match=r"toy\.yml:7:8: networks\.net: part_linear refuses: .* dimension -1"):
        toy_parts.load(tmp_path, "networks.net={type: part_linear, width: -1}")


@pytest.mark.parametrize(("name", "place"), [("train", "5:10"), ("val", "6:8")])
def test_an_empty_data_set_says_where(tmp_path: Path, name: str, place: str) -> None:
    with pytest.raises(DataError, match=rf"toy\.yml:{place}: data\.{name} is empty: its length is 0$"):
        toy_run.load(tmp_path, f"data.{name}.length=0")
