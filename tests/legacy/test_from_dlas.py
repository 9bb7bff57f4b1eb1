"""The page for users of DL-Art-School says what became of every name, and what it says is so."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from artschool.components.builtins import load_builtins
from artschool.config.sections import FileSections, StepSection
from artschool.engine.hooks import NetworkHooks
from artschool.legacy import sections
from artschool.legacy.convert import convert
from artschool.legacy.datasets import DATASETS
from artschool.legacy.injectors import INJECTORS
from artschool.legacy.losses import LOSSES
from artschool.legacy.optimizers import OPTIMIZERS
from artschool.legacy.rules import ConversionRule
from artschool.legacy.schedules import SCHEMES
from artschool.legacy.steps import STEP
from artschool.registry import REGISTRIES
from artschool.registry.entries import DatasetEntry, GroupEntry, ScheduleEntry
from artschool.registry.network_entry import NetworkEntry
from tests.legacy.old_text import node

load_builtins()
PAGE = (Path(__file__).parents[2] / "docs" / "from-dlas.md").read_text()
TITLES = {
    "top": "Top of the file",
    "parameter": "Parameters and hooks",
    "hook": "Parameters and hooks",
    "every injector": "Every injector",
    "injector": "Injectors",
    "every loss": "Every loss",
    "loss": "Losses",
    "gan_type": "Kinds of GAN losses",
    "optimizer option": "Optimizers",
    "schedule option": "Schedules",
    "batch size": "Batch sizes",
    "dataset": "Data sets",
}
"""The title on the page of a section of the list; others are their names, in the plural where there are several."""
NOTHING = "-"
Row = tuple[list[str], str]


def listed() -> list[tuple[str, str]]:
    """Section and name, of every name of the language."""
    names, section = [], ""
    for line in (Path(__file__).parent / "old_names.txt").read_text().splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif not line.startswith("#"):
            names += [(section, name) for name in line.split()]
    return names


def told(title: str) -> dict[str, Row]:
    """The rows below a title: each old name with what to write, and what to know."""
    text = re.split(r"^## ", PAGE, flags=re.M)
    part = next(part for part in text if part.split("\n", 1)[0] == title)
    rows = {}
    for old, here, note in re.findall(r"^\| (.*?) \| (.*?) \|(.*?)\|$", part, flags=re.M):
        written = re.findall(r"`([^`]+)`", here)
        for name in re.findall(r"`([^`]+)`", old):
            rows[name] = (written if here != NOTHING else [], note.strip())
    return rows


def title_of(section: str) -> str:
    return TITLES.get(section) or next(
        title for title in re.findall(r"^## (.*)$", PAGE, flags=re.M) if title.lower() in (section, f"{section}s")
    )


@pytest.mark.parametrize(("section", "name"), listed())
def test_every_old_name_is_on_the_page(section: str, name: str) -> None:
    written, note = told(title_of(section))[name]
    assert written or note, "neither what to write nor why nothing"


COMPONENTS: dict[str, tuple[str, dict[str, ConversionRule]]] = {
    "injector": ("injectors", INJECTORS),
    "loss": ("losses", LOSSES),
    "optimizer": ("optimizers", OPTIMIZERS),
}


@pytest.mark.parametrize(("section", "name"), [pair for pair in listed() if pair[0] in COMPONENTS])
def test_a_component_is_what_the_importer_makes_of_it(section: str, name: str) -> None:
    kind, table = COMPONENTS[section]
    written, _ = told(title_of(section))[name]
    assert written == [table[name].type]
    assert written[0] in REGISTRIES[kind]


@pytest.mark.parametrize("section", COMPONENTS)
def test_the_page_knows_every_row_of_the_importer(section: str) -> None:
    # As some files spell them; the last is an optimizer of the forks.
    spelt_twice = {"crossentropy", "teco_recurrent_generated_sequence_injector", "adam"}
    assert COMPONENTS[section][1].keys() - told(title_of(section)).keys() <= spelt_twice


@pytest.mark.parametrize("name", [name for section, name in listed() if section == "evaluator"])
def test_an_evaluator_is_a_metric(name: str) -> None:
    for written in told("Evaluators")[name][0]:
        assert written in REGISTRIES["metrics"]


@pytest.mark.parametrize("name", [name for section, name in listed() if section == "dataset"])
def test_a_data_set_is_there_or_rejected_with_advice(name: str) -> None:
    written, note = told("Data sets")[name]
    kinds = [REGISTRIES[kind] for kind in ("datasets", "injectors")]
    assert all(any(one in registry for registry in kinds) for one in written)
    old = f"datasets: {{train: {{mode: {name}, dataset: {{mode: imagefolder, paths: p}}, paths: p, path: p}}}}"
    _, notes = convert(node(f"{old}\nnetworks: {{}}\nsteps: {{}}"))
    at_mode = [fault for fault in notes.faults if fault.path.startswith("datasets.train") and "mode" in fault.path]
    assert bool(at_mode) == note.startswith("rejected, ")
    if name in DATASETS:
        assert written == [DATASETS[name].type]


@pytest.mark.parametrize("name", [name for section, name in listed() if section == "schedule"])
def test_a_scheme_is_a_schedule(name: str) -> None:
    written, _ = told("Schedules")[name]
    assert written[0] in REGISTRIES["schedules"] and name in SCHEMES


RULES = {
    "top": sections.TOP,
    "train": sections.TRAIN,
    "path": sections.PATH,
    "eval": sections.EVAL,
    "logger": sections.LOGGER,
    "upgrades": sections.UPGRADES,
    "step": STEP,
}
ELSEWHERE = {"pretrain_model_", "pretrain_base_path_", "optimizer", "optimizer_params", "injectors", "losses"}
"""Options that no table holds, since a function of their own converts them."""


@pytest.mark.parametrize(("section", "name"), [pair for pair in listed() if pair[0] in RULES])
def test_an_option_of_a_section_is_converted_or_named(section: str, name: str) -> None:
    rule = RULES[section]
    if name in ELSEWHERE:
        return
    known = {*rule.options, *rule.dropped, *rule.harmless, *rule.silent}
    assert name in known
    written, note = told(title_of(section))[name]
    if name in rule.options and section != "step":
        assert rule.options[name].startswith(written[0])
    if not written:
        assert note


def fields(path: str) -> set[str]:
    """Whether a native path exists, as its last part."""
    models = [FileSections.model_fields]
    for part in path.split(".")[:-1]:
        inner = [arg for fields in models if part in fields for arg in _models_in(fields[part].annotation)]
        models = [model.model_fields for model in inner]
    return {name for model in models for name in model}


def _models_in(annotation: object) -> list[type[FileSections]]:
    parts = [annotation, *getattr(annotation, "__args__", ())]
    return [part for part in parts if hasattr(part, "model_fields")]


@pytest.mark.parametrize(("section", "name"), [pair for pair in listed() if pair[0] in RULES])
def test_what_the_page_says_to_write_exists(section: str, name: str) -> None:
    for path in told(title_of(section))[name][0]:
        if path.startswith("data.train."):
            assert path.rpartition(".")[2] in DatasetEntry.model_fields
        else:
            assert path.rpartition(".")[2] in (StepSection.model_fields if section == "step" else fields(path))


OTHERS = {
    "network": {*NetworkEntry.model_fields, "type"},
    "hook": set(dir(NetworkHooks)),
    "schedule option": {
        *ScheduleEntry.model_fields,
        *GroupEntry.model_fields,
        *("from", "milestones", "gamma", "period", "eta_min"),
    },
    "batch size": {"batch_sizing", "poll_parameters", "max_full_batches"},
    "optimizer option": {
        "lr",
        "weight_decay",
        "momentum",
        "after",
        "before",
        "betas",
        "trust_coefficient",
        "param_groups",
    },
}


@pytest.mark.parametrize(("section", "name"), [pair for pair in listed() if pair[0] in OTHERS])
def test_other_options_exist_too(section: str, name: str) -> None:
    written, note = told(title_of(section))[name]
    assert set(written) <= OTHERS[section]
    assert written or note


def test_marks_of_parameters_are_groups() -> None:
    assert "marked" in GroupEntry.model_fields
