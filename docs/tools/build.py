"""Build the site: `python -m docs.tools.build OUT`, or with `--external` check the links that leave it.

The pages are copied to a temporary folder, those made from the code are added, and Sphinx builds the site from there.
Warnings are errors, so that a link or an anchor that leads nowhere fails the build. Nothing needs a network, unless
`--external` is given.
"""

from __future__ import annotations

import argparse
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

REPOSITORY = "https://github.com/artschool-project/artschool"
TOOLS = Path(__file__).resolve().parent
ROOT = TOOLS.parents[1]
GENERATED = {
    "Reference": [
        "reference/commands.md",
        "reference/options.md",
        "reference/components.md",
        "reference/python.md",
        "reference/recipes.md",
    ],
    "Explanation": ["reference/architecture.md"],
}
"""Pages made from the code, by the heading of `index.md` that they are listed under."""


def main() -> None:
    """Parse the command line and build; the exit code is Sphinx's."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("out", type=Path, help="folder of the site")
    parser.add_argument("--external", action="store_true", help="check links to other sites instead of building")
    options = parser.parse_args()
    sys.exit(build(options.out, external=options.external))


def build(out: Path, *, external: bool = False) -> int:
    """Build the site into `out`, or check its external links.

    Returns:
        0, or 1 after any warning.
    """
    with tempfile.TemporaryDirectory() as temporary:
        source = stage(Path(temporary) / "source")
        builder = "linkcheck" if external else "html"
        options = ["-b", builder, "-q", "-W", "--keep-going", "-E", "-c", str(TOOLS), "-d", f"{temporary}/doctrees"]
        command = [sys.executable, "-m", "sphinx", *options, str(source), str(out.resolve())]
        return subprocess.run(command, check=False).returncode


def stage(folder: Path) -> Path:
    """Write every page of the site below a folder, and return it."""
    from docs.tools import api, architecture, commands, components, options, recipes

    shutil.copytree(ROOT / "docs", folder, ignore=shutil.ignore_patterns("tools", "*.mk", "__pycache__"))
    shutil.copy(ROOT / "CONTRIBUTING.md", folder / "contributing.md")
    pages_of_components = components.pages()
    pages_of_recipes = recipes.pages(ROOT / "recipes")
    made = pages_of_components | pages_of_recipes
    made["recipes.md"] = recipes.index(pages_of_recipes)
    made |= {"commands.md": commands.page(), "options.md": options.page(), "python.md": api.page()}
    made["architecture.md"] = architecture.page(ROOT)
    (folder / "reference").mkdir()
    for name, text in made.items():
        (folder / "reference" / name).write_text(text)
    for page in folder.glob("*.md"):
        page.write_text(relinked(page.read_text(), from_root=page.name == "contributing.md"))
    index = folder / "index.md"
    index.write_text(with_navigation(index.read_text()))
    _add_navigation(
        folder / "reference" / "components.md", [name for name in components.pages() if name != "components.md"]
    )
    _add_navigation(folder / "reference" / "recipes.md", list(pages_of_recipes))
    return folder


def relinked(text: str, *, from_root: bool = False) -> str:
    """A page of the repository with links that fit the site, which has no pages for examples."""
    if from_root:
        text = re.sub(r"\]\(docs/", "](", text)
        text = re.sub(r"\]\(((?:[A-Z_]+\.md|LICENSE)(?:#[\w-]+)?)\)", rf"]({REPOSITORY}/blob/main/\1)", text)
    text = re.sub(r"\]\(\.\./((?:examples|tests/famous)/[\w.]+)\)", rf"]({REPOSITORY}/blob/main/\1)", text)
    text = re.sub(r"\]\(\.\./recipes/(\w+)\.yml\)", r"](reference/\1.md)", text)
    return text.replace("](../CONTRIBUTING.md", "](contributing.md")


def with_navigation(index: str) -> str:
    """The start page, with a table of contents for Sphinx after each of its sections."""
    head, *sections = re.split(r"^(?=## )", index, flags=re.MULTILINE)
    written = [head]
    for section in sections:
        title = section.partition("\n")[0].removeprefix("## ").strip()
        pages = re.findall(r"^- (?:\*\*)?\[[^\]]*\]\((?!https?:)([^)#]+\.md)\)", section, re.MULTILINE)
        pages += [page for page in GENERATED.get(title, []) if page not in pages]
        written.append(section.rstrip() + "\n\n" + _toctree(pages, title) + "\n" if pages else section)
    return "".join(written)


def _add_navigation(page: Path, pages: list[str]) -> None:
    page.write_text(page.read_text().rstrip() + "\n\n" + _toctree(pages))


def _toctree(pages: list[str], caption: str = "") -> str:
    options = ":hidden:\n" + (f":caption: {caption}\n" if caption else "")
    return "```{toctree}\n" + options + "\n" + "\n".join(page.removesuffix(".md") for page in pages) + "\n```\n"


if __name__ == "__main__":
    main()
