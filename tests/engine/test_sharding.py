"""Sharded networks: several processes, each with a part of every parameter, compute what one process does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import artschool
from artschool import ranks
from artschool.engine.units import units_of
from artschool.errors import ConfigError
from tests.engine.sharded_worker import train
from tests.engine.test_ranks import PLUGIN_FOLDERS
from tests.engine.toy_run import TEXT, write

PARTS = Path(__file__).with_name("sharded_parts.py")
BOTH = TEXT.replace("[PLUGIN]", f"[PLUGIN, {PARTS}]")
CODER = """
name: coder
seed: 7
plugins: [PLUGIN, PARTS]
data:
  train: {type: run_pairs, length: 40, batch_size: 8}
  val: {type: run_pairs, length: 7, batch_size: 4}
networks:
  coder: {type: sharded_coder, wrap: [blocks.*]}
  critic: {type: run_critic}
steps:
  coder:
    trains: [coder, critic]
    optimizer: {type: adamw, lr: 2e-3, eps: 1e-4, param_groups: [{marked: slow, lr: 1e-3}, {match: "*"}]}
    clip_grad_norm: 0.2
    injectors:
      code: {type: forward, network: coder, method: encode, in: hq, out: code}
      whole: {type: forward, network: coder, in: hq, out: same}
      twice: {type: forward, network: coder, method: refine, in: same, out: refined}
      frozen: {type: forward, network: coder, in: same, out: target, grad: false}
    losses:
      pixel: {type: l1, in: [same, hq], weight: 1.0}
      refined: {type: l1, in: [refined, target], weight: 0.5}
      small: {type: l1, in: [code, code], weight: 0.1, before: 3}
      gan: {type: discriminator_gan, kind: hinge, network: critic, fake: same, real: hq, weight: 0.3}
    callbacks: {size: {type: update_size}}
train: {iterations: 8, device: cpu}
ema: {decay: 0.9, networks: [coder]}
evaluate:
  held_out:
    data: val
    every: 4
    injectors: {twice: {type: forward, network: coder, method: refine, in: hq, out: refined}}
    metrics: {psnr: {type: psnr, in: [refined, hq]}}
log: {every: 2}
checkpoint: {every: 4, keep_last: 2}
""".replace("PARTS", str(PARTS))
PLAIN = ("networks.gen={type: sharded_upscaler}", "steps.gen.optimizer.eps=1e-4", "train.iterations=10")
BREAKS = "steps.gen.losses.broken={type: breaks, fake: sr, real: hq, weight: 0.1, after: 3, before: 4}"
SGD = (
    "steps.gen.optimizer={type: sgd, lr: 2e-2, momentum: 0.9, nesterov: true, weight_decay: 1e-2, "
    "param_groups: [{match: 'gen.2.*', lr: 1e-2}, {match: '*'}]}",
    "steps.gen.losses.first={type: breaks, fake: sr, real: hq, weight: 0.1, before: 0}",
    "steps.gen.losses.later={type: breaks, fake: sr, real: hq, weight: 0.1, after: 5, before: 5}",
)
REWINDS = (
    "steps.gen.losses.broken={type: breaks_twice, fake: sr, real: hq, weight: 0.1, after: 3}",
    "train.non_finite=rewind", "train.max_skips=2", "train.rewind_every=2", "log.every=1", "checkpoint.every=",
    "steps.critic.after=0", "steps.critic.every=1",
)  # fmt: skip
SHARD = "train.parallel=shard"
VQ = """
name: vq
seed: 7
plugins: [PLUGIN]
data:
  train: {type: run_pairs, length: 40, batch_size: 9}
  val: {type: run_pairs, length: 7, batch_size: 3}
networks:
  vq: {type: vq_vae, width: 8, halvings: 1, blocks: 1, num_codes: 8, code_dim: 4, wrap: [encoder]}
steps:
  vq:
    trains: vq
    optimizer: {type: adamw, lr: 2e-3, eps: 1e-4}
    injectors: {vq: {type: forward, network: vq, in: hq, out: [restored, commitment, _]}}
    losses:
      pixel: {type: l2, in: [restored, hq], weight: 10.0}
      commitment: {type: mean, in: commitment, weight: 0.25}
train: {iterations: 6, device: cpu}
evaluate:
  held_out:
    data: val
    every: 3
    injectors:
      encode: {type: forward, network: vq, method: encode, in: hq, out: codes}
      decode: {type: forward, network: vq, method: decode_codes, in: codes, out: restored}
    metrics: {psnr: {type: psnr, in: [restored, hq]}}
log: {every: 2}
checkpoint: {every: 3, keep_last: 2}
"""
DIFFUSION = """
name: diffusion
seed: 7
plugins: [PLUGIN]
data: {train: {type: run_pairs, length: 40, batch_size: 9}}
networks:
  unet: {type: unet, width: 8, multipliers: [1, 2], blocks: 1, wrap: []}
steps:
  unet:
    trains: unet
    optimizer: {type: adamw, lr: 2e-3, eps: 1e-4}
    clip_grad_norm: 0.1
    injectors:
      diffusion:
        {type: gaussian_diffusion, network: unet, in: hq, schedule: cosine, num_timesteps: 100, out: [error, _, _, _]}
    losses: {error: {type: mean, in: error, weight: 1.0}}
train: {iterations: 6, device: cpu, accumulate: 3}
ema: {decay: 0.9, networks: [unet]}
log: {every: 2}
checkpoint: {every: 3, keep_last: 2}
"""
Case = tuple[str, tuple[str, ...], tuple[str, ...]]
CASES: dict[str, Case] = {
    "gan": (BOTH, (*PLAIN, "train.accumulate=2"), (SHARD,)),
    "units": (BOTH, (*PLAIN, "networks.gen.activation_checkpointing=['1']"), (SHARD, "networks.gen.wrap=['1.*']")),
    "beside": (BOTH, PLAIN, (SHARD, "networks.critic.parallel=replicate")),
    "coder": (CODER, (), (SHARD,)),
    "coder_beside": (CODER, ("train.accumulate=2",), ("networks.coder.parallel=shard",)),
    "values": (CODER, ("networks.coder.read_values=true", "train.iterations=2"), (SHARD,)),
    "skips": (BOTH, (*PLAIN, BREAKS), (SHARD,)),
    "half_skips": (BOTH, (*PLAIN, BREAKS, "networks.gen={type: sharded_layer}"), (SHARD,)),
    "in_place": (BOTH, (*PLAIN, "networks.gen={type: sharded_in_place}"), (SHARD, "networks.gen.wrap=[blocks.*]")),
    "rewinds": (
        BOTH,
        (*PLAIN, *REWINDS),
        (SHARD, "networks.critic.parallel=replicate", "steps.critic.optimizer.shard=true"),
    ),
    "fp16": (BOTH, (*PLAIN, BREAKS, "train.precision=fp16"), (SHARD, "networks.critic.parallel=replicate")),
    "sgd": (BOTH, (*PLAIN, "networks.gen={type: toy_plain_generator}", *SGD), (SHARD,)),
    "lamb": (BOTH, (*PLAIN, "steps.gen.optimizer={type: lamb, lr: 1e-2}"), (SHARD,)),
    "lars": (BOTH, (*PLAIN, "steps.gen.optimizer={type: lars, lr: 1e-2}"), (SHARD,)),
    "vq": (VQ, (), (SHARD,)),
    "diffusion": (DIFFUSION, (), (SHARD,)),
}
"""For each case its file, changes of the file, and what several processes add."""


def files(folder: Path, names: Sequence[str]) -> dict[str, Path]:
    """The file of each case, in a folder of its own."""
    found = {}
    for name in names:
        text, overrides, _ = CASES[name]
        (folder / name).mkdir()
        found[name] = write(folder / name, *overrides, text=text)
    return found


def sharded(folder: Path, processes: int, cases: dict[str, tuple[Path, tuple[str, ...]]]) -> dict[str, Any]:
    """The results of the cases, trained by several processes that start once."""
    results = folder / f"by{processes}"
    results.mkdir()
    listed = {name: {"file": str(file), "overrides": overrides} for name, (file, overrides) in cases.items()}
    (results / "cases.json").write_text(json.dumps(listed))
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={processes}"]
    worker = Path(__file__).with_name("sharded_worker.py")
    done = subprocess.run(
        [*command, str(worker), str(results), str(results / "cases.json")],
        capture_output=True, text=True, timeout=240, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return {name: torch.load(results / f"{name}.pt", weights_only=False) for name in cases}


def assert_same(one: dict[str, Any], several: dict[str, Any], tolerance: float = 2e-6) -> None:
    """The same weights, averages, optimizer state, numbers and counts."""
    assert "error" not in several, several["error"]
    assert one["tensors"].keys() == several["tensors"].keys()
    for file, tensors in one["tensors"].items():
        assert tensors.keys() == several["tensors"][file].keys()
        for name, tensor in tensors.items():
            scale = tolerance * max(1.0, float(tensor.abs().max()) if tensor.numel() else 0.0)
            difference = (several["tensors"][file][name].double() - tensor.double()).abs()
            assert float(difference.max() if difference.numel() else 0.0) <= scale, f"{file}: {name}"
    assert one["updates"] == several["updates"]
    for expected, got in zip(one["records"], several["records"], strict=True):
        assert expected.keys() == got.keys()
        for name in expected.keys() - {"seconds"}:
            assert got[name] == pytest.approx(expected[name], rel=100 * tolerance, abs=10 * tolerance, nan_ok=True), (
                name
            )


def compare(folder: Path, processes: int, names: Sequence[str], parallel: str = "") -> dict[str, Any]:
    """Train cases with one process and with several, and compare."""
    paths = files(folder, names)
    more = (f"train.parallel={parallel}",) if parallel else ()
    several = sharded(folder, processes, {name: (paths[name], (*CASES[name][2], *more)) for name in names})
    for name in names:
        one = train(paths[name], folder / name / "one", [])
        assert_same(one, several[name])
        assert_restored(several[name])
    return several


def assert_restored(result: dict[str, Any]) -> None:
    """Some parameters are sharded, and after training the same ones are as before."""
    assert "DTensor" in result["kinds"]
    assert result["kinds"] == result["kinds_after"]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    results = compare(tmp_path, 2, ("gan", "coder_beside", "in_place", "rewinds", "sgd"))
    assert results["sgd"]["updates"]["gen"]["skipped"] == 2  # Iterations 0 and 5.
    trained = [record["iteration"] for record in results["rewinds"]["records"] if "gen/total" in record]
    assert trained.count(4) == 2  # There is no checkpoint to return to.


@pytest.mark.soak
def test_two_processes_do_everything_as_one(tmp_path: Path) -> None:
    """Over twenty seconds: nine runs, each twice."""
    names = ("units", "beside", "coder", "values", "skips", "half_skips", "lamb", "lars", "vq")
    results = compare(tmp_path, 2, names)
    for name in ("skips", "half_skips"):
        assert results[name]["updates"]["gen"]["skipped"] == 2  # Iterations 3 and 4.


@pytest.mark.soak
def test_three_processes_train_as_one(tmp_path: Path) -> None:
    """Over ten seconds: three processes, of which one has fewer batches to evaluate and no part of small tensors."""
    compare(tmp_path, 3, ("gan", "coder_beside", "skips", "sgd"))


@pytest.mark.soak
def test_groups_of_processes_train_as_one(tmp_path: Path) -> None:
    """Over ten seconds: four processes."""
    compare(tmp_path, 4, ("gan", "coder_beside"), parallel="{shard: 2, replicate: 2}")


@pytest.mark.soak
def test_noise_and_rounding_are_those_of_replicated_networks(tmp_path: Path) -> None:
    """Over ten seconds: two processes, twice. By noise and in half precision, one process computes something else."""
    paths = files(tmp_path, ["diffusion", "fp16"])
    replicated = {f"{name}_replicated": (path, ("train.parallel=replicate",)) for name, path in paths.items()}
    results = sharded(tmp_path, 2, {**replicated, **{name: (path, CASES[name][2]) for name, path in paths.items()}})
    for name in paths:
        assert_same(results[f"{name}_replicated"], results[name])
        assert_restored(results[name])
    assert results["fp16"]["updates"]["gen"]["skipped"] > 0


@pytest.mark.soak
def test_numbers_that_do_not_fit_the_processes_are_refused(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    paths = files(tmp_path, ["gan", "coder", "beside"])
    uneven = "evaluate.held_out.metrics.fid={type: fid, network: critic, in: [sr, hq]}"
    results = sharded(
        tmp_path, 2,
        {
            "gan": (paths["gan"], ("train.parallel={shard: 2, replicate: 2}",)),
            "coder": (paths["coder"], (SHARD, "networks.coder.wrap=[blocks]")),
            "beside": (paths["beside"], (SHARD, uneven, "data.val.batch_size=3")),
            "uncalled": (paths["gan"], (SHARD, "networks.gen={type: sharded_reader, wrap: [first]}")),
        },
    )  # fmt: skip
    assert "{shard: 2, replicate: 2} needs 4 processes, and this run has 2" in results["gan"]["error"]
    assert "'blocks' has no forward (it is a ModuleList). Fix: write 'blocks.*'" in results["coder"]["error"]
    assert ".wrap: parameters of a unit are read while it is not called\n    at " in results["uncalled"]["error"]
    assert "calls 'critic', which is sharded, and 3 batches cannot be divided evenly" in results["beside"]["error"]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("steps.gen.requires=[lq]", "steps.gen.requires: cannot be used while 'gen', 'critic' are sharded"),
        ("steps.gen.batch_sizing={}", "steps.gen.batch_sizing: does not work with gradients that are sharded"),
        ("steps.gen.optimizer.shard=true", "steps.gen.optimizer.shard: has no effect on 'gen', which is sharded"),
        (
            "steps.critic.losses.r1={type: gradient_penalty, network: critic, kind: r1, real: hq, weight: 1.0}",
            "steps.critic.losses.r1: differentiates gradients of 'critic', which is sharded",
        ),
    ],
)
def test_what_shards_cannot_do_is_refused(tmp_path: Path, change: str, message: str) -> None:
    file = write(tmp_path, change, SHARD)
    with pytest.raises(ConfigError) as raised:
        artschool.load(file, run_dir=tmp_path / "run")
    assert message in str(raised.value)


def test_large_modules_of_lists_are_units() -> None:
    large = [nn.Linear(1000, 1000) for _ in range(3)]
    network = nn.Sequential(nn.Linear(4, 1000), nn.Sequential(*large[:2]), large[2], nn.ModuleList([large[2]]))
    assert list(units_of(network, None, "x")) == ["1", "2"]
    assert list(units_of(network, ["1.*"], "x")) == ["1.0", "1.1"]
    network[0].weight = large[0].weight
    assert list(units_of(network, None, "x")) == ["2"]
    with pytest.raises(ConfigError, match=r"x\.wrap: '1\.0' shares a parameter with a module outside of it"):
        units_of(network, ["1.0"], "x")
    with pytest.raises(ConfigError, match=r"x\.wrap: 'body\.\*' matches no module\. Available modules: 0, 1"):
        units_of(network, ["body.*"], "x")
    network.append(nn.ParameterList([torch.ones(2)]))
    with pytest.raises(ConfigError, match=r"'4' has no forward \(it is a ParameterList\)\. Fix: leave it out"):
        units_of(network, ["4"], "x")


def test_lists_among_the_modules_of_a_pattern_are_passed_over() -> None:
    network = nn.Sequential(nn.Linear(2, 2), nn.ParameterList([torch.ones(2)]), nn.ModuleList([nn.Linear(2, 2)]))
    assert list(units_of(network, ["*"], "x")) == ["0", "2.0"]
    assert list(units_of(network, ["2*"], "x")) == ["2.0"]
    with pytest.raises(ConfigError, match=r"'2' has no forward \(it is a ModuleList\)\. Fix: write '2\.\*'"):
        units_of(network, ["0", "2"], "x")


def test_one_process_verifies_the_units_of_several(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"networks\.critic\.wrap: 'nothing\.\*' matches no module\. Available modules: "
    ):
        artschool.load(write(tmp_path, "networks.critic.wrap=[nothing.*]"), run_dir=tmp_path / "run")


def test_one_process_ignores_shards(tmp_path: Path) -> None:
    run = artschool.load(write(tmp_path, "train.parallel={shard: 4, replicate: 2}"), run_dir=tmp_path / "run")
    assert not any(ranks.is_sharded(p) for network in run.networks.values() for p in network.parameters())
