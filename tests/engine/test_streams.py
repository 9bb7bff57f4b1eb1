"""Steps that read several data sets, take batches for themselves, and repeat."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
import torch

from artschool.engine.run import Run
from tests.engine import stream_parts
from tests.engine.stream_parts import SEEN, TEXT, load
from tests.engine.test_ranks import finish, launch
from tests.engine.toy_run import Recorder, fingerprint, recorded, write


@pytest.fixture(autouse=True)
def _forget() -> None:
    SEEN.clear()


def trained(folder: Path, *overrides: str, **options: str) -> tuple[Run, Recorder]:
    run = load(folder, *overrides, **options)
    recorder = recorded(run)
    run.train()
    return run, recorder


def numbers() -> list[list[float]]:
    return [values for values, _ in SEEN]


def test_each_iteration_takes_a_batch_of_each_stream_and_a_step_takes_fresh_ones_each_time(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, "train.iterations=2")
    # `plain` has 5 batches: the first iteration takes the first, its critic three more, the second the last; then an
    # epoch begins.
    assert numbers() == [
        [102, 103], [104, 105], [106, 107], [0, 1, 2, 3], [100, 101],
        [100, 101], [102, 103], [104, 105], [4, 5, 6, 7], [108, 109],
    ]  # fmt: skip
    assert run.streams.given == {"train": 2, "plain": 8}


def test_each_repetition_is_an_update(tmp_path: Path) -> None:
    run, recorder = trained(tmp_path, "train.iterations=2")
    assert recorder.updates[-1] == {"critic": 6, "net": 2}
    fresh = [102.5, 104.5, 106.5, 100.5, 102.5, 104.5]
    assert run.networks["critic"].get_parameter("w").item() == pytest.approx(1 - 1e-4 * sum(fresh), abs=1e-6)
    # The mean over an iteration of what its repetitions record, with the weights of each.
    weights = [1 - 1e-4 * sum(fresh[:number]) for number in range(3)]
    expected = sum(weight * mean for weight, mean in zip(weights, fresh[:3], strict=True)) / 3
    assert recorder.values("critic/mean")[0] == pytest.approx(expected, rel=1e-6)


def test_how_many_batches_a_stream_gives_is_decided_while_training(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, "steps.critic.after=2", "train.iterations=3")
    assert run.streams.given == {"train": 3, "plain": 6}
    assert numbers()[:5] == [[0, 1, 2, 3], [100, 101], [4, 5, 6, 7], [102, 103], [106, 107]]


def test_a_stream_that_only_a_step_takes_gives_nothing_else(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, "steps.net.injectors.look_plain.in=x", "train.iterations=2")
    assert run.streams.given == {"train": 2, "plain": 6}


def test_fresh_batches_of_train_have_plain_names(tmp_path: Path) -> None:
    overrides = ("steps.critic.data=train", "steps.critic.injectors.look.in=x", "steps.net.injectors.look_plain.in=x")
    run, _ = trained(tmp_path, *overrides, "train.iterations=1")
    assert numbers() == [[4, 5, 6, 7], [8, 9, 10, 11], [12, 13, 14, 15], [0, 1, 2, 3], [0, 1, 2, 3]]
    assert run.streams.given == {"train": 4}


def test_without_data_a_step_repeats_on_the_batch_of_the_iteration(tmp_path: Path) -> None:
    _, recorder = trained(
        tmp_path,
        "steps.critic.data=",
        "steps.critic.injectors.look.out=cy",
        "steps.critic.injectors.call={type: forward, network: critic, in: cy, out: cz}",
        "steps.critic.losses.mean.in=cz",
        "steps.net.injectors.look_plain.in=cz",
        "train.iterations=1",
    )
    assert numbers()[:4] == [[100, 101], [100, 101], [100, 101], [0, 1, 2, 3]]
    assert recorder.updates[-1] == {"critic": 3, "net": 1}
    # What it writes in the end is that of the last repetition, before its update.
    assert numbers()[4] == pytest.approx([100 * (1 - 2e-4 * 100.5), 101 * (1 - 2e-4 * 100.5)], rel=1e-6)


def test_random_numbers_differ_between_repetitions_and_do_not_depend_on_loading(tmp_path: Path) -> None:
    noisy = ("data.plain.noise=1", "data.plain.shuffle=true", "data.train.noise=1", "train.iterations=2")
    trained(tmp_path / "one", *noisy)
    one, drawn = list(SEEN), [number for _, number in SEEN]
    assert len(set(drawn)) == len(drawn)
    SEEN.clear()
    trained(tmp_path / "workers", *noisy, "data.plain.workers=1")
    assert one == SEEN


def test_loading_inside_an_iteration_draws_none_of_its_random_numbers(tmp_path: Path) -> None:
    trained(tmp_path, "train.iterations=1")
    load(tmp_path / "other").seeding.begin(0)
    assert [number for _, number in SEEN] == torch.stack([torch.rand(()) for _ in range(5)]).tolist()


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_has_the_same_bits(tmp_path: Path, stop: int) -> None:
    noisy = ("data.plain.noise=1", "data.plain.shuffle=true", "data.train.noise=1", "ema={networks: [net, critic]}")
    whole, _ = trained(tmp_path / "whole", *noisy)
    trained(tmp_path / "parts", *noisy, f"train.iterations={stop}")
    resumed, _ = trained(tmp_path / "parts", *noisy)
    assert fingerprint(resumed) == fingerprint(whole)


def test_a_rollback_goes_on_with_new_batches_of_every_stream(tmp_path: Path) -> None:
    bad = ("data.plain.length=60", "data.plain.bad=[12, 18]", "train.non_finite=rollback", "train.max_skips=2")
    run, recorder = trained(tmp_path, *bad, "steps.net.injectors.look_plain.in=x")
    # All three batches of the critic in iteration 2 are NaN. The run goes back to the checkpoint before it.
    assert "Rolling back to the checkpoint after 2 iterations" in recorder.notes[-1]
    assert run.streams.given == {"train": 5, "plain": 15}
    assert numbers()[-10:] == [
        [118, 119], [120, 121], [122, 123], [12, 13, 14, 15], [12, 13, 14, 15],
        [124, 125], [126, 127], [128, 129], [16, 17, 18, 19], [16, 17, 18, 19],
    ]  # fmt: skip
    assert len({number for _, number in SEEN}) == len(SEEN)


def test_averages_follow_once_in_an_iteration(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, "ema={decay: 0.5, networks: [critic]}", "train.iterations=1")
    weight = run.networks["critic"].get_parameter("w").item()
    assert run.emas["critic"].module.get_parameter("w").item() == pytest.approx((1 + weight) / 2, abs=1e-7)


@pytest.mark.parametrize("accumulate", [2, 3])
def test_each_stream_is_cut_by_its_own_size(tmp_path: Path, accumulate: int) -> None:
    """5 and 7 samples in 2 or 3 parts: no part has the same share of both."""
    sizes = ("data.train.batch_size=5", "data.plain.batch_size=7", "data.plain.length=70", "train.iterations=2")
    whole, first = trained(tmp_path / "whole", *sizes)
    SEEN.clear()
    parts, second = trained(tmp_path / "parts", *sizes, f"train.accumulate={accumulate}")
    cut = [len(values) for values in numbers()[-2 * accumulate :: 2]]
    assert sum(cut) == 5 and max(cut) - min(cut) == 1
    for name in ("net", "critic"):
        expected, got = whole.networks[name].get_parameter("w"), parts.networks[name].get_parameter("w")
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-7)
    for name in ("net/mean", "net/plain", "critic/mean"):
        assert second.values(name) == pytest.approx(first.values(name), rel=1e-6)


def test_a_run_of_another_version_has_only_the_position_of_train(tmp_path: Path) -> None:
    run, _ = trained(tmp_path, "train.iterations=2")
    saved = run.store.load(2)
    saved = replace(saved, manifest=replace(saved.manifest, schema=1))
    del saved.state["streams"], saved.state["data"]["streams"]
    from artschool.engine.restore_run import restore

    again = load(tmp_path / "again", "train.iterations=2")
    restore(again, saved)
    assert again.streams.given == {"train": 2, "plain": 0}


@pytest.mark.soak
def test_two_processes_share_every_stream(tmp_path: Path) -> None:
    """Several processes: 5 and 7 samples, which two processes cannot halve, then a resume with one process."""
    text = TEXT.replace("PLUGIN", str(Path(stream_parts.__file__).resolve()))
    sizes = ("data.train.batch_size=5", "data.plain.batch_size=7", "data.plain.length=70", "train.accumulate=2")
    (tmp_path / "one").mkdir()
    whole = load(tmp_path / "one", *sizes)
    recorded(whole)
    whole.train()
    file = write(tmp_path, *sizes, text=text)
    code, output = finish(launch(tmp_path, file, 2, "train.iterations=2", "--no-trace"))
    assert code == 0, output
    resumed = load(tmp_path, *sizes)
    recorder = recorded(resumed)
    assert (resumed.iteration, resumed.streams.given) == (2, {"train": 2, "plain": 8})
    resumed.train()
    assert len(recorder.records) == 2
    for name in ("net", "critic"):
        expected, got = whole.networks[name].get_parameter("w"), resumed.networks[name].get_parameter("w")
        torch.testing.assert_close(got, expected, rtol=0, atol=1e-6)
