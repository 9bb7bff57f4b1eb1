"""Evaluators of the reference: what becomes an entry of `evaluate:`, and what is said of the others."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
import torch

from artschool.components.builtins import load_builtins
from artschool.legacy.convert import convert
from artschool.legacy.evaluators import ADVICE
from artschool.legacy.rules import Notes
from artschool.read.read import check_file, convert_file
from artschool.registry import injectors, metrics
from tests.legacy.cases import checked, native, small
from tests.legacy.old_text import node, told

load_builtins()
PLUGIN = """
from torch import Tensor, nn
from artschool import networks

@networks.register("my_unet")
class MyUnet(nn.Module):
    def forward(self, x: Tensor, t: Tensor, low_res: Tensor) -> Tensor:
        return x
"""
HEAD = """
name: denoiser
plugins: [my_unet.py]
datasets: {train: {mode: imagefolder, paths: p, target_size: 8, scale: 2, batch_size: 4, rgb_n1_to_1: true}}
networks: {net: {which_model: my_unet}}
steps:
  denoise:
    training: net
    optimizer_params: {lr: 1e-4}
    injectors: {up: {type: generator, generator: net, in: [hq, hq, lq], out: y}}
    losses: {main: {type: direct, weight: 1, key: y}}
train: {niter: 50, val_freq: 20, ema_enabled: false}
"""
SAMPLING = (
    "{type: gaussian_diffusion_inference, generator: net, output_scale_factor: 2, out: sample, "
    "beta_schedule: {schedule_name: linear, num_diffusion_timesteps: 40}, model_input_keys: {low_res: lq}, "
    "diffusion_args: {model_mean_type: epsilon, model_var_type: fixed_small, loss_type: mse}}"
)
FID = (
    "eval:\n  evaluators:\n    quality: {type: sr_diffusion_fid, for: net, batch_size: 2, dataset: "
    "{mode: imagefolder, paths: q, target_size: 8, scale: 2, rgb_n1_to_1: true}, diffusion_params: " + SAMPLING + "}\n"
)


def converted(text: str) -> tuple[dict[str, Any], Notes]:
    tree, notes = convert(node(HEAD + text))
    plain: dict[str, Any] = tree.plain()
    return plain, notes


def test_fid_of_samples_brings_its_data_and_its_features() -> None:
    plain, notes = converted(FID)
    assert not notes.faults
    assert plain["data"]["quality"]["type"] == "image_folder"
    assert plain["data"]["quality"]["batch_size"] == 2
    assert plain["networks"]["quality_features"]["type"] == "vgg"
    assert plain["networks"]["quality_features"]["frozen"] is True
    entry = plain["evaluate"]["quality"]
    assert (entry["data"], entry["every"]) == ("quality", 20)
    assert entry["injectors"]["sample"]["type"] == "diffusion_sample"
    assert entry["metrics"] == {
        "fid": {"type": "fid", "network": "quality_features", "fake": "sample", "real": "hq_0_to_1"}
    }
    assert (
        "15:5: eval.evaluators.quality: compares features of 'quality_features', a frozen VGG19 whose weights "
        "you supply; the reference's came from Inception"
    ) in told(notes.warnings)


def test_both_sides_of_a_fid_are_in_0_to_1() -> None:
    signed = converted(FID)[0]["evaluate"]["quality"]["injectors"]
    assert signed["sample"]["unit_range"] is True
    assert signed["real"] == {"type": "denormalize", "in": "hq", "shift": 0.5, "scale": 0.5, "out": "hq_0_to_1"}
    plain = converted(FID.replace(", rgb_n1_to_1: true", ""))[0]["evaluate"]["quality"]
    assert "real" not in plain["injectors"] and "unit_range" not in plain["injectors"]["sample"]
    assert plain["metrics"]["fid"]["real"] == "hq"


def test_a_converted_evaluator_is_sound_with_the_user_s_own_network(tmp_path: Path) -> None:
    (tmp_path / "my_unet.py").write_text(PLUGIN)
    (tmp_path / "old.yml").write_text(HEAD.replace("my_unet.py", str(tmp_path / "my_unet.py")) + FID)
    config = check_file(tmp_path / "old.yml")
    assert list(config.sections.evaluate) == ["quality"]


def test_a_fid_whose_options_say_too_little_is_left_out_with_advice() -> None:
    plain, notes = converted("eval: {evaluators: {quality: {type: sr_diffusion_fid, for: net}}}")
    assert "evaluate" not in plain
    assert any(w.hint.startswith("Fix: write `evaluate.quality` with its data: sample in") for w in notes.warnings)


def test_an_evaluator_stands_beside_the_evaluation_of_the_steps() -> None:
    val = HEAD.replace("datasets: {train:", "datasets: {val: {mode: imagefolder, paths: v}, train:")
    tree, _ = convert(node(val + FID))
    assert list(tree.plain()["evaluate"]) == ["val", "quality"]


def test_an_option_that_no_evaluator_read_is_named() -> None:
    _, notes = converted(FID.replace("for: net", "fro: net"))
    assert any("'fro' is no known option" in warning.message for warning in notes.warnings)


def test_one_name_for_two_data_sets_is_a_fault() -> None:
    _, notes = converted(FID.replace("quality:", "train:"))
    assert told(notes.faults) == [
        "4:12: data.train: has the same name as an entry made for line 15; rename one of them"
    ]


@pytest.mark.parametrize("kind", ADVICE)
def test_advice_names_components_that_exist(kind: str) -> None:
    _, notes = converted(f"eval: {{evaluators: {{e: {{type: {kind}, for: net}}}}}}")
    assert any(ADVICE[kind] in warning.hint for warning in notes.warnings)
    for name in re.findall(r"`(\w+)`", ADVICE[kind]):
        assert name in {*injectors.names(), *metrics.names()}


DATA = "{mode: imagefolder, paths: held_out, target_size: 32, scale: 2}"


@pytest.mark.parametrize(("kind", "fake"), [("sr_fid", "mixed"), ("fid_for_structural_nets", "fake")])
def test_distances_of_enlarged_images_are_converted(kind: str, fake: str, tmp_path: Path) -> None:
    evaluator = f"eval: {{evaluators: {{e: {{type: {kind}, for: gen, batch_size: 4, scale: 2, dataset: {DATA}}}}}}}\n"
    config = checked(tmp_path, small(("niter: 40", "niter: 40, val_freq: 5"), more=evaluator))
    plain = native(config)
    assert plain["data"]["e"]["batch_size"] == 4
    entry = plain["evaluate"]["e"]
    assert entry["every"] == 5
    assert entry["injectors"]["call"] == {"type": "forward", "network": "gen", "in": "lq", "out": "fake"}
    assert entry["metrics"] == {"fid": {"type": "fid", "network": "e_features", "fake": fake, "real": "hq"}}


def test_only_the_fine_parts_of_the_network_count_in_sr_fid(tmp_path: Path) -> None:
    evaluator = f"eval: {{evaluators: {{e: {{type: sr_fid, for: gen, batch_size: 4, scale: 2, dataset: {DATA}}}}}}}\n"
    entries = native(checked(tmp_path, small(more=evaluator)))["evaluate"]["e"]["injectors"]
    state: dict[str, Any] = {"lq": torch.rand(1, 3, 4, 4), "fake": torch.rand(1, 3, 8, 8)}
    for name in ("shrink", "coarse", "fine", "enlarge", "sum"):
        entry = entries[name]
        given = [state[key] for key in entry["in"]] if isinstance(entry["in"], list) else [state[entry["in"]]]
        own = {key: value for key, value in entry.items() if key not in ("type", "in", "out")}
        result = injectors.get(entry["type"]).target(*([given] if name == "sum" else given), **own)
        outs = entry["out"] if isinstance(entry["out"], list) else [entry["out"]]
        state |= dict(zip(outs, result if isinstance(result, tuple) else [result], strict=True))
    interpolate = torch.nn.functional.interpolate
    coarse = interpolate(interpolate(state["fake"], scale_factor=0.5, mode="area"), scale_factor=2, mode="nearest")
    expected = interpolate(state["lq"], scale_factor=2, mode="nearest") + state["fake"] - coarse
    assert torch.allclose(state["mixed"], expected)


@pytest.mark.usefixtures("registries")
def test_word_errors_and_metrics_of_plugins_are_converted(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(
        "from torch import Tensor\nfrom artschool import metrics\n"
        "@metrics.register\ndef sharpness(x: Tensor, *, power: float = 1.0) -> Tensor:\n    return x.var() ** power\n"
    )
    evaluators = (
        "eval: {evaluators: {words: {type: wer, for: gen, clip_key: wav, clip_lengths_key: l, text_seq_key: t, "
        f"text_seq_lengths_key: m}}, sharp: {{type: sharpness, for: gen, x: hq, power: 2, dataset: {DATA}}}}}}}\n"
    )
    val = ("  train: {mode", "  val: {mode: recordings, path: p}\n  train: {mode")
    tree, notes = convert_text(tmp_path, small(val, ("start_step: -1", "plugins: [own.py]"), more=evaluators))
    assert tree["evaluate"]["sharp"] == {
        "data": "sharp",
        "metrics": {"sharp": {"type": "sharpness", "x": "hq", "power": 2}},
    }
    words = tree["evaluate"]["words"]
    assert words["metrics"] == {"wer": {"type": "wer", "fake": "heard", "real": "real_text"}}
    assert words["injectors"]["logits"]["method"] == "inference_logits"
    assert not notes.faults


def convert_text(folder: Path, text: str) -> tuple[dict[str, Any], Notes]:
    (folder / "old.yml").write_text(text)
    tree, notes = convert_file(folder / "old.yml")
    plain: dict[str, Any] = tree.plain()
    return plain, notes
