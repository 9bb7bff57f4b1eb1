"""`artschool sample`: files of samples, a grid with labels, and nothing overwritten."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from click.testing import CliRunner, Result
from PIL import Image
from safetensors.torch import load_file
from torch import Tensor

import artschool
from artschool.cli.main import cli
from artschool.errors import ArtschoolError, ConfigError, DataError
from artschool.media.images import read_image
from artschool.model.results import Results, probable_range, results_of
from tests.model import small_run


@pytest.fixture
def run(tmp_path: Path, registries: None) -> Path:
    """A trained run whose data is gone."""
    small_run.load(tmp_path, "train.iterations=2").train()
    shutil.rmtree(tmp_path / "data")
    return tmp_path / "run"


def sample(run: Path, *arguments: str, error: type[ArtschoolError] | None = None) -> Result:
    command = ["sample", str(run), *arguments, "--device", "cpu"]
    result = CliRunner().invoke(cli, command, standalone_mode=False)
    assert (type(result.exception) if result.exception else None) is error, result.output
    return result


def test_it_writes_images_a_grid_and_other_values(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    result = sample(run, "drawn", "logits", "label=[1,4]", "-n", "5", "--batch-size", "2", "-o", str(out))
    images = [out / "drawn" / f"{index:05d}.png" for index in range(5)]
    assert result.stdout.split() == [str(path) for path in (out / "drawn.png", out / "logits.safetensors", *images)]
    assert "drawn, logits of evaluate.held, by gen (average), judge, after 2 iterations" in result.stderr
    values = artschool.open(run, device="cpu").sample("drawn", "logits", label=[1, 4], count=5, batch_size=2)
    for path, value in zip(images, values["drawn"], strict=True):
        assert (read_image(path).color - value).abs().max() <= 0.51 / 255
    assert torch.equal(load_file(out / "logits.safetensors")["logits"], values["logits"])
    with Image.open(out / "drawn.png") as grid:
        pixels = np.asarray(grid)
    assert pixels.shape == (2 * (64 + 16) + 2, 3 * 64 + 2 * 2, 3)  # Enlarged, with a caption below each.
    assert (pixels[64:80, :64] < 128).any() and (pixels[:16, :16] == pixels[0, 0]).all()


def test_of_the_default_keys_it_draws_those_that_need_no_data(tmp_path: Path, registries: None) -> None:
    shown = "evaluate.truth.pictures={keys: [again, dreamt]}"
    small_run.load(
        tmp_path, "train.iterations=2", "ema=", shown,
        "evaluate.truth.injectors.again={type: forward, network: code, method: decode, in: logits, out: again}",
        "evaluate.truth.injectors.z={type: noise, in: image, shape: [3], out: z}",
        "evaluate.truth.injectors.dream={type: forward, network: gen, in: [z, label], out: dreamt}",
    ).train()  # fmt: skip
    assert artschool.open(tmp_path / "run").default_outputs == ["again", "dreamt"]
    result = sample(tmp_path / "run", "-n", "2", "-o", str(tmp_path / "out"))
    assert "dreamt of evaluate.truth, by gen, after 2 iterations" in result.stderr
    image = torch.rand(2, 1, small_run.SIZE, small_run.SIZE)
    assert artschool.open(tmp_path / "run").sample(count=2, image=image).keys() == {"again", "dreamt"}


def test_nothing_is_overwritten(run: Path, tmp_path: Path) -> None:
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "drawn.png").write_bytes(b"mine")
    result = sample(run, "-o", str(tmp_path / "out"), error=ConfigError)
    assert str(result.exception) == f"{tmp_path}/out/drawn.png: exists. Fix: choose another folder with -o"
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["drawn.png"]


def test_mistakes_are_found_before_anything_is_written(run: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    unknown = sample(run, "drwn", "-o", str(out), error=ConfigError)
    assert "Did you mean 'drawn'?" in str(unknown.exception)
    sample(run, "image_again", "-o", str(out), error=DataError)
    sample(run, "label=[1", "-o", str(out), error=ConfigError)
    assert not out.exists()


@pytest.mark.parametrize(
    ("low", "high", "expected"),
    [
        (0.02, 0.97, (0.0, 1.0)),
        (-0.05, 1.05, (0.0, 1.0)),
        (-0.9, 0.4, (-1.0, 1.0)),
        (-7.0, 5.0, (-7.0, 5.0)),
        (0.5, 0.5, (0.0, 1.0)),
    ],
)
def test_the_range_of_images_is_the_narrowest_usual_one(low: float, high: float, expected: tuple[float, float]) -> None:
    assert probable_range(torch.tensor([low, (low + high) / 2, high])) == expected


def written(tmp_path: Path, values: Tensor | list[str], rate: int | None = None) -> list[str]:
    results = Results(tmp_path, "key", None, rate)
    files = results.write(values) + results.close()
    return sorted(str(file.relative_to(tmp_path)) for file in files)


def test_the_shape_decides_the_kind_of_file(tmp_path: Path) -> None:
    assert written(tmp_path / "a", torch.rand(2, 3, 4, 4)) == ["key.png", "key/00000.png", "key/00001.png"]
    assert written(tmp_path / "b", torch.rand(1, 5, 3, 4, 4)) == ["key/00000.webp"]
    assert written(tmp_path / "c", torch.rand(2, 1, 400), 8000) == ["key/00000.wav", "key/00001.wav"]
    assert written(tmp_path / "d", torch.rand(2, 400)) == ["key.safetensors"]
    assert written(tmp_path / "e", torch.rand(2, 10), 8000) == ["key.safetensors"]
    assert written(tmp_path / "f", torch.randint(9, (2, 4, 4))) == ["key.safetensors"]
    assert written(tmp_path / "g", ["one", "two"]) == ["key.json"]


def test_an_end_in_the_middle_leaves_nothing(run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    out = tmp_path / "out"
    (out / "other").mkdir(parents=True)
    write = Results.write

    def interrupted(results: Results, values: Tensor, captions: list[str]) -> list[Path]:
        if (out / "drawn" / "00001.png").exists():
            raise KeyboardInterrupt
        return write(results, values, captions)

    arguments = ["sample", str(run), "drawn", "-n", "4", "--batch-size", "2", "-o", str(out), "--device", "cpu"]
    with monkeypatch.context() as patch:
        patch.setattr(Results, "write", interrupted)
        result = CliRunner().invoke(cli, arguments, standalone_mode=False)
    assert result.exit_code == 1 and [path.name for path in out.iterdir()] == ["other"]
    assert len(sample(run, *arguments[2:-2]).stdout.split()) == 5


def test_keys_with_the_same_files_are_refused(run: Path, tmp_path: Path) -> None:
    model = artschool.open(run, device="cpu")
    cut = replace(model.cut(["drawn"]), keys=["a/b", "drawn", "a_b"])
    with pytest.raises(
        ConfigError, match=r"^'a/b' and 'a_b' would have the same files\. Fix: write them to different "
    ):
        results_of(tmp_path, model, cut)
