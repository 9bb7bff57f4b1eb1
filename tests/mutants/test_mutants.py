"""Random mistakes: the check refuses them with a place, or they do no harm for ten iterations."""

from __future__ import annotations

from collections import Counter
from pathlib import Path

import pytest
import yaml
from hypothesis import given, settings

from tests.mutants.mechanisms import MECHANISMS
from tests.mutants.mutations import DRAWING, Mutant, bases, link_plugins, mutants
from tests.mutants.verdict import judge


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made: Path = tmp_path_factory.mktemp("mutants")
    link_plugins(made)
    return made


@pytest.mark.parametrize("base", sorted(bases()))
def test_what_is_mutated_trains(base: str, folder: Path) -> None:
    assert judge(yaml.safe_dump(bases()[base], sort_keys=False), folder).kind == "trained"


@pytest.mark.parametrize("flaw", ["in_a_list", "in_place", "extra_state"])
def test_a_mistake_in_the_code_of_a_network_is_found_by_the_trace(flaw: str, folder: Path) -> None:
    tree = bases()["tiny_gan"]
    tree["networks"]["reader"]["flaw"] = flaw
    assert judge(yaml.safe_dump(tree, sort_keys=False), folder).kind == "traced"


def test_a_network_that_changes_what_a_sampler_gives_it_is_found_by_the_trace(folder: Path) -> None:
    tree = bases()["tiny_diffusion"]
    tree["networks"]["denoiser"]["flaw"] = "in_place"
    assert judge(yaml.safe_dump(tree, sort_keys=False), folder).kind == "traced"


def test_a_step_that_begins_after_its_schedule_is_found_by_the_linter(folder: Path) -> None:
    tree = bases()["tiny_gan"]
    tree["steps"]["gen"] |= {"schedule": {"type": "linear", "iterations": 3}, "after": 4}
    assert judge(yaml.safe_dump(tree, sort_keys=False), folder).kind == "linted"


def test_values_of_another_range_are_found_by_the_linter(folder: Path) -> None:
    tree = bases()["tiny_gan"]
    tree["data"]["val"]["white"] = 2.0
    assert judge(yaml.safe_dump(tree, sort_keys=False), folder).kind == "linted"


def test_a_buffer_that_is_made_late_resumes(folder: Path) -> None:
    tree = bases()["tiny_gan"]
    tree["networks"]["reader"]["flaw"] = "late_buffer"
    assert judge(yaml.safe_dump(tree, sort_keys=False), folder).kind == "trained"


def test_norms_of_frozen_layers_stay(folder: Path) -> None:
    tree = bases()["tiny_gan"]
    tree["networks"]["reader"]["frozen"] = ["layers.*"]
    assert judge(yaml.safe_dump(tree, sort_keys=False), folder).kind == "trained"


@pytest.mark.slow
@pytest.mark.parametrize("number", [25, pytest.param(200, marks=pytest.mark.soak)])
def test_a_mutant_is_refused_or_trains(folder: Path, number: int) -> None:
    """Many mutants are checked, and a third of them trained. `benchmarks/mutants.py` draws as many as one likes."""
    kinds: Counter[str] = Counter()

    @settings(DRAWING, max_examples=number, derandomize=True)
    @given(mutants())
    def draw(mutant: Mutant) -> None:
        verdict = judge(mutant.text, folder)
        kinds[verdict.kind] += 1
        assert verdict.kind != "hole", f"{mutant}\n{verdict.says}\n{mutant.text}"

    draw()
    assert min(kinds["refused"], kinds["traced"], kinds["trained"]) >= 3


@pytest.mark.soak
def test_a_mechanism_is_refused_or_trains(folder: Path) -> None:
    """Forty files are checked, and some of them trained."""

    @settings(DRAWING, max_examples=40, derandomize=True)
    @given(mutants(MECHANISMS))
    def draw(mutant: Mutant) -> None:
        verdict = judge(mutant.text, folder)
        assert verdict.kind != "hole", f"{mutant}\n{verdict.says}\n{mutant.text}"

    draw()
