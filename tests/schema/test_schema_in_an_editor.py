"""What an editor shows: the real yaml-language-server completes, explains, marks what is wrong and nothing else."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artschool.cli.schema import schema_command
from tests import language_server
from tests.language_server import LanguageServer
from tests.schema.plugins_of_the_repository import RECIPES, ROOT, only_what_ships, register_all

pytestmark = pytest.mark.skipif(
    language_server.COMMAND is None,
    reason=f"needs the language server of editors: {language_server.INSTALL}",
)
PAGE = (ROOT / "docs" / "language.md").read_text()
(FULL,) = re.findall(r"^```yaml\n(name: photo_gan.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
BASE = "base: full.yml\n"
UPSCALE = "{type: forward, network: gen, in: lq, out: sr}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with its schema, one on top of it, and schemas for recipes, with the plugins of all."""
    made: Path = tmp_path_factory.mktemp("editor")
    (made / "full.yml").write_text(FULL)
    (made / "base.yml").write_text(BASE)
    with only_what_ships():
        schema_command(made / "full.yml", None)
        schema_command(made / "base.yml", None)
        register_all()
        schema_command(made / "full.yml", made / "recipe.schema.json")
        for recipe in filter(has_base, RECIPES):
            schema_command(recipe, made / f"{recipe.stem}.schema.json")
    return made


@pytest.fixture(scope="module")
def server() -> Iterator[LanguageServer]:
    with LanguageServer() as started:
        yield started


def has_base(recipe: Path) -> bool:
    return re.search("^base:", recipe.read_text(), re.MULTILINE) is not None


def edited(folder: Path, old: str, new: str) -> str:
    """The file with something else in one place, or the one on top of it with a line more."""
    text = (folder / ("base.yml" if old == BASE else "full.yml")).read_text()
    assert text.count(old) >= 1, old
    return text.replace(old, new, 1)


def labels(server: LanguageServer, folder: Path, old: str, new: str) -> dict[str, Any]:
    """What is offered where a `|` stands, with its documentation."""
    text = edited(folder, old, new)
    answer = server.ask("completion", folder / "open.yml", text.replace("|", "", 1), text.index("|"))
    return {item["label"]: item.get("documentation") for item in answer["items"]}


def hover(server: LanguageServer, folder: Path, old: str, new: str) -> str:
    """What is shown where a `|` stands."""
    text = edited(folder, old, new)
    shown: str = server.ask("hover", folder / "open.yml", text.replace("|", "", 1), text.index("|"))["contents"][
        "value"
    ]
    return shown


def marked(server: LanguageServer, path: Path, text: str) -> list[tuple[str, str]]:
    """What is underlined, by the text it underlines, and what is said of it."""
    lines, found = text.split("\n"), []
    for diagnostic in server.diagnostics(path, text):
        start, end = diagnostic["range"]["start"], diagnostic["range"]["end"]
        assert start["line"] == end["line"]
        before, part = (
            lines[start["line"]][: start["character"]],
            lines[start["line"]][start["character"] : end["character"]],
        )
        found.append((f"{before}>{part}<", diagnostic["message"]))
    return found


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_nothing_is_marked_in_a_recipe(recipe: Path, server: LanguageServer, folder: Path) -> None:
    name = recipe.stem if has_base(recipe) else "recipe"
    text = f"# yaml-language-server: $schema={name}.schema.json\n{recipe.read_text()}"
    assert marked(server, folder / recipe.name, text) == []


def test_nothing_is_marked_in_the_file_of_the_language_page(server: LanguageServer, folder: Path) -> None:
    text = (folder / "full.yml").read_text()
    assert text.startswith("# yaml-language-server: $schema=full.schema.json\n")
    assert marked(server, folder / "full.yml", text) == []


def test_a_type_is_completed_with_what_it_is(server: LanguageServer, folder: Path) -> None:
    offered = labels(server, folder, UPSCALE, "{type: |}")
    assert offered["forward"] == "Call a network, or one of its methods."
    assert "l1" not in offered
    assert "l1" in labels(server, folder, "{type: l1, in: [sr, hq], weight: 1.0}", "{type: |}")


def test_an_option_is_completed_with_what_it_means(server: LanguageServer, folder: Path) -> None:
    offered = labels(server, folder, UPSCALE, "\n        type: forward\n        |")
    assert offered["network"] == "Network to call."
    assert offered["in"] == "Keys for inputs."
    assert offered["grad"].startswith("Whether gradients flow through the call.")
    assert offered["grad"].endswith("Default: true.")
    assert "scale" not in offered


@pytest.mark.parametrize(
    ("old", "new", "names"),
    [
        (UPSCALE, "{type: forward, network: |}", {"gen", "critic", "gen.ema"}),
        (UPSCALE, "{type: forward, in: [|]}", {"lq", "hq", "sr", "name"}),
        (UPSCALE, "{type: forward, mode: |}", {"keep", "eval", "train"}),
        (UPSCALE, "{type: forward, grad: |}", {"true", "false"}),
        ("trains: critic", "trains: |", {"gen", "critic"}),
        ("data: val", "data: |", {"train", "val"}),
        ("metric: photos/psnr", "metric: |", {"photos/psnr"}),
        ("train: {iterations: 60, accumulate: 2}", "train: {precision: |}", {"fp32", "bf16", "fp16"}),
        ("train: {iterations: 60, accumulate: 2}", "t|", {"train"}),
        ("train: {iterations: 60, accumulate: 2}", "train:\n  |", {"iterations", "epochs", "non_finite"}),
        ("lr: 2e-4", "b|", {"betas", "no_decay"}),
        ('match: "gen.last.*"', "b|", {"betas", "marked"}),
        (BASE, BASE + "networks:\n  |", {"gen", "critic"}),
        (BASE, BASE + "networks:\n  gen:\n    |", {"type", "scale", "skip"}),
        (BASE, BASE + "networks: {gen: {w|}}", {"width", "weights"}),
        (BASE, BASE + "steps: {gen: {losses: {adversarial: {kind: |}}}}", {"hinge", "wgan"}),
    ],
)
def test_names_and_choices_are_offered(
    old: str, new: str, names: set[str], server: LanguageServer, folder: Path
) -> None:
    assert names <= labels(server, folder, old, new).keys()


@pytest.mark.parametrize(
    ("old", "new", "shown"),
    [
        (UPSCALE, "{type: for|ward}", "Call a network, or one of its methods."),
        (UPSCALE, "{type: forward, net|work: gen}", "Network to call."),
        ("clip_grad_norm: 1.0", "clip_|grad_norm: 1.0", "Maximum L2 norm of the gradients of all trained networks"),
        ("weight_decay: 0.01", "weight_|decay: 0.01", "weight decay coefficient"),
        (BASE, BASE + "networks: {gen: {wi|dth: 3}}", "Number of channels between blocks."),
    ],
)
def test_the_pointer_shows_what_something_is(
    old: str, new: str, shown: str, server: LanguageServer, folder: Path
) -> None:
    assert shown in hover(server, folder, old, new)


@pytest.mark.parametrize(
    ("old", "new", "where", "message"),
    [
        (UPSCALE, "{type: forward, netwrok: gen, network: gen, in: lq, out: sr}",
         "      upscale: {type: forward, >netwrok<", "Property netwrok is not allowed."),
        (UPSCALE, "{type: fowrard, network: gen, in: lq, out: sr}",
         "      upscale: {type: >fowrard<", 'Value is not accepted. Valid values: "add", '),
        (UPSCALE, "{type: forward, network: gen, in: lq, out: sr, grad: often}",
         "      upscale: {type: forward, network: gen, in: lq, out: sr, grad: >often<", "expects true or false"),
        (UPSCALE, "{type: forward, network: gen, in: lq}", "      >upscale<", 'Missing property "out".'),
        (UPSCALE, "{type: forward, network: gen, out: sr}", "      >upscale<", 'Missing property "in".'),
        (UPSCALE, "{network: gen, in: lq, out: sr}", "      >upscale<", 'Missing property "type".'),
        (UPSCALE, "{type: forward, network: 3, in: lq, out: sr}",
         "      upscale: {type: forward, network: >3<", 'Incorrect type. Expected "string".'),
        ("in: [sr, hq], weight: 1.0", "in: [sr, hq, lq], weight: 1.0",
         "      pixel: {type: l1, in: >[sr, hq, lq]<", "Array has too many items. Expected 2 or fewer."),
        ("iterations: 60, ", "", ">train<", 'Missing property "iterations".'),
        ("iterations: 60", "iterations: sixty", "train: {iterations: >sixty<", "expects a whole number or null"),
        ("iterations: 60", "iterations: 0", "train: {iterations: >0<", "Value is below the minimum of 1."),
        ("clip_grad_norm:", "clip_grad_nrom:", "    >clip_grad_nrom<", "Property clip_grad_nrom is not allowed."),
        ("checkpoint:", "chekpoint:", ">chekpoint<", "Property chekpoint is not allowed."),
        ("lr: 5e-4", "rl: 5e-4", '        - {match: "gen.last.*", >rl<', "Property rl is not allowed."),
        ("period: 40", "perid: 40, period: 40",
         "      - {type: cosine_annealing, from: 20, >perid<", "Property perid is not allowed."),
        ("optimizer: {type: adamw, lr: 2e-4}", "optimizer: nothing",
         "    optimizer: >nothing<", 'Incorrect type. Expected "object(artschool)".'),
        (BASE, BASE + "networks: {gen: {widht: 3}}", "networks: {gen: {>widht<", "Property widht is not allowed."),
        (BASE, BASE + "networks: {gen: {type: edsr, widht: 3}}",
         "networks: {gen: {type: edsr, >widht<", "Property widht is not allowed."),
        ("data: val", "data: [val]", "    data: >[val]<", 'Incorrect type. Expected "string".'),
    ],
)  # fmt: skip
def test_a_mistake_is_marked_where_it_is(
    old: str, new: str, where: str, message: str, server: LanguageServer, folder: Path
) -> None:
    ((place, said),) = marked(server, folder / "wrong.yml", edited(folder, old, new))
    assert place == where
    assert said.startswith(message)


def test_a_reference_is_marked_nowhere(server: LanguageServer, folder: Path) -> None:
    text = edited(folder, "iterations: 60", 'iterations: "${seed}"').replace("lr: 1e-3", "lr: ${env:RATE}")
    text = text.replace("optimizer: {type: adamw, lr: 2e-4}", "optimizer: ${steps.gen.optimizer}")
    assert marked(server, folder / "wrong.yml", text) == []
