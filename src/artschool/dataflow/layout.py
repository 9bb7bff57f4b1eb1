"""Where everything goes: lanes below each other, calls in columns, keys along tracks that no box stands on."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from artschool.dataflow.model import Call, Dataflow, Flow

WIDTH = 224
"""Of a box, in pixels."""
ROW = 16
"""Boxes stand on a grid of rows; keys leave them half a row off those that enter, so no two lines share a height."""
HEAD = 40
"""Of a box: its name and its type."""
MARGIN = 20
GAP = 16
"""Between boxes that stand below each other."""
TITLE = 26
"""Of a lane."""
TRACK = 9
"""Between lines that run beside each other."""
SHAPE = 16
"""Height of the line that tells a shape."""


@dataclass
class Box:
    """The place of a call.

    Attributes:
        ins: The height of each key it reads, at its left edge.
        outs: The height of each key it writes, at its right edge.
    """

    call: Call
    x: float
    y: float
    height: float
    ins: dict[str, float] = field(default_factory=dict)
    outs: dict[str, float] = field(default_factory=dict)


@dataclass
class Wire:
    """A key on its way: the corners of its line."""

    flow: Flow
    points: list[tuple[float, float]]


@dataclass
class Band:
    """The place of a lane."""

    y: float
    height: float


@dataclass
class Drawing:
    """Everything with its place, in pixels."""

    width: float
    height: float
    bands: list[Band]
    boxes: dict[str, Box]
    wires: list[Wire]


@dataclass
class _Tracks:
    """Lines side by side in one corridor, each known by what runs along it."""

    start: float = 0.0
    slots: dict[object, int] = field(default_factory=dict)

    def take(self, what: object) -> None:
        self.slots.setdefault(what, len(self.slots))

    def at(self, what: object) -> float:
        return self.start + TRACK * (self.slots[what] + 1)

    @property
    def size(self) -> float:
        return TRACK * (len(self.slots) + 1)


def layout(graph: Dataflow) -> Drawing:
    """Give everything its place."""
    calls = {call.id: call for call in graph.calls}
    columns = max((call.column for call in graph.calls), default=0) + 1
    corridors = [_Tracks() for _ in range(columns)]  # The corridor right of each column.
    gutters = [_Tracks() for _ in graph.lanes]  # The free strip at the top of each lane.
    for flow in graph.flows:
        writer, reader = calls[flow.writer], calls[flow.reader]
        corridors[writer.column].take((flow.key, writer.id))
        if reader.column > writer.column + 1:
            gutters[reader.lane].take((flow.key, writer.id))
            corridors[reader.column - 1].take((flow.key, writer.id, reader.lane))
    lefts, x = [], float(MARGIN)
    for corridor in corridors:
        lefts.append(x)
        corridor.start = x + WIDTH + 6
        x = corridor.start + corridor.size + 6
    bands, boxes, y = [], dict[str, Box](), float(MARGIN)
    for lane, gutter in enumerate(gutters):
        gutter.start = y + TITLE
        top = math.ceil((gutter.start + gutter.size) / ROW) * ROW
        bottom = _place_boxes(graph, lane, lefts, top, boxes)
        bands.append(Band(y, bottom - y))
        y = bottom + GAP
    wires = [_wire(flow, boxes, corridors, gutters) for flow in graph.flows]
    return Drawing(x + MARGIN, y + MARGIN, bands, boxes, wires)


def _place_boxes(graph: Dataflow, lane: int, lefts: list[float], top: float, boxes: dict[str, Box]) -> float:
    """Stack a lane's boxes in their columns; returns where the lane ends."""
    heights = [top] * len(lefts)
    for call in (call for call in graph.calls if call.lane == lane):
        box = _box(graph, call, lefts[call.column], heights[call.column])
        boxes[call.id] = box
        heights[call.column] = box.y + box.height + GAP
    return max(heights)


def _box(graph: Dataflow, call: Call, x: float, y: float) -> Box:
    row = y + HEAD + (ROW if call.networks else 0) + (ROW if call.notes else 0)
    box = Box(call, x, y, 0)
    for _, key in call.inputs:
        if key not in box.ins:
            box.ins[key] = row + ROW / 2
            row += ROW
    for key in call.outputs:
        box.outs[key] = row + ROW
        row += ROW + (SHAPE if graph.shape(call, key) else 0)
    box.height = row + ROW / 2 - y
    return box


def _wire(flow: Flow, boxes: dict[str, Box], corridors: list[_Tracks], gutters: list[_Tracks]) -> Wire:
    """Out of the box, along the corridors and above the boxes, into the other box."""
    writer, reader = boxes[flow.writer], boxes[flow.reader]
    start, end = (writer.x + WIDTH, writer.outs[flow.key]), (reader.x, reader.ins[flow.key])
    trunk = corridors[writer.call.column].at((flow.key, writer.call.id))
    if reader.call.column == writer.call.column + 1:
        return Wire(flow, [start, (trunk, start[1]), (trunk, end[1]), end])
    track = gutters[reader.call.lane].at((flow.key, writer.call.id))
    drop = corridors[reader.call.column - 1].at((flow.key, writer.call.id, reader.call.lane))
    return Wire(flow, [start, (trunk, start[1]), (trunk, track), (drop, track), (drop, end[1]), end])
