"""An error ends a run with its last finished iteration on the disk, unless the next one has updated something."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypedDict

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from artschool.engine import undo
from artschool.engine.evaluate import Evaluation
from artschool.engine.run import Run
from artschool.errors import DataError, ResourceError, StateError
from artschool.registry import datasets, losses, networks
from artschool.storage.checkpoint_store import CheckpointStore
from tests.engine.forked import run_script
from tests.engine.toy_run import fingerprint, load, recorded

SAVED = "A checkpoint is saved after iteration {}. To resume, run the same command again"


class Trouble:
    """A loss of 0 that raises at an iteration, in the micro-batch `part`, as long as it is asked to."""

    def __init__(self) -> None:
        self.calls, self.at = 0, 0
        self.error: type[BaseException] = RuntimeError

    def __call__(self, x: Tensor) -> Tensor:
        self.calls += 1
        if self.calls == self.at:
            raise self.error("halfway")
        return x.mean() * 0


@pytest.fixture
def trouble(registries: None) -> Trouble:
    found = Trouble()

    def troubled(x: Tensor) -> Tensor:
        return found(x)

    losses.register("test_trouble", troubled)
    return found


IN_GEN = "steps.gen.losses.trouble={type: test_trouble, in: sr, weight: 1.0}"
IN_CRITIC = "steps.critic.losses.trouble={type: test_trouble, in: sr, weight: 1.0}"
RARE = "checkpoint={every: 100}"


def resumed(folder: Path, *options: str) -> tuple[Run, list[str]]:
    text = io.StringIO()
    run = load(folder, *options, console=Console(file=text, width=1000))
    return run, text.getvalue().splitlines()


def test_a_run_resumes_from_what_the_main_process_has_saved_alone(
    tmp_path: Path, trouble: Trouble, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = load(tmp_path, IN_GEN, RARE)
    trouble.calls, trouble.at = 0, 5
    with monkeypatch.context() as launched, pytest.raises(RuntimeError, match="halfway"):
        launched.setenv("WORLD_SIZE", "3")
        run.train()
    assert run.store.load(4).state["world_size"] == 3
    again, lines = resumed(tmp_path, IN_GEN, RARE)
    assert again.iteration == 4
    assert "world_size: 3 -> 1 processes" in "\n".join(lines)


@pytest.mark.parametrize("parts", [1, 2])
def test_a_component_that_raises_costs_no_iteration_and_no_bit(tmp_path: Path, trouble: Trouble, parts: int) -> None:
    """Statistics of batch norm have seen the failed batch; the numbers to log, and the position in the data, too."""
    options = (IN_GEN, RARE, "train.iterations=19", f"train.accumulate={parts}")
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *options).train()
    trouble.calls, trouble.at = 0, 18 * parts  # Iteration 17, the last micro-batch.
    run = load(tmp_path, *options)
    with pytest.raises(RuntimeError, match="halfway") as error:
        run.train()
    assert error.value.__notes__[-1] == SAVED.format(17)
    assert run.store.numbers() == [17]
    assert run.store.load(17).state["error"] == "RuntimeError: " + str(error.value)
    again, lines = resumed(tmp_path, *options)
    assert any("saved after an error: RuntimeError: " in line for line in lines)
    assert fingerprint(again.train()) == fingerprint(whole)
    logs = [
        [{**json.loads(line), "seconds": 0} for line in (folder / "run/metrics.jsonl").read_text().splitlines()]
        for folder in (tmp_path, tmp_path / "whole")
    ]
    assert logs[0] == logs[1]
    assert again.store.load(19).state["error"] is None


def test_an_iteration_of_which_one_of_two_optimizers_has_stepped_is_not_saved(tmp_path: Path, trouble: Trouble) -> None:
    run = load(tmp_path, IN_CRITIC, "checkpoint.every=5")
    trouble.at = 3  # The critic trains in iterations 4, 6, 8, ... on two micro-batches each.
    with pytest.raises(RuntimeError, match="halfway") as error:
        run.train()
    assert error.value.__notes__[-1] == (
        "Iteration 6 has updated a part of the weights and cannot be saved. "
        "The newest checkpoint is that after iteration 5"
    )
    assert run.store.numbers() == [5]


@pytest.mark.parametrize("kind", [torch.OutOfMemoryError, MemoryError, StateError, OSError])
def test_any_error_is_such_an_error(tmp_path: Path, trouble: Trouble, kind: type[RuntimeError]) -> None:
    trouble.at, trouble.error = 8, kind
    run = load(tmp_path, IN_GEN, RARE, "evaluate={}")
    with pytest.raises(ResourceError if "Memory" in kind.__name__ else kind, match="halfway"):
        run.train()
    assert run.store.numbers() == [7]


@pytest.mark.parametrize("kind", [SystemExit, KeyboardInterrupt, GeneratorExit])
def test_code_that_would_end_the_process_is_such_an_error(
    tmp_path: Path, trouble: Trouble, kind: type[BaseException]
) -> None:
    """`sys.exit()` would end the command with code 0, so that the run passes for a trained one."""
    trouble.at, trouble.error = 8, kind
    run = load(tmp_path, IN_GEN, RARE, "evaluate={}")
    with pytest.raises(RuntimeError, match=f"tried to end the process: {kind.__name__}: halfway\\n") as error:
        run.train()
    assert isinstance(error.value.__cause__, kind)
    assert "steps.gen.losses.trouble" in error.value.__notes__[0]
    assert error.value.__notes__[-1] == SAVED.format(7)
    assert run.store.numbers() == [7]
    assert (run.folder / "incidents" / "00000007-error").is_dir()


class UnreadableError(RuntimeError):
    """An error with a mistake in its text."""

    def __str__(self) -> str:
        raise AttributeError("no such part")


class UnreadableExitError(UnreadableError, SystemExit):
    """The same of one that would end the process."""


@pytest.mark.parametrize("kind", [UnreadableError, UnreadableExitError])
def test_an_error_whose_text_fails_is_such_an_error(
    tmp_path: Path, trouble: Trouble, kind: type[UnreadableError]
) -> None:
    trouble.at, trouble.error = 8, kind
    run = load(tmp_path, IN_GEN, RARE, "evaluate={}")
    with pytest.raises(RuntimeError, match=rf"^{kind.__name__} \(its text cannot be made\)") as error:
        run.train()
    assert "steps.gen.losses.trouble" in error.value.__notes__[0]
    assert error.value.__notes__[-1] == SAVED.format(7)
    incident = json.loads((run.folder / "incidents" / "00000007-error" / "incident.json").read_text())
    assert ", in troubled\n" in "".join(incident["traceback"])


def test_an_evaluation_whose_error_has_no_text_does_not_end_the_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def failing(*_: object) -> dict[str, float]:
        raise UnreadableError

    monkeypatch.setattr(Evaluation, "run", failing)
    run = load(tmp_path, "evaluate.held_out.every=5", "train.iterations=6")
    with pytest.raises(RuntimeError, match="its text cannot be made"):
        run.train()
    assert run.store.numbers()[-1] == 6


def test_an_error_before_a_finished_iteration_saves_nothing(tmp_path: Path, trouble: Trouble) -> None:
    """A checkpoint would only bind the run to the settings that are wrong."""
    trouble.at = 1
    run = load(tmp_path, IN_GEN, RARE)
    with pytest.raises(RuntimeError, match="halfway"):
        run.train()
    assert run.store.numbers() == []
    assert load(tmp_path, RARE, "data.train.batch_size=4", "seed=9").iteration == 0


class Few(TypedDict):
    """A sample."""

    x: Tensor
    name: str


@datasets.register("test_few")
class FewSamples:
    """Samples of which one cannot be read."""

    def __init__(self, length: int, fail_at: int | None = None) -> None:
        self._length, self._fail_at = length, fail_at

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Few:
        if index == self._fail_at:
            raise OSError("cannot decode")
        return {"x": torch.full((1,), float(index)), "name": str(index)}


@networks.register("test_weight")
class Weight(nn.Module):
    """x + weight."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        """(...) to (...)."""
        return x + self.weight


OWN_BATCHES = """
name: own
seed: 3
plugins: [PLUGIN]
data:
  train: {type: test_few, length: 8, batch_size: 2}
  more: {type: test_few, length: 8, batch_size: 2, shuffle: false, fail_at: 5, max_bad: 0}
networks: {net: {type: test_weight}}
steps:
  main:
    trains: net
    data: more
    optimizer: {type: sgd, lr: 0.5}
    injectors: {shift: {type: forward, network: net, in: more.x, out: y}}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
train: {iterations: 6, device: cpu}
log: {every: 1}
"""


def test_a_step_that_cannot_take_a_batch_of_its_own_costs_no_iteration(tmp_path: Path) -> None:
    text = OWN_BATCHES.replace("PLUGIN", str(Path(__file__).resolve()))
    run = load(tmp_path, text=text)
    recorded(run)
    with pytest.raises(DataError, match="cannot decode"):
        run.train()
    assert run.store.numbers() == [2]
    assert run.store.load(2).state["streams"] == {"train": 2, "more": 2}
    again = load(tmp_path, "data.more.fail_at=null", text=text, allow=["data.more.fail_at"])
    recorded(again)
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", "data.more.fail_at=null", text=text)
    recorded(whole)
    assert fingerprint(again.train()) == fingerprint(whole.train())


class Queue(nn.Module):
    """Writes the batch into its buffer in place, or replaces the buffer by one that has it."""

    kept: Tensor

    def __init__(self, how: str) -> None:
        super().__init__()
        self.how = how
        self.register_buffer("kept", torch.zeros(2))
        self.constant: Tensor
        self.register_buffer("constant", torch.zeros(8))
        self.calls = 0

    def __call__(self, x: Tensor) -> None:
        self.calls += 1
        if self.how == "in place":
            self.kept += x
        elif self.how == "replaced":
            self.kept = self.kept + x


@pytest.mark.parametrize("how", ["in place", "replaced"])
def test_buffers_of_an_iteration_that_failed_are_those_before_it(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class Nothing:
        has_updated = False

        def __getattr__(self, name: str) -> Callable[..., None]:
            return lambda *_: None

    monkeypatch.setattr(undo, "SMALL_BYTES", 4)
    queue, nothing = Queue(how), Nothing()
    undoing = undo.Undo({"queue": queue}, nothing, nothing, nothing)  # type: ignore[arg-type]  # the buffers alone
    for iteration in range(3):
        undoing.begin(iteration)
        queue(torch.ones(2))
    assert undoing.undo(2) == []
    assert queue.kept.tolist() == [2, 2]
    assert undoing.undo(7) == []  # Nothing has begun after the iteration.
    undoing.begin(3)
    with torch.no_grad():
        queue.constant += 1  # For the first time.
    assert undoing.undo(3) == ["queue.constant"]
    monkeypatch.setattr(undo, "MOST_BYTES", 4)
    undoing = undo.Undo({"queue": queue}, nothing, nothing, nothing)  # type: ignore[arg-type]  # likewise
    undoing.begin(4)
    queue(torch.ones(2))
    undoing.begin(5)
    queue(torch.ones(2))
    assert undoing.undo(5) == (["queue.kept"] if how == "in place" else [])


def test_an_evaluation_that_fails_is_told_and_the_run_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with the error, after everything else."""
    options = ("evaluate.held_out.every=5", "train.iterations=15")
    (tmp_path / "whole").mkdir()
    whole = load(tmp_path / "whole", *options)
    recorded(whole)
    whole.train()
    run = load(tmp_path, *options)
    recorder = recorded(run)
    evaluate = Evaluation.run

    def troubled(self: Evaluation, iteration: int, device: torch.device, *_: object) -> dict[str, float]:
        if iteration in (5, 10):
            raise ValueError(f"no value at {iteration}")
        return evaluate(self, iteration, device)

    monkeypatch.setattr(Evaluation, "run", troubled)
    with pytest.raises(ValueError, match="no value at 5") as error:
        run.train()
    assert error.value.__notes__ == [
        "This came up after iteration 5, and training went on. All 15 iterations are saved"
    ]
    assert recorder.notes == [
        f"warning: evaluate.held_out failed after iteration {at}: ValueError: no value at {at}" for at in (5, 10)
    ]
    assert len(recorder.values("held_out/psnr")) == 1
    assert load(tmp_path, *options).is_finished
    assert fingerprint(run) == fingerprint(whole)


def test_an_evaluation_that_would_end_the_process_does_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def leaving(*_: object) -> dict[str, float]:
        raise SystemExit(0)

    monkeypatch.setattr(Evaluation, "run", leaving)
    run = load(tmp_path, "evaluate.held_out.every=5", "train.iterations=6")
    recorded(run)
    with pytest.raises(RuntimeError, match="tried to end the process: SystemExit: 0"):
        run.train()
    assert run.store.numbers()[-1] == 6


def test_a_mistake_of_the_file_stops_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def mistaken(*_: object) -> dict[str, float]:
        raise StateError("a key is missing")

    monkeypatch.setattr(Evaluation, "run", mistaken)
    run = load(tmp_path, "evaluate.held_out.every=5")
    recorded(run)
    with pytest.raises(StateError, match="a key is missing"):
        run.train()
    assert run.store.numbers() == [5]


def of_ranks(folder: Path, *cases: str) -> dict[str, Any]:
    """What both processes found in each case, as `<case><rank>`."""
    run_script("tests.engine.failing_rank", folder, *cases)
    return {
        f"{case}{rank}": json.loads((folder / f"{case}{rank}.json").read_text()) for case in cases for rank in (0, 1)
    }


@pytest.mark.soak
@pytest.mark.parametrize("kind", ["fsdp", "zero"])
def test_processes_with_parts_of_the_state_meet_and_save_whichever_fails(tmp_path: Path, kind: str) -> None:
    """Half a minute each: five groups of two processes."""
    cases = [f"{kind}_{rank}{resumed}" for rank in (0, 1) for resumed in ("", "_resumed")]
    found = of_ranks(tmp_path, f"{kind}_whole", *cases)
    for failed in (0, 1):
        case = f"{kind}_{failed}"
        store = CheckpointStore(tmp_path / case / "run/checkpoints")
        assert store.numbers() == [7, 12]
        assert store.load(7).state["error"] == "ZeroDivisionError: trouble"  # Not what it did to the other one.
        for rank in (0, 1):
            assert found[f"{case}{rank}"]["notes"][-1] == SAVED.format(7)
            assert ("ZeroDivisionError" in found[f"{case}{rank}"]["error"]) == (rank == failed)
            assert found[f"{case}_resumed{rank}"]["start"] == 7
            assert found[f"{case}_resumed{rank}"]["hash"] == found[f"{kind}_whole{rank}"]["hash"]


@pytest.mark.soak
def test_a_busy_process_is_waited_for(tmp_path: Path) -> None:
    """A quarter of a minute: two processes, one of which is silent for four seconds."""
    run_script("tests.engine.failing_rank", tmp_path, "zero_late")
    for rank in (0, 1):
        assert json.loads((tmp_path / f"zero_late{rank}.json").read_text())["notes"][-1] == SAVED.format(7)
    assert CheckpointStore(tmp_path / "zero_late/run/checkpoints").numbers() == [7]


@pytest.mark.soak
def test_what_a_process_has_taken_with_it_or_changed_is_not_saved(tmp_path: Path) -> None:
    """A quarter of a minute: two groups of two processes, one of which waits for a process that has ended."""
    run_script("tests.engine.failing_rank", tmp_path, "fsdp_killed", "fsdp_updated")
    (note,) = json.loads((tmp_path / "fsdp_killed0.json").read_text())["notes"]
    assert note == "The last iterations are not saved: each process has a part of them, and rank 1 does not respond"
    for rank in (0, 1):
        note = json.loads((tmp_path / f"fsdp_updated{rank}.json").read_text())["notes"][-1]
        assert note.startswith("Iteration 6 has updated a part of the weights on rank ")
    assert not list(tmp_path.glob("*/run/checkpoints/0*"))


@pytest.mark.soak
def test_of_several_processes_the_main_one_saves_whichever_fails(tmp_path: Path) -> None:
    """Half a minute: five groups of two processes."""
    whole, first, second, resumed = (f"replicated_{name}" for name in ("whole", "0", "1", "0_resumed"))
    found = of_ranks(tmp_path, whole, first, second, "look", resumed)
    for case in (first, second):
        store = CheckpointStore(tmp_path / case / "run/checkpoints")
        assert store.numbers() == ([7, 12] if case == first else [7])  # It has resumed.
        assert store.load(7).state["world_size"] == store.load(7).manifest.world_size == 2
        assert found[f"{case}0"]["notes"][-1] == SAVED.format(7)
    assert "ZeroDivisionError: trouble" in found[f"{first}0"]["error"]
    assert "ZeroDivisionError: trouble" in found[f"{second}1"]["error"]
    for rank in (0, 1):
        assert found[f"{resumed}{rank}"]["start"] == 7
        assert found[f"{resumed}{rank}"]["hash"] == found[f"{whole}{rank}"]["hash"]
    for rank in (0, 1):  # An evaluation that fails on one rank is left out on all.
        look = found[f"look{rank}"]
        assert (look["iteration"], "trouble" in look["error"]) == (12, True)
    said = "warning: evaluate.held_out failed after iteration 4: rank 1: ZeroDivisionError: trouble"
    assert found["look0"]["said"] == [said]
    assert found["look0"]["psnr"] == found[f"{whole}0"]["psnr"][1:]
