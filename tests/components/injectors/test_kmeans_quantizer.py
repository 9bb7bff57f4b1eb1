"""Nearest centroids."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from artschool.components.injectors.kmeans_quantizer import KmeansQuantizer
from artschool.errors import CheckpointError

MATRIX = torch.tensor([[0.0, 0.0], [4.0, 0.0], [0.0, 4.0]])


@pytest.fixture(params=["safetensors", "pair", "matrix"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    if request.param == "safetensors":
        save_file({"c": MATRIX}, tmp_path / "c.safetensors")
        return tmp_path / "c.safetensors"
    torch.save((torch.arange(9), MATRIX) if request.param == "pair" else MATRIX, tmp_path / "c.pth")
    return tmp_path / "c.pth"


def test_each_vector_gets_its_nearest_centroid(file: Path) -> None:
    x = torch.tensor([[[1.0, 3.0, 0.0, 2.1], [1.0, 0.5, 9.0, 0.0]]])
    assert KmeansQuantizer(centroids=file)(x).tolist() == [[0, 1, 2, 1]]


def test_distances_do_not_lose_digits_far_from_the_origin(tmp_path: Path) -> None:
    places = 10000 + torch.arange(40.0)[:, None] / 64
    torch.save(places, tmp_path / "c.pth")
    with torch.autocast("cpu", torch.bfloat16):
        found = KmeansQuantizer(centroids=tmp_path / "c.pth")(places.T[None])
    assert found.tolist() == [list(range(40))]


def test_a_vector_that_is_no_number_still_gets_a_token(tmp_path: Path) -> None:
    torch.save(MATRIX, tmp_path / "c.pth")
    tokens = KmeansQuantizer(centroids=tmp_path / "c.pth")(torch.full((1, 2, 3), torch.nan))
    assert tokens.shape == (1, 3) and (tokens < 3).all()


def test_a_file_without_a_single_matrix_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"none\.pth: file does not exist$"):
        KmeansQuantizer(centroids=tmp_path / "none.pth")
    torch.save([MATRIX, MATRIX], tmp_path / "two.pth")
    with pytest.raises(CheckpointError, match=r"expected one matrix \(K, C\) of centroids, got 2 matrices$"):
        KmeansQuantizer(centroids=tmp_path / "two.pth")
    (tmp_path / "text.pth").write_text("no weights")
    with pytest.raises(CheckpointError, match=r"cannot read: the file was not written by torch.save$"):
        KmeansQuantizer(centroids=tmp_path / "text.pth")
