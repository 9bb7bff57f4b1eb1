"""Checkpoints of sharded networks: written in parts, read by any number of processes, whole to the last bit."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import subprocess
import sys
from contextlib import nullcontext
from pathlib import Path

import pytest
import torch
from torch import Tensor

import artschool
from artschool.engine.restore_modules import ModuleRestorer
from artschool.engine.restore_optimizers import OptimizerRestorer
from artschool.engine.resume_report import ResumeReport
from artschool.engine.run import Run
from artschool.errors import CheckpointError
from artschool.storage.checkpoint_store import CheckpointStore
from artschool.storage.shards import whole
from artschool.storage.tensors import read_content
from tests.engine.toy_run import recorded, write
from tests.little_room import little_room

FOLDERS = os.pathsep.join(str(path) for path in (Path(__file__).parents[2], Path(__file__).parents[2] / "src"))
WORKER = """
import json, os, sys, traceback
from contextlib import nullcontext
from pathlib import Path
import torch
from artschool import ranks
from tests.engine import test_sharded_checkpoints as cases

folder, names = Path(sys.argv[1]), sys.argv[2:]
torch.set_num_threads(1)
try:
    for name in names:
        answer = getattr(cases, name)(folder)
        if ranks.is_main():
            (folder / f"{name}.json").write_text(json.dumps(answer))
        ranks.wait()
except BaseException:
    traceback.print_exc()
    os._exit(1)
ranks.stop()
os._exit(0)  # Without the teardown of the interpreter, in which a thread of gloo may abort.
"""
SMALL = (
    "networks.gen={type: toy_plain_generator, width: 5}",  # Two and three processes cannot divide it evenly.
    "networks.critic={type: run_critic, width: 6}",
    "steps.gen.optimizer.eps=1e-4",  # Where a gradient is rounding noise, Adam divides it by itself.
    "train.iterations=12",
    "checkpoint.keep_last=9",
)
SHARD = "train.parallel=shard"


def launch(folder: Path, count: int, *names: str) -> list[dict[str, str]]:
    """Call functions of this module in several processes; they return what the main process got."""
    (folder / "worker.py").write_text(WORKER)
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={count}"]
    done = subprocess.run(
        [*command, str(folder / "worker.py"), str(folder), *names],
        capture_output=True, text=True, timeout=180, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": FOLDERS},
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return [json.loads((folder / f"{name}.json").read_text()) for name in names]


def file_of(folder: Path, *overrides: str) -> Path:
    from artschool import ranks

    own = folder / f"file_{ranks.rank()}"
    own.mkdir(exist_ok=True)
    return write(own, *SMALL, *overrides)


def load(folder: Path, run_dir: str, *overrides: str, resume: str = "auto") -> Run:
    run = artschool.load(file_of(folder, *overrides), run_dir=folder / run_dir, resume=resume)
    recorded(run)
    return run


def hashes(run: Run) -> dict[str, str]:
    """A hash of each whole tensor of the state, by name."""
    from artschool import ranks

    tensors: dict[str, Tensor] = {}
    for owner, module in run.stateful.items():
        tensors |= {f"{owner}/{name}": value for name, value in module.state_dict().items()}
    for step in run.steps:
        assert step.update is not None
        named = [(net, *pair) for net, module in step.networks.items() for pair in module.named_parameters()]
        names: dict[Tensor, str] = {parameter: f"{net}.{name}" for net, name, parameter in named}
        for parameter, slots in step.update.optimizer.state.items():
            tensors |= {f"{step.graph.name}/{names[parameter]}/{slot}": value for slot, value in slots.items()}
    found = {}
    for name, value in sorted(tensors.items()):
        full = ranks.whole(value).detach().cpu().contiguous()
        found[name] = hashlib.sha256(full.reshape(-1).view(torch.uint8).numpy().tobytes()).hexdigest()
    return found


def state_of(folder: Path, run_dir: str, number: int, *overrides: str) -> dict[str, str]:
    """The hashes of a new run that has taken over the tensors of a checkpoint."""
    from artschool.engine.saving import is_sharded

    run = load(folder, f"{run_dir}_reader", *overrides, resume="never")
    found = CheckpointStore(folder / run_dir / "checkpoints").load(number, mapped=is_sharded(run))
    modules = ModuleRestorer(run, found, ResumeReport())
    modules.all_or_error()
    modules.components()
    OptimizerRestorer(run, found, ResumeReport()).restore(run.steps)
    return hashes(run)


def whole_run(folder: Path) -> dict[str, str]:
    return hashes(load(folder, "whole", SHARD).train())


def resumed_run(folder: Path) -> dict[str, str]:
    load(folder, "resumed", SHARD, "train.iterations=5").train()
    run = load(folder, "resumed", SHARD)
    assert run.iteration == 5
    return hashes(run.train())


def one_network_sharded(folder: Path) -> dict[str, str]:
    """The critic is replicated, as saved in the foreground."""
    shard = "networks.gen={type: toy_plain_generator, width: 5, parallel: shard}"
    run = load(folder, "one_network", shard, "train.iterations=8", "checkpoint.background=false")
    return hashes(run.train())


def replicated_run(folder: Path) -> dict[str, str]:
    return hashes(load(folder, "replicated").train())


def sharded_reader(folder: Path) -> dict[str, str]:
    return state_of(folder, "whole", 12, SHARD)


def replicated_reader(folder: Path) -> dict[str, str]:
    return state_of(folder, "whole", 12)


def sharded_reader_of_replicated(folder: Path) -> dict[str, str]:
    return state_of(folder, "replicated", 12, SHARD)


def continued(folder: Path, source: str, *overrides: str) -> dict[str, str]:
    """Resume a run after iteration 5 and train it further. The largest difference from the uninterrupted run."""
    from artschool import ranks

    name = f"{source}_on_{ranks.world_size()}{'_sharded' if overrides else ''}"
    if ranks.is_main():
        shutil.copytree(folder / source / "checkpoints" / "00000005", folder / name / "checkpoints" / "00000005")
    ranks.wait()
    run = load(folder, name, *overrides)
    assert run.iteration == 5
    run.train()
    if not ranks.is_main():
        return {}
    found, expected = (CheckpointStore(folder / run_dir / "checkpoints").load(12) for run_dir in (name, source))
    stems = expected.tensors.keys()
    assert found.tensors.keys() == stems
    differences = [0.0]
    for stem in stems:
        one, other = found.saved(stem), expected.saved(stem)
        assert one.keys() == other.keys()
        differences += [float((whole(one[key]).double() - whole(other[key]).double()).abs().max()) for key in one]
    return {"largest": str(max(differences))}


def replicated_after_sharded(folder: Path) -> dict[str, str]:
    return continued(folder, "whole")


def sharded_after_sharded(folder: Path) -> dict[str, str]:
    return continued(folder, "whole", SHARD)


def sharded_after_replicated(folder: Path) -> dict[str, str]:
    return continued(folder, "replicated", SHARD)


PARTLY = (SHARD, 'networks.gen={type: toy_plain_generator, width: 5, frozen: ["0.*"], saved: trained}')


def partly_saved(folder: Path) -> dict[str, str]:
    load(folder, "partly", *PARTLY, "train.iterations=5").train()
    run = load(folder, "partly", *PARTLY)
    assert run.iteration == 5
    return hashes(run.train())


def changed_optimizer(folder: Path) -> dict[str, str]:
    """Other options of the optimizer keep its state, of which the parts are compared with what it needs."""
    from artschool import ranks

    if ranks.is_main():
        shutil.copytree(folder / "whole", folder / "changed")
    ranks.wait()
    run = load(folder, "changed", SHARD, "steps.gen.optimizer.weight_decay=0.5", "train.iterations=13")
    assert run.iteration == 12
    return hashes(run)


def failing_rank(folder: Path) -> dict[str, str]:
    """A disk that takes a part of a file on rank 1: both processes learn it, and no checkpoint is left."""
    from artschool import ranks
    from artschool.errors import ResourceError

    run = load(folder, "failing", SHARD, "train.iterations=6")
    texts = ""
    try:
        with little_room(1000) if ranks.rank() == 1 else nullcontext():
            run.train()
    except (ResourceError, CheckpointError) as error:
        texts = f"{type(error).__name__}: {error}"
    texts = "\n".join(ranks.gather(texts))
    names = [path.name for path in (folder / "failing" / "checkpoints").iterdir()]
    return {"texts": texts, "names": ", ".join(names)}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes have saved: they train eight times and read four times."""
    folder = tmp_path_factory.mktemp("two")
    launch(
        folder, 2, "whole_run", "resumed_run", "one_network_sharded", "replicated_run", "failing_rank",
        "sharded_reader", "replicated_reader", "sharded_reader_of_replicated", "changed_optimizer",
        "replicated_after_sharded", "sharded_after_replicated",
    )  # fmt: skip
    return folder


def answer(folder: Path, name: str) -> dict[str, str]:
    found: dict[str, str] = json.loads((folder / f"{name}.json").read_text())
    return found


@pytest.mark.soak
def test_each_process_writes_its_parts_and_reads_them(folder: Path) -> None:
    """Half a minute with the fixture, which starts two processes."""
    names = {path.name for path in (folder / "whole" / "checkpoints" / "00000012").iterdir()}
    stems = ("gen", "gen.ema", "critic", "state.optimizers")
    shards = {f"{stem}.shard-0000{rank}.safetensors" for stem in stems for rank in (0, 1)}
    assert names == {*shards, "state.components.safetensors", "state.json", "manifest.json"}
    saved = answer(folder, "whole_run")
    assert answer(folder, "resumed_run") == saved
    assert answer(folder, "sharded_reader") == saved
    assert answer(folder, "replicated_reader") == saved
    assert answer(folder, "changed_optimizer") == saved
    assert answer(folder, "sharded_reader_of_replicated") == answer(folder, "replicated_run")
    for name in ("replicated_after_sharded", "sharded_after_replicated"):
        assert float(answer(folder, name)["largest"]) < 1e-6


@pytest.mark.soak
def test_one_process_reads_all(folder: Path) -> None:
    assert state_of(folder, "whole", 12) == answer(folder, "whole_run")
    assert float(continued(folder, "whole")["largest"]) < 1e-6
    assert state_of(folder, "one_network", 8) == answer(folder, "one_network_sharded")
    trained = artschool.load_trained(file_of(folder), run_dir=folder / "whole")
    found = {name: value for name, value in hashes(trained).items() if name.split("/")[0] in trained.stateful}
    found = {name: value for name, value in found.items() if name.count("/") == 1}
    assert found.items() <= answer(folder, "whole_run").items() and len(found) == 14
    assert 0 < trained.evaluate()["held_out/psnr"] < 50


@pytest.mark.soak
def test_a_replicated_network_is_one_file_beside_the_parts_of_another(folder: Path) -> None:
    names = {path.name for path in (folder / "one_network" / "checkpoints" / "00000008").glob("*.safetensors")}
    assert {"critic.safetensors", "gen.shard-00000.safetensors", "gen.shard-00001.safetensors"} <= names
    assert not {"gen.safetensors", "critic.shard-00000.safetensors"} & names


@pytest.mark.soak
@pytest.mark.parametrize("name", ["gen.safetensors", "gen.shard-00001.safetensors"])
def test_weights_of_a_file_come_from_all_parts(folder: Path, tmp_path: Path, name: str) -> None:
    path = folder / "whole" / "checkpoints" / "00000012" / name
    weights = f"networks.gen={{type: toy_plain_generator, width: 5, weights: {path}}}"
    run = artschool.load(write(tmp_path, *SMALL, weights), run_dir=tmp_path / "run")
    saved = answer(folder, "whole_run")
    assert {name: saved[name] for name in hashes(run) if name.startswith("gen/")} == {
        name: value for name, value in hashes(run).items() if name.startswith("gen/")
    }


@pytest.mark.soak
def test_a_folder_as_weights_names_the_whole_file(folder: Path) -> None:
    with pytest.raises(CheckpointError, match=r"00000012: critic.safetensors, gen.ema.safetensors, gen.safetensors$"):
        read_content(folder / "whole" / "checkpoints" / "00000012")


@pytest.mark.soak
def test_a_failure_of_one_process_is_told_to_all(folder: Path) -> None:
    found = answer(folder, "failing_rank")
    main, other = found["texts"].splitlines()
    assert main.startswith("ResourceError: rank 1 could not save the checkpoint: ")
    assert other.startswith("ResourceError: ") and "cannot write: File too large" in other
    assert found["names"] == ""


@pytest.mark.soak
@pytest.mark.parametrize("file", ["gen.shard-00001.safetensors", "state.optimizers.shard-00000.safetensors"])
@pytest.mark.parametrize("damage", ["flip", "cut", "remove"])
def test_damage_in_a_part_is_found_and_an_older_checkpoint_taken(
    folder: Path, tmp_path: Path, file: str, damage: str
) -> None:
    shutil.copytree(folder / "whole" / "checkpoints", tmp_path / "checkpoints")
    path = tmp_path / "checkpoints" / "00000012" / file
    data = bytearray(path.read_bytes())
    if damage == "remove":
        path.unlink()
    else:
        data[-3] ^= 1
        path.write_bytes(data if damage == "flip" else data[:-3])
    messages: list[str] = []
    assert CheckpointStore(tmp_path / "checkpoints").newest_valid(messages.append) == 10
    assert f"00000012/{file}: " in messages[0] and ("missing" if damage == "remove" else "damaged") in messages[0]


@pytest.mark.soak
def test_a_missing_part_is_an_error_without_a_manifest(folder: Path, tmp_path: Path) -> None:
    source = folder / "whole" / "checkpoints" / "00000012" / "gen.shard-00000.safetensors"
    shutil.copy(source, tmp_path)
    with pytest.raises(
        CheckpointError, match=r"cannot read: 0\.bias: parts are missing \(expected 5 elements, got 3\)"
    ):
        read_content(tmp_path / "gen.safetensors")


@pytest.mark.soak
@pytest.mark.filterwarnings("ignore:torch.distributed is disabled")
def test_torch_reads_the_parts(folder: Path, tmp_path: Path) -> None:
    """The reader of torch.distributed.checkpoint finds the same tensors."""
    from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader
    from torch.distributed.checkpoint.state_dict_loader import load as load_distributed

    for path in (folder / "whole" / "checkpoints" / "00000012").glob("gen.shard-*.safetensors"):
        shutil.copy(path, tmp_path)
    ours = read_content(tmp_path / "gen.safetensors")
    theirs = {name: torch.zeros_like(value) for name, value in ours.items()}
    load_distributed(theirs, storage_reader=HuggingFaceStorageReader(str(tmp_path)), no_dist=True)
    for name, value in ours.items():
        assert torch.equal(theirs[name], value)


@pytest.mark.soak
@pytest.mark.parametrize("count", [3, 4])
def test_other_numbers_of_processes_read_the_same_state(folder: Path, count: int) -> None:
    """Ten seconds each: three and four processes import torch and load the toy run twice."""
    more = ["sharded_after_sharded", "sharded_after_replicated"] if count == 3 else ["hybrid"]
    sharded, replicated, *others = launch(folder, count, "sharded_reader", "sharded_reader_of_replicated", *more)
    assert sharded == answer(folder, "whole_run")
    assert replicated == answer(folder, "replicated_run")
    if count == 3:
        assert all(float(found["largest"]) < 1e-6 for found in others)
    else:
        assert others[0]["state"] == others[0]["read"] == others[0]["unsharded"]
        assert state_of(folder, "hybrid", 8) == json.loads(others[0]["state"])


def hybrid(folder: Path) -> dict[str, str]:
    """Two groups of two processes, each of which has all parts: they are saved once."""
    parallel = "train.parallel={shard: 2, replicate: 2}"
    state = hashes(load(folder, "hybrid", parallel, "train.iterations=8").train())
    assert len(list((folder / "hybrid" / "checkpoints" / "00000008").glob("gen.shard-*"))) == 2
    read = state_of(folder, "hybrid", 8, parallel)
    unsharded = state_of(folder, "hybrid", 8)
    return {name: json.dumps(value) for name, value in (("state", state), ("read", read), ("unsharded", unsharded))}


@pytest.mark.soak
def test_what_is_left_out_of_sharded_networks_is_verified_by_any_number_of_processes(tmp_path: Path) -> None:
    """Starts two processes that train, save and resume."""
    (trained,) = launch(tmp_path, 2, "partly_saved")
    for name in ("gen", "gen.ema"):
        assert read_content(tmp_path / f"partly/checkpoints/00000012/{name}.safetensors").keys() == {
            "2.weight",
            "2.bias",
        }
    assert state_of(tmp_path, "partly", 12, PARTLY[1]) == trained
    with pytest.raises(CheckpointError, match=r"gen\.0\.weight: left out of the checkpoint"):
        state_of(tmp_path, "partly", 12, PARTLY[1], "seed=8")
