"""The drawing as SVG, which also stands in the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from artschool.dataflow.layout import HEAD, ROW, SHAPE, WIDTH, Box, Drawing, Wire, layout
from artschool.dataflow.model import Call, Dataflow, Network

LETTER = 6.7
"""Width of a letter of 12 pixels, at most; the small ones are nine tenths."""
CHIP = 26
ROUND = 5


def svg(graph: Dataflow, *, style: bool = True) -> str:
    """The drawing.

    Args:
        style: Whether to bring the colours; a page has them already.
    """
    drawing = layout(graph)
    networks, top = _networks(graph, drawing.width)
    height = drawing.height + top
    css = (
        f"<style>{_with_plain_colours(files(__package__).joinpath('drawing.css').read_text())}</style>" if style else ""
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {drawing.width:g} {height:g}" width="{drawing.width:g}" '
        f'height="{height:g}" class="dataflow" role="group" aria-label="{_text(graph.name)}">',
        css,
        '<rect class="paper" width="100%" height="100%"/>',
        *networks,
        f'<g transform="translate(0 {top:g})">',
        *_bands(drawing),
        *(_wire(graph, wire) for wire in drawing.wires),
        *_titles(graph, drawing),
        *(part for box in drawing.boxes.values() for part in _box(graph, box)),
        "</g></svg>",
    ]
    return "\n".join(part for part in parts if part)


def _with_plain_colours(css: str) -> str:
    """The light colour before each that hangs on a variable: many programs besides browsers know no variables."""
    light = dict(re.findall(r"--([\w-]+): ([^;]+);", css.partition("@media")[0]))
    return re.sub(r"([\w-]+): var\(--([\w-]+)\);", lambda found: f"{found[1]}: {light[found[2]]}; {found[0]}", css)


def _coloured(attribute: str, hue: int) -> str:
    """The colour of a key, plain and as the variable that the style takes it from."""
    return f'{attribute}="hsl({hue}, 55%, 38%)" style="--hue:{hue}"'


def _networks(graph: Dataflow, width: float) -> tuple[list[str], float]:
    """A row of networks at the top, as many lines as it needs, and where it ends."""
    x, y, parts = 20.0, 44.0, [f'<text class="title" x="20" y="26">{_text(graph.name)}</text>']
    for network in graph.networks:
        text = f"{network.name}: {network.type}, {network.fate}"
        size = len(text) * LETTER + 24
        if x + size > max(width, 700) - 20 and x > 20:
            x, y = 20.0, y + 34
        parts += [
            f'<g class="network {_state(network)}" data-network="{_text(network.name)}" tabindex="0" role="button">',
            f"<title>{_text(str(network.place))}</title>",
            f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{CHIP}" rx="13"/>',
            f'<text x="{x + 12:g}" y="{y + 17:g}">{_text(text)}</text></g>',
        ]
        x += size + 10
    return parts, y + 30


def _state(network: Network) -> str:
    return "trained" if network.trained else "average" if network.type == "average" else "frozen"


def _bands(drawing: Drawing) -> Iterator[str]:
    width = drawing.width - 16
    for band in drawing.bands:
        yield f'<rect class="lane" x="8" y="{band.y:g}" width="{width:g}" height="{band.height:g}" rx="8"/>'


def _titles(graph: Dataflow, drawing: Drawing) -> Iterator[str]:
    for lane, band in zip(graph.lanes, drawing.bands, strict=True):
        yield (
            f'<text class="lane-title" x="20" y="{band.y + 18:g}">{_text(lane.title)}'
            f'<tspan class="lane-detail" dx="10">{_text(lane.detail)}</tspan></text>'
        )


def _wire(graph: Dataflow, wire: Wire) -> str:
    flow, key = wire.flow, _text(wire.flow.key)
    return (
        f'<path class="wire" {_coloured("stroke", graph.hue(flow.key))} data-key="{key}" '
        f'data-from="{flow.writer}" data-to="{flow.reader}" d="{_rounded(wire.points)}"><title>{key}</title></path>'
    )


def _rounded(points: list[tuple[float, float]]) -> str:
    """A line through corners, each rounded."""
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before), _towards(corner, after)
        path += f"L{enter[0]:g} {enter[1]:g}Q{corner[0]:g} {corner[1]:g} {leave[0]:g} {leave[1]:g}"
    return path + f"L{points[-1][0]:g} {points[-1][1]:g}"


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """A point a little away from a corner, on the way to another one."""
    across, down = other[0] - corner[0], other[1] - corner[1]
    length = max(abs(across), abs(down), 1e-9)
    step = min(ROUND, length / 2) / length
    return corner[0] + across * step, corner[1] + down * step


def _box(graph: Dataflow, box: Box) -> Iterator[str]:
    call, x, y = box.call, box.x, box.y
    yield (
        f'<g class="call {call.kind}{" gated" if call.notes else ""}" data-call="{call.id}" tabindex="0" role="button">'
        f"<title>{_text(f'{call.name}: {call.type}, {call.place}')}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{WIDTH}" height="{box.height:g}" rx="6"/>'
    )
    yield f'<text class="name" x="{x + 10:g}" y="{y + 18:g}">{_short(call.name, 22)}</text>'
    yield f'<text class="kind" x="{x + WIDTH - 10:g}" y="{y + 18:g}" text-anchor="end">{call.kind}</text>'
    yield f'<text class="type" x="{x + 10:g}" y="{y + 34:g}">{_short(call.type, 32)}</text>'
    row = y + HEAD
    if call.networks:
        yield f'<text class="calls" x="{x + 10:g}" y="{row + 10:g}">{_short(_called(graph, call), 34)}</text>'
        row += ROW
    if call.notes:
        yield f'<text class="notes" x="{x + 10:g}" y="{row + 10:g}">{_short(", ".join(call.notes), 34)}</text>'
    parameters = {key: parameter for parameter, key in reversed(call.inputs)}
    for key, height in box.ins.items():
        text = f"{parameters[key]}: {key}" if parameters[key] != key else key
        yield f'<text class="in" x="{x + 10:g}" y="{height + 4:g}">{_short(text, 32)}</text>'
        yield f'<circle class="port" {_coloured("fill", graph.hue(key))} cx="{x:g}" cy="{height:g}" r="3"/>'
    for key, height in box.outs.items():
        yield from _output(graph, box, key, height)
    yield "</g>"


def _output(graph: Dataflow, box: Box, key: str, height: float) -> Iterator[str]:
    right, shape = box.x + WIDTH, graph.shape(box.call, key)
    size = ROW + (SHAPE if shape else 0)
    yield (
        f'<g class="key" data-key="{_text(key)}" data-writer="{box.call.id}" '
        f'tabindex="0" role="button"><title>{_text(f"{key} {shape}")}</title>'
        f'<rect x="{box.x + 60:g}" y="{height - ROW / 2:g}" width="{WIDTH - 60}" height="{size:g}" rx="4"/>'
        f'<text class="out" x="{right - 10:g}" y="{height + 4:g}" text-anchor="end">{_short(key, 22)}</text>'
    )
    if shape:
        yield f'<text class="shape" x="{right - 10:g}" y="{height + 16:g}" text-anchor="end">{_short(shape, 28)}</text>'
    yield f'<circle class="port" {_coloured("fill", graph.hue(key))} cx="{right:g}" cy="{height:g}" r="3"/></g>'


def _called(graph: Dataflow, call: Call) -> str:
    """The networks that a call uses, each with what this lane does to it."""
    trained = graph.lanes[call.lane].trains
    if not trained:
        return f"calls {', '.join(call.networks)}"
    return "calls " + ", ".join(f"{name}, {'trained' if name in trained else 'frozen'} here" for name in call.networks)


def _short(text: str, most: int) -> str:
    return _text(text if len(text) <= most else text[: most - 1] + "…")


def _text(text: str) -> str:
    return escape(text, quote=True)
