"""Each row of the table of optimizers, and what files get wrong about them."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.legacy.optimizers import ADVICE, NAMES, OPTIMIZERS, RATES, convert_optimizer
from artschool.legacy.rules import Notes, items
from artschool.registry import optimizers
from tests.legacy.old_text import node, silent, told

load_builtins()
NO_DECAY = ["layer_bias", "norm", "embedding"]
ONCE = "each parameter is updated once; the reference updated one inside d nested modules d times"


def convert(text: str) -> tuple[Any, Notes]:
    notes = Notes()
    converted = convert_optimizer(node(text), "steps.s", notes)
    return converted and converted.plain(), notes


def test_adamw_is_the_default_and_spares_biases_norms_and_embeddings() -> None:
    converted, notes = convert("optimizer_params: {lr: 1e-3, weight_decay: 0, beta1: 0.5, beta2: 0.9, after: 7}")
    assert converted == {
        "type": "adamw",
        "lr": 1e-3,
        "weight_decay": 0,
        "after": 7,
        "no_decay": NO_DECAY,
        "betas": [0.5, 0.9],
    }
    assert silent(notes)


@pytest.mark.parametrize(("given", "betas"), [("beta1: 0.5", [0.5, 0.999]), ("beta2: 0.5", [0.9, 0.5])])
def test_one_beta_keeps_the_default_of_the_other(given: str, betas: list[float]) -> None:
    converted, _ = convert(f"optimizer_params: {{lr: 1, {given}}}")
    assert converted["betas"] == betas


def test_lamb_keeps_its_weight_decay() -> None:
    converted, notes = convert("{optimizer: lamb, optimizer_params: {lr: 1}}")
    assert converted == {"type": "lamb", "lr": 1, "no_decay": NO_DECAY, "weight_decay": 0.01}
    assert silent(notes)


def test_lars_has_no_momentum_on_norms() -> None:
    converted, notes = convert("optimizer: lars\noptimizer_params: {lr: 1, momentum: .9, lars_coefficient: .1}")
    assert converted == {
        "type": "lars",
        "lr": 1,
        "momentum": 0.9,
        "trust_coefficient": 0.1,
        "param_groups": [{"kinds": ["norm"], "momentum": 0.0}],
    }
    assert told(notes.warnings) == [f"1:1: steps.s.optimizer: {ONCE}"]


def test_sgd_moves_each_parameter_once() -> None:
    converted, notes = convert("optimizer: sgd\noptimizer_params: {lr: 1, momentum: .9, weight_decay: 0}")
    assert converted == {"type": "sgd", "lr": 1, "momentum": 0.9, "weight_decay": 0}
    assert told(notes.warnings) == [f"1:1: steps.s.optimizer: {ONCE}"]


def test_lion_of_forks_comes_from_another_package() -> None:
    converted, notes = convert("optimizer: lion\noptimizer_params: {lr: 1, weight_decay: 0, beta1: .8, triton: true}")
    assert converted == {
        "type": "pytorch_optimizer",
        "lr": 1,
        "weight_decay": 0,
        "name": "lion",
        "no_decay": NO_DECAY,
        "options": {"betas": [0.8, 0.99]},
    }
    assert told(notes.warnings) == [
        "1:1: steps.s.optimizer: needs another package: pip install 'artschool[optim]'",
        "2:55: steps.s.optimizer_params.triton: is dropped: it only selected an implementation",
    ]


def test_groups_are_those_that_networks_mark() -> None:
    converted, notes = convert(
        "{optimizer: adam, optimizer_params: {lr: 1, param_groups: {head: {lr: 2}, tail: {lr: 3, beta1: .5}}}}"
    )
    assert converted == {
        "type": "adam",
        "lr": 1,
        "param_groups": [{"marked": "head", "lr": 2}, {"marked": "tail", "lr": 3}],
    }
    assert told(notes.warnings) == [
        "1:89: steps.s.optimizer_params.param_groups.tail.beta1: is dropped: 'beta1' is no known option of the "
        "reference's parameter groups"
    ]
    converted, notes = convert("optimizer_params: {lr: 1, param_groups: {head: {lr: 2}}}")
    assert converted["param_groups"] == [{"marked": "head", "lr": 2}]
    assert told(notes.warnings) == [f"1:27: steps.s.optimizer_params.param_groups: {RATES}"]
    assert silent(convert("optimizer_params: {lr: 1, param_groups: {}}")[1])


def convert_from(starts: str, text: str) -> tuple[Any, Notes]:
    notes = Notes()
    converted = convert_optimizer(node(text), "steps.s", notes, items(node(starts)))
    assert converted is not None
    return converted.plain().get("param_groups"), notes


@pytest.mark.parametrize(
    ("starts", "old", "groups"),
    [
        (
            "[0, 50, 0]",
            "{optimizer: adam, optimizer_params: {lr: 1, param_groups: {head: {lr: 2}, tail: {lr: 3}}}}",
            [{"marked": "head", "lr": 2, "schedule_from": 50}, {"marked": "tail", "lr": 3}],
        ),
        (
            "[50, 0]",
            "{optimizer: sgd, optimizer_params: {lr: 1, param_groups: {head: {lr: 2}}}}",
            [{"marked": "head", "lr": 2}, {"schedule_from": 50}],
        ),
        ("[50, 0]", "optimizer_params: {lr: 1}", [{"kinds": ["weight"], "schedule_from": 50}]),
        (
            "[20, 50]",
            "optimizer_params: {lr: 1}",
            [
                {"kinds": ["weight"], "schedule_from": 20},
                {"kinds": ["bias", "norm", "embedding"], "schedule_from": 50},
            ],
        ),
    ],
)
def test_each_group_has_its_start_in_the_order_of_the_reference(starts: str, old: str, groups: Any) -> None:
    converted, notes = convert_from(starts, old)
    assert converted == groups
    assert not notes.faults


@pytest.mark.parametrize(
    "old",
    [
        "{optimizer: sgd, optimizer_params: {lr: 1}}",
        "{optimizer: lamb, optimizer_params: {lr: 1}}",
        "{optimizer: adamw, optimizer_params: {lr: 1, param_groups: {head: {lr: 2}}}}",
    ],
)
def test_starts_of_other_groups_are_refused_with_the_native_way(old: str) -> None:
    _, notes = convert_from("[0, 50]", old)
    assert [fault.message.split(",")[0] for fault in notes.faults] == ["'progressive_starts' has 2 starts"]
    assert notes.faults[0].hint == "Fix: write `param_groups: [{match: ..., schedule_from: ...}]` natively."


@pytest.mark.parametrize("name", ADVICE)
def test_optimizers_of_forks_that_need_more_than_a_name_are_refused_with_a_way_out(name: str) -> None:
    _, notes = convert(f"{{optimizer: {name}, optimizer_params: {{lr: 1}}}}")
    assert [fault.hint for fault in notes.faults] == [ADVICE[name]]
    assert ADVICE[name].startswith("Fix: use 'adamw', ")


def test_adamw_zero_shares_its_state_among_processes() -> None:
    converted, notes = convert("optimizer: adamw_zero\noptimizer_params: {lr: 1}")
    assert converted == {"type": "adamw", "lr": 1, "no_decay": NO_DECAY, "shard": True}
    assert silent(notes)


@pytest.mark.parametrize("name", OPTIMIZERS)
def test_row_names_options_that_exist(name: str) -> None:
    rule = OPTIMIZERS[name]
    native = {*rule.options.values(), *rule.constants} - {"beta1", "beta2"}
    assert native <= {*optimizers.get(rule.type).takes}
    assert rule.options.keys() - {"after", "before", "param_groups"} <= NAMES


def test_options_in_the_step_itself_are_a_fault_of_their_line_and_a_draft() -> None:
    converted, notes = convert("training: a\nlr: 1\nweight_decay: 0\ninjectors: {}")
    assert converted == {"type": "adamw", "lr": 1, "weight_decay": 0, "no_decay": NO_DECAY}
    assert told(notes.faults) == [
        "2:1: steps.s: misplaced option 'lr', 'weight_decay': the reference's last versions ignore it here and "
        "train nothing in this step"
    ]
    assert notes.faults[0].hint == "Fix: move it into `optimizer_params:`."


def test_a_step_without_options_is_a_fault_unless_it_wants_none() -> None:
    converted, notes = convert("{training: a}")
    assert converted is None
    assert told(notes.faults) == [
        "1:1: steps.s: has no 'optimizer_params', so the reference's last versions train nothing in this step"
    ]
    converted, notes = convert("{training: a, optimizer: none}")
    assert converted == "none"
    assert silent(notes)


@pytest.mark.parametrize(
    ("old", "fault"),
    [
        (
            "optimizer_params: {lr: 1, momentun: .9}",
            "1:27: steps.s.optimizer_params.momentun: unknown option 'momentun': the reference's optimizer "
            "'adamw' does not have it",
        ),
        (
            "{optimizer: lars, optimizer_params: {lr: 1, param_groups: {head: {lr: 2}}}}",
            "1:45: steps.s.optimizer_params.param_groups: lars already uses parameter groups for norms",
        ),
        (
            "{optimizer: mu_adamw, optimizer_params: {lr: 1}}",
            "1:2: steps.s.optimizer: the reference's optimizer 'mu_adamw' has no counterpart",
        ),
    ],
)
def test_what_the_optimizer_does_not_take_is_refused_by_name(old: str, fault: str) -> None:
    _, notes = convert(old)
    assert told(notes.faults) == [fault]


@pytest.mark.parametrize(
    ("old", "warning"),
    [
        ("{lr: 1, triton: false}", "triton: is dropped: it is an option of 'lion', which 'adamw' does not read"),
        ("{lr: 1, lars_coefficient: 1}", "lars_coefficient: is dropped: it is an option of 'lars', which 'adamw'"),
        ("{lr: 1, momentum: .9}", "momentum: is dropped: it is an option of 'lars' and 'sgd', which 'adamw' does"),
        ("{lr: 1, eps: 1e-6}", "eps: is dropped: the reference's 'adamw' did not read 'eps'"),
        ("{lr: 1, amsgrad: true}", "amsgrad: is dropped: the reference's 'adamw' did not read 'amsgrad'"),
    ],
)
def test_options_of_other_optimizers_are_no_fault(old: str, warning: str) -> None:
    converted, notes = convert(f"optimizer_params: {old}")
    assert converted == {"type": "adamw", "lr": 1, "no_decay": NO_DECAY, "weight_decay": 0.0}
    assert not notes.faults
    [told_once] = told(notes.warnings)
    assert f"1:27: steps.s.optimizer_params.{warning}" in told_once
