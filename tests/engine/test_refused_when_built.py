"""What a component refuses while it is built is told with its place in the file."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from artschool.errors import CheckpointError, ConfigError, DataError
from tests.engine import toy_parts, toy_run

MEL = "steps.main.injectors.mel={type: mel_spectrogram, in: x, win_length: 2000, out: mel}"
TOKENS = "steps.main.injectors.tokens={type: kmeans_quantizer, in: x, centroids: none.pth, out: tokens}"


@pytest.mark.parametrize(("override", "error"), [(MEL, ConfigError), (TOKENS, CheckpointError)])
def test_errors_of_ours_say_where(tmp_path: Path, override: str, error: type[Exception]) -> None:
    with pytest.raises(error, match=rf"toy\.yml:\d+:\d+: {re.escape(override.partition('=')[0])}: "):
        toy_parts.load(tmp_path, override)


def test_what_torch_refuses_says_where(tmp_path: Path) -> None:
    """A negative size raises a RuntimeError of torch."""
    with pytest.raises(
        ConfigError, match=r"toy\.yml:7:8: networks\.net: part_linear rejected its options: .* dimension -1"
    ):
        toy_parts.load(tmp_path, "networks.net={type: part_linear, width: -1}")


@pytest.mark.parametrize(("name", "place"), [("train", "5:10"), ("val", "6:8")])
def test_an_empty_data_set_says_where(tmp_path: Path, name: str, place: str) -> None:
    with pytest.raises(DataError, match=rf"toy\.yml:{place}: data\.{name}: the data set is empty \(its length is 0\)$"):
        toy_run.load(tmp_path, f"data.{name}.length=0")


@pytest.mark.parametrize(
    ("device", "number", "message"),
    [
        ("cuda", 0, "cuda:0 does not exist: this machine has no cuda device"),
        ("cuda:3", 2, "cuda:3 does not exist: this machine has 2 cuda devices"),
    ],
)
def test_a_device_that_is_not_there_is_told_with_its_place_and_a_way_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, device: str, number: int, message: str
) -> None:
    monkeypatch.setattr("torch.cuda.is_available", lambda: number > 0)
    monkeypatch.setattr("torch.cuda.device_count", lambda: number)
    with pytest.raises(ConfigError) as error:
        toy_parts.load(tmp_path, f"train.device={device}")
    assert str(error.value) == (
        f"{tmp_path}/toy.yml:18:11: train.device: {message}\n"  # `  device: cuda` there.
        "    `auto` uses a GPU if there is one. Fix: `train.device=cpu` on the command line trains without a GPU."
    )


def test_a_mistake_in_a_constructor_is_told_with_both_places(tmp_path: Path) -> None:
    with pytest.raises(ConfigError) as error:
        toy_parts.load(tmp_path, "networks.net={type: part_hasty}")
    first, line = str(error.value).splitlines()
    assert first.endswith(
        "networks.net: part_hasty raised AttributeError: cannot assign module before Module.__init__() call"
    )
    assert line.startswith(f"    at {toy_parts.__file__}:") and line.endswith(": self.layer = nn.Linear(1, 1)")
