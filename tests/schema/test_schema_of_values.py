"""What an option may hold is told as pydantic validates it: for every option that ships, and for types of a plugin."""

from __future__ import annotations

import enum
import json
from collections.abc import Iterator
from typing import Annotated, Any, Literal

import pytest
from jsonschema import Draft7Validator
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from torch import Tensor

from artschool.components.builtins import load_builtins
from artschool.config.type_names import annotation_of
from artschool.registry import REGISTRIES, Registered, injectors
from artschool.registry.schedule import may_change
from artschool.registry.signature import Role
from artschool.schema import json_schema

load_builtins()
SCHEMA = json_schema()
VALUES: list[Any] = [None, True, False, 0, 1, 2, -1, 7, 18, 0.5, 1e5, -0.5, "", "a", "l1", "none", "ddim5", "x y", "1"]
VALUES += [[], [1], [0.5], [1, 2], [0.5, 0.9], ["a"], ["a", "b"], [["a"]], [[1, 2, 3]], [None, 1.0], [1.0, None]]
VALUES += [{}, {"a": 1}, {"a": "b"}, {"a": None}, {"fixed": ["jpeg"]}, {"fixed": ["x"]}, {"num_random": "1"}]
VALUES += [
    {"fixed": [{"kind": "noise", "range": [0, 1]}]},
    {"random": [{"kind": 1}]},
    "cosine",
    "linear",
    "batch",
    "l2",
]


def components(kind: str) -> list[Registered]:
    """Those that the schema knows; another test module may register more once this one is imported."""
    names = REGISTRIES[kind].names()
    return [REGISTRIES[kind].get(name) for name in names if f"{kind}.{name}" in SCHEMA["definitions"]]


def options(item: Registered) -> Iterator[str]:
    """Those that pydantic alone checks: what is inside other components has tests of its own."""
    nested = {parameter.name for parameter in item.signature.of(Role.NESTED)} | {"type", "param_groups"}
    names = {info.alias or name for name, info in item.model.model_fields.items()}
    yield from sorted(names - nested)


def accepts(item: Registered, option: str, value: Any) -> bool:
    try:
        item.model.model_validate_json(json.dumps({"type": item.name, option: value}))
    except ValidationError as error:
        return not any(one["loc"][:1] == (option,) for one in error.errors())
    return True


def validator(item: Registered, option: str, schema: dict[str, Any] = SCHEMA) -> Draft7Validator:
    pointer = f"#/definitions/{item.kind.name}.{item.name}/properties/{option}"
    return Draft7Validator({"$ref": pointer, "definitions": schema["definitions"]})


@pytest.mark.parametrize("kind", REGISTRIES)
def test_an_option_may_hold_what_pydantic_accepts_and_nothing_else(kind: str) -> None:
    different, compared = [], 0
    for item in components(kind):
        annotations = {info.alias or name: annotation_of(info) for name, info in item.model.model_fields.items()}
        for option in options(item):
            checked = validator(item, option)
            for value in VALUES:
                if isinstance(value, dict) and may_change(annotations[option]):
                    continue  # The entry of a schedule, which has tests of its own.
                expected, compared = accepts(item, option, value), compared + 1
                # To Python `True` is 1, and so a choice of numbers accepts it; nobody means that.
                if checked.is_valid(value) != expected and value is not True:
                    different.append((item.name, option, value, expected))
    assert different == []
    assert compared > 100


@pytest.mark.parametrize("kind", REGISTRIES)
def test_a_reference_may_stand_for_any_option(kind: str) -> None:
    wrong = [
        (item.name, option)
        for item in components(kind)
        for option in options(item)
        if not validator(item, option).is_valid("${data.train.x}")
    ]
    assert wrong == []


class Mood(enum.Enum):
    CALM = "calm"
    WILD = "wild"


class Lax(BaseModel):
    model_config = ConfigDict(extra="forbid")

    count: int = 1
    children: list[Lax] = []


def _halves(value: Any) -> Any:
    return float(value.rstrip("%")) / 100 if isinstance(value, str) else value


Share = Annotated[float, BeforeValidator(_halves)]


def odd(
    x: Tensor,
    *,
    mood: Mood | None = None,
    lax: Lax = Lax(),  # noqa: B008  # never changed
    share: Share = 0.5,
    title: Annotated[str, Field(max_length=3)] = "a",
    word: Annotated[str, Field(pattern="^[a-z]+$")] = "a",
    mixed: int | float | Literal["on", "auto"] | bool | None = None,
    pair: tuple[int, str] = (1, "a"),
    table: dict[str, list[int]] = {},  # noqa: B006  # never changed
    anything: Any = None,
) -> Tensor:
    """Do something odd."""
    return x


@pytest.fixture(scope="module")
def schema_of_a_plugin() -> dict[str, Any]:
    injectors.register(odd)
    schema = json_schema()
    del injectors._items["odd"]
    return schema


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("option", "right", "wrong"),
    [
        ("mood", ["calm", None], ["clam", 1]),
        ("lax", [{"count": "5"}, {"count": 5}, {"children": [{"count": 1}]}, {}], [3, {"cuont": 5}, {"children": [3]}]),
        ("share", ["50%", 0.5], []),
        ("title", ["abc"], ["abcd", 1]),
        ("word", ["abc"], ["ABC"]),
        ("mixed", [1, 2.5, "on", True, None], ["off", [1]]),
        ("pair", [[1, "a"]], [["a", 1], [1], [1, "a", 2]]),
        ("table", [{"x": [1]}], [{"x": 1}, {"x": ["a"]}]),
        ("anything", [1, "a", [1], {"b": None}], []),
    ],
)
def test_a_type_of_a_plugin(
    option: str, right: list[Any], wrong: list[Any], schema_of_a_plugin: dict[str, Any]
) -> None:
    injectors.register(odd)
    item = injectors.get("odd")
    checked = validator(item, option, schema_of_a_plugin)
    assert [value for value in right if not (accepts(item, option, value) and checked.is_valid(value))] == []
    assert [value for value in wrong if accepts(item, option, value) or checked.is_valid(value)] == []
    assert checked.is_valid("${seed}")
