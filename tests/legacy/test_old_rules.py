"""One mapping by its rule."""

from __future__ import annotations

from artschool.legacy.rules import ConversionRule, Notes, apply
from tests.legacy.old_text import node, plain, told

RULE = ConversionRule(
    "ours",
    {"size": "width", "mode": "kind"},
    values={"mode": {"old": "new"}},
    constants={"depth": [1, {"a": 2}]},
    harmless={"noise": (0, None)},
    dropped={"verbose": "nothing is said anyway"},
    changed={"size": "counts from one"},
    silent=("name",),
)


def convert(text: str, *, strict: bool = False) -> tuple[dict[str, object], Notes]:
    notes = Notes()
    return plain(apply(RULE, node(text), "here", notes, what="thing", strict=strict)), notes


def test_options_are_renamed_in_order_and_constants_added() -> None:
    fields, notes = convert("{type: theirs, mode: old, size: 3, noise: 0, name: x, verbose: false}")
    assert list(fields.items()) == [("type", "ours"), ("kind", "new"), ("width", 3), ("depth", [1, {"a": 2}])]
    assert told(notes.warnings) == ["1:27: here.size: counts from one"]
    assert not notes.faults


def test_every_value_keeps_its_place() -> None:
    fields = apply(RULE, node("size:\n  3\nmode: old"), "", Notes(), what="thing")
    places = {name: (value.place.line, value.key_place and value.key_place.line) for name, value in fields.items()}
    assert places == {"type": (1, None), "width": (2, 1), "kind": (3, 3), "depth": (1, None)}


def test_what_has_no_counterpart_is_refused_by_name() -> None:
    _, notes = convert("{mode: odd, noise: .1}")
    assert [str(fault) for fault in notes.faults] == [
        "old.yml:1:2: here.mode: mode 'odd' is not converted for the reference's thing\n    Available: old.",
        "old.yml:1:13: here.noise: 'noise' of the reference's thing has no counterpart\n"
        "    It can be converted without it, or with 0, or with null.",
    ]


def test_what_training_does_not_need_is_left_out_with_a_word() -> None:
    fields, notes = convert("{verbose: true}")
    assert "verbose" not in fields
    assert told(notes.warnings) == ["1:2: here.verbose: is dropped: nothing is said anyway"]


def test_an_option_that_was_never_read_is_named() -> None:
    fields, notes = convert("{sise: 3}")
    assert "sise" not in fields
    assert [str(warning) for warning in notes.warnings] == [
        "old.yml:1:2: here.sise: is dropped: 'sise' is no known option of the reference's thing\n"
        "    Available options: mode, name, noise, size, verbose. Did you mean 'size'?"
    ]
    _, strict = convert("{sise: 3}", strict=True)
    assert told(strict.faults) == ["1:2: here.sise: unknown option 'sise': the reference's thing does not have it"]


def test_two_frozen_networks_of_one_name_are_a_fault() -> None:
    notes = Notes()
    for text in ("{from: a.yml}", "{from: a.yml}", "\n{from: b.yml}"):
        notes.hold("coder", node(text))
    assert told(notes.faults) == ["2:1: networks.coder: names another network than line 1 does; rename one of them"]
