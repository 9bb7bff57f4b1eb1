"""The box of a call: its lines of text, and the heights at which edges enter and leave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from artschool.graph.lettering import text_width, wrap
from artschool.graph.model import Dataflow, GraphCall

WIDTH = 224
"""Width of a box in pixels. Longer text is wrapped."""
INDENT = 10
"""Distance of text from the sides of a box, in pixels."""
ROW = 16
"""Height of a row, in pixels. Boxes are aligned to a grid of rows.

Outputs are half a row below inputs, so that no two edges run at the same height.
"""
PADDING = 12
"""Padding below the last row of a box, and gap between two boxes, in pixels.

Together with the half row above the first, they make whole rows: the next box stays on the grid.
"""
OUTPUT_ROW = 13
"""Line spacing of an output, in pixels."""
SIZES = {"name": 12.0, "in": 11.0, "out": 11.0}
SMALL = 10.5
"""Font sizes in pixels by style, as in drawing.css, and the size of all other styles."""


@dataclass
class TextLine:
    """A line of text.

    Attributes:
        style: Its class in drawing.css.
        y: Its baseline.
    """

    style: str
    text: str
    y: float


@dataclass
class Port:
    """Where an edge enters or leaves a box.

    Attributes:
        y: Height of the edge.
        lines: The name of the key, in one line or more.
    """

    y: float
    lines: list[TextLine]


@dataclass
class Box:
    """A call with its position and size, in pixels.

    Attributes:
        x: Left side.
        y: Upper side.
        head: Name, type, networks and notes.
        inputs: By key.
        outputs: By key.
    """

    call: GraphCall
    y: float
    x: float = 0.0
    height: float = 0.0
    head: list[TextLine] = field(default_factory=list)
    inputs: dict[str, Port] = field(default_factory=dict)
    outputs: dict[str, Port] = field(default_factory=dict)


def make_box(graph: Dataflow, call: GraphCall, y: float) -> Box:
    """Lay out the box of a call.

    Args:
        y: Height of its upper side.
    """
    box = Box(call, y)
    row = y + ROW / 2
    for style, text, room in _head(graph, call):
        for line in wrap(text, room, SIZES.get(style, SMALL), bold=style == "name"):
            box.head.append(TextLine(style, line, row + 10))
            row += ROW
    parameters = {key: parameter for parameter, key in reversed(call.inputs)}
    for key in dict.fromkeys(key for _, key in call.inputs):
        text = f"{parameters[key]}: {key}" if parameters[key] != key else key
        box.inputs[key] = Port(row + ROW / 2, _lines("in", text, row + 12, ROW))
        row += ROW * len(box.inputs[key].lines)
    for key in call.outputs:
        lines = _lines("out", key, row + ROW + 4, OUTPUT_ROW)
        if shape := graph.shape(call, key):
            lines += _lines("shape", shape, lines[-1].y + OUTPUT_ROW, OUTPUT_ROW)
        box.outputs[key] = Port(row + ROW, lines)
        row += ROW * len(lines)
    box.height = row + PADDING - y
    return box


def _head(graph: Dataflow, call: GraphCall) -> Iterator[tuple[str, str, float]]:
    """The style, text and available width of each text at the top. The kind is drawn to the right of the name."""
    room = WIDTH - 2 * INDENT
    yield "name", call.name, room - text_width(call.kind, SMALL) - INDENT
    yield "type", call.type, room
    trained = graph.lanes[call.lane].trains
    for name in call.networks:
        here = f", {'trained' if name in trained else 'frozen'} here" if trained else ""
        yield "calls", f"calls {name}{here}", room
    if call.notes:
        yield "notes", ", ".join(call.notes), room


def _lines(style: str, text: str, y: float, spacing: float) -> list[TextLine]:
    parts = wrap(text, WIDTH - 2 * INDENT, SIZES.get(style, SMALL), bold=style == "out")
    return [TextLine(style, part, y + spacing * index) for index, part in enumerate(parts)]
