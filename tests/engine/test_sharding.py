"""Sharded networks: several processes, each with a part of every parameter, compute what one process does."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

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
BREAKS = "steps.gen.losses.broken={type: breaks_at, fake: sr, real: hq, name: name, sample: 3, weight: 0.1}"
SHARD = "train.parallel=shard"
Case = tuple[str, tuple[str, ...], tuple[str, ...]]
CASES: dict[str, Case] = {
    "gan": (BOTH, (*PLAIN, "train.accumulate=2"), (SHARD,)),
    "units": (BOTH, (*PLAIN, "networks.gen.activation_checkpointing=['1']"), (SHARD, "networks.gen.wrap=['1.*']")),
    "beside": (BOTH, PLAIN, (SHARD, "networks.critic.parallel=replicate")),
    "coder": (CODER, (), (SHARD,)),
    "coder_beside": (CODER, ("train.accumulate=2",), ("networks.coder.parallel=shard",)),
    "values": (CODER, ("networks.coder.read_values=true", "train.iterations=2"), (SHARD,)),
    "skips": (BOTH, (*PLAIN, BREAKS), (SHARD,)),
    "fp16": (BOTH, (*PLAIN, BREAKS, "train.precision=fp16"), (SHARD, "networks.critic.parallel=replicate")),
    "lamb": (BOTH, (*PLAIN, "steps.gen.optimizer={type: lamb, lr: 1e-2}"), (SHARD,)),
    "lars": (BOTH, (*PLAIN, "steps.gen.optimizer={type: lars, lr: 1e-2}"), (SHARD,)),
}


def files(folder: Path, names: list[str]) -> dict[str, Path]:
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


def assert_same(one: dict[str, Any], several: dict[str, Any], tolerance: float) -> None:
    """The same weights, averages, optimizer state, numbers and counts."""
    assert "error" not in several, several["error"]
    assert one["tensors"].keys() == several["tensors"].keys()
    for file, tensors in one["tensors"].items():
        assert tensors.keys() == several["tensors"][file].keys()
        for name, tensor in tensors.items():
            scale = tolerance * max(1.0, float(tensor.abs().max()) if tensor.numel() else 0.0)
            torch.testing.assert_close(
                several["tensors"][file][name], tensor, rtol=0, atol=scale, msg=lambda text: f"{file} {name}: {text}"
            )
    assert one["updates"] == several["updates"]
    for expected, got in zip(one["records"], several["records"], strict=True):
        assert expected.keys() == got.keys()
        for name in expected.keys() - {"seconds"}:
            assert got[name] == pytest.approx(expected[name], rel=100 * tolerance, abs=10 * tolerance), name


def compare(folder: Path, processes: int, names: list[str], parallel: str = "") -> None:
    """Train cases with one process and with several, and compare."""
    paths = files(folder, names)
    options = {name: (paths[name], (*CASES[name][2], *([f"train.parallel={parallel}"] if parallel else []))) for name in names}
    several = sharded(folder, processes, options)
    for name in names:
        one = train(paths[name], folder / name / "one", [])
        assert_same(one, several[name], 1e-3 if name == "fp16" else 2e-6)
        assert several[name]["kinds"] == several[name]["kinds_after"]
        assert "DTensor" in several[name]["kinds"]


@pytest.mark.slow
def test_two_processes_train_as_one(tmp_path: Path) -> None:
    """Over five seconds: two processes import torch."""
    compare(tmp_path, 2, [os.environ.get("CASE", "coder")] if "CASES" not in os.environ else os.environ["CASES"].split(","))
