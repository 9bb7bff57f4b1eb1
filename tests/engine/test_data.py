"""Batches by counter, faults of data sets told with their sample, and evaluation that counts every sample once."""

from __future__ import annotations

import math
import random
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torchmetrics import MeanSquaredError

from artschool.build.bind import on_device
from artschool.data.collate import Collate
from artschool.data.sampler import Batches, InChunks, RankSampler
from artschool.engine.micro_batches import MicroBatches
from artschool.engine.streams import Part
from artschool.errors import DataError, NumericsError
from artschool.registry import datasets, injectors, metrics, networks
from artschool.registry.signature import Context
from tests.engine import toy_run
from tests.engine.toy_parts import load, same


def batches(**options: Any) -> Batches:
    return Batches(
        **{"name": "d", "length": 10, "batch_size": 4, "seed": 1, "shuffle": True, "drop_last": True, **options}
    )


def indices(these: Batches, start: int = 0, stop: int = 6) -> list[list[int]]:
    return [[position.sample for position in these.whole(iteration)] for iteration in range(start, stop)]


def test_the_order_depends_on_seed_epoch_and_name_alone() -> None:
    order = indices(batches())
    assert indices(batches(), 3, 6) == order[3:]
    assert len({*order[0], *order[1]}) == 8
    assert sorted(map(sorted, order[:2])) != sorted(map(sorted, order[2:4]))  # Another epoch.
    assert indices(batches(seed=2)) != order
    assert indices(batches(name="other")) != order
    assert [position.epoch for position in batches().whole(5)] == [2, 2, 2, 2]


def test_an_epoch_holds_every_sample_once() -> None:
    order = indices(batches(drop_last=False), 0, 3)
    assert [len(batch) for batch in order] == [4, 4, 2]
    assert sorted(index for batch in order for index in batch) == list(range(10))
    assert [batches(drop_last=False).size(iteration) for iteration in range(4)] == [4, 4, 2, 4]
    assert [batches().size(iteration) for iteration in range(3)] == [4, 4, 4]


def test_without_shuffle_the_order_is_that_of_the_data_set() -> None:
    assert indices(batches(shuffle=False), 0, 3) == [[0, 1, 2, 3], [4, 5, 6, 7], [0, 1, 2, 3]]


@pytest.mark.parametrize("shuffle", [True, InChunks(2**61, 12)])
def test_more_samples_than_can_be_ordered_are_told(shuffle: bool | InChunks) -> None:
    text = f"d: no memory for a random order of {2**62:,} samples, its `__len__`. Fix: return a smaller number, which "
    with pytest.raises(DataError) as error:
        batches(length=2**62, shuffle=shuffle).whole(0)
    assert str(error.value) == f"{text}makes epochs shorter, or set `shuffle: false`"


def test_any_number_of_samples_is_read_without_a_shuffle() -> None:
    assert indices(batches(length=2**62, shuffle=False), 0, 2) == [[0, 1, 2, 3], [4, 5, 6, 7]]


def test_a_run_on_any_number_of_samples_resumes(tmp_path: Path) -> None:
    train = f"data.train={{type: part_samples, length: {2**62}, batch_size: 2, shuffle: false}}"
    load(tmp_path, train, "train.iterations=2")[0].train()
    run, _ = load(tmp_path, train)
    assert run.iteration == 2
    run.train()


def chunked(drop_last: bool = True, **options: Any) -> Batches:
    """1000 samples in 20 chunks of 50, of which 5 are mixed, in batches of 12."""
    shuffle = InChunks(chunk=50, window=250)
    return batches(**{"length": 1000, "batch_size": 12, "shuffle": shuffle, "drop_last": drop_last, **options})


def test_an_epoch_in_chunks_holds_every_sample_once_in_another_order_each_time() -> None:
    order = indices(chunked(drop_last=False), 0, 84)
    assert [len(batch) for batch in order] == [12] * 83 + [4]
    assert sorted(index for batch in order for index in batch) == list(range(1000))
    assert indices(chunked(drop_last=False), 40, 84) == order[40:]
    assert indices(chunked(drop_last=False), 84, 168) != order
    assert indices(chunked(seed=2), 0, 83) != order[:83]
    ragged = indices(chunked(length=1003, drop_last=False), 0, 84)
    assert sorted(index for batch in ragged for index in batch) == list(range(1003))


def test_a_window_mixes_its_chunks_and_no_others() -> None:
    order = indices(chunked(), 0, 83)
    windows = [order[start : start + 21] for start in range(0, 83, 21)]  # 21 batches are the first that hold 250.
    touched = [{index // 50 for batch in window for index in batch} for window in windows]
    assert all(5 <= len(chunks) <= 7 for chunks in touched[:3])
    # 252 samples end inside a chunk, which both windows share.
    assert all(len(one & other) <= 1 for i, one in enumerate(touched) for other in touched[:i])
    assert all(len({index // 50 for index in batch}) >= 5 for batch in order[:63])
    first_places = [batch[0] for batch in windows[0]]
    assert first_places != sorted(first_places)


@pytest.mark.parametrize("world_size", [1, 2, 3, 4])
def test_each_process_reads_a_part_of_the_chunks_of_its_own(world_size: int) -> None:
    parts = [list(RankSampler(chunked(), 0, 83, rank, world_size)) for rank in range(world_size)]
    for iteration, whole in enumerate(indices(chunked(), 0, 83)):
        assert [position.sample for part in parts for position in part[iteration]] == whole
    read = [{position.sample // 50 for batch in part for position in batch} for part in parts]
    # A window of 5 chunks in equal parts: each process has 5 / world_size of them, and those that its ends cut.
    assert max(map(len, read)) <= 20 / world_size + 2 * 4
    plain = [list(RankSampler(chunked(shuffle=True), 0, 83, rank, world_size)) for rank in range(world_size)]
    assert [len({position.sample // 50 for batch in part for position in batch}) for part in plain] == [20] * world_size


@pytest.mark.parametrize("world_size", [1, 2, 3])
def test_processes_share_a_batch_without_gap_or_overlap(world_size: int) -> None:
    parts = [list(RankSampler(batches(), 1, 4, rank, world_size)) for rank in range(world_size)]
    for iteration, whole in enumerate(indices(batches(), 1, 4)):
        assert [position.sample for part in parts for position in part[iteration]] == whole


def samples(folder: Path, *overrides: str) -> list[dict[str, Any]]:
    run, _ = load(folder, *overrides)
    return list(run.data.load(0, 6, run.device))


@datasets.register("part_noisy")
class Noisy:
    """Draws from every generator that a data set may use."""

    def __len__(self) -> int:
        return 6

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"x": torch.rand(1), "python": random.random(), "numpy": np.random.rand(2), "index": index}


NOISY = "data.train={type: part_noisy, keys: [x, python, numpy, index], batch_size: 2}"


def test_a_sample_draws_by_seed_epoch_and_index_however_it_is_loaded(tmp_path: Path) -> None:
    first = samples(tmp_path, NOISY)
    torch.manual_seed(99)
    random.seed(99)
    assert same_batches(first, samples(tmp_path, NOISY))
    assert same_batches(first, samples(tmp_path, f"{NOISY[:-1]}, workers: 2}}"))
    assert not same_batches(first, samples(tmp_path, NOISY, "seed=4"))
    by_index = {
        (position // 3, int(index)): float(x)
        for position, batch in enumerate(first)
        for index, x in zip(batch["index"], batch["x"], strict=True)
    }
    assert len(set(by_index.values())) == 12  # Every sample of both epochs draws its own.


def same_batches(one: list[dict[str, Any]], other: list[dict[str, Any]]) -> bool:
    return all(same(a, b) for a, b in zip(one, other, strict=True))


def test_every_kind_of_entry_survives_collation() -> None:
    batch = Collate()(
        [
            {"t": torch.ones(2), "a": np.zeros(3, np.float32), "f": 0.5, "i": 1, "b": True, "s": "a", "d": {"k": 1}},
            {"t": torch.ones(2), "a": np.ones(3, np.float32), "f": 1.5, "i": 2, "b": False, "s": "b", "d": {"k": 2}},
        ]
    )
    assert {key: tuple(value.shape) for key, value in batch.items() if isinstance(value, Tensor)} == {
        "t": (2, 2),
        "a": (2, 3),
        "f": (2,),
        "i": (2,),
        "b": (2,),
    }
    assert [batch[key].dtype for key in "afib"] == [torch.float32, torch.float32, torch.int64, torch.bool]
    assert (batch["s"], batch["d"]) == (["a", "b"], [{"k": 1}, {"k": 2}])


@datasets.register("part_broken")
class Broken:
    """Breaks in the way it is told."""

    def __init__(self, how: str, length: int = 6) -> None:
        self._how, self._length = how, length

    def __len__(self) -> int:
        return self._length

    def __getitem__(self, index: int) -> Any:
        if self._how == "raises" and index == 3:
            raise ValueError("bad header")
        if self._how == "opens":
            Path("/nowhere/at/all.png").read_bytes()
        if self._how == "keys" and index == 1:
            return {"x": torch.zeros(1), "extra": 1}
        if self._how == "shapes":
            return {"x": torch.zeros(1 + index % 2)}
        return [index] if self._how == "list" else {"x": torch.zeros(1)}


class NoLength:
    """Could go on for ever."""

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return {"x": torch.zeros(1)}


datasets.register("part_no_length", NoLength)


@pytest.mark.parametrize("workers", [0, 1])
@pytest.mark.parametrize(
    ("how", "text"),
    [
        (
            "raises",
            "data.train: sample 3 (epoch 0) raised ValueError: bad header\n    at {file}:{line}: raise ValueError",
        ),
        (
            "opens",
            "data.train: sample 0 (epoch 0) raised FileNotFoundError: [Errno 2] No such file or directory: "
            "'/nowhere/at/all.png'",
        ),
        (
            "keys",
            "data.train: sample 1 (epoch 0): expected the keys x, as in sample 0, got extra, x\n"
            "    Fix: return the same keys for every sample; `requires` of a step allows keys that some batches lack\n"
            "    Or replace up to 10 bad samples with `data.train.max_bad: 10`",
        ),
        (
            "shapes",
            "data.train: 'x': cannot stack tensors of different shapes: (1,), (2,). "
            "Fix: crop them or list the key in `pad`",
        ),
        (
            "list",
            "data.train: sample 0 (epoch 0): expected a mapping with the keys x, as declared, got a list of 1 value\n"
            "    Fix: return a dict from `__getitem__`\n"
            "    Or replace up to 10 bad samples with `data.train.max_bad: 10`",
        ),
    ],
)
def test_a_broken_sample_is_told(tmp_path: Path, how: str, text: str, workers: int) -> None:
    data = f"data.train={{type: part_broken, how: {how}, batch_size: 2, shuffle: false, keys: [x], workers: {workers}}}"
    run, _ = load(tmp_path, data)
    with pytest.raises(DataError) as error:
        run.train()
    lines = Path(__file__).read_text().splitlines()
    line = next(i for i, source in enumerate(lines, 1) if 'raise ValueError("bad header")' in source)
    place, path, told = str(error.value).partition("data.train: ")
    assert place.endswith("/toy.yml:5:10: ")
    assert (path + told).startswith(text.format(file=__file__, line=line))
    assert error.value.exit_code == 3


@pytest.mark.parametrize(
    ("data", "text"),
    [
        ("{type: part_broken, how: no, length: 0, keys: [x]}", "data.train: the data set is empty (its length is 0)"),
        (
            "{type: part_broken, how: no, length: 3, batch_size: 4, keys: [x]}",
            "data.train: 3 samples are fewer than one batch of 4. "
            "Fix: set a smaller `batch_size`, or `drop_last: false`",
        ),
        (
            "{type: part_no_length, keys: [x]}",
            "data.train: NoLength is not a data set (expected methods __len__ and __getitem__)",
        ),
    ],
)
def test_a_data_set_that_cannot_be_batched_is_told_before_training(tmp_path: Path, data: str, text: str) -> None:
    with pytest.raises(DataError) as error:
        load(tmp_path, f"data.train={data}")
    assert str(error.value).endswith(f"/toy.yml:5:10: {text}")
    assert error.value.exit_code == 3


def test_a_small_data_set_may_be_one_smaller_batch(tmp_path: Path) -> None:
    data = "data.train={type: part_samples, length: 3, batch_size: 4, drop_last: false}"
    run, snapshots = load(tmp_path, data)
    run.train()
    assert snapshots.values("samples") == [3, 6, 9, 12]


def test_a_key_that_the_data_does_not_yield_is_told_with_what_there_is(tmp_path: Path) -> None:
    data = "data.train={type: part_broken, how: no, batch_size: 2, keys: [x, extra]}"
    run, _ = load(tmp_path, data, "steps.main.injectors.shift.in=extra")
    with pytest.raises(DataError) as error:
        run.train()
    assert str(error.value).split("/toy.yml:5:10: ")[1] == (
        "data.train: sample 3 (epoch 0): expected the keys extra, x, as declared, got x\n"
        "    Fix: return these keys from `__getitem__`, or list those of the samples in the option `keys`\n"
        "    Or replace up to 10 bad samples with `data.train.max_bad: 10`"
    )


EVALUATED = (
    "data.held_out={type: part_samples, length: 5, batch_size: 2}",
    "ema={decay: 0.5, networks: [net]}",
)


def evaluation(metric: str, *, ema: bool = True, network: str = "net") -> str:
    return (
        f"evaluate={{held: {{data: held_out, ema: {str(ema).lower()}, "
        f"injectors: {{shift: {{type: forward, network: {network}, in: x, out: y}}}}, metrics: {{m: {metric}}}}}}}"
    )


@metrics.register("toy_each")
def each(x: Tensor) -> Tensor:
    """The square of each sample, (B,)."""
    return x.square().flatten()


@metrics.register("toy_whole")
def whole(x: Tensor) -> Tensor:
    """The mean square of the batch, a scalar."""
    return x.square().mean()


metrics.register("toy_mean_squared_error", MeanSquaredError)


@metrics.register("toy_two")
class Two:
    """Gives two values where one is needed."""

    def update(self, x: Tensor) -> None:
        pass

    def compute(self) -> Tensor:
        return torch.zeros(2)

    def reset(self) -> None:
        pass


# Samples 0 to 4 after four updates: the weight is -2, its average -1.53125.
@pytest.mark.parametrize(("ema", "weight"), [(True, -1.53125), (False, -2.0)])
@pytest.mark.parametrize("metric", ["{type: toy_each, in: y}", "{type: toy_whole, in: y}"])
def test_an_evaluation_counts_every_sample_once_with_averaged_weights(
    tmp_path: Path, metric: str, ema: bool, weight: float
) -> None:
    run, snapshots = load(tmp_path, *EVALUATED, evaluation(metric, ema=ema))
    run.train()
    by_hand = sum((index + weight) ** 2 for index in range(5)) / 5
    assert snapshots.values("held/m") == [pytest.approx(by_hand, rel=1e-6)]
    assert run.evaluate() == {"held/m": snapshots.values("held/m")[0]}


def test_a_metric_of_torchmetrics_works(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, *EVALUATED, evaluation("{type: toy_mean_squared_error, in: [y, x]}"))
    run.train()
    assert snapshots.values("held/m") == [pytest.approx(1.53125**2)]
    assert run.evaluate() == {"held/m": pytest.approx(1.53125**2)}  # What it saw before is forgotten.


def test_the_states_of_a_metric_of_torchmetrics_are_moved() -> None:
    metric = on_device(MeanSquaredError(), torch.device("meta"))
    assert metric.sum_squared_error.device.type == "meta"


def test_a_metric_of_several_values_is_told(tmp_path: Path) -> None:
    run, _ = load(tmp_path, *EVALUATED, evaluation("{type: toy_two, in: y}"))
    text = r"^evaluate\.held\.metrics\.m: expected one value, got a tensor of shape \(2,\)\. Fix: set the option of the"
    with pytest.raises(NumericsError, match=text):
        run.evaluate()


MODES: list[tuple[bool, bool, bool]] = []


@injectors.register("part_modes")
def modes(x: Tensor, *, context: Context) -> Tensor:
    """Note whether training runs and whether gradients are kept, and draw."""
    MODES.append((context.training, torch.is_grad_enabled(), x.requires_grad))
    return x + torch.rand(1) + random.random() + float(np.random.rand())


@networks.register("part_dropped")
def dropped() -> nn.Module:
    """Dropout in eval mode by its own choice, a batch norm, and a layer."""
    return nn.Sequential(nn.Linear(1, 2), nn.BatchNorm1d(2), nn.Dropout(0.5), nn.Linear(2, 1))


def test_an_evaluation_leaves_modes_weights_and_random_numbers_as_they_were(tmp_path: Path) -> None:
    MODES.clear()
    network = "networks={net: {type: part_shift}, dropped: {type: part_dropped}}"
    drawn = evaluation("{type: toy_each, in: z}", network="dropped").replace(
        "injectors: {", "injectors: {draw: {type: part_modes, in: x, out: x2}, "
    )
    drawn = drawn.replace("in: x, out: y}", "in: x2, out: z}")
    run, _ = load(tmp_path, *EVALUATED, network, drawn)
    net = run.networks["dropped"].train()
    net.get_submodule("2").eval()
    before = {name: tensor.clone() for name, tensor in net.state_dict().items()}
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    expected = (float(torch.rand(1)), random.random(), float(np.random.rand()))
    torch.manual_seed(5)
    random.seed(5)
    np.random.seed(5)
    values = run.evaluate()
    assert (float(torch.rand(1)), random.random(), float(np.random.rand())) == expected
    assert run.evaluate() == values  # The same numbers are drawn again, and the batch norm learned nothing.
    assert same(dict(net.state_dict()), before)
    assert [module.training for module in net.modules()] == [True, True, True, False, True]
    assert MODES == [(False, False, False)] * 6
    assert all(math.isfinite(value) for value in values.values())


def test_an_evaluation_runs_when_it_is_due(tmp_path: Path) -> None:
    every = evaluation("{type: toy_each, in: y}").replace("data: held_out", "data: held_out, every: 3")
    run, snapshots = load(tmp_path, *EVALUATED, every, "train.iterations=7", "log.every=100")
    run.train()
    assert [record["iteration"] for record in snapshots.records if "held/m" in record] == [2, 5, 6]


def test_what_a_step_calls_trains_with_gradients(tmp_path: Path) -> None:
    MODES.clear()
    run, _ = load(tmp_path, "steps.main.injectors.modes={type: part_modes, in: y, out: _}")
    run.train()
    assert MODES == [(True, True, True)] * 4


def test_a_toy_with_workers_stops_at_a_broken_sample(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "data.train.fail_at=7", "data.train.workers=1")
    toy_run.recorded(run)
    with pytest.raises(
        DataError, match=r"/toy\.yml:5:10: data\.train: sample 7 \(epoch 0\) raised OSError: cannot decode"
    ):
        run.train()


def test_whoever_looks_at_the_first_part_leaves_the_others() -> None:
    parts = MicroBatches({"train": Part({"x": torch.arange(4)}, 4)}, 2, torch.device("cpu"))
    assert parts.first.values["x"].tolist() == [0, 1]
    assert [state.values["x"].tolist() for state, _ in parts] == [[0, 1], [2, 3]]
