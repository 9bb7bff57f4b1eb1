"""The documents say what is: their files pass the check, their code registers, no option is left out."""

from __future__ import annotations

import re
import shlex
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import click
import pytest
import yaml
from pydantic import BaseModel

from artschool.components.builtins import load_builtins
from artschool.config.section import Section
from artschool.config.sections import FileSections
from artschool.read.read import check_file
from artschool.registry import REGISTRIES, entries, network_entry

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT))

from docs.tools.messages import REFUSED, refusal  # noqa: E402  # the tools are beside the pages, not installed
from docs.tools.pages import Block  # noqa: E402
from docs.tools.pages import blocks as all_blocks  # noqa: E402
from docs.tools.run import fits, folder_for_a_page, prepare, run, updated  # noqa: E402

PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


YAML = [(page, text) for page in PAGES for text in blocks(page, "yaml")]
FILES = [(page, text) for page, text in YAML if re.search(r"^name:", text, re.M) and not text.startswith("base:")]
FRAGMENTS = [(page.name, text) for page, text in YAML if "type:" in text]
PARTS = blocks(ROOT / "docs" / "components.md", "python")
OWN_PARTS = {page.name: [code for code in blocks(page, "python") if ".register" in code] for page in PAGES}
"""A page may show the networks that its files name."""
REFUSALS = REFUSED.findall((ROOT / "docs" / "components.md").read_text())
COMMANDS = [page for page in PAGES if any(block.commands for block in all_blocks(page.read_text()))]


def sections_below(section: type[Section]) -> Iterator[type[Section]]:
    """The sections of the package that inherit from one."""
    for below in section.__subclasses__():
        if below.__module__.startswith("artschool."):
            yield below
            yield from sections_below(below)


SECTIONS = list(dict.fromkeys(sections_below(Section)))
ENTRIES = [
    model
    for module in (entries, network_entry)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
]
MODELS = [*SECTIONS, *ENTRIES]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and registries without what other tests have registered."""
    load_builtins()
    for registry in REGISTRIES.values():
        own = {n: i for n, i in registry._items.items() if i.target.__module__.startswith("artschool.components.")}
        torch_own = {n: i for n, i in registry._items.items() if i.target.__module__.startswith("torch.")}
        monkeypatch.setattr(registry, "_items", own | torch_own)
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_there_are_files_and_parts_to_test() -> None:
    assert {"language.md", "components.md"} <= {page.name for page, _ in FILES}
    assert (
        len(PARTS) >= 8 and len(REFUSALS) >= 10 and len(COMMANDS) >= 10 and FileSections in MODELS and len(MODELS) >= 38
    )


@pytest.mark.parametrize(("page", "text"), FILES, ids=[f"{page.name}-{n}" for n, (page, _) in enumerate(FILES)])
def test_a_file_in_a_page_is_sound(page: Path, text: str, folder: Path) -> None:
    for block in all_blocks(page.read_text()):
        prepare(block, set_up=False)
    (folder / "parts.py").write_text("\n".join([*PARTS, *OWN_PARTS[page.name]]))
    (folder / "file.yml").write_text(text)
    assert [str(warning) for warning in check_file(folder / "file.yml").warnings] == []


def test_a_file_in_the_language_page_that_builds_on_the_first_is_sound(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    full, small = (
        text for text in blocks(ROOT / "docs" / "language.md", "yaml") if text.startswith(("name: photo", "base:"))
    )
    (folder / "full.yml").write_text(full)
    (folder / "small.yml").write_text(small)
    monkeypatch.setenv("ITERATIONS", "60")
    config = check_file(folder / "small.yml", ["steps.gen.schedule.1.period=30"])
    assert config.sections.name == "small_8" and config.sections.train.iterations == 60


@pytest.mark.parametrize("code", PARTS, ids=[re.search(r"(?:def|class|register\()\W*(\w+)", code)[1] for code in PARTS])  # type: ignore[index]  # each has one
def test_a_part_stands_alone_and_registers(code: str) -> None:
    before = {(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()}
    exec(compile(code, "components.md", "exec"), {"__name__": "components_page"})
    after = {(kind, name) for kind, registry in REGISTRIES.items() for name in registry.names()}
    assert after > before


@pytest.mark.parametrize(("kind", "code", "said"), REFUSALS)
def test_what_a_page_calls_refused_is_refused_with_these_words(kind: str, code: str, said: str) -> None:
    assert refusal(kind, code) == said.replace(r"\|", "|")


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_the_language_page_names_every_option(model: type[BaseModel]) -> None:
    code = set(re.findall(r"`([^`\n]+)`", (ROOT / "docs" / "language.md").read_text()))
    mentioned = {part for text in code for part in re.findall(r"\w+", text)}
    assert {info.alias or name for name, info in model.model_fields.items()} - mentioned == set()


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path) -> None:
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    for link in re.findall(r"\]\(([^)\s]+)\)", text):
        path, _, anchor = link.partition("#")
        if "://" in link or link.startswith("mailto:"):
            continue
        target = (page.parent / path) if path else page
        assert target.exists(), f"{page.name}: {link}"
        if anchor:
            titles = re.findall(r"^#+ (.*)$", target.read_text(), re.MULTILINE)
            assert anchor in {re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-") for title in titles}, link


def marks_of(page: Path) -> list[pytest.MarkDecorator]:
    notes = {word for block in all_blocks(page.read_text()) for word, _ in block.notes}
    return [getattr(pytest.mark, word) for word in ("slow", "soak") if word in notes]


@pytest.mark.parametrize("page", [pytest.param(page, marks=marks_of(page), id=page.name) for page in COMMANDS])
def test_the_commands_of_a_page_print_what_it_shows(page: Path, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Slow, or in `make soak`, where the page says so, since it trains or starts several processes."""
    monkeypatch.setenv("PYTHONPATH", str(ROOT / "src"))
    wrong = []
    with folder_for_a_page(folder):
        for block in all_blocks(page.read_text()):
            prepare(block)
            for command in block.commands if block.note("skip") is None else []:
                shown, printed = command.output, run(command)
                if shown is not None and not fits(shown, printed, numbers=block.note("numbers") is None):
                    wrong.append("\n".join([f"$ {command.line}", *printed]))
    assert wrong == [], f"{page.name} shows something else; `make docs-refresh` brings it up to date"


LOOKS_LIKE_A_COMMAND = re.compile(r"^(?:artschool|python|torchrun|pip|make) ", re.MULTILINE)
INSTALLED_BY_MAKE = {"README.md", "CONTRIBUTING.md"}
"""Pages whose blocks install the project, which `make demo` and `make test` do."""


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_block_of_commands_is_run_or_says_why_not(page: Path) -> None:
    def is_unknown(block: Block) -> bool:
        looks = LOOKS_LIKE_A_COMMAND.search(block.text) is not None
        return looks and not block.commands and block.language in ("", "console", "bash", "shell")

    unknown = [block.text for block in all_blocks(page.read_text()) if is_unknown(block)]
    assert unknown == [] or page.name in INSTALLED_BY_MAKE
    reasons = [
        block.note(word) for block in all_blocks(page.read_text()) for word in ("skip", "slow", "soak", "numbers")
    ]
    assert "" not in reasons


def invocations(text: str) -> Iterator[list[str]]:
    """The words of each command of artschool in the blocks and in the text of a page."""
    code = "".join(block.text for block in all_blocks(text))
    lines = re.findall(r"^(?:\$ )?artschool (.*)$", code, re.MULTILINE)
    lines += [re.sub(r"\s+", " ", span) for span in re.findall(r"`artschool ([^`]+)`", text)]
    for line in lines:
        usage = re.sub(r"[\[\]|]", " ", line.replace("...", ""))
        yield shlex.split(usage, comments=True)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_a_page_names_only_commands_and_options_that_there_are(page: Path) -> None:
    from artschool.cli.main import cli

    for command, *arguments in invocations(page.read_text()):
        if command == "--help" or re.fullmatch(r"[\d.]+", command):  # what a benchmark prints
            continue
        assert command in cli.commands, f"artschool {command}"
        parameters = cli.commands[command].params
        options = {name for each in parameters if isinstance(each, click.Option) for name in each.opts}
        assert {each for each in arguments if each.startswith("-")} <= {*options, "--help", "-"}, command


def entries_within(tree: object, kind: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Every mapping with a `type`, and the key of the mapping above it."""
    if isinstance(tree, dict):
        if isinstance(tree.get("type"), str):
            yield kind, tree
        for name, below in tree.items():
            yield from entries_within(below, str(name) if isinstance(below, dict | list) else kind)
    elif isinstance(tree, list):
        for below in tree:
            yield from entries_within(below, kind)


def is_an_entry(entry: dict[str, Any]) -> bool:
    """Whether a component of some kind has this name and takes these options, or it is one of adapters."""
    if entry["type"] == "lora":
        return entry.keys() <= network_entry.AdaptersEntry.model_fields.keys()
    for registry in REGISTRIES.values():
        if entry["type"] not in registry:
            continue
        item = registry.get(entry["type"])
        fields = {info.alias or name for name, info in item.model.model_fields.items()}
        if entry.keys() <= fields | {"type", "in", "from"}:
            return True
    return False


@pytest.mark.parametrize(("page", "text"), FRAGMENTS, ids=[f"{name}-{n}" for n, (name, _) in enumerate(FRAGMENTS)])
def test_a_part_of_a_file_names_components_and_options_that_there_are(page: str, text: str) -> None:
    for code in OWN_PARTS[page]:
        exec(compile(code, page, "exec"), {"__name__": "components_page"})
    unknown = [entry for _, entry in entries_within(yaml.safe_load(text)) if not is_an_entry(entry)]
    assert unknown == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_an_entry_in_the_text_of_a_page_is_one(page: Path) -> None:
    for code in OWN_PARTS[page.name]:
        exec(compile(code, page.name, "exec"), {"__name__": "components_page"})
    text = re.sub(r"^```.*?^```$", "", page.read_text(), flags=re.MULTILINE | re.DOTALL)
    spans = [span for span in re.findall(r"`(\{type: [^`]*\})`", text) if "..." not in span]
    wrong = [span for span in spans if not is_an_entry(yaml.safe_load(span))]
    assert wrong == []


def test_output_is_compared_line_by_line_and_an_ellipsis_stands_for_any() -> None:
    assert fits(["a", "...", "d"], ["a", "b", "c", "d"]) and fits(["a", "...", "d"], ["a", "d"])
    assert not fits(["a", "...", "d"], ["a", "b", "c"]) and not fits(["a"], ["a", "b"])
    assert fits(["psnr 1.25"], ["psnr 12.5e-3"], numbers=False) and not fits(
        ["psnr 1.25"], ["ssim 1.25"], numbers=False
    )


def test_new_output_keeps_the_ellipses_of_a_page() -> None:
    assert updated(["old"], ["new", "lines"]) == ["new", "lines"]
    assert updated(["a", "...", "z"], ["b", "c", "d", "y"]) == ["b", "...", "y"]
    assert updated(["...", "sun rises", "..."], ["one", "the sun rises now", "two"]) == [
        "...",
        "the sun rises now",
        "...",
    ]
    # After the last one, all lines, of which there may be more than before.
    assert updated(["...", "gpu 8", "time 2 ms"], ["one", "gpu 8", "memory 1", "time 3 ms"]) == [
        "...",
        "gpu 8",
        "memory 1",
        "time 3 ms",
    ]
