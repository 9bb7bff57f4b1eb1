"""A validator with the schema refuses no file that the check accepts, and finds what it can find in others."""

from __future__ import annotations

import copy
import functools
import json
import random
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from jsonschema import Draft7Validator
from jsonschema.exceptions import ValidationError

from artschool.components.builtins import load_builtins
from artschool.config.compose import finish, merge
from artschool.config.source import read_text
from artschool.errors import ConfigError
from artschool.read.check import check_tree
from artschool.registry import REGISTRIES
from artschool.registry.units import FORM
from artschool.schema import json_schema
from artschool.schema.alternatives import REFERENCE
from tests.schema.plugins_of_the_repository import PAGES, RECIPES, ROOT, blocks, only_what_ships, register_all

load_builtins()
SCHEMA = json_schema()
VALIDATOR = Draft7Validator(SCHEMA)
PAGE = (ROOT / "docs" / "language.md").read_text()
(FULL,) = re.findall(r"^```yaml\n(name: photo_gan.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
FILE: dict[str, Any] = read_text(FULL, "full.yml").plain()
WITH_BASE = Draft7Validator(json_schema(base=read_text(FULL, "full.yml")))
LEFT_OUT = object()
Path_ = tuple[str | int, ...]


def places(value: Any, path: Path_ = ()) -> Iterator[Path_]:
    """Every place of a file."""
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, child in items:
        yield from places(child, (*path, key))


def changed(path: Path_, value: Any) -> Any:
    """The file with another value at a place, or without it."""
    file = copy.deepcopy(FILE)
    node: Any = file
    for step in path[:-1]:
        node = node[step]
    if value is LEFT_OUT:
        del node[path[-1]]
    else:
        node[path[-1]] = value
    return file


def is_sound(file: Any, base: Any = None) -> bool:
    tree = read_text(json.dumps(file), "file.yml")
    try:
        check_tree(
            finish(tree if base is None else merge(read_text(json.dumps(base), "base.yml"), tree), Path("file.yml"))
        )
    except ConfigError:
        return False
    return True


def refused(file: Any, validator: Draft7Validator = VALIDATOR) -> list[tuple[Path_, str]]:
    """Where a validator finds what, at the deepest place of each error."""
    return sorted(
        {(tuple(leaf.absolute_path), leaf.message) for error in validator.iter_errors(file) for leaf in _leaves(error)},
        key=str,
    )


def _leaves(error: ValidationError) -> list[ValidationError]:
    return [leaf for inner in error.context for leaf in _leaves(inner)] if error.context else [error]


def test_the_schema_is_one() -> None:
    Draft7Validator.check_schema(SCHEMA)
    assert refused(FILE) == []
    with only_what_ships():
        assert len(json.dumps(json_schema())) < 700_000


VALUES = [LEFT_OUT, None, 0, 1, -1, 0.5, "gen", "none", "${seed}", "sr", [], ["gen"], [1, 2], {}, {"gen": 0.5}]


@pytest.mark.parametrize("part", range(4))
def test_what_the_check_accepts_is_never_refused(part: int) -> None:
    cases = [(path, value) for path in places(FILE) if path for value in VALUES]
    chosen = random.Random(part).sample(cases, 100)
    files = [(path, value, changed(path, value)) for path, value in chosen]
    sound = [(path, value, file) for path, value, file in files if is_sound(file)]
    assert len(sound) > 5
    assert [(path, value, refused(file)) for path, value, file in sound if refused(file)] == []


@pytest.mark.parametrize(
    ("path", "value", "where", "message"),
    [
        (("sede",), 1, (), "Additional properties are not allowed ('sede' was unexpected)"),
        (("train",), LEFT_OUT, (), "'train' is a required property"),
        (("train", "iterations"), LEFT_OUT, ("train",), "'epochs' is a required property"),
        (("steps", "gen", "optimizer"), LEFT_OUT, ("steps", "gen"), "'optimizer' is a required property"),
        (("evaluate", "photos", "metrics"), LEFT_OUT, ("evaluate", "photos"), "'metrics' is a required property"),
        (("train", "iterations"), 1.5, ("train", "iterations"), "1.5 is not of type 'integer', 'string', 'null'"),
        (("steps", "gen", "injectors", "upscale", "netwrok"), "gen", ("steps", "gen", "injectors", "upscale"),
         "Additional properties are not allowed ('netwrok' was unexpected)"),
        (("steps", "gen", "injectors", "upscale", "network"), LEFT_OUT, ("steps", "gen", "injectors", "upscale"),
         "'network' is a required property"),
        (("steps", "gen", "injectors", "upscale", "type"), LEFT_OUT, ("steps", "gen", "injectors", "upscale"),
         "'type' is a required property"),
        (("steps", "gen", "losses", "pixel", "weight"), "", ("steps", "gen", "losses", "pixel", "weight"),
         "'' should be non-empty"),
        (("steps", "gen", "losses", "pixel", "in"), ["sr", "hq", "lq"], ("steps", "gen", "losses", "pixel", "in"),
         "['sr', 'hq', 'lq'] is too long"),
        (("steps", "gen", "optimizer", "param_groups", 0, "lrr"), 1, ("steps", "gen", "optimizer", "param_groups", 0),
         "Additional properties are not allowed ('lrr' was unexpected)"),
        (("steps", "gen", "optimizer", "param_groups", 0, "schedule_from"), "5",
         ("steps", "gen", "optimizer", "param_groups", 0, "schedule_from"),
         "'5' does not match " + repr(f"{FORM}|{REFERENCE}")),
        (("steps", "gen", "optimizer", "betas", 1), 1.5, ("steps", "gen", "optimizer", "betas", 1),
         "1.5 is greater than or equal to the maximum of 1"),
        (("steps", "gen", "schedule", 1, "perid"), 1, ("steps", "gen", "schedule", 1),
         "Additional properties are not allowed ('perid' was unexpected)"),
        (("networks", "gen", "width"), "wide", ("networks", "gen", "width"), "'wide' does not match '\\\\$\\\\{'"),
        (("data", "train", "batch_size"), 0, ("data", "train", "batch_size"), "0 is less than the minimum of 1"),
        (("evaluate", "photos", "metrics", "psnr", "out"), "x", ("evaluate", "photos", "metrics", "psnr"),
         "Additional properties are not allowed ('out' was unexpected)"),
        (("log", "loggers"), {"x": {"type": "wnadb"}}, ("log", "loggers", "x", "type"),
         "'wnadb' is not one of ['aim', 'apprise', 'mlflow', 'trackio', 'wandb']"),
    ],
)  # fmt: skip
def test_a_mistake_is_found_at_its_place(path: Path_, value: Any, where: Path_, message: str) -> None:
    assert (where, message) in refused(changed(path, value))
    assert not is_sound(changed(path, value))


@pytest.mark.parametrize(
    "injector",
    [
        {"type": "forward", "network": "gen", "inputs": ["lq"], "out": "sr"},
        {"type": "forward", "network": "gen", "in": ["lq", 0.5, None], "out": ["sr", "_"]},
        {"type": "forward", "network": "${steps.gen.trains}", "in": "${a.b}", "out": "sr", "grad": "${env:GRAD}"},
        {"type": "for_each", "in": "lq", "injector": {"type": "forward", "network": "gen"}, "out": "sr"},
        {"type": "${steps.a.injectors.b.type}", "in": "lq", "anything": 1},
        "${steps.gen.injectors.upscale}",
    ],
)
def test_ways_to_write_an_injector(injector: Any) -> None:
    assert refused(changed(("steps", "gen", "injectors", "upscale"), injector)) == []


@pytest.mark.parametrize(
    ("inner", "message"),
    [
        (
            {"type": "forward", "network": "gen", "in": "lq"},
            "Additional properties are not allowed ('in' was unexpected)",
        ),
        ({"type": "l1"}, "is not one of"),
        ({"type": "forward"}, "'network' is a required property"),
    ],
)
def test_a_component_inside_another_has_no_keys_of_its_own(inner: Any, message: str) -> None:
    outer = {"type": "for_each", "in": "lq", "injector": inner, "out": "sr"}
    found = refused(changed(("steps", "gen", "injectors", "upscale"), outer))
    assert any(message in said for _, said in found)


def test_a_network_of_another_file_has_options_that_only_that_file_knows() -> None:
    assert refused(changed(("networks", "gen"), {"from": "other.yml", "frozen": True, "any": 1})) == []
    assert refused(changed(("networks", "gen"), {"from": {"file": "other.yml", "network": "x"}})) == []
    assert refused(changed(("networks", "gen"), {"from": {"fiel": "other.yml"}})) != []


def test_a_file_with_a_base_may_leave_out_anything() -> None:
    file: Any = {
        "base": "full.yml",
        "networks": {"gen": {"width": 8}},
        "steps": {"critic": {"optimizer": {"type": "sgd"}}},
    }
    file["networks"]["critic"] = {"type": "patch_critic", "weights": {"prefix": "critic."}}
    file |= {"ema": {"decay": 0.9}, "evaluate": {"photos": {"every": 3}}, "train": {"accumulate_every": {"every": 2}}}
    assert refused(file, WITH_BASE) == []
    assert refused(file) != []


def test_a_file_with_a_base_may_not_hold_what_is_wrong_in_any_case() -> None:
    file = {"base": "full.yml", "networks": {"gen": {"type": "edsr", "widht": 8}}, "train": {"iterations": "many"}}
    assert [where for where, _ in refused(file, WITH_BASE)] == [("networks", "gen"), ("train", "iterations")]


def test_what_the_check_accepts_above_a_base_is_never_refused() -> None:
    names = [path for path in places(FILE) if path and all(isinstance(step, str) for step in path)]
    cases = [(path, value) for path in names for value in VALUES if value is not LEFT_OUT]
    files = [
        functools.reduce(lambda below, step: {step: below}, reversed(path), value)
        for path, value in random.Random(0).sample(cases, 150)
    ]
    sound = [file for file in files if is_sound(file, FILE)]
    assert len(sound) > 10
    assert [(file, refused(file, WITH_BASE)) for file in sound if refused(file, WITH_BASE)] == []


@pytest.fixture(scope="module")
def above() -> Draft7Validator:
    """The validator of a file with a base, in which a component stands inside another."""
    injector = {"type": "for_each", "in": "lq", "injector": {"type": "forward", "network": "gen"}, "out": "sr"}
    base = changed(("steps", "gen", "injectors", "upscale"), injector)
    schema = json_schema(base=read_text(json.dumps(base), "full.yml"))
    Draft7Validator.check_schema(schema)
    return Draft7Validator(schema)


NOT_ALLOWED = "Additional properties are not allowed ('{}' was unexpected)"


@pytest.mark.parametrize(
    ("file", "found"),
    [
        ({"networks": {"gen": {"width": 8}}}, []),
        ({"networks": {"gen": {"widht": 8}}}, [(("networks", "gen"), NOT_ALLOWED.format("widht"))]),
        ({"networks": {"gen": {"growth": 8}}}, [(("networks", "gen"), NOT_ALLOWED.format("growth"))]),
        ({"networks": {"gen": {"type": "rrdb", "growth": 8}}}, []),
        ({"networks": {"gen": {"type": "${a.b}", "growth": 8}}}, []),
        ({"networks": {"gen": "${networks.critic}", "new": {"growth": 8}}}, []),
        ({"data": {"val": {"scale": 0}}}, [(("data", "val", "scale"), "0 is less than the minimum of 1")]),
        ({"steps": {"gen": {"optimizer": {"betas": [0.5, 0.9], "no_decay": ["bias"]}, "schedule": []}}}, []),
        (
            {"steps": {"gen": {"optimizer": {"momentum": 0.9}}}},
            [(("steps", "gen", "optimizer"), NOT_ALLOWED.format("momentum"))],
        ),
        (
            {"evaluate": {"photos": {"metrics": {"psnr": {"weight": 1.0}}}}},
            [(("evaluate", "photos", "metrics", "psnr"), NOT_ALLOWED.format("weight"))],
        ),
        ({"steps": {"gen": {"injectors": {"upscale": {"dim": 2, "injector": {"mode": "eval"}}}}}}, []),
        (
            {"steps": {"gen": {"injectors": {"upscale": {"injector": {"in": "lq"}}}}}},
            [(("steps", "gen", "injectors", "upscale", "injector"), NOT_ALLOWED.format("in"))],
        ),
        ({"steps": {"gen": {"injectors": {"upscale": {"type": "roll", "shift": 1, "injector": {"x": 1}}}}}},
            [(("steps", "gen", "injectors", "upscale"), NOT_ALLOWED.format("injector"))]),
    ],
)  # fmt: skip
def test_an_entry_has_the_options_of_the_type_that_its_base_gives_it(
    file: Any, found: list[tuple[Path_, str]], above: Draft7Validator
) -> None:
    assert refused({"base": "full.yml", **file}, above) == found


def test_every_option_of_what_ships_has_a_description() -> None:
    with only_what_ships():
        schema = json_schema()
    models = {"": schema, **schema["definitions"]}
    texts = {
        f"{model}.{option}": _whole(told, schema).get("description", "")
        for model, content in models.items()
        if model.removeprefix("inside.") not in REGISTRIES  # There `type` names components, which say what they are.
        for option, told in content.get("properties", {}).items()
    }
    assert len(texts) > 1000
    assert [option for option, text in texts.items() if not text or text.startswith("Default: ")] == []


def _whole(option: dict[str, Any], schema: dict[str, Any] = SCHEMA) -> dict[str, Any]:
    """An option with what it refers to."""
    if "$ref" not in option:
        return option
    target: Any = schema
    for part in option["$ref"].split("/")[1:]:
        target = target[part]
    return _whole(target, schema) | option


def test_an_option_tells_its_default_its_choices_and_what_its_docstring_says() -> None:
    options = SCHEMA["definitions"]["injectors.forward"]["properties"]
    mode = _whole(options["mode"])
    assert mode["description"] == (
        "Mode of dropout and batch norms during the call: `keep` the current mode, `eval` or `train`. Afterwards, "
        "every submodule returns to its previous mode. Default: keep."
    )
    assert mode["default"] == "keep" and mode["anyOf"][0] == {"enum": ["keep", "eval", "train"]}
    assert options["in"]["description"] == "Keys for inputs."
    assert _whole(SCHEMA["definitions"]["injectors"]["properties"]["type"])["anyOf"][0]["enumDescriptions"][0] == (
        "Add tensors, such as an image and a predicted residual."
    )


def test_every_file_of_the_pages_and_every_recipe_is_accepted() -> None:
    with only_what_ships():
        register_all()
        with_plugins = Draft7Validator(json_schema())
    files = {
        f"{page.name}: {text[:30]}": text for page in PAGES for text in blocks(page, "yaml") if "name:" in text[:5]
    }
    files |= {path.name: path.read_text() for path in RECIPES if "\nbase:" not in path.read_text()}
    found = {name: refused(read_text(text, name).plain(), with_plugins) for name, text in files.items()}
    assert {name: errors for name, errors in found.items() if errors} == {}
    assert len(files) > 20
