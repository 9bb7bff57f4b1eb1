"""Where everything goes: lanes below each other, calls in columns, keys along tracks that no box stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass

from artschool.graph.box import EDGE, ROW, WIDTH, Box, Line, make_box
from artschool.graph.lettering import wrap
from artschool.graph.model import Dataflow, Edge, GraphCall
from artschool.graph.tracks import Tracks

MARGIN = 20
GAP = 16
"""Between lanes."""
TITLE = 26
"""Free above the gutter of a lane."""
ROOM = 6
"""Between boxes and the corridor beside them."""


@dataclass
class Wire:
    """A key on its way: the corners of its line."""

    flow: Edge
    points: list[tuple[float, float]]


@dataclass
class Band:
    """The place of a lane. Its title stands in the first column, which no line crosses."""

    y: float
    height: float
    head: list[Line]


@dataclass
class Drawing:
    """Everything with its place, in pixels."""

    width: float
    height: float
    bands: list[Band]
    boxes: dict[str, Box]
    wires: list[Wire]


@dataclass
class _Way:
    """The way of a key: along the corridor right of its writer, and on to the reader in the next column.

    Where the reader stands farther away, it goes above the boxes between them, along the gutter of the reader's lane,
    and down the corridor left of the reader.
    """

    flow: Edge
    writer: GraphCall
    reader: GraphCall

    @property
    def trunk(self) -> tuple[str, str]:
        """What runs along the first corridor, and along gutters: one line to all readers."""
        return self.flow.key, self.writer.id

    @property
    def drop(self) -> tuple[str, str, int]:
        """What runs along the last corridor."""
        return self.flow.key, self.writer.id, self.reader.lane

    @property
    def is_direct(self) -> bool:
        return self.reader.column == self.writer.column + 1


def layout(graph: Dataflow) -> Drawing:
    """Give everything its place."""
    calls = {call.id: call for call in graph.calls}
    ways = [_Way(flow, calls[flow.writer], calls[flow.reader]) for flow in graph.flows]
    columns = max((call.column for call in graph.calls), default=0) + 1
    gutters = _gutters(graph, ways)
    bands, boxes = _stack(graph, columns, gutters)
    corridors = _corridors(columns, ways, boxes, gutters)
    x = float(MARGIN)
    for column, corridor in enumerate(corridors):
        for box in boxes.values():
            if box.call.column == column:
                box.x = x
        corridor.start = x + WIDTH + ROOM
        x = corridor.start + corridor.size + ROOM
    wires = [_wire(way, boxes, corridors, gutters) for way in ways]
    return Drawing(x + MARGIN, bands[-1].y + bands[-1].height + GAP + MARGIN, bands, boxes, wires)


def _gutters(graph: Dataflow, ways: list[_Way]) -> list[Tracks]:
    """The free strip at the top of each lane; how far a line runs there is told in columns."""
    gutters = [Tracks() for _ in graph.lanes]
    for way in ways:
        if not way.is_direct:
            gutters[way.reader.lane].add(way.trunk, way.writer.column, way.reader.column - 1)
    for gutter in gutters:
        gutter.arrange()
    return gutters


def _stack(graph: Dataflow, columns: int, gutters: list[Tracks]) -> tuple[list[Band], dict[str, Box]]:
    """The heights of all lanes and boxes."""
    bands, boxes, y = [], dict[str, Box](), float(MARGIN)
    for index, (lane, gutter) in enumerate(zip(graph.lanes, gutters, strict=True)):
        texts = [("lane-title", text) for text in wrap(lane.title, WIDTH, 12, bold=True)]
        texts += [("lane-detail", text) for text in wrap(lane.detail, WIDTH, 12)]
        head = [Line(style, text, y + 18 + ROW * line) for line, (style, text) in enumerate(texts)]
        gutter.start = y + TITLE
        top = _on_grid(gutter.start + gutter.size)
        heights = [max(top, _on_grid(head[-1].y + 10)), *[top] * (columns - 1)]
        for call in (call for call in graph.calls if call.lane == index):
            box = boxes[call.id] = make_box(graph, call, heights[call.column])
            heights[call.column] += box.height + EDGE
        bands.append(Band(y, max(heights) - y, head))
        y = max(heights) + GAP
    return bands, boxes


def _on_grid(y: float) -> float:
    return math.ceil(y / ROW) * ROW


def _corridors(columns: int, ways: list[_Way], boxes: dict[str, Box], gutters: list[Tracks]) -> list[Tracks]:
    """The corridor right of each column."""
    corridors = [Tracks(apart=ROW) for _ in range(columns)]
    for way in ways:
        begin, end = boxes[way.writer.id].outs[way.flow.key].y, boxes[way.reader.id].ins[way.flow.key].y
        if way.is_direct:
            corridors[way.writer.column].add(way.trunk, begin, end)
        else:
            over = gutters[way.reader.lane].at(way.trunk)
            corridors[way.writer.column].add(way.trunk, begin, over)
            corridors[way.reader.column - 1].add(way.drop, over, end)
    for corridor in corridors:
        corridor.arrange(few_crossings=True)
    return corridors


def _wire(way: _Way, boxes: dict[str, Box], corridors: list[Tracks], gutters: list[Tracks]) -> Wire:
    """The corners of a way."""
    writer, reader = boxes[way.writer.id], boxes[way.reader.id]
    begin, end = (writer.x + WIDTH, writer.outs[way.flow.key].y), (reader.x, reader.ins[way.flow.key].y)
    trunk = corridors[way.writer.column].at(way.trunk)
    if way.is_direct:
        return Wire(way.flow, [begin, (trunk, begin[1]), (trunk, end[1]), end])
    over, drop = gutters[way.reader.lane].at(way.trunk), corridors[way.reader.column - 1].at(way.drop)
    return Wire(way.flow, [begin, (trunk, begin[1]), (trunk, over), (drop, over), (drop, end[1]), end])
