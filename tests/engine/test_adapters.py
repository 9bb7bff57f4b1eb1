"""LoRA by peft: what is trained, averaged and saved, and what peft and diffusers read."""

from __future__ import annotations

import io
import json
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from artschool.cli.check import summary
from artschool.engine.adapters import add_adapters, export_adapters, merge_adapters
from artschool.errors import ConfigError, ResourceError
from artschool.graph.model import dataflow
from artschool.lint import Subject
from artschool.lint.networks import random_and_frozen
from artschool.logs.console import print_plan
from artschool.read.read import check_file
from artschool.registry.network_entry import AdaptersEntry
from artschool.start import load_trained
from tests.engine.toy_run import fingerprint, load, run_generator
from tests.reports.small import artschool

LORA = "networks.gen.adapters={type: lora, match: ['0', '4'], rank: 2, alpha: 6}"
NAMES = {f"{layer}.lora_{part}.default.weight" for layer in (0, 4) for part in "AB"}


class Plain(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.to_q = nn.Linear(3, 4)
        self.not_to_q = nn.Linear(3, 4)
        self.norm = nn.LayerNorm(4)

    def forward(self, x: Tensor) -> Tensor:
        result: Tensor = self.norm(self.to_q(x) + self.not_to_q(x))
        return result


def adapted(**options: object) -> Plain:
    torch.manual_seed(3)
    network = Plain()
    entry = AdaptersEntry.model_validate({"type": "lora", "match": ["to_q"], "rank": 2, "alpha": 6} | options)
    add_adapters(network, entry, "networks.net")
    return network


def moved(network: Plain) -> Plain:
    with torch.no_grad():
        for name, parameter in network.named_parameters():
            if parameter.requires_grad:
                parameter.normal_(generator=torch.Generator().manual_seed(len(name)))
    return network


def test_an_adapted_layer_adds_the_product_of_two_matrices() -> None:
    network, x = moved(adapted()), torch.randn(5, 3)
    trained = {n for n, p in network.named_parameters() if p.requires_grad}
    assert trained == {"to_q.lora_A.default.weight", "to_q.lora_B.default.weight"}
    state = network.state_dict()
    low = state["to_q.lora_B.default.weight"] @ state["to_q.lora_A.default.weight"] * 6 / 2
    weight = state["to_q.base_layer.weight"] + low
    expected = network.norm(x @ weight.T + state["to_q.base_layer.bias"] + network.not_to_q(x))
    torch.testing.assert_close(network(x), expected)
    merge_adapters(network)
    assert network.state_dict().keys() == Plain().state_dict().keys()
    torch.testing.assert_close(network.to_q.weight, weight)
    torch.testing.assert_close(network(x), expected)


def test_peft_reads_the_folder(tmp_path: Path) -> None:
    import peft

    network, x = moved(adapted()), torch.randn(5, 3)
    export_adapters(network, tmp_path)
    torch.manual_seed(3)
    read = peft.PeftModel.from_pretrained(Plain(), str(tmp_path))
    torch.testing.assert_close(read(x), network(x))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"match": ["to_k"]},
            r"networks\.net\.adapters\.match: 'to_k' matches no layer .* Available layers: to_q, not_",
        ),
        ({"match": ["norm"]}, r"'norm' matches no layer that can be adapted"),
        ({"options": {"r": 4}}, r"networks\.net\.adapters\.options: 'r' is the option `adapters\.rank`"),
        ({"options": {"use_dorra": True}}, r"unknown option 'use_dorra' of LoraConfig\. .*Did you mean 'use_dora'\?"),
    ],
)
def test_options_that_cannot_be_are_refused(options: dict[str, object], message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        adapted(**options)


def test_without_peft_the_command_to_install_it_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "peft", None)
    message = r"^networks\.net\.adapters: requires peft, which is not installed\. Fix: pip install 'artschool\[peft\]'$"
    with pytest.raises(ResourceError, match=message):
        adapted()


def test_frozen_beside_adapters_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"networks\.gen\.frozen: has no effect beside `adapters`"):
        load(tmp_path, LORA, "networks.gen.frozen=['0.*']")


def test_only_adapters_are_trained_averaged_and_saved_and_a_resume_has_the_same_bits(tmp_path: Path) -> None:
    whole, parts = tmp_path / "whole", tmp_path / "parts"
    for folder in (whole, parts):
        folder.mkdir()
    before = load(whole, LORA).networks["gen"].state_dict()
    before = {name: value.clone() for name, value in before.items()}
    run = load(whole, LORA).train()
    for name, value in run.networks["gen"].state_dict().items():
        assert torch.equal(value, before[name]) is (name not in NAMES), name  # The statistics of the batch norm stay.
    for file in ("gen", "gen.ema"):
        assert load_file(whole / f"run/checkpoints/00000020/{file}.safetensors").keys() == NAMES
    load(parts, LORA, "train.iterations=10").train()
    assert fingerprint(load(parts, LORA).train()) == fingerprint(run)


def test_the_command_exports_adapters_and_merged_weights(tmp_path: Path) -> None:
    run = load(tmp_path, LORA, "train.iterations=5").train()
    command = ["export", str(tmp_path / "run"), "gen.ema"]
    code, printed = artschool(*command, "-o", str(tmp_path / "out"))
    assert code == 0 and "adapter_config.json" in printed
    tensors, average = load_file(tmp_path / "out/adapter_model.safetensors"), run.emas["gen"].module.state_dict()
    assert {n.removeprefix("base_model.model.").replace("weight", "default.weight") for n in tensors} == NAMES
    assert torch.equal(tensors["base_model.model.4.lora_B.weight"], average["4.lora_B.default.weight"])
    assert json.loads((tmp_path / "out/adapter_config.json").read_text())["lora_alpha"] == 6
    assert artschool(*command, "--merged", "-o", str(tmp_path / "merged"))[0] == 0
    modes = {path.stat().st_mode & 0o777 for path in tmp_path.glob("*/*.safetensors")}
    assert modes == {(tmp_path / "toy.yml").stat().st_mode & 0o777}
    merged = load_file(tmp_path / "merged/model.safetensors")
    plain = run_generator().eval()
    plain.load_state_dict(merged)
    x = torch.rand(2, 3, 8, 8)
    torch.testing.assert_close(plain(x), run.emas["gen"].module(x), atol=1e-5, rtol=1e-4)


UNET = """
name: unet
data: {train: {type: sklearn_digits, batch_size: 4}}
networks:
  unet:
    type: diffusers
    model: UNet2DConditionModel
    options:
      sample_size: 8
      in_channels: 1
      out_channels: 1
      block_out_channels: [32, 32]
      cross_attention_dim: 8
      down_block_types: [DownBlock2D, CrossAttnDownBlock2D]
      up_block_types: [CrossAttnUpBlock2D, UpBlock2D]
      layers_per_block: 1
    weights: base.safetensors
    adapters: {type: lora, match: ["*.to_q", "*.to_v"], rank: 2, alpha: 6}
steps:
  unet:
    trains: unet
    optimizer: {type: adamw, lr: 1e-2}
    injectors:
      words: {type: squeeze, in: image, dim: 1, out: words}
      diffusion:
        type: gaussian_diffusion
        network: unet
        in: image
        conditions: {encoder_hidden_states: words}
        out: [error, _, _, _]
    losses: {error: {type: mean, in: error, weight: 1.0}}
train: {iterations: 3, device: cpu, compile: {backend: aot_eager}}
"""


def test_summaries_name_the_adapters_and_how_much_is_trained(tmp_path: Path) -> None:
    run = load(tmp_path, LORA)
    config = check_file(tmp_path / "toy.yml")
    said = "lora adapters of rank 2, trained by gen"
    assert any(row == ("network gen", f"run_generator, {said}, averaged with decay 0.9") for row in summary(config))
    assert [network.status for network in dataflow(config).networks if network.name == "gen"] == [said]
    said_by_train = io.StringIO()
    print_plan(Console(file=said_by_train, width=200), run)
    trained = sum(p.numel() for name, p in run.networks["gen"].named_parameters() if ".lora_" in name)
    assert f"parameters, {trained:,} of them trained, averaged" in said_by_train.getvalue()


def test_the_linter_asks_about_adapters_of_random_weights(tmp_path: Path) -> None:
    file = tmp_path / "unet.yml"
    file.write_text(UNET.replace("    weights: base.safetensors\n", ""))
    (fault,) = random_and_frozen(Subject(check_file(file)))
    assert str(fault).endswith(
        "networks.unet: keeps its random initial weights, because only its adapters are trained\n"
        "    Fix: write `weights:`, or remove `adapters`."
    )
    file.write_text(UNET)
    assert not [*random_and_frozen(Subject(check_file(file)))]


@pytest.mark.soak
def test_diffusers_reads_adapters_of_its_models(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Imports diffusers, traces in a process of its own, and compiles."""
    import diffusers
    import yaml

    monkeypatch.chdir(tmp_path)
    Path("unet.yml").write_text(UNET)
    options = yaml.safe_load(UNET)["networks"]["unet"]["options"]
    model: Any = diffusers.UNet2DConditionModel  # diffusers has no types.
    base = model(**options)
    save_file(base.state_dict(), "base.safetensors")
    code, printed = artschool("train", "unet.yml")
    assert code == 0 and "uncompiled" not in printed and "without values" not in printed, printed
    assert artschool("export", "runs/unet", "unet", "-o", "out")[0] == 0
    run = load_trained("unet.yml")
    x, t, words = torch.rand(2, 1, 8, 8), torch.tensor([3, 500]), torch.rand(2, 8, 8)
    with torch.no_grad():
        expected = run.networks["unet"].eval()(x, t, words)
        assert not torch.allclose(base.eval()(x, t, words).sample, expected, atol=1e-5)
        base.load_lora_adapter("out", weight_name="adapter_model.safetensors", prefix="base_model.model")
        torch.testing.assert_close(base.eval()(x, t, words).sample, expected, atol=1e-5, rtol=1e-4)
