"""Networks and their weights."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.legacy.networks import NETWORKS, convert_networks
from artschool.legacy.rules import Notes
from artschool.registry import networks
from tests.legacy.old_text import node, silent, told

load_builtins()


def convert(text: str) -> tuple[Any, Notes]:
    notes, tree = Notes(), node(text)
    section = tree.get("networks")
    assert section is not None
    return convert_networks(section, tree.get("path"), notes).plain(), notes


@pytest.mark.parametrize("which", ["which_model", "which_model_G", "which_model_D"])
@pytest.mark.parametrize("options", ["width: 4", "args: {width: 4}", "kwargs: {width: 4}"])
def test_one_spelling_remains(which: str, options: str) -> None:
    converted, notes = convert(
        f"networks:\n  net: {{type: generator, {which}: mine, {options}, trainable: true, after: 3}}"
    )
    assert converted == {"net": {"type": "mine", "width": 4, "after": 3}}
    assert not notes.faults


def test_what_is_not_trained_is_frozen() -> None:
    converted, _ = convert("networks: {net: {which_model: mine, trainable: false}}")
    assert converted == {"net": {"type": "mine", "frozen": True}}


def test_a_network_of_the_user_s_needs_a_plugin() -> None:
    _, notes = convert("networks:\n  net: {which_model_G: mine}")
    assert [str(warning) for warning in notes.warnings] == [
        "old.yml:2:9: networks.net.which_model_G: 'mine' is not a built-in network; a plugin has to register it\n"
        "    Fix: register it with `@networks.register('mine')` in a Python file, "
        "and list the file: `plugins: [own.py]`."
    ]


def test_rrdb_is_the_reference_s_variant() -> None:
    converted, notes = convert(
        "networks:\n  net: {which_model_G: RRDBNet, in_nc: 3, out_nc: 3, nf: 8, nb: 2, gc: 4, scale: 1,\n"
        "    additive_mode: additive_enforced, output_mode: hq+features, initial_stride: 1}"
    )
    assert converted == {
        "net": {
            "type": "rrdb",
            "in_channels": 3,
            "out_channels": 3,
            "width": 8,
            "blocks": 2,
            "growth": 4,
            "scale": 2,
            "skip": "bilinear_means",
            "output": "image_and_features",
            "first_stride": 1,
            "variant": "dl_art_school",
        }
    }
    assert not notes.warnings and not notes.faults


@pytest.mark.parametrize("name", NETWORKS)
def test_row_names_options_that_exist(name: str) -> None:
    assert {*NETWORKS[name].options.values()} <= {*networks.get(NETWORKS[name].type).takes}


def test_weights_stand_with_their_network() -> None:
    converted, notes = convert(
        "networks: {a: {which_model: m}, b: {which_model: m}, c: {which_model: m}}\n"
        "path: {pretrain_model_a: a.pth, pretrain_base_path_a: net., pretrain_model_b: ~, strict_load: false}"
    )
    assert converted["a"]["weights"] == {"file": "a.pth", "prefix": "net.", "strict": False}
    assert "weights" not in converted["b"] and "weights" not in converted["c"]
    converted, _ = convert("networks: {a: {which_model: m}}\npath: {pretrain_model_a: a.pth, strict_load: true}")
    assert converted["a"]["weights"] == "a.pth"
    assert not notes.faults


def test_weights_of_no_network_are_a_fault() -> None:
    _, notes = convert("networks: {generator: {which_model: m}}\npath:\n  pretrain_model_generatr: g.pth")
    assert [str(fault) for fault in notes.faults] == [
        "old.yml:3:3: path.pretrain_model_generatr: unknown network 'generatr', which the reference ignored\n"
        "    Available networks: generator. Did you mean 'generator'?"
    ]


def test_an_entry_without_a_model_is_a_fault() -> None:
    _, notes = convert("networks:\n  net: {type: generator}")
    assert told(notes.faults) == ["2:3: networks.net: requires 'which_model'"]
    assert not silent(notes)
