"""What a fault carries besides its text: its kind, and the parts that the text is made of."""

from __future__ import annotations

import pickle
from pathlib import Path

import pytest

from artschool.errors import ConfigError, first_line
from artschool.faults import Fault, FaultKind, Place
from artschool.read.read import check_file
from tests.config.bad_files import SOUND

PLACE = Place("gan.yml", 3, 4)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def fault_of(old: str, new: str) -> Fault:
    assert SOUND.count(old) == 1, old
    Path("gan.yml").write_text(SOUND.replace(old, new))
    with pytest.raises(ConfigError) as error:
        check_file(Path("gan.yml"))
    (fault,) = error.value.faults
    return fault


CHANGES = [
    ("size: 64", "sise: 64", FaultKind.UNKNOWN_OPTION, "sise", "size"),
    ("type: l1,", "type: l11,", FaultKind.UNKNOWN_COMPONENT, "l11", "l1"),
    ("networks: [gen]", "networks: [gne]", FaultKind.UNKNOWN_NAME, "gne", "gen"),
    ("keys: [lq, sr, hq]", "keys: [lq, srr, hq]", FaultKind.UNWRITTEN_KEY, "srr", "sr"),
    ("iterations: 800", "iterations: '800'", FaultKind.WRONG_VALUE, "text '800'", None),
    ("kind: hinge, network: critic, fake: sr, w", "kind: hnge, network: critic, fake: sr, w",
     FaultKind.WRONG_VALUE, "text 'hnge'", "hinge"),
    ("seed: 0", "seed: 0\nseed: 1", FaultKind.DUPLICATE_KEY, "seed", None),
    ("name: gan", "name: a/b", FaultKind.INVALID_NAME, "a/b", None),
    ("seed: 0", "base: gna.yml", FaultKind.MISSING_FILE, "gna.yml", "gan.yml"),
    ("seed: 0", "seed: ${seed}", FaultKind.CIRCULAR_REFERENCE, "${seed}", None),
]  # fmt: skip


@pytest.mark.parametrize(("old", "new", "kind", "found", "suggestion"), CHANGES)
def test_a_fault_carries_its_kind_what_was_found_and_what_was_meant(
    old: str, new: str, kind: FaultKind, found: str, suggestion: str | None
) -> None:
    fault = fault_of(old, new)
    assert (fault.kind, fault.found, fault.suggestion) == (kind, found, suggestion)


def test_a_key_written_twice_has_its_own_kind() -> None:
    Path("gan.yml").write_text(SOUND.replace("out: lq_noisy", "out: hq"))
    with pytest.raises(ConfigError) as error:
        check_file(Path("gan.yml"))
    (fault,) = error.value.faults
    assert (fault.kind, fault.found) == (FaultKind.REWRITTEN_KEY, "hq")
    assert fault.hint.endswith(
        "Probably for the same reason, steps.gen.injectors.upscale.inputs (gan.yml:17:50) reads 'lq_noisy', which no "
        "earlier component writes."
    )


def test_a_missing_option_names_what_is_required() -> None:
    fault = fault_of("{iterations: 800}", "{precision: fp32}")
    assert (fault.kind, fault.expected) == (FaultKind.MISSING_OPTION, ("iterations", "epochs"))
    fault = fault_of("{type: patch_critic, width: 24}", "{width: 24}")
    assert (fault.kind, fault.expected) == (FaultKind.MISSING_OPTION, ("type",))


def test_a_misplaced_option_names_a_path_at_which_it_is_allowed() -> None:
    fault = fault_of("steps:\n", "steps:\n  trains: gen\n")
    assert (fault.kind, fault.expected) == (FaultKind.MISPLACED_OPTION, ("steps.gen.trains",))


def test_the_allowed_words_of_an_option_are_known() -> None:
    fault = fault_of("{iterations: 800}", "{iterations: 800, precision: float16}")
    assert fault.known == ("bf16", "fp16", "fp32")
    assert fault.expected == ("'fp32', 'bf16' or 'fp16'",)
    fault = fault_of("weight_decay: 0.0", "weight_decay: 0.0, no_decay: [biass]")
    assert fault.known == ("bias", "embedding", "layer_bias", "norm", "weight")


def test_the_text_alone_decides_whether_two_faults_are_equal() -> None:
    plain = Fault(PLACE, "a", "missing option 'b'")
    assert plain.kind is FaultKind.OTHER
    assert Fault(PLACE, "a", "m", kind=FaultKind.WRONG_VALUE) == Fault(PLACE, "a", "m")
    assert len({plain, Fault(PLACE, "a", "missing option 'b'", found="b")}) == 1


def test_an_error_takes_its_faults_and_warnings_from_one_process_to_another() -> None:
    error = ConfigError(Fault.unknown_name(PLACE, "a", "unknown step 'gne'", "gne", ["gen"]))
    error.warnings.append(Fault(PLACE, "b", "careful"))
    again = pickle.loads(pickle.dumps(error))
    assert again.faults == error.faults and again.warnings == error.warnings
    assert (again.faults[0].kind, again.faults[0].suggestion) == (FaultKind.UNKNOWN_NAME, "gen")


@pytest.mark.parametrize(
    ("error", "line"),
    [(ValueError(" one\ntwo"), "one"), (ValueError(), "ValueError"), (ValueError("\n"), "ValueError")],
)
def test_the_first_line_of_an_error_is_never_empty(error: ValueError, line: str) -> None:
    assert first_line(error) == line
