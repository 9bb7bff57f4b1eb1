"""A file for the reference's `test.py` is applied to images, without a run."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import artschool
from artschool.components.networks.rrdb import RRDB
from artschool.errors import ConfigError
from artschool.media.images import Image, read_image, write_image
from tests.legacy.test_cases import APPLIED
from tests.reports.small import artschool as command


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> torch.nn.Module:
    """The network whose weights the file names."""
    monkeypatch.chdir(tmp_path)
    network = RRDB(width=8, blocks=1, scale=2, variant="dl_art_school")
    with torch.no_grad():
        for parameter in network.parameters():
            parameter.copy_(torch.rand_like(parameter) / parameter[0].numel())
    torch.save(network.state_dict(), "gen.pth")
    Path("old.yml").write_text(APPLIED)
    Path("pics").mkdir()
    write_image(Path("pics/sea.png"), Image(torch.rand(3, 9, 12)))
    return network.eval()


def test_images_are_enlarged_with_the_weights_that_the_file_names(here: torch.nn.Module) -> None:
    code, printed = command("apply", "old.yml", "pics", "-o", "out")
    assert code == 0, printed
    assert printed.splitlines()[-2:] == ["sr of steps, by gen, after 0 iterations: 1 file", "wrote 1 file to out"]
    given, found = read_image(Path("pics/sea.png")).color, read_image(Path("out/sea.png")).color
    with torch.no_grad():
        expected = here(given[None])[0].clamp(0, 1)
    torch.testing.assert_close(found, expected, atol=0.51 / 255, rtol=0)


@pytest.mark.usefixtures("here")
def test_it_opens_without_data_and_has_no_checkpoints() -> None:
    model = artschool.open("old.yml", device="cpu")
    assert (model.outputs, model.inputs("sr"), model.iteration) == (["sr"], ["lq"], 0)
    with pytest.raises(ConfigError, match=r"old\.yml: is a config file, which has no checkpoint 'best'"):
        artschool.open("old.yml", "best")


@pytest.mark.usefixtures("here")
def test_a_network_without_weights_is_named() -> None:
    Path("old.yml").write_text(APPLIED.replace("path: {pretrain_model_gen: gen.pth}\n", ""))
    said: list[str] = []
    artschool.open("old.yml", device="cpu", report=said.append).apply({"lq": torch.rand(1, 3, 8, 8)}, "sr")
    assert "warning: networks.gen: has no `weights:`, so it computes with its first, random values" in said
