"""The templates and recipes that come with the package, and the files that they become."""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

from artschool.errors import ConfigError
from artschool.paths import is_dir, is_file
from artschool.wording.names import allowed

PACKAGE = Path(__file__).parents[1]
TEMPLATES = PACKAGE / "templates"
FILE = "train.yml"
RENDERED = (".yml", ".md")
"""Files with placeholders. Others are copied as they are."""


@dataclass(frozen=True)
class Template:
    """What `about.toml` of a template says.

    Attributes:
        name: Name of its folder.
        summary: What it trains, for the list.
        data: Kind of files that it can train on.
        sizes: Sides of images that it supports, in pixels, largest first.
        batch: Number of samples of a batch, if there are enough files and images are of medium size.
        try_: Overrides that make a first try short.
        labels: Whether it makes use of classes.
        recipe_files: Plugins that it shares with recipes.
        demo_files: Plugins that it needs only without data of the user.
    """

    name: str
    summary: str
    data: Literal["images", "recordings"]
    batch: int
    try_: str
    sizes: list[int] = field(default_factory=list)
    labels: bool = True
    recipe_files: list[str] = field(default_factory=list)
    demo_files: list[str] = field(default_factory=list)


def template_names() -> list[str]:
    """The names of all templates, in the order of their names."""
    return sorted(about.parent.name for about in TEMPLATES.glob("*/about.toml"))


def find_template(name: str) -> Template:
    """Read a template.

    Raises:
        ConfigError: There is none of this name.
    """
    if name not in template_names():
        raise ConfigError(f"unknown template {name!r}. {allowed('Available templates', name, template_names())}")
    about = tomllib.loads((TEMPLATES / name / "about.toml").read_text(encoding="utf-8"))
    return Template(name=name, try_=about.pop("try"), **about)


def files_of_template(template: Template, settings: Mapping[str, Any]) -> dict[str, bytes]:
    """The files of a template by name, with the settings in place of the placeholders.

    Args:
        settings: Values of the placeholders. Each placeholder needs one.
    """
    from jinja2 import FileSystemLoader, StrictUndefined
    from jinja2.sandbox import SandboxedEnvironment

    environment = SandboxedEnvironment(
        loader=FileSystemLoader(TEMPLATES), undefined=StrictUndefined, trim_blocks=True, keep_trailing_newline=True
    )
    environment.filters["yaml"] = as_yaml
    files = {}
    for file in sorted((TEMPLATES / template.name).iterdir()):
        if file.suffix in RENDERED:
            text = environment.get_template(f"{template.name}/{file.name}").render(settings)
            files[file.name] = re.sub(r"\n{3,}", "\n\n", text).strip("\n").encode() + b"\n"
        elif file.suffix == ".py" and (settings["demo"] or file.name not in template.demo_files):
            files[file.name] = file.read_bytes()
    return files | {name: (recipe_folder() / name).read_bytes() for name in template.recipe_files}


def as_yaml(value: object) -> str:
    """A value as YAML on one line, whatever characters a text has."""
    return json.dumps(value, ensure_ascii=False).replace("${", "$${")  # Else the beginning of a reference.


def recipe_folder() -> Path:
    """The folder of the recipes: in the package, or beside it in a copy of the repository."""
    inside = PACKAGE / "recipes"
    return inside if is_dir(inside) else PACKAGE.parents[1] / "recipes"


def recipes() -> dict[str, str]:
    """What each recipe trains, by name: the beginning of its first comment."""
    return {file.stem: _first_sentence(file.read_text(encoding="utf-8")) for file in sorted(_recipe_files())}


def _recipe_files() -> list[Path]:
    return [*recipe_folder().glob("*.yml"), *(recipe_folder() / "with_weights").glob("*.yml")]


def _first_sentence(text: str) -> str:
    comment = " ".join(line.removeprefix("#").strip() for line in text.split("\nname:", maxsplit=1)[0].splitlines())
    return re.split(r"(?<=[^0-9])\.(?:\s|$)", comment, maxsplit=1)[0]


def files_of_recipe(name: str) -> dict[str, bytes]:
    """The files of a recipe by name: itself, and every file beside it that one of them names.

    Raises:
        ConfigError: There is none of this name.
    """
    found = {file.stem: file for file in _recipe_files()}
    if name not in found:
        raise ConfigError(f"unknown recipe {name!r}. {allowed('Available recipes', name, found)}")
    others = {file.name: file for file in [*recipe_folder().glob("*.*"), *found.values()] if is_file(file)}
    files: dict[str, bytes] = {}
    waiting = [found[name]]
    while waiting:
        file = waiting.pop()
        text = file.read_text(encoding="utf-8").replace("recipes/with_weights/", "").replace("recipes/", "")
        text = text.replace("../", "") if file.suffix == ".yml" else text
        files[file.name] = text.encode()
        mentioned = [other for other in others if re.search(rf"(?<![\w.]){re.escape(other)}\b", text)]
        waiting += [others[other] for other in mentioned if other not in files and others[other] not in waiting]
    return files
