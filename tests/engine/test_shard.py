"""Optimizer state in shares: the same bits as whole, for any optimizer, through clipping, skips, saves and resumes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import torch

from artschool.engine.optimizers import shard_groups
from tests.engine import toy_run

WORKER = """
import json, sys, artschool
import torch
import os
from tests.engine import toy_run
from pathlib import Path
from artschool import ranks
from artschool.engine.captured_state import optimizers_of
from artschool import Context
from artschool.registry import losses

@losses.register("shard_spoil")
def spoil(x: torch.Tensor, *, at: int, context: "Context") -> torch.Tensor:
    return x.mean() * (float("nan") if context.iteration == at else 1.0)

def weights(run):
    return {f"{net}.{name}": value for net, m in run.networks.items() for name, value in m.state_dict().items()}

folder, overrides = Path(sys.argv[1]), sys.argv[2:]
results = {}
shard = ("steps.gen.optimizer.shard=true", "steps.critic.optimizer.shard=true")
for kind, extra, lengths in (("plain", (), [12]), ("sharded", shard, [12]), ("resumed", shard, [5, 12])):
    own = folder / f"{kind}_{ranks.rank()}"
    own.mkdir()
    file = toy_run.write(own, *overrides, *extra)
    for length in lengths:
        changes = [f"train.iterations={length}", "checkpoint.every=100", "evaluate={}"]
        run = artschool.load(file, changes, run_dir=folder / kind)
        toy_run.recorded(run)
        run.train()
        ranks.wait()
    kept = sum(len(group["params"]) for step in run.steps for group in step.update.optimizer.param_groups)
    numbers = [kept, run.steps[0].update.skips(), run.steps[0].update.precision.scale]
    results[kind] = weights(run), optimizers_of(run), numbers

def same(a, b):
    return a.keys() == b.keys() and all(torch.equal(torch.as_tensor(a[name]), torch.as_tensor(b[name])) for name in a)

plain = results["plain"]
answer = {kind: [same(found[0], plain[0]), same(found[1], plain[1])] for kind, found in results.items()}
answer["numbers"] = {kind: results[kind][2] for kind in results}
(folder / f"answer_{ranks.rank()}.json").write_text(json.dumps(answer))
ranks.wait()
ranks.stop()
os._exit(0)  # Without the teardown of the interpreter, in which a thread of gloo may abort.
"""
FOLDERS = os.pathsep.join(str(path) for path in (Path(__file__).parents[2], Path(__file__).parents[2] / "src"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "overrides",
    [
        ("steps.gen.losses.spoil={type: shard_spoil, in: sr, at: 3, weight: 1.0}", "train.precision=fp16"),
        pytest.param(
            ("steps.gen.optimizer={type: lamb, lr: 1e-3, no_decay: [bias, norm]}", "steps.critic.after=0"),
            marks=pytest.mark.soak,
        ),
    ],
    ids=["adamw and sgd", "lamb"],
)
def test_two_ranks_with_shares_give_the_bits_of_two_without(tmp_path: Path, overrides: tuple[str, ...]) -> None:
    """Over five seconds: two processes import torch, and train three times."""
    (tmp_path / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2"]
    done = subprocess.run(
        [*command, str(tmp_path / "worker.py"), str(tmp_path), *overrides],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": FOLDERS},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    answers = [json.loads((tmp_path / f"answer_{rank}.json").read_text()) for rank in range(2)]
    for answer in answers:
        (_, *plain), (_, *sharded), (_, *resumed) = answer["numbers"].values()
        assert answer["sharded"][0] and answer["resumed"][0] and plain == sharded == resumed
    # Only the main process sees the state of all.
    assert any(answer["sharded"][1] and answer["resumed"][1] for answer in answers)
    whole, shares = (sorted(answer["numbers"][kind][0] for answer in answers) for kind in ("plain", "sharded"))
    assert sum(shares) == whole[0] == whole[1] and shares[0] > 0


def test_shares_are_about_as_large() -> None:
    parameters = [torch.nn.Parameter(torch.zeros(n)) for n in (10, 1, 6, 3, 5)]
    groups = [{"params": parameters[:2], "lr": 1.0}, {"params": parameters[2:], "lr": 2.0}]
    own, shares = shard_groups(groups, 1, 2)
    assert [[p.numel() for p in share] for share in shares] == [[10, 3], [6, 5, 1]]
    assert [[p.numel() for p in group["params"]] for group in own] == [[1], [6, 5]]
    assert [group["lr"] for group in own] == [1.0, 2.0]


def test_one_process_trains_as_without(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "steps.gen.optimizer.shard=true")
    assert run.steps[0].update is not None and run.steps[0].update.scheduled.shards is None
