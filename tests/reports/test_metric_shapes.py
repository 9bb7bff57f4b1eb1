"""A metric refuses images that torch would broadcast, or that are below its window, before the first iteration."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

pytestmark = pytest.mark.usefixtures("registries")
GREY = SUPER_RESOLUTION.replace(
    "blocks: 1}\nsteps", "blocks: 1}\n  luma: {type: edsr, scale: 2, width: 8, blocks: 1, out_channels: 1}\nsteps"
).replace("network: gen, in: lq, out: sr}}\n    metrics", "network: luma, in: lq, out: sr}}\n    metrics")
SMALL = SUPER_RESOLUTION.replace("path: held,", "path: held, size: 8,").replace("type: psnr", "type: ssim")


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_images(Path("pics"), 4)
    write_images(Path("held"), 2)


@pytest.mark.parametrize(
    ("text", "refused"),
    [
        (
            GREY,
            "psnr: psnr compares equal shapes, but fake is (2, 1, 40, 48) and real is (2, 3, 40, 48)",
        ),
        (SMALL, "psnr: images of (8, 8) pixels are smaller than the window of 11"),
    ],
    ids=["grey against color", "below the window"],
)
@pytest.mark.parametrize("command", [("check", "--trace"), ("train", "--no-trace")], ids=["trace", "run"])
def test_a_metric_refuses_its_images(text: str, refused: str, command: tuple[str, str]) -> None:
    Path("sr.yml").write_text(text)
    code, printed = artschool(command[0], "sr.yml", *command[1:])
    assert code != 0
    assert refused.removeprefix("psnr: ") in printed
    assert "evaluate.v.metrics.psnr" in printed
    assert "v/psnr" not in printed
