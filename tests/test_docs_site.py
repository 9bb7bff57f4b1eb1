"""The site builds without a warning, and the pages made from the code leave nothing out."""

from __future__ import annotations

import ast
import importlib.util
import re
import sys
import tomllib
from collections.abc import Iterator
from pathlib import Path

import pytest

import artschool
from artschool.cli.main import cli
from artschool.registry import REGISTRIES

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.tools import api, architecture, build, commands, components, markdown, options  # noqa: E402  # beside the pages
from docs.tools.registries import shipped_only  # noqa: E402
from tests.test_docs import SECTIONS  # noqa: E402

DESIGN = (ROOT / "docs" / "design.md").read_text()
ROWS = re.findall(r"^\| \d+ \| `([\w/]+\.py)` \| `([\w.]+)` \|", DESIGN, re.MULTILINE)
HAPPENS = re.findall(r"^\| \d+ \| `[\w/]+\.py` \| `[\w.]+` \| (.*) \|$", DESIGN, re.MULTILINE)
"""What happens in each row of the two tables that follow a value through the code."""
KEYWORDS_OF_THE_TABLES = {"base_rates", "after_backward"}
"""Names with an underscore that are attributes or hooks, not functions."""


@pytest.fixture(scope="module")
def made() -> dict[str, str]:
    with shipped_only():
        return components.pages()


@pytest.mark.slow
@pytest.mark.skipif(
    not all(importlib.util.find_spec(name) for name in ("sphinx", "myst_parser", "furo")),
    reason="the generator of the site is not installed: pip install --group docs",
)
def test_the_site_builds_and_every_link_leads_somewhere(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    """Slow: Sphinx reads and writes over fifty pages."""
    with shipped_only():
        assert build.build(tmp_path / "site") == 0
    assert capfd.readouterr().err == ""
    pages = {str(page.relative_to(tmp_path / "site")) for page in (tmp_path / "site").rglob("*.html")}
    assert {"index.html", "tutorial.html", "reference/losses.html", "reference/python.html"} <= pages


@pytest.mark.parametrize("kind", REGISTRIES)
def test_the_page_of_a_kind_describes_each_component_and_each_option(kind: str, made: dict[str, str]) -> None:
    with shipped_only():
        for name in REGISTRIES[kind].names():
            section = re.split(rf"^## {name}$", made[f"{kind}.md"], flags=re.MULTILINE)[1].split("\n## ")[0]
            for parameter in REGISTRIES[kind].get(name).signature.parameters:
                if parameter.name in REGISTRIES[kind].get(name).takes:
                    assert f"| `{parameter.name}` |" in section, f"{kind} {name}: {parameter.name}"


def test_the_page_of_commands_has_every_command_and_option() -> None:
    page = commands.page()
    for name, command in cli.commands.items():
        section = page.split(f"## artschool {name}\n")[1].split("\n## ")[0]
        assert all(option in section for parameter in command.params for option in parameter.opts if "-" in option)


def test_the_page_of_options_has_every_section() -> None:
    page = options.page()
    assert len(SECTIONS) >= 20
    for model in SECTIONS:
        names = [info.alias or name for name, info in model.model_fields.items()]
        assert [name for name in names if f"| `{name}` |" not in page] == [], model.__name__


def test_the_page_of_the_api_has_every_public_name() -> None:
    page = api.page()
    assert [name for name in artschool.__all__ if name not in page] == []


def test_the_picture_has_every_room_and_the_design_says_what_it_is_for() -> None:
    rooms = architecture.read_rooms(ROOT / "src" / "artschool", architecture.purposes(DESIGN))
    floors = architecture.read_floors(ROOT / "pyproject.toml", rooms)
    order = [name for floor in floors for name in floor]
    assert sorted(order) == sorted(rooms) and len(order) == len(set(order))
    assert [name for name, room in rooms.items() if not room.summary] == []
    assert all(order.index(start) < order.index(end) for start, end in architecture.needed_lines(rooms, order))
    assert architecture.draw(rooms, floors).count("<rect") == len(rooms)


@pytest.mark.parametrize(("file", "function"), ROWS, ids=[f"{file}-{function}" for file, function in ROWS])
def test_a_function_of_the_design_is_in_the_file_it_names(file: str, function: str) -> None:
    body = ast.parse((ROOT / "src" / "artschool" / file).read_text()).body
    for name in function.split("."):
        found = [node for node in body if isinstance(node, ast.FunctionDef | ast.ClassDef) and node.name == name]
        assert found, f"{file} has no {function}"
        body = found[0].body


def definitions(body: list[ast.stmt], prefix: str = "") -> Iterator[str]:
    """The functions and classes of a module; a member of a class also as `Class.member`, with its attributes."""
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.ClassDef):
            yield from {node.name, f"{prefix}{node.name}"}
        if isinstance(node, ast.ClassDef):
            yield from definitions(node.body, f"{node.name}.")
        elif prefix and isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            yield f"{prefix}{node.target.id}"


def test_the_tables_of_the_design_name_only_functions_that_there_are() -> None:
    package = ROOT / "src" / "artschool"
    known = {
        file.relative_to(package).as_posix(): set(definitions(ast.parse(file.read_text()).body))
        for file in package.rglob("*.py")
    }
    everywhere = set().union(*known.values())
    text = "\n".join(HAPPENS)
    names = set(re.findall(r"`(_\w+|[a-z]\w*_\w+|[A-Z]\w*(?:\.\w+)?)`", text)) - KEYWORDS_OF_THE_TABLES
    located = re.findall(r"`([\w.]+)` (?:\(|in )`([\w/]+\.py)`", text)
    assert len(HAPPENS) == 30 and len(names) >= 40 and len(located) >= 20
    assert {name for name in names if name not in everywhere} == set()
    assert [(name, file) for name, file in located if name not in known.get(file, ())] == []


def test_the_design_gives_each_room_the_layer_that_import_linter_holds() -> None:
    contracts = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    held = [(number, name) for number, layer in enumerate(layers, 1) for name in layer.split(" | ")]
    assert [(number, name) for number, name, _ in architecture.layers_table(DESIGN)] == held


def test_the_design_quotes_the_lines_of_the_recipe_that_it_follows() -> None:
    recipe = (ROOT / "recipes" / "photo_sr.yml").read_text().splitlines()
    quoted = re.findall(r"^(\d\d)  +(\w+: \{.*)$", DESIGN, re.MULTILINE)
    assert len(quoted) == 6
    assert [(number, recipe[int(number) - 1].strip()) for number, _ in quoted] == quoted


def test_the_design_follows_the_rate_to_the_values_that_the_run_has(tmp_path: Path) -> None:
    from artschool.build.run import build as build_run
    from artschool.read.read import check_file

    with shipped_only():
        run = build_run(check_file(ROOT / "recipes" / "photo_sr.yml", ["data.train.workers=0"]), tmp_path)
    update = run.steps[0].update
    assert update is not None and update.scheduled.base_rates == [0.002]
    for iteration, shown in ((0, "6.67e-05"), (29, "0.002"), (200, "0.0008")):
        update.scheduled.set_rates(iteration)
        assert f"{update.scheduled.rates()[0]:.3g}" == f"{float(shown):.3g}" and f"`{shown}`" in DESIGN
    upscale, pixel = run.steps[0].graph.injectors[0], run.steps[0].graph.losses[0]
    assert (upscale.keys, upscale.out) == ({"inputs": ["lq"]}, "sr")
    assert (pixel.keys, pixel.weight) == ({"fake": "sr", "real": "hq"}, 1.0)


def test_a_docstring_becomes_markdown() -> None:
    text = """Multiply `a * b`, as in <x>.

        y = a * b

    Args:
        a: The first,
            on two lines.
        b: The second.

    Returns:
        The product.

    Source: Someone 2020, arXiv:2006.11239,
    eq. 2.
    """
    assert markdown.docstring(text, skip=["Args"]) == (
        "Multiply `a * b`, as in \\<x>.\n\n    y = a * b\n\n**Returns**\n\nThe product.\n\n"
        "Source: Someone 2020, [arXiv:2006.11239](https://arxiv.org/abs/2006.11239), eq. 2.\n"
    )
    assert "- `a`: The first, on two lines.\n- `b`: The second." in markdown.docstring(text)
