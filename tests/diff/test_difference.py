"""Two files are compared as they are meant, and what differs is told by its consequence."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.config.source import Node
from artschool.diff.difference import Difference, difference
from artschool.diff.normalized import NormalizedConfig, normalize
from artschool.faults import Place
from artschool.read.read import check_file
from tests.config.bad_files import SOUND

pytestmark = pytest.mark.usefixtures("registries")
ARCHITECTURE = "Architecture: checkpoints may be incompatible"
TRAINING = "Training: trained networks, timing and losses"
SPEED = "Speed and memory: same results"
CRITIC = SOUND[SOUND.index("  critic:\n    trains") : SOUND.index("train: {iter")]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("one.yml").write_text(SOUND)
    return tmp_path


def compared(*changes: tuple[str, str], text: str = SOUND) -> Difference:
    for old, new in changes:
        assert text.count(old) == 1, old
        text = text.replace(old, new)
    Path("other.yml").write_text(text)
    return difference(normalize(check_file(Path("one.yml"))), normalize(check_file(Path("other.yml"))))


def told(found: Difference) -> dict[str, list[str]]:
    return {name: [f"{'.'.join(each.path)}: {each.text}" for each in group] for name, group in found.groups.items()}


@pytest.mark.parametrize(
    ("old", "new", "group", "text"),
    [
        ("scale: 2, width: 24, ", "scale: 2, width: 32, ", ARCHITECTURE, "networks.gen.width: 24 -> 32"),
        ("blocks: 2}", "blocks: 2, growth: 8}", ARCHITECTURE, "networks.gen.growth: 32 (default) -> 8"),
        (
            "{type: patch_critic, width: 24}",
            "{type: patch_critic, width: 24, weights: c.pth}",
            "Initial weights",
            "networks.critic.weights: null (default) -> c.pth",
        ),
        ("weight: 0.005", "weight: 0.01", TRAINING, "steps.gen.losses.adversarial.weight: 0.005 -> 0.01"),
        ("after: 600}", "after: 700}", TRAINING, "steps.gen.losses.adversarial.after: 600 -> 700"),
        ("    after: 600\n", "    after: 600\n    every: 2\n", TRAINING, "steps.critic.every: 1 (default) -> 2"),
        ("lr: 2e-3", "lr: 1e-3", "Optimizers and learning rates", "steps.gen.optimizer.lr: 0.002 -> 0.001"),
        ("gamma: 0.5", "gamma: 0.4", "Optimizers and learning rates", "steps.gen.schedule.gamma: 0.5 -> 0.4"),
        (
            "clip_grad_norm: 1.0",
            "clip_grad_norm: 2",
            "Optimizers and learning rates",
            "steps.gen.clip_grad_norm: 1.0 -> 2.0",
        ),
        ("size: 64", "size: 48", "Data", "data.train.size: 64 -> 48"),
        ("batch_size: 16", "batch_size: 8", "Batch size", "data.train.batch_size: 16 -> 8"),
        (
            "{iterations: 800}",
            "{iterations: 800, precision: bf16}",
            "Precision and computation",
            "train.precision: fp32 (default) -> bf16",
        ),
        ("seed: 0", "seed: 1", "Random numbers", "seed: 0 -> 1"),
        ("decay: 0.98", "decay: 0.9", "Moving averages", "ema.networks.gen: 0.98 -> 0.9"),
        (
            "networks: [gen]",
            "networks: {gen: {every: {of: 9, at: 2}}}",
            "Moving averages",
            "ema.networks.gen: 0.98 -> {every: {of: 9, at: 2}}",
        ),
        ("split: val", "split: train", "Evaluation", "data.val.split: val -> train"),
        ("    every: 200\n", "", "Evaluation", "evaluate.photos.every: 200 -> null (default)"),
        ("log: {every: 20", "log: {every: 10", "Logs and run folder", "log.every: 20 -> 10"),
        ("name: gan", "name: gan2", "Logs and run folder", "name: gan -> gan2"),
        ("keep_last: 5", "keep_last: 3", "Checkpoints", "checkpoint.keep_last: 5 -> 3"),
        ("batch_size: 16", "batch_size: 16, workers: 2", SPEED, "data.train.workers: 0 (default) -> 2"),
    ],
)
def test_a_change_is_told_by_its_consequence(old: str, new: str, group: str, text: str) -> None:
    found = compared((old, new))
    assert told(found) == {group: [text]}
    assert found.notation == []


@pytest.mark.parametrize(
    ("old", "new", "text"),
    [
        ("2e-3", "0.002", ""),
        ("every: 200, keep", "every: 2e2, keep", ""),
        ("iterations: 800}", "iterations: '${log.every}'}\n# 20", None),
        ("in: [sr, hq], weight", "fake: sr, real: hq, weight",
         "steps.gen.losses.pixel.in: written only in the first file"),
        ("{iterations: 800}", "{iterations: 800, accumulate: 1}", "train.accumulate: written only in the second file"),
        ("    trains: gen", "    trains: [gen]", "steps.gen.trains: gen -> [gen]"),
        ("networks: [gen]", "networks: {gen: 0.98}", "ema.networks: [gen] -> {gen: 0.98}"),
        ("schedule: {type", "schedule:\n      - {type", "steps.gen.schedule: {type: multi_step, milestones: [4... -> "
         "[{type: multi_step, milestones: [..."),
        ("split: val}", "split: val}\nruns: runs", "runs: written only in the second file"),
        ("size: 64, batch_size: 16", "batch_size: 16, size: 64", "data.train: different order"),
        ("weight: 1.0}\n      adv", "weight: 1}\n      adv", ""),
    ],
)  # fmt: skip
def test_what_is_only_written_otherwise_has_no_consequence(old: str, new: str, text: str | None) -> None:
    found = compared((old, new))
    if text is None:  # A reference is what it names.
        assert told(found) == {"Length": ["train.iterations: 800 -> 20"]}
        return
    assert told(found) == {}
    written = [f"{'.'.join(each.path)}: {each.text}" for each in found.notation]
    assert written[:1] == ([text] if text else [])


def test_a_base_is_what_it_makes_of_the_file() -> None:
    found = compared(text="base: one.yml\nsteps: {gen: {losses: {pixel: {weight: 3}}}}\n")
    assert told(found) == {TRAINING: ["steps.gen.losses.pixel.weight: 1.0 -> 3.0"]} and found.notation == []


def test_steps_in_another_order_do_something_else() -> None:
    other = "  other:\n    trains: critic\n    optimizer: none\n"
    Path("one.yml").write_text(SOUND.replace(CRITIC, other))
    found = compared(("steps:\n", f"steps:\n{other}"), (CRITIC, ""))
    assert told(found) == {TRAINING: ["steps: reordered: gen, other -> other, gen"]}


def test_injectors_in_another_order_do_something_else_and_networks_do_not() -> None:
    more = ("      noisy:", "      same: {type: alias, in: hq, out: same}\n      noisy:")
    Path("one.yml").write_text(SOUND.replace(*more))
    last = ("out: sr}\n    losses", "out: sr}\n      same: {type: alias, in: hq, out: same}\n    losses")
    assert told(compared(last)) == {
        TRAINING: ["steps.gen.injectors: reordered: same, noisy, upscale -> noisy, upscale, same"]
    }
    Path("one.yml").write_text(SOUND)
    network = "  critic: {type: patch_critic, width: 24}\n"
    found = compared((network, ""), ("networks:\n  gen", f"networks:\n{network}  gen"))
    assert told(found) == {} and [each.text for each in found.notation] == ["different order"]


def test_what_only_one_file_has_is_told_once() -> None:
    ssim = "      psnr: {type: psnr, in: [sr, hq]}\n      ssim: {type: ssim, in: [sr, hq]}"
    found = compared(("      psnr: {type: psnr, in: [sr, hq]}", ssim))
    assert told(found) == {
        "Evaluation": ["evaluate.photos.metrics.ssim: only in the second file: {type: ssim, fake: sr, real: hq}"]
    }
    assert found.notation == []


def test_another_type_is_told_with_what_is_written_beside_it_not_with_the_defaults_of_both() -> None:
    found = compared(("optimizer: {type: adamw, lr: 4e-4}", "optimizer: {type: sgd, lr: 4e-4, momentum: 0.9}"))
    paths = [
        "steps.critic.optimizer.type: adamw -> sgd",
        "steps.critic.optimizer.momentum: only in the second file: 0.9",
    ]
    assert told(found) == {"Optimizers and learning rates": paths}
    assert found.notation == []


def test_lists_are_compared_in_order() -> None:
    assert told(compared(("milestones: [400]", "milestones: [400, 500]"))) == {
        "Optimizers and learning rates": ["steps.gen.schedule.milestones: [400] -> [400, 500]"]
    }


def test_true_is_not_one() -> None:
    nothing = Node({}, Place("one.yml"))
    one, other = (NormalizedConfig({"train": {"flag": [value]}}, nothing) for value in (True, 1))
    assert told(difference(one, other)) == {
        "Precision and computation": ["train.flag: [true] (default) -> [1] (default)"]
    }
    assert told(difference(one, one)) == {}


def test_a_key_that_changes_with_the_way_it_is_written_is_told_once() -> None:
    found = compared(("noise, in: lq,", "noise, x: hq,"))
    assert told(found) == {TRAINING: ["steps.gen.injectors.noisy.x: lq -> hq"]}
    assert found.notation == []


def test_what_the_environment_holds_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SECRET", "31")
    found = compared(("scale: 2, width: 24, ", 'scale: 2, width: "${env:SECRET}", '))
    assert told(found) == {ARCHITECTURE: ['networks.gen.width: 24 -> "${env:SECRET}"']}

    found = compared(("critic: {type: patch_critic, ", 'critic: {type: vgg_critic, image_size: "${env:SECRET}", '))
    assert 'networks.critic.image_size: only in the second file: "${env:SECRET}"' in told(found)[ARCHITECTURE]
    monkeypatch.setenv("SECRET", "hidden_key")
    found = compared(("out: lq_noisy}", 'out: "${env:SECRET}"}'), ("in: lq_noisy", 'in: "${env:SECRET}"'))
    assert "hidden_key" not in str(found)
    assert 'steps.gen.injectors.noisy.out: lq_noisy -> "${env:SECRET}"' in told(found)[TRAINING]
