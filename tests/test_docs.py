"""The documents say what is: their files pass the check, their code registers, no option is left out."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import pytest
from pydantic import BaseModel

from artschool.components.builtins import load_builtins
from artschool.config import sections
from artschool.errors import ConfigError
from artschool.read.read import check_file
from artschool.registry import REGISTRIES, entries

ROOT = Path(__file__).parents[1]
PAGES = [*sorted((ROOT / "docs").glob("*.md")), ROOT / "README.md", ROOT / "CONTRIBUTING.md"]


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", page.read_text(), re.MULTILINE | re.DOTALL)


FILES = [(page.name, text) for page in PAGES for text in blocks(page, "yaml") if text.startswith("name:")]
PARTS = blocks(ROOT / "docs" / "components.md", "python")
OWN_PARTS = {page.name: [code for code in blocks(page, "python") if ".register" in code] for page in PAGES}
"""A page may show the networks that its files name."""
REFUSED = re.findall(
    r"^\| (\w+) \| `((?:def|class) .*?)` \| (.*) \|$", (ROOT / "docs" / "components.md").read_text(), re.M
)
MODELS = [
    model
    for module in (sections, entries)
    for model in vars(module).values()
    if isinstance(model, type) and issubclass(model, BaseModel) and model.__module__ == module.__name__
]


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
    assert {"language.md", "components.md"} <= {name for name, _ in FILES}
    assert len(PARTS) >= 8 and len(REFUSED) >= 10 and len(MODELS) >= 20


@pytest.mark.parametrize(("page", "text"), FILES, ids=[f"{name}-{index}" for index, (name, _) in enumerate(FILES)])
def test_a_file_in_a_page_is_sound(page: str, text: str, folder: Path) -> None:
    (folder / "parts.py").write_text("\n".join([*PARTS, *OWN_PARTS[page]]))
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


@pytest.mark.parametrize(("kind", "code", "said"), REFUSED)
def test_what_a_page_calls_refused_is_refused_with_these_words(kind: str, code: str, said: str) -> None:
    namespace: dict[str, Any] = {"__name__": "components_page"}
    exec("import torch\nfrom torch import Tensor, nn\nfrom artschool import Network\n", namespace)
    exec(code.replace(r"\|", "|"), namespace)
    with pytest.raises(ConfigError) as refusal:
        REGISTRIES[kind].register(next(reversed(namespace.values())))
    assert str(refusal.value).split(" cannot be registered: ")[-1] == said.replace(r"\|", "|")


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
