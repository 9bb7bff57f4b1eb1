"""Positions of lanes, boxes and edges.

Lanes are stacked, and calls are arranged in columns. Edges run in channels between the boxes: a corridor to the right
of each column, and a gutter at the top of each lane.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

from artschool.graph.box import PADDING, ROW, WIDTH, Box, TextLine, make_box
from artschool.graph.channel import Channel
from artschool.graph.lettering import wrap
from artschool.graph.model import Dataflow, Edge, GraphCall

MARGIN = 20
GAP = 16
"""Distance between lanes, in pixels."""
TITLE = 26
"""Space above the gutter of a lane, in pixels."""
ROOM = 6
"""Distance between boxes and the next corridor, in pixels."""


@dataclass
class Wire:
    """The line of an edge, by its corners."""

    edge: Edge
    points: list[tuple[float, float]]


@dataclass
class Band:
    """The area of a lane. Its title is in the first column, which no edge crosses."""

    y: float
    height: float
    head: list[TextLine]


@dataclass
class Drawing:
    """The laid out dataflow, in pixels."""

    width: float
    height: float
    bands: list[Band]
    boxes: dict[str, Box]
    wires: list[Wire]


@dataclass
class _Route:
    """The route of an edge: the corridor to the right of its writer, then the reader in the next column.

    To a reader in a later column, it passes above the boxes between: along the gutter of the reader's lane, then down
    the corridor to the left of the reader.
    """

    edge: Edge
    writer: GraphCall
    reader: GraphCall

    @property
    def trunk(self) -> tuple[str, str]:
        """The line in the first corridor and in gutters, shared by all readers."""
        return self.edge.key, self.writer.id

    @property
    def drop(self) -> tuple[str, str, int]:
        """The line in the last corridor, shared by the readers of a lane."""
        return self.edge.key, self.writer.id, self.reader.lane

    @property
    def is_direct(self) -> bool:
        return self.reader.column == self.writer.column + 1


def layout(graph: Dataflow) -> Drawing:
    """Lay out a dataflow."""
    calls = {call.id: call for call in graph.calls}
    routes = [_Route(edge, calls[edge.writer], calls[edge.reader]) for edge in graph.edges]
    columns = max((call.column for call in graph.calls), default=0) + 1
    gutters = _gutters(graph, routes)
    bands, boxes = _place_lanes(graph, columns, gutters)
    corridors = _corridors(columns, routes, boxes, gutters)
    x = float(MARGIN)
    for column, corridor in enumerate(corridors):
        for box in boxes.values():
            if box.call.column == column:
                box.x = x
        corridor.start = x + WIDTH + ROOM
        x = corridor.start + corridor.size + ROOM
    wires = [_wire(route, boxes, corridors, gutters) for route in routes]
    return Drawing(x + MARGIN, bands[-1].y + bands[-1].height + GAP + MARGIN, bands, boxes, wires)


def _gutters(graph: Dataflow, routes: list[_Route]) -> list[Channel]:
    """The gutter of each lane, with its lines. Their ends are column numbers."""
    gutters = [Channel() for _ in graph.lanes]
    for route in routes:
        if not route.is_direct:
            gutters[route.reader.lane].add(route.trunk, route.writer.column, route.reader.column - 1)
    for gutter in gutters:
        gutter.arrange()
    return gutters


def _place_lanes(graph: Dataflow, columns: int, gutters: list[Channel]) -> tuple[list[Band], dict[str, Box]]:
    """Lanes and boxes with their vertical positions."""
    bands, boxes, y = [], dict[str, Box](), float(MARGIN)
    for index, (lane, gutter) in enumerate(zip(graph.lanes, gutters, strict=True)):
        texts = [("lane-title", text) for text in wrap(lane.title, WIDTH, 12, bold=True)]
        texts += [("lane-detail", text) for text in wrap(lane.detail, WIDTH, 12)]
        head = [TextLine(style, text, y + 18 + ROW * line) for line, (style, text) in enumerate(texts)]
        gutter.start = y + TITLE
        top = _on_grid(gutter.start + gutter.size)
        heights = [max(top, _on_grid(head[-1].y + 10)), *[top] * (columns - 1)]
        for call in (call for call in graph.calls if call.lane == index):
            box = boxes[call.id] = make_box(graph, call, heights[call.column])
            heights[call.column] += box.height + PADDING
        bands.append(Band(y, max(heights) - y, head))
        y = max(heights) + GAP
    return bands, boxes


def _on_grid(y: float) -> float:
    return math.ceil(y / ROW) * ROW


def _corridors(columns: int, routes: list[_Route], boxes: dict[str, Box], gutters: list[Channel]) -> list[Channel]:
    """The corridor to the right of each column, with its lines."""
    corridors = [Channel(min_gap=ROW) for _ in range(columns)]
    for route in routes:
        begin, end = boxes[route.writer.id].outputs[route.edge.key].y, boxes[route.reader.id].inputs[route.edge.key].y
        if route.is_direct:
            corridors[route.writer.column].add(route.trunk, begin, end)
        else:
            gutter = gutters[route.reader.lane].at(route.trunk)
            corridors[route.writer.column].add(route.trunk, begin, gutter)
            corridors[route.reader.column - 1].add(route.drop, gutter, end)
    for corridor in corridors:
        corridor.arrange(few_crossings=True)
    return corridors


def _wire(route: _Route, boxes: dict[str, Box], corridors: list[Channel], gutters: list[Channel]) -> Wire:
    """The corners of a route, as a wire."""
    writer, reader = boxes[route.writer.id], boxes[route.reader.id]
    begin, end = (writer.x + WIDTH, writer.outputs[route.edge.key].y), (reader.x, reader.inputs[route.edge.key].y)
    trunk = corridors[route.writer.column].at(route.trunk)
    if route.is_direct:
        return Wire(route.edge, [begin, (trunk, begin[1]), (trunk, end[1]), end])
    gutter, drop = gutters[route.reader.lane].at(route.trunk), corridors[route.reader.column - 1].at(route.drop)
    return Wire(route.edge, [begin, (trunk, begin[1]), (trunk, gutter), (drop, gutter), (drop, end[1]), end])
