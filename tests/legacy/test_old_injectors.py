"""Each row of the table of injectors."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.components.builtins import load_builtins
from artschool.config.source import read_text
from artschool.legacy.injectors import INJECTORS, convert_injector, convert_injectors
from artschool.legacy.rules import Notes
from artschool.registry import injectors
from tests.legacy.old_text import node, plain, silent, told

load_builtins()
ROWS = {
    "{type: direct, in: a, out: b}": {"type": "alias", "in": "a", "out": "b"},
    "{type: generator, generator: g, in: a, out: [b, c], after: 3, before: 9, every: 2}": {
        "type": "forward",
        "network": "g",
        "in": "a",
        "out": ["b", "c"],
        "after": 3,
        "before": 9,
        "every": 2,
    },
    "{type: generator, generator: g, in: [a, 'None', 2.5], out: b, method: f, args: {x: 1}, grad: true, fp16: true}": {
        "type": "forward",
        "network": "g",
        "in": ["a", None, 2.5],
        "out": "b",
        "method": "f",
        "args": {"x": 1},
        "grad": True,
    },
    "{type: generator, generator: g, in: a, out: b, grad: false}": {
        "type": "forward",
        "network": "g",
        "in": "a",
        "out": "b",
        "grad": False,
        "mode": "eval",
    },
    "{type: discriminator, discriminator: d, in: a, out: b}": {
        "type": "forward",
        "network": "d",
        "in": "a",
        "out": "b",
    },
    "{type: squeeze, dim: 1, in: a, out: b}": {"type": "squeeze", "dim": 1, "in": "a", "out": "b"},
    "{type: add_noise, in: a, out: b, scale: s, mode: uniform}": {
        "type": "add_noise",
        "in": "a",
        "out": "b",
        "scale": "s",
        "kind": "uniform",
    },
    "{type: grey, in: a, out: b}": {"type": "grey", "in": "a", "out": "b"},
    "{type: interpolate, in: a, out: b, scale_factor: 2, mode: area}": {
        "type": "interpolate",
        "in": "a",
        "out": "b",
        "scale_factor": 2,
        "mode": "area",
    },
    "{type: concatenate, in: [a, c], out: b, dim: 2}": {"type": "concatenate", "in": ["a", "c"], "out": "b", "dim": 2},
    "{type: normalize, in: a, out: b, shift: 1, scale: 2}": {
        "type": "normalize",
        "in": "a",
        "out": "b",
        "shift": 1,
        "scale": 2,
    },
    "{type: denormalize, in: a, out: b, no_grad: false, no_accum: false}": {
        "type": "denormalize",
        "in": "a",
        "out": "b",
    },
}


@pytest.mark.parametrize("old", ROWS)
def test_injector_becomes_ours(old: str) -> None:
    notes = Notes()
    assert plain(convert_injector(node(old), "here", notes)) == ROWS[old]
    assert silent(notes)


@pytest.mark.parametrize("name", INJECTORS)
def test_row_names_options_that_exist(name: str) -> None:
    rule = INJECTORS[name]
    assert {*rule.options.values(), *rule.constants} <= {*injectors.get(rule.type).takes, "type"}


def test_padding_tells_what_changed() -> None:
    notes = Notes()
    fields = convert_injector(node("{type: pad, multiple: 8, in: a, out: b}"), "here", notes)
    assert plain(fields) == {"type": "pad", "multiple": 8, "in": "a", "out": "b"}
    assert told(notes.warnings) == [
        "1:13: here.multiple: does not pad a length that is already a multiple; the reference added a whole multiple"
    ]


def test_an_unknown_injector_gets_the_nearest_name() -> None:
    notes = Notes()
    convert_injector(node("{type: generater, in: a, out: b}"), "here", notes)
    assert told(notes.faults) == [
        "1:2: here: injector 'generater' is not converted, and no plugin of the file registers it"
    ]
    assert notes.faults[0].hint.endswith("Did you mean 'generator'?")


def test_full_precision_in_one_call_is_ours() -> None:
    notes = Notes()
    fields = convert_injector(node("{type: generator, generator: g, in: a, out: b, fp16: false}"), "here", notes)
    assert plain(fields) == {"type": "forward", "network": "g", "in": "a", "out": "b", "precision": "fp32"}
    assert silent(notes)


def test_flags_say_where_and_how_an_injector_runs() -> None:
    notes = Notes()
    step = node(
        "injectors:\n  a: {type: grey, in: x, out: y, train: true, eval: false}\n"
        "  b: {type: direct, in: x, out: y, eval: true, no_accum: true, no_grad: true}"
    )
    converted = convert_injectors(step, "steps.s", notes)
    assert converted is not None
    assert converted.plain() == {
        "a": {"type": "grey", "in": "x", "out": "y", "only": "training"},
        "b": {"type": "alias", "in": "x", "out": "y", "only": "evaluation", "once": True, "no_grad": True},
    }
    assert silent(notes)


TOKENS = "{type: discrete_token, in: mel, out: codes, dvae_config: %s, dvae_name: dvae}"


def test_discrete_tokens_call_a_frozen_network_of_their_name(tmp_path: Path) -> None:
    notes, file = Notes(), tmp_path / "tokens.yml"
    file.write_text("networks: {dvae: {which_model: vq_vae}}")
    fields = convert_injector(read_text(TOKENS % "tokens.yml", str(tmp_path / "old.yml")), "here", notes)
    assert plain(fields) == {
        "type": "forward",
        "in": "mel",
        "out": "codes",
        "grad": False,
        "network": "dvae",
        "method": "get_codebook_indices",
    }
    assert plain(notes.networks) == {"dvae": {"from": {"file": "tokens.yml", "network": "dvae"}, "frozen": True}}
    assert [str(warning).removeprefix(f"{tmp_path}/old.yml:").split("\n")[0] for warning in notes.warnings] == [
        "1:45: here.dvae_config: network 'dvae' of 'tokens.yml' becomes a frozen network of this file"
    ]
