"""Small old files that are sound, and what they mean."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from PIL import Image

import artschool
from artschool.errors import ConfigError
from artschool.registry import injectors
from tests.legacy.cases import checked, native, said, small

UP = "      up: {type: generator, generator: gen, in: lq, out: sr}\n"
OWN = """
import torch
from torch import Tensor, nn
from artschool import injectors, losses, metrics, networks, optimizers, schedules

@injectors.register
def paired(x: Tensor, *, by: int = 1) -> Tensor:
    return x * by

@losses.register("interpreted_feature")
def own_feature(x: Tensor, **options: float) -> Tensor:
    return x.mean()

@networks.register("RRDBNet")
class Own(nn.Module):
    def __init__(self, nf: int, **options: object) -> None:
        super().__init__()
        self.options, self.conv = options, nn.Conv2d(3, 3 * 4, nf // nf)
    def forward(self, x: Tensor) -> Tensor:
        return nn.functional.pixel_shuffle(self.conv(x), 2)

optimizers.register("adamw_8bit", torch.optim.AdamW)
@schedules.register("WarmLR")
def warm(rate: float, iteration: int, *, warmup_steps: int) -> float:
    return rate / (1 + warmup_steps)
"""

SOUND: dict[str, tuple[tuple[tuple[str, str], ...], str]] = {
    "an option of another optimizer": ((("{lr: 1e-4}", "{lr: 1e-4, triton: false}"),), "which 'adamw' does not read"),
    "an option that ours reads": ((("{lr: 1e-4}", "{lr: 1e-4, eps: 1e-6}"),), "write `eps: 1e-06` in the optimizer"),
    "visuals": ((("save_checkpoint_freq: 10", "visuals: [gen, sr], visual_debug_rate: 5"),), "drops 'gen', which"),
    "a name": ((("name: small", "name: libri+giga"),), "is 'libri_giga'"),
    "keys of W&B": ((("start_step: -1", "wandb_run_name: a\nuse_tb_logger: true"),), "{type: wandb, project: mine}"),
    "a network's name": (
        (("gen: {type: gen", "g+n: {type: gen"), (": gen\n", ": g+n\n"), (": gen,", ": g+n,")),
        "'g_n'",
    ),
}


@pytest.mark.parametrize("name", SOUND)
def test_harmless_is_a_warning(name: str, tmp_path: Path) -> None:
    changes, warning = SOUND[name]
    assert warning in said(checked(tmp_path, small(*changes)))


def test_names_of_a_network_change_everywhere(tmp_path: Path) -> None:
    changes, _ = SOUND["a network's name"]
    plain = native(checked(tmp_path, small(*changes, more="path: {pretrain_model_g+n: w.pth}\n")))
    assert plain["networks"]["g_n"]["weights"] == "w.pth"
    assert plain["steps"]["gen"]["trains"] == plain["steps"]["gen"]["injectors"]["up"]["network"] == "g_n"


MEANING: dict[str, tuple[tuple[tuple[str, str], ...], str, str, Any]] = {
    "no upgrades": ((), "", "checkpoint", {"every": 10, "keep_last": "all"}),
    "zero": (
        (),
        "upgrades: {number_of_checkpoints_to_save: 0, number_of_states_to_save: -1}",
        "checkpoint",
        {"every": 10, "keep_last": "all"},
    ),
    "fewer states": (
        (),
        "upgrades: {number_of_checkpoints_to_save: 5, number_of_states_to_save: 1}",
        "checkpoint",
        {"every": 10, "keep_last": 5, "state": "last"},
    ),
    "the reference counts a step before it runs it": (
        (("start_step: -1", "start_step: 0"),),
        "",
        "train.start_iteration",
        1,
    ),
    "options at the top": (
        (
            (
                "start_step: -1",
                "cuda_benchmarking_enabled: true\nanomaly_detection: true\nkeep_optimizer_states_on_cpu: true\n"
                "automatically_recover_nan_by_reverting_n_saves: 2\nddp_find_unused_parameters: true\n"
                "experiments: [x]",
            ),
        ),
        "",
        "train",
        {
            "cudnn_benchmark": True,
            "detect_anomaly": True,
            "offload": {"optimizer": "cpu"},
            "max_rollbacks": 2,
            "non_finite": "rollback",
            "iterations": 40,
        },
    ),
    "averages in memory of the CPU": (
        (("ema_enabled: false", "ema_on_cpu: true"),),
        "",
        "train.offload.ema",
        "cpu",
    ),
    "literals": (
        (("in: lq", "in: [lq, true, false, null, 'None', 2]"),),
        "",
        "steps.gen.injectors.up.in",
        ["lq", True, False, None, None, 2],
    ),
    "full precision of one call": (
        (("out: sr}", "out: sr, fp16: false}"),),
        "fp16: true",
        "steps.gen.injectors.up.precision",
        "fp32",
    ),
}


@pytest.mark.parametrize("name", MEANING)
def test_meaning(name: str, tmp_path: Path) -> None:
    changes, more, path, value = MEANING[name]
    found: Any = native(checked(tmp_path, small(*changes, more=f"{more}\n")))
    for part in path.split("."):
        found = found[part]
    assert found == value


@pytest.mark.parametrize(
    ("mel", "high"),
    [
        ("{type: mel_spectrogram, do_normalization: true, in: hq, out: mel}", 2.3143386840820312),
        ("{type: torch_mel_spectrogram, true_normalization: true, in: hq, out: mel}", 4.82),
    ],
)
def test_a_mel_spectrogram_is_normalized_by_the_numbers_of_the_reference(mel: str, high: float, tmp_path: Path) -> None:
    config = checked(tmp_path, small((UP, f"{UP}      mel: {mel}\n")))
    entry = native(config)["steps"]["gen"]["injectors"]["mel"]
    own = {key: value for key, value in entry.items() if key not in ("type", "in", "out")}
    audio = torch.randn(1, 4000, generator=torch.Generator().manual_seed(0)) / 10
    low = -11.512925148010254
    mapped = injectors.get("mel_spectrogram").target(**own)(audio)
    plain = injectors.get("mel_spectrogram").target(**{k: v for k, v in own.items() if k != "limits"})(audio)
    assert torch.allclose(mapped, 2 * ((plain - low) / (high - low)) - 1)
    assert not torch.allclose(mapped, plain)


REFUSED: Mapping[str, tuple[tuple[tuple[str, str], ...], list[str]]] = {
    "what changes the numbers": (
        (("start_step: -1", "automatically_scale_grads_for_fanin: true"),),
        ["automatically_scale_grads_for_fanin: 'automatically_scale_grads_for_fanin' of the reference's files has no"],
    ),
    "options of diffusion": (
        (
            (
                UP,
                UP + "      d: {type: gaussian_diffusion, generator: gen, in: hq, out: l, causal_mode: true, "
                "causal_slope_range: [1, 8], preprocess_fn: pre, beta_schedule: {schedule_name: linear, "
                "num_diffusion_timesteps: 9}, diffusion_args: {model_mean_type: epsilon, loss_type: mse, "
                "model_var_type: fixed_small}}\n",
            ),
        ),
        ["injectors.d.causal_mode: 'causal_mode' of", "injectors.d.preprocess_fn: 'preprocess_fn' of"],
    ),
    "a file from before steps": (
        (("steps:", "stages:"), ("networks:", "network_G:"), ("extensibletrainer", "srgan")),
        ["a file from before steps, which no later version of DL-Art-School trains either"],
    ),
    "a file that is missing": (
        ((UP, UP + "      codes: {type: discrete_token, in: sr, out: codes, dvae_config: ../x/d.yml}\n"),),
        ["dvae_config: file '../x/d.yml' does not exist (tried /"],
    ),
    "an injector that nobody has": (
        ((UP, UP + "      pair: {type: paird, in: lq, out: pq}\n"),),
        ["injector 'paird' is not converted, and no plugin of the file registers it"],
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_refused(name: str, tmp_path: Path) -> None:
    changes, faults = REFUSED[name]
    with pytest.raises(ConfigError) as caught:
        checked(tmp_path, small(*changes))
    assert len(caught.value.faults) == len(faults)
    for fault, expected in zip(caught.value.faults, faults, strict=True):
        assert expected in str(fault)
    if "before" in name:
        assert not caught.value.warnings


def test_a_missing_file_names_the_two_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    codes = "      codes: {type: discrete_token, in: sr, out: codes, dvae_config: dvae.yml}\n"
    text = small((UP, UP + codes))
    with pytest.raises(ConfigError) as caught:
        checked(tmp_path / "experiments", text)
    assert f"(tried {tmp_path}/dvae.yml and {tmp_path}/experiments/dvae.yml)" in str(caught.value)
    # The working folder comes first, as in the reference. The network is named `dvae` unless the file says otherwise.
    for folder, width in (("experiments", 8), (".", 16)):
        dvae = f"networks: {{dvae: {{which_model_G: vq_vae, width: {width}}}}}"
        (tmp_path / folder / "dvae.yml").write_text(dvae)
        plain = native(checked(tmp_path / "experiments", text))
        assert plain["networks"]["dvae"] == {"type": "vq_vae", "width": width, "frozen": True}
        assert plain["steps"]["gen"]["injectors"]["codes"]["network"] == "dvae"


@pytest.mark.usefixtures("registries")
def test_parts_of_their_own(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    text = small(
        ("start_step: -1", "plugins: [own.py]"),
        (UP, f"{UP}      pair: {{type: paired, in: lq, out: pq, by: 3, no_accum: true}}\n"),
        ("    losses:\n", "    losses:\n      own: {type: interpreted_feature, weight: 1, x: sr, power: 2}\n"),
        ("    optimizer_params", "    optimizer: adamw_8bit\n    optimizer_params"),
        ("{lr: 1e-4}", "{lr: 1e-4, beta1: 0.5, triton: false}"),
        ("MultiStepLR, gen_lr_steps: [20]", "WarmLR, warmup_steps: 3"),
        ("niter: 40", "niter: 1"),
        ("scale: 2}\nsteps", "scale: 2, initial_stride: 1}\nsteps"),
    )
    plain = native(checked(tmp_path, text))
    step = plain["steps"]["gen"]
    assert plain["networks"]["gen"] == {
        "type": "RRDBNet",
        **{"in_nc": 3, "out_nc": 3, "nf": 8, "nb": 1, "scale": 2, "initial_stride": 1},
    }
    assert step["injectors"]["pair"] == {"type": "paired", "in": "lq", "out": "pq", "by": 3, "once": True}
    assert step["losses"]["own"] == {"type": "interpreted_feature", "weight": 1, "x": "sr", "power": 2}
    assert step["optimizer"] == {"type": "adamw_8bit", "lr": 1e-4, "betas": [0.5, 0.999]}
    assert step["schedule"] == {"type": "WarmLR", "warmup_steps": 3}
    (tmp_path / "images").mkdir()
    for number in (1, 2):
        Image.new("RGB", (40, 40), (80 * number, 0, 0)).save(tmp_path / "images" / f"{number}.png")
    folder = f"data.train.path={tmp_path / 'images'}"
    run = artschool.load(tmp_path / "old.yml", ["train.device=cpu", folder], run_dir=tmp_path / "run").train()
    assert run.iteration == 1
    options: Any = run.networks["gen"].options
    assert options["initial_stride"] == 1
    update: Any = run.steps[0].update
    assert update.optimizer.param_groups[0]["lr"] == pytest.approx(1e-4 / 4)


@pytest.mark.usefixtures("registries")
def test_a_plugin_that_fails_is_the_only_fault(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text("1 / 0")
    pair = "      pair: {type: paired, in: lq, out: pq}\n"
    with pytest.raises(ConfigError) as caught:
        checked(tmp_path, small(("start_step: -1", "plugins: [own.py]"), (UP, UP + pair)))
    assert [fault.message for fault in caught.value.faults] == [
        "plugin 'own.py' raised ZeroDivisionError: division by zero"
    ]


def test_what_is_said_of_several_lines_is_said_once(tmp_path: Path) -> None:
    text = small(
        (UP, UP.replace("}", ", a: 1, b: 2}")), ("niter: 40", "niter: 40, c: 3"), ("print_freq", "d: 4, print_freq")
    )
    [unread] = re.findall(r".* is no known option .*\n.*", said(checked(tmp_path, text)))
    assert unread.endswith(
        "steps.gen.injectors.up.a: is dropped: 'a' is no known option of the reference's injector 'generator'\n"
        "    Likewise steps.gen.injectors.up.b (line 13), train.c (line 16), logger.d (line 17)."
    )


def test_soft_labels_are_softmaxed(tmp_path: Path) -> None:
    loss = "{type: cross_entropy, subtype: soft_ce, weight: 1, logits: sr, labels: hq}"
    entry = native(checked(tmp_path, small(("{type: pix, weight: 1, criterion: l1, real: hq, fake: sr}", loss))))
    assert entry["steps"]["gen"]["losses"]["pix"]["kind"] == "soft_logits"
    logits, labels = torch.randn(2, 5, 3), torch.randn(2, 5, 3)
    own = partial(artschool.losses.get("cross_entropy").target, kind="soft_logits", class_dim=1)
    expected = torch.nn.functional.cross_entropy(logits, labels.softmax(dim=1))
    assert torch.allclose(own(logits, labels), expected)


APPLIED = """\
name: enlarge
suffix: _big
model: extensibletrainer
scale: 2
datasets:
  test_1: {name: photos, mode: imagefolder, paths: [images], target_size: 32, batch_size: 1}
networks:
  gen: {type: generator, which_model_G: RRDBNet, in_nc: 3, out_nc: 3, nf: 8, nb: 1, scale: 2}
path: {pretrain_model_gen: gen.pth}
steps:
  up:
    training: gen
    generator: gen
    injectors:
      up: {type: generator, generator: gen, in: lq, out: sr}
eval: {output_state: sr}
"""


def test_a_file_that_applies_networks_needs_no_optimizer(tmp_path: Path) -> None:
    config = checked(tmp_path, APPLIED)
    plain = native(config)
    assert plain["data"]["train"]["path"] == "images"
    assert plain["networks"]["gen"]["weights"] == "gen.pth"
    injectors = {"up": {"type": "forward", "network": "gen", "in": "lq", "out": "sr"}}
    assert plain["steps"] == {"up": {"trains": "gen", "optimizer": "none", "injectors": injectors}}
    assert said(config).strip().splitlines() == [
        f"{tmp_path}/old.yml:1:1: has no `train:`: its networks are applied to data, and nothing is trained",
        "    Fix: write `artschool apply old.yml IMAGES -o out`.",
    ]


def test_so_does_one_for_a_video(tmp_path: Path) -> None:
    old = "datasets:\n  test_1: {name: photos, mode: imagefolder, paths: [images], target_size: 32, batch_size: 1}\n"
    video = "dataset: {name: film, video_file: film.mp4, frame_rate: 24, start_at_seconds: 0, batch_size: 1}\n"
    config = checked(tmp_path, APPLIED.replace(old, video + "recurrent_mode: false\nminivid_crf: 12\n"))
    assert "Fix: write `artschool apply old.yml film.mp4 -o out`." in said(config)
    plain = native(config)
    assert plain["data"]["train"]["path"] == "film.mp4"
    assert plain["steps"]["up"]["optimizer"] == "none"


@pytest.mark.usefixtures("registries")
def test_lars_needs_no_norms(tmp_path: Path) -> None:
    (tmp_path / "own.py").write_text(OWN)
    lars = (
        "    optimizer_params: {lr: 1e-4}",
        "    optimizer: lars\n    optimizer_params: {lr: 0.1, momentum: 0.9, lars_coefficient: 0.01, weight_decay: 0}",
    )
    (tmp_path / "images").mkdir()
    Image.new("RGB", (40, 40)).save(tmp_path / "images" / "1.png")
    changes = [
        lars,
        ("start_step: -1", "plugins: [own.py]"),
        ("niter: 40", "niter: 1"),
        ("batch_size: 2", "batch_size: 1"),
    ]
    (tmp_path / "old.yml").write_text(small(*changes))
    options = ["train.device=cpu", f"data.train.path={tmp_path / 'images'}"]
    run = artschool.load(tmp_path / "old.yml", options, run_dir=tmp_path / "run").train()
    update: Any = run.steps[0].update
    assert [group["momentum"] for group in update.optimizer.param_groups] == [0.9]
