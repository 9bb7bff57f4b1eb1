"""Each rule, on a file that it objects to, with its words, and on one near it that is sound: reads `rules.txt`.

A case starts with `== rule in gan`, the name of a sound file of `judged.py`. Lines after `- `, joined, are a part of
that file, which stands there once, and those after `+ ` replace it. The rest is what is said, in full. After `~~` come
the changes after which nothing is said.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest
from torch import nn

from artschool.lint import RULES, Finding, Subject, lint
from artschool.read.read import check_file
from tests.lint.judged import DIGITS, GAN, changed, judged

pytestmark = pytest.mark.usefixtures("registries")
ROOT = Path(__file__).parents[2]
TABLE = Path(__file__).with_name("rules.txt")
ONLY_IN_BUILT_NETWORKS = ["half-frozen-norm", "unregistered-layer"]
"""Rules that no file shows without its networks. `test_frozen_layers.py` and `test_unregistered.py` try them."""
SOUND = {"gan": GAN, "digits": DIGITS}


@dataclass
class Case:
    """A sound file, its changes, and what is said."""

    rule: str
    text: str
    changes: list[tuple[str, str]] = field(default_factory=list)
    said: list[str] = field(default_factory=list)


def cases() -> list[Case]:
    found: list[Case] = []
    for line in TABLE.read_text().splitlines():
        mark, rest = line[:1], line[2:]
        if line.startswith(("== ", "~~ ")):
            rule, _, text = rest[1:].partition(" in ")
            found.append(Case(found[-1].rule if mark == "~" else rule, SOUND[text]))
            before = ""
        elif mark in ("-", "+"):
            changes = found[-1].changes
            old, new = changes.pop() if mark == "+" or before == "-" else ("", "")
            if mark == "-":
                changes.append((f"{old}\n{rest}" if before == "-" else rest, ""))
            else:
                changes.append((old, f"{new}\n{rest}" if before == "+" else rest))
            before = mark
        else:
            found[-1].said.append(line)
    return found


CASES = cases()


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=[f"{case.rule}-{'fires' if case.said else 'is-silent'}" for case in CASES])
def test_a_rule_says_so_and_stays_silent_near_it(case: Case) -> None:
    assert "\n".join(map(str, judged(changed(case.text, *case.changes)))) == "\n".join(case.said)


def test_every_rule_fires_somewhere_and_is_silent_near_it() -> None:
    assert [case.rule for case in CASES if case.said] == [case.rule for case in CASES if not case.said]
    fired = [case.rule for case in CASES if case.said]
    assert sorted([*fired, *ONLY_IN_BUILT_NETWORKS]) == sorted(RULES)


def test_the_end_of_a_schedule_is_found_to_the_iteration_in_however_long_a_run() -> None:
    for iterations in (40, 9_000, 10**13, 10**26):
        text = changed(DIGITS, ("period: 900", "period: 20"), ("iterations: 1000", f"iterations: {iterations}"))
        end = next(found for found in judged(text) if found.rule == "idle-end")
        said = f"brings the learning rate to almost 0 at iteration 20, but the step runs until {iterations - 1}"
        assert end.fault.message == said


@pytest.mark.parametrize(
    ("weight", "said"),
    [
        ("{type: constant, scale: 0}", ["is 0, so the loss costs time and trains nothing"]),
        ("{type: linear, start: 1, end: -1, iterations: 20}", ["is -1, so the step maximizes the loss"]),
        ("{type: linear, start: 0, end: 1, iterations: 20}", []),
    ],
)
def test_a_scheduled_weight_is_judged_by_all_its_values(weight: str, said: list[str]) -> None:
    text = changed(GAN, ("weight: 1.0}\n      adv", f"weight: {weight}}}\n      adv"))
    assert [finding.fault.message for finding in judged(text)] == said


@pytest.mark.parametrize("text", SOUND.values(), ids=SOUND)
def test_nothing_is_found_in_a_sound_file(text: str) -> None:
    assert judged(text) == []


@pytest.mark.parametrize("rule", RULES.values(), ids=RULES)
def test_a_rule_has_a_reason_that_the_page_lists_too(rule: object) -> None:
    found = RULES[getattr(rule, "name", "")]
    assert found.summary.endswith(".")
    assert f"| `{found.name}` | {found.summary} |" in (ROOT / "docs" / "lint.md").read_text()


def test_the_page_lists_no_rule_that_is_not_there() -> None:
    assert re.findall(r"^\| `([\w-]+)` \|", (ROOT / "docs" / "lint.md").read_text(), re.M) == list(RULES)


def judged_with(text: str, **networks: nn.Module) -> list[Finding]:
    judged(text)
    return lint(Subject(check_file(Path("file.yml")), networks))


NORMS = (lambda: nn.BatchNorm2d(4), lambda: nn.GroupNorm(2, 4))


@pytest.mark.parametrize(("norm", "rules"), [(NORMS[0], ["batch-norm-under-penalty"]), (NORMS[1], [])])
def test_batch_norm_is_seen_in_a_built_critic(norm: Callable[[], nn.Module], rules: list[str]) -> None:
    critic = nn.Sequential(nn.Conv2d(3, 4, 3), norm(), nn.Conv2d(4, 1, 3))
    assert [finding.rule for finding in judged_with(GAN, critic=critic)] == rules


@pytest.mark.parametrize(("last", "number"), [(nn.Sigmoid(), 1), (nn.Softmax(1), 1), (nn.LogSoftmax(1), 0)])
def test_a_sigmoid_is_seen_at_the_end_of_a_built_network(last: nn.Module, number: int) -> None:
    reader = nn.Sequential(nn.Sigmoid(), nn.Sequential(nn.Linear(64, 10), last))
    assert [str(finding) for finding in judged_with(DIGITS, reader=reader)] == [
        "file.yml:35:41: steps.reader.losses.class.logits: 'logits' comes from 'reader', which ends in a sigmoid or "
        "softmax, but cross_entropy takes logits (squashed-logits)"
    ][:number]


def test_a_critic_that_ends_in_a_sigmoid_is_seen_by_both_sides() -> None:
    findings = judged_with(GAN, critic=nn.Sequential(nn.Conv2d(3, 1, 3), nn.Sigmoid()))
    assert [(finding.rule, finding.fault.path) for finding in findings] == [
        ("squashed-logits", "steps.gen.losses.adversarial.network"),
        ("squashed-logits", "steps.critic.losses.gan.network"),
    ]


def test_data_that_differ_only_in_how_they_are_batched_are_the_training_data() -> None:
    other = "val: {type: photo_patches, size: 64, batch_size: 4, shuffle: true}"
    assert [str(finding) for finding in judged(changed(GAN, ("val: {type: photos, split: val}", other)))] == [
        "file.yml:30:11: evaluate.photos.data: 'val' has the samples that the steps train on "
        "(judged-on-training-data)\n    See data.train at file.yml:3:3."
    ]


def test_a_trial_from_the_command_line_is_not_judged_by_its_length() -> None:
    assert judged(GAN, "train.iterations=2") == []
    assert "slow-average" in [found.rule for found in judged(changed(GAN, ("iterations: 800", "iterations: 2")))]


def test_a_run_in_epochs_is_judged_by_its_length() -> None:
    """3 epochs of 187 iterations; a trial of 1 epoch is not judged."""
    epochs = changed(DIGITS, ("iterations: 1000", "epochs: 3"), ("period: 900", "period: 1123"), ("0.99", "0.999"))
    assert [(found.rule, found.fault.message) for found in judged(epochs)] == [
        ("unfinished-schedule", "is 1123, but the step ends 561 iterations after the schedule begins"),
        ("slow-average", "averages 'unet' over the last 1000 updates, but the run has only 561"),
    ]
    assert judged(epochs, "train.epochs=1") == []


def test_a_run_in_epochs_whose_data_is_missing_is_not_judged_by_its_length() -> None:
    missing = "train: {type: image_folder, path: nowhere, size: 64, scale: 2, batch_size: 16}"
    data = ("train: {type: photo_patches, size: 64, batch_size: 16}", missing)
    text = changed(GAN, ("iterations: 800", "epochs: 1"), data)
    assert judged(text) == []


def test_the_readme_counts_the_rules() -> None:
    assert f"by {len(RULES)} rules with reasons" in " ".join((ROOT / "README.md").read_text().split())


def test_an_average_that_reaches_over_just_half_of_the_run_is_fine() -> None:
    short = changed(GAN, ("iterations: 800", "iterations: 20"))
    for decay, found in (("0.9", False), ("0.91", True)):
        rules = [fault.rule for fault in judged(short, f"ema.decay={decay}")]
        assert ("slow-average" in rules) == found


def test_losses_of_a_step_that_trains_seldom_are_told_together_and_not_where_something_uses_them() -> None:
    seldom = "steps.critic.every=8"
    (found,) = judged(GAN, seldom)
    # The first from 500 on: `gan` runs always, `penalty` at multiples of 4, and 500 is none of 8.
    assert found.fault.message == "is 8, but gan, penalty also run at iteration 500, only to be logged"
    for sound in (
        ["steps.critic.losses.gan.every=8", "steps.critic.losses.penalty.every=16"],
        ["steps.critic.optimizer=none"],
        ["evaluate.photos.steps=[gen, critic]", "evaluate.photos.injectors={}"],
    ):
        assert "losses-for-the-log" not in [finding.rule for finding in judged(GAN, seldom, *sound)]


def test_a_gated_injector_out_of_phase_with_its_reader_is_told_and_a_cheap_one_without_a_gate_is_not() -> None:
    upscale = "      upscale: {type: forward, network: gen, in: lq, out: sr}\n    losses:\n"
    read = "      noisy_pixel: {type: l1, in: [noisy, hq], weight: 1.0, every: 4}\n"

    def with_noise(gate: str) -> list[str]:
        noise = f"      noise: {{type: add_noise, in: hq, out: noisy{gate}}}\n"
        return [str(found) for found in judged(changed(GAN, (upscale, noise + upscale + read)))]

    assert with_noise(", every: 2") == [
        "file.yml:15:59: steps.gen.injectors.noise.every: runs at iteration 2, at which nothing reads its outputs "
        "(wasted-work)\n    steps.gen.losses.noisy_pixel, at file.yml:18:7, reads it every 4."
    ]
    assert with_noise("") == with_noise(", every: 4") == []


def test_an_average_with_an_interval_is_judged_by_its_moves_and_a_copy_is_not() -> None:
    """800 iterations: 0.98 is 50 moves, and every 10 there are 80, every 5 160."""
    for entry, found in (("every: 10", True), ("every: 5", False), ("every: 500, decay: 0", False)):
        rules = [fault.rule for fault in judged(GAN, f"ema.networks={{gen: {{{entry}}}}}")]
        assert ("slow-average" in rules) == found
