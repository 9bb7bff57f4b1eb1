"""The picture of the architecture: the packages as boxes by layer, drawn from the imports of the code."""

from __future__ import annotations

import ast
import html
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from docs.tools.markdown import table

PACKAGE = "artschool"
WIDTH, ROW, BOX_HEIGHT, GAP, MARGIN, SHIFT = 860, 74, 40, 14, 16, 50
LETTER = 8.4
"""Width of a letter of the monospaced font, in pixels at 14."""

INTRODUCTION = """# Architecture

Each box is a package or a module of `artschool`, drawn from the code when this page is built. A box may import those
below it and none above it or beside it; `make check` verifies this. A line leads from a box to what it imports; a line
that follows from two others is left out. The [design](../design.md) says why the layers are as they are.
"""


@dataclass(frozen=True)
class Room:
    """A package or a module directly below `artschool`.

    Attributes:
        name: Its name below `artschool`.
        summary: What it is for.
        lines: Lines of code, blank lines and comments included.
        imports: The rooms that it imports.
    """

    name: str
    summary: str
    lines: int
    imports: frozenset[str]


def page(root: Path) -> str:
    """The text of the page, for the repository at `root`."""
    rooms = read_rooms(root / "src" / PACKAGE, purposes((root / "docs" / "design.md").read_text()))
    floors = read_floors(root / "pyproject.toml", rooms)
    order = [name for floor in floors for name in floor]
    rows = []
    for name in order:
        imports = ", ".join(f"`{each}`" for each in order if each in rooms[name].imports)
        rows.append((f"`{name}`", f"{rooms[name].lines:,}", rooms[name].summary, imports))
    listed = table(("room", "lines", "what it is for", "imports"), rows)
    return f"{INTRODUCTION}\n{draw(rooms, floors)}\n\n## The rooms\n\n{listed}"


def purposes(design: str) -> dict[str, str]:
    """What each room is for, from the table of layers on the design page."""
    return {name: purpose for _, name, purpose in layers_table(design)}


def layers_table(design: str) -> list[tuple[int, str, str]]:
    """Layer, name and purpose of each room, from the table of layers on the design page."""
    section = design.partition("\n## Layers\n")[2].partition("\n## ")[0]
    rows = re.findall(r"^\| (\d+) \| `(\w+)(?:/|\.py)` \| (.*) \|$", section, re.MULTILINE)
    return [(int(layer), name, purpose) for layer, name, purpose in rows]


def read_rooms(package: Path, summaries: Mapping[str, str]) -> dict[str, Room]:
    """Every room of a package, by name."""
    found = {}
    names = {path.stem for path in package.iterdir() if path.suffix == ".py" or (path / "__init__.py").exists()}
    for name in sorted(names - {"__init__", "__main__"}):
        single = package / f"{name}.py"
        files = [single] if single.exists() else sorted((package / name).rglob("*.py"))
        imports = {other for file in files for other in _imports(file, package)} & names
        lines = sum(len(file.read_text().splitlines()) for file in files)
        found[name] = Room(name, summaries.get(name, ""), lines, frozenset(imports - {name}))
    return found


def _imports(file: Path, package: Path) -> Iterator[str]:
    """The rooms that a file imports, those under `if TYPE_CHECKING:` included."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module and not node.level:
            parts = node.module.split(".")
            if parts[0] == PACKAGE:
                yield from [parts[1]] if len(parts) > 1 else [alias.name for alias in node.names]
        elif isinstance(node, ast.Import):
            yield from [alias.name.split(".")[1] for alias in node.names if alias.name.startswith(f"{PACKAGE}.")]


def read_floors(pyproject: Path, rooms: Iterable[str]) -> list[list[str]]:
    """The rooms by layer, from the top, as import-linter holds them; those without a layer come last."""
    contracts = tomllib.loads(pyproject.read_text())["tool"]["importlinter"]["contracts"]
    layers = next(contract["layers"] for contract in contracts if contract["type"] == "layers")
    known = set(rooms)
    floors = [[name.strip(" ()") for name in layer.replace(":", "|").split("|")] for layer in layers]
    floors = [[name.rpartition(".")[2] for name in floor if name.rpartition(".")[2] in known] for floor in floors]
    rest = sorted(known - {name for floor in floors for name in floor})
    return [floor for floor in [*floors, rest] if floor]


def needed_lines(rooms: dict[str, Room], order: list[str]) -> list[tuple[str, str]]:
    """The imports that do not follow from others (the transitive reduction)."""
    below: dict[str, set[str]] = {}
    lines = []
    for name in reversed(order):
        direct = [each for each in order if each in rooms[name].imports and each in below]
        implied = {deep for each in direct for deep in below[each]}
        lines += [(name, each) for each in direct if each not in implied]
        below[name] = implied | set(direct)
    return lines


def draw(rooms: dict[str, Room], floors: list[list[str]]) -> str:
    """The picture as an SVG element that takes its colours from the page."""
    boxes = _boxes(rooms, floors)
    height = MARGIN * 2 + (len(floors) - 1) * ROW + BOX_HEIGHT
    order = [name for floor in floors for name in floor]
    label = "Packages of artschool by layer"
    parts = [f'<svg class="architecture" viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{label}">']
    for row in range(1, len(floors)):
        y = MARGIN + row * ROW - (ROW - BOX_HEIGHT) / 2
        parts.append(f'<line class="floor" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    parts += [_line(boxes[start], boxes[end]) for start, end in needed_lines(rooms, order)]
    parts += [_box(rooms[name], boxes[name]) for name in order]
    return "".join([f'<div class="architecture">{parts[0]}', *parts[1:], "</svg></div>"])


def _boxes(rooms: dict[str, Room], floors: list[list[str]]) -> dict[str, tuple[float, float, float]]:
    """Left, top and width of each box: a floor is spread over the width, each room near those that it is joined to."""
    centres = {name: (index + 0.5) / len(floor) for floor in floors for index, name in enumerate(floor)}
    joined = needed_lines(rooms, [name for floor in floors for name in floor])
    for _ in range(8):
        for floor in floors:
            wanted = {name: _mean(centres, name, joined) for name in floor}
            for index, name in enumerate(sorted(floor, key=lambda name: (wanted[name], name))):
                centres[name] = (index + 0.5) / len(floor)
    boxes: dict[str, tuple[float, float, float]] = {}
    for row, floor in enumerate(floors):
        for name in floor:
            width = len(name) * LETTER + 2 * GAP
            # Every other floor is shifted, so that lines pass beside the boxes between.
            centre = MARGIN + SHIFT + centres[name] * (WIDTH - 2 * MARGIN - 2 * SHIFT) + (SHIFT if row % 2 else -SHIFT)
            boxes[name] = (centre - width / 2, MARGIN + row * ROW, width)
    return boxes


def _mean(centres: dict[str, float], name: str, joined: list[tuple[str, str]]) -> float:
    """The mean place of the rooms that a room is joined to by a line."""
    others = [centres[end if start == name else start] for start, end in joined if name in (start, end)]
    return sum(others) / len(others) if others else centres[name]


def _line(start: tuple[float, float, float], end: tuple[float, float, float]) -> str:
    x1, y1 = start[0] + start[2] / 2, start[1] + BOX_HEIGHT
    x2, y2 = end[0] + end[2] / 2, end[1]
    # Lines leave and arrive at different places of a box.
    lean = (x2 - x1) / WIDTH
    x1, x2 = x1 + lean * start[2] * 0.8, x2 - lean * end[2] * 0.8
    bend = max((y2 - y1) / 2, 12)
    path = f"M{x1:.1f} {y1:.1f} C{x1:.1f} {y1 + bend:.1f} {x2:.1f} {y2 - bend:.1f} {x2:.1f} {y2:.1f}"
    return f'<path class="import" d="{path}"/>'


def _box(room: Room, box: tuple[float, float, float]) -> str:
    left, top, width = box
    title = html.escape(f"{room.name}: {room.summary.replace('`', '')} ({room.lines:,} lines)")
    return (
        f'<g class="room"><title>{title}</title>'
        f'<rect x="{left:.1f}" y="{top:.1f}" width="{width:.1f}" height="{BOX_HEIGHT}" rx="6"/>'
        f'<text x="{left + width / 2:.1f}" y="{top + BOX_HEIGHT / 2 + 5:.1f}">{html.escape(room.name)}</text></g>'
    )
