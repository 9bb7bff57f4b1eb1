"""Bring the pages up to date: `python -m docs.tools.refresh [PAGE ...]`.

Runs every command that a page shows with its output, and writes the output into the page. Also writes the tables whose
cells are texts of the code: the messages of refused components, and the rules of lint.
"""

from __future__ import annotations

import re
import sys
import tempfile
from pathlib import Path

from docs.tools.messages import refused_table, rules_table
from docs.tools.pages import ROOT, blocks, pages
from docs.tools.registries import shipped_only
from docs.tools.run import fits, folder_for_a_page, prepare, run, updated


def main() -> None:
    """Refresh the pages that are named, or all."""
    chosen = [Path(name).resolve() for name in sys.argv[1:]] or pages()
    for page in chosen:
        before = page.read_text()
        after = refreshed_tables(page.name, refreshed(before))
        if after != before:
            page.write_text(after)
        sys.stdout.write(f"{page.relative_to(ROOT)}: {'written' if after != before else 'up to date'}\n")


def refreshed(text: str) -> str:
    """A page with the output that its commands print now."""
    if not any(command.output is not None for block in blocks(text) for command in block.commands):
        return text
    changes: list[tuple[int, int, str]] = []
    with tempfile.TemporaryDirectory() as temporary, folder_for_a_page(Path(temporary)), shipped_only():
        for block in blocks(text):
            prepare(block)
            if block.note("skip") is not None:
                continue
            written = []
            for command in block.commands:
                printed = run(command)
                shown = command.output
                if shown is None:
                    continue
                numbers = block.note("numbers") is None
                lines = shown if fits(shown, printed, numbers=numbers) else updated(shown, printed)
                prompt = [f"$ {command.line}"] if block.is_transcript else []
                written.append("\n".join([*prompt, *lines]) + "\n")
            if written:
                blank = "\n" if re.search(r"\n\n\$ ", block.text) else ""
                changes.append((block.start, block.start + len(block.text), blank.join(written)))
    for start, end, new in reversed(changes):
        text = text[:start] + new + text[end:]
    return text


def refreshed_tables(name: str, text: str) -> str:
    """A page with the messages of the code in its tables."""
    if name == "components.md":
        return refused_table(text)
    return rules_table(text) if name == "lint.md" else text


if __name__ == "__main__":
    main()
