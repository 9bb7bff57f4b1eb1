"""The autoencoder through a codebook."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import artschool
from artschool.components.networks.vq_vae import VqVae
from artschool.errors import DataError


def small(**options: int) -> VqVae:
    return VqVae(**{"width": 8, "blocks": 1, "num_codes": 16, "code_dim": 4, **options})  # type: ignore[arg-type]  # dims


@pytest.mark.parametrize("halvings", [0, 1, 2])
def test_an_image_comes_back_in_its_shape(halvings: int) -> None:
    network = small(halvings=halvings, in_channels=2)
    out, commitment, codes = network(torch.rand(3, 2, 8, 12))
    assert out.shape == (3, 2, 8, 12)
    assert commitment.shape == ()
    assert codes.shape == (3, 8 >> halvings, 12 >> halvings)


def test_a_sequence_comes_back_in_its_shape() -> None:
    out, _, codes = small(in_channels=5, dims=1)(torch.rand(3, 5, 16))
    assert out.shape == (3, 5, 16) and codes.shape == (3, 4)


def test_codes_decode_to_the_reconstruction() -> None:
    network = small().eval()
    x = torch.rand(2, 3, 8, 8)
    out, _, codes = network(x)
    assert torch.equal(network.encode(x), codes)
    assert torch.equal(network.get_codebook_indices(x), codes)
    torch.testing.assert_close(network.decode_codes(codes), out)


def test_the_reconstruction_teaches_encoder_and_decoder() -> None:
    network = small()
    network(torch.rand(2, 3, 8, 8))[0].square().mean().backward()
    assert all(parameter.grad is not None and parameter.grad.abs().sum() > 0 for parameter in network.parameters())


def test_a_side_that_does_not_halve_is_refused() -> None:
    with pytest.raises(
        DataError,
        match=r"^vq_vae: sizes must be multiples of 4, got \(8, 10\)\. Fix: use the injector `pad`, or a crop$",
    ):
        small()(torch.rand(1, 3, 8, 10))


FILE = """
name: codes
data:
  train: {type: sklearn_digits, batch_size: 8}
networks:
  vq: {type: vq_vae, in_channels: 1, width: 8, blocks: 1, num_codes: 16, code_dim: 4}
steps:
  vq:
    trains: vq
    optimizer: {type: adamw, lr: 1e-3}
    injectors: {vq: {type: forward, network: vq, in: image, out: [out, commitment, codes]}}
    losses:
      pixel: {type: l2, in: [out, image], weight: 1.0}
      commitment: {type: mean, in: commitment, weight: 0.25}
train: {iterations: 6, accumulate: 2, device: cpu}
ema: {decay: 0.9, networks: [vq]}
evaluate:
  train:
    data: train
    injectors: {codes: {type: forward, network: vq, method: get_codebook_indices, in: image, out: codes}}
    metrics:
      perplexity: {type: codebook_perplexity, num_codes: 16, in: codes}
      usage: {type: codebook_usage, num_codes: 16, in: codes}
log: {every: 2}
checkpoint: {every: 3}
"""


def test_a_file_trains_it_and_resumes_to_the_same_bits(tmp_path: Path) -> None:
    file = tmp_path / "codes.yml"
    file.write_text(FILE)
    whole = artschool.load(file, run_dir=tmp_path / "whole")
    before = whole.networks["vq"].get_buffer("quantizer.codebook").clone()
    whole.train()
    artschool.load(file, ["train.iterations=3"], run_dir=tmp_path / "cut").train()
    resumed = artschool.load(file, run_dir=tmp_path / "cut")
    resumed.train()
    for name, value in whole.networks["vq"].state_dict().items():
        assert torch.equal(value, resumed.networks["vq"].state_dict()[name]), name
    assert not torch.equal(before, whole.networks["vq"].get_buffer("quantizer.codebook"))
    averaged = whole.emas["vq"].module.get_buffer("quantizer.codebook")
    assert torch.equal(averaged, whole.networks["vq"].get_buffer("quantizer.codebook"))
    assert '"vq/codebook_perplexity"' in (tmp_path / "whole" / "metrics.jsonl").read_text()
