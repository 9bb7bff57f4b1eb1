"""Comments that allow what a rule objects to, and comments that say nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lint.judged import GAN, changed, judged

pytestmark = pytest.mark.usefixtures("registries")
LOSS = "weight: 1.0}\n      adv"
FORM = "    Fix: write `# lint: allow RULE: why`; `artschool lint --rules` lists the rules."


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def said(*changes: tuple[str, str]) -> list[str]:
    return [line for finding in judged(changed(GAN, *changes)) for line in str(finding).splitlines()]


def zero(comment: str) -> tuple[str, str]:
    return LOSS, f"weight: 0}}{comment}\n      adv"


def test_a_comment_with_a_reason_at_the_line_allows_it() -> None:
    assert said(zero("  # lint: allow weight-zero: only to log it")) == []


def test_a_comment_above_the_line_allows_it_through_other_comments() -> None:
    above = "      # lint: allow weight-zero: only to log it\n      # a second remark\n      pixel:"
    assert said(("      pixel:", above), zero("")) == []


def test_a_comment_elsewhere_or_of_another_rule_allows_nothing() -> None:
    said_of_it = "steps.gen.losses.pixel.weight: is 0, so the loss costs time and trains nothing (weight-zero)"
    finding = f"file.yml:17:47: {said_of_it}"
    assert said(
        ("    losses:\n      pixel", "    # lint: allow weight-zero: why\n    losses:\n      pixel"), zero("")
    ) == [
        "file.yml:16:5: allows weight-zero, which finds nothing here (allow)",
        "    Fix: remove the comment.",
        finding.replace(":17:", ":18:"),
        "    Fix: remove the loss.",
    ]
    assert said(zero("  # lint: allow rate-zero: why"))[:2] == [finding, "    Fix: remove the loss."]


def test_a_comment_without_a_reason_allows_nothing_and_is_told() -> None:
    lines = said(zero("  # lint: allow weight-zero"))
    assert lines[0].endswith("(weight-zero)")
    assert lines[2:] == ["file.yml:17:51: does not say why weight-zero is allowed (allow)", FORM]


def test_a_comment_with_an_unknown_rule_is_told_the_nearest() -> None:
    assert said(zero("  # lint: allow weight-zeros: why"))[2:] == [
        "file.yml:17:51: allows 'weight-zeros', which is not a rule (allow)",
        "    Did you mean 'weight-zero'?",
        FORM,
    ]
    assert said(zero("  # lint: allow: why"))[2:] == ["file.yml:17:51: does not say which rule it allows (allow)", FORM]


def test_a_comment_that_allows_nothing_is_told() -> None:
    assert said((LOSS, "weight: 1.0}  # lint: allow weight-zero: only to log it\n      adv")) == [
        "file.yml:17:53: allows weight-zero, which finds nothing here (allow)",
        "    Fix: remove the comment.",
    ]


def test_a_comment_for_a_rule_that_wants_the_networks_may_wait_for_them() -> None:
    assert said((LOSS, "weight: 1.0}  # lint: allow squashed-logits: the critic of the paper\n      adv")) == []


def test_a_comment_in_a_base_speaks_of_its_line_and_need_not_be_used() -> None:
    Path("base.yml").write_text(changed(GAN, zero("  # lint: allow weight-zero: only to log it")))
    assert judged("base: base.yml\nname: other\n") == []
    assert judged("base: base.yml\nname: other\nsteps: {gen: {losses: {pixel: {weight: 0.5}}}}\n") == []


def test_what_an_override_brings_is_told_and_no_comment_is_called_idle() -> None:
    assert str(judged(GAN, "steps.gen.losses.pixel.weight=0")[0]).startswith(
        "override 'steps.gen.losses.pixel.weight=0': steps.gen.losses.pixel.weight: is 0, so the loss costs time"
    )
    idle = changed(GAN, zero("  # lint: allow weight-zero: only to log it"))
    assert judged(idle, "steps.gen.losses.pixel.weight=1.0") == []
