"""The box of a call: its lines of text, and the heights at which keys enter and leave it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from artschool.graph.lettering import text_width, wrap
from artschool.graph.model import Dataflow, GraphCall

WIDTH = 224
"""Of a box, in pixels: what is longer goes on in the next line."""
INDENT = 10
"""Of text, from either edge."""
ROW = 16
"""Boxes stand on a grid of rows; keys leave them half a row off those that enter, so no two lines share a height."""
EDGE = 12
"""Below the last row. So is the gap between two boxes, which keeps the second one on the grid."""
CLOSE = 13
"""Between the lines of one key that is written."""
SIZES = {"name": 12.0, "in": 11.0, "out": 11.0}
SMALL = 10.5
"""Sizes of the letters, as the style has them; all others are small. Names of boxes and keys are bold."""


@dataclass
class Line:
    """A line of text, by its style and the height of its letters' feet."""

    style: str
    text: str
    y: float


@dataclass
class Port:
    """Where a key enters or leaves: the height of its line, and its text, in one line or more."""

    y: float
    lines: list[Line]


@dataclass
class Box:
    """The place of a call."""

    call: GraphCall
    y: float
    x: float = 0.0
    height: float = 0.0
    head: list[Line] = field(default_factory=list)
    ins: dict[str, Port] = field(default_factory=dict)
    outs: dict[str, Port] = field(default_factory=dict)


def make_box(graph: Dataflow, call: GraphCall, y: float) -> Box:
    """A box whose upper edge has a height."""
    box = Box(call, y)
    row = y + ROW / 2
    for style, text, room in _head(graph, call):
        for line in wrap(text, room, SIZES.get(style, SMALL), bold=style == "name"):
            box.head.append(Line(style, line, row + 10))
            row += ROW
    parameters = {key: parameter for parameter, key in reversed(call.inputs)}
    for key in dict.fromkeys(key for _, key in call.inputs):
        text = f"{parameters[key]}: {key}" if parameters[key] != key else key
        box.ins[key] = Port(row + ROW / 2, _lines("in", text, row + 12, ROW))
        row += ROW * len(box.ins[key].lines)
    for key in call.outputs:
        lines = _lines("out", key, row + ROW + 4, CLOSE)
        if shape := graph.shape(call, key):
            lines += _lines("shape", shape, lines[-1].y + CLOSE, CLOSE)
        box.outs[key] = Port(row + ROW, lines)
        row += ROW * len(lines)
    box.height = row + EDGE - y
    return box


def _head(graph: Dataflow, call: GraphCall) -> Iterator[tuple[str, str, float]]:
    """The style of each text at the top, the text, and the room it has; its kind stands right of its name."""
    room = WIDTH - 2 * INDENT
    yield "name", call.name, room - text_width(call.kind, SMALL) - INDENT
    yield "type", call.type, room
    trained = graph.lanes[call.lane].trains
    for name in call.networks:
        here = f", {'trained' if name in trained else 'frozen'} here" if trained else ""
        yield "calls", f"calls {name}{here}", room
    if call.notes:
        yield "notes", ", ".join(call.notes), room


def _lines(style: str, text: str, y: float, apart: float) -> list[Line]:
    parts = wrap(text, WIDTH - 2 * INDENT, SIZES.get(style, SMALL), bold=style == "out")
    return [Line(style, part, y + apart * index) for index, part in enumerate(parts)]
