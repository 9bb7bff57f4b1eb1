"""What a component refuses while it is built is told with its place in the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
import torch
import toy_parts

from artschool.errors import CheckpointError, ConfigError

MEL = "steps.main.injectors.mel={type: mel_spectrogram, in: x, win_length: 2000, out: mel}"
TOKENS = "steps.main.injectors.tokens={type: kmeans_quantizer, in: x, centroids: none.pth, out: tokens}"


@pytest.mark.parametrize(("override", "error"), [(MEL, ConfigError), (TOKENS, CheckpointError)])
def test_errors_of_ours_say_where(tmp_path: Path, override: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"toy\.yml:\d+:\d+: {re.escape(override.partition('=')[0])}: "):
        toy_parts.load(tmp_path, override)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_device_that_is_not_there_says_where(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"toy.*: train\.device: cuda is not available here; write auto or cpu$"):
        toy_parts.load(tmp_path, "train.device=cuda")


def test_what_torch_refuses_says_where(tmp_path: Path) -> None:
    """A negative size raises a RuntimeError of torch."""
    with pytest.raises(ConfigError, match=r"toy\.yml:7:8: networks\.net: part_linear refuses: .* dimension -1"):
        toy_parts.load(tmp_path, "networks.net={type: part_linear, width: -1}")


def test_a_mistake_in_a_constructor_is_told_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        toy_parts.load(tmp_path, "networks.net={type: part_hasty}")
    first, line = str(error.value).splitlines()
    assert first.endswith(
        "networks.net: part_hasty raised AttributeError: cannot assign module before Module.__init__() call"
    )
    assert line.startswith(f"    at {toy_parts.__file__}:") and line.endswith(": self.layer = nn.Linear(1, 1)")
