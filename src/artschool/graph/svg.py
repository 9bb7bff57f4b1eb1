"""The drawing as SVG, alone or inside the page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from html import escape
from importlib.resources import files

from artschool.graph.box import INDENT, ROW, WIDTH, Box, TextLine
from artschool.graph.layout import MARGIN, Drawing, Wire, layout
from artschool.graph.lettering import text_width
from artschool.graph.model import Dataflow, GraphNetwork

TITLE, TEXT = 16.0, 12.0
"""Font sizes in pixels, as in drawing.css."""
CHIP = 26
ROUND = 5


def svg(graph: Dataflow, *, style: bool = True) -> str:
    """The drawing as an SVG element.

    Args:
        style: Whether to include drawing.css. A page includes it itself.
    """
    drawing = layout(graph)
    networks, width, top = _networks(graph, drawing.width)
    height = drawing.height + top
    css = (
        f"<style>{_with_plain_colours(files(__package__).joinpath('drawing.css').read_text())}</style>" if style else ""
    )
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" class="dataflow" role="group" aria-label="{_text(graph.name)}">',
        css,
        '<rect class="paper" width="100%" height="100%"/>',
        *networks,
        f'<g transform="translate(0 {top:g})">',
        *_bands(drawing, width),
        '<g class="wires">',
        *(_wire(graph, wire) for wire in drawing.wires),
        "</g>",
        *(part for box in drawing.boxes.values() for part in _box(graph, box)),
        "</g></svg>",
    ]
    return "\n".join(part for part in parts if part)


def _with_plain_colours(css: str) -> str:
    """Add the light colour before each colour that is a variable. Many programs other than browsers lack variables."""
    light = dict(re.findall(r"--([\w-]+): ([^;]+);", css.partition("@media")[0]))
    return re.sub(r"([\w-]+): var\(--([\w-]+)\);", lambda found: f"{found[1]}: {light[found[2]]}; {found[0]}", css)


def _coloured(attribute: str, hue: int) -> str:
    """The colour of a key, as an attribute and as the variable that drawing.css reads."""
    return f'{attribute}="hsl({hue}, 55%, 38%)" style="--hue:{hue}"'


def _networks(graph: Dataflow, width: float) -> tuple[list[str], float, float]:
    """The title and the networks, in as many rows as they need.

    Returns:
        The elements, the width of the drawing, and the height at which the networks end.
    """
    parts = [f'<text class="title" x="{MARGIN}" y="26">{_text(graph.name)}</text>']
    sizes = [text_width(text, TEXT) + 24 for text in map(_label, graph.networks)]
    width = max([width, 2 * MARGIN + text_width(graph.name, TITLE, bold=True), *(2 * MARGIN + s for s in sizes)])
    x, y = float(MARGIN), 44.0
    for network, size in zip(graph.networks, sizes, strict=True):
        if x + size > width - MARGIN:
            x, y = float(MARGIN), y + 34
        parts += [
            f'<g class="network {_css_class(network)}" data-network="{_text(network.name)}" '
            'tabindex="0" role="button">',
            f"<title>{_text(str(network.place))}</title>",
            f'<rect x="{x:g}" y="{y:g}" width="{size:g}" height="{CHIP}" rx="13"/>',
            f'<text x="{x + 12:g}" y="{y + 17:g}">{_text(_label(network))}</text></g>',
        ]
        x += size + 10
    return parts, width, y + 30


def _label(network: GraphNetwork) -> str:
    return f"{network.name}: {network.type}, {network.status}"


def _css_class(network: GraphNetwork) -> str:
    return "trained" if network.trained else "average" if network.is_average else "frozen"


def _bands(drawing: Drawing, width: float) -> Iterator[str]:
    for band in drawing.bands:
        yield f'<rect class="lane" x="8" y="{band.y:g}" width="{width - 16:g}" height="{band.height:g}" rx="8"/>'
        yield from (_line(line, MARGIN) for line in band.head)


def _wire(graph: Dataflow, wire: Wire) -> str:
    edge, key = wire.edge, _text(wire.edge.key)
    return (
        f'<path class="wire" {_coloured("stroke", graph.hue(edge.key))} data-key="{key}" '
        f'data-from="{edge.writer}" data-to="{edge.reader}" d="{_rounded(wire.points)}"><title>{key}</title></path>'
    )


def _rounded(points: list[tuple[float, float]]) -> str:
    """The path through some points, with rounded corners."""
    path = f"M{points[0][0]:g} {points[0][1]:g}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        enter, leave = _towards(corner, before), _towards(corner, after)
        path += f"L{enter[0]:g} {enter[1]:g}Q{corner[0]:g} {corner[1]:g} {leave[0]:g} {leave[1]:g}"
    return path + f"L{points[-1][0]:g} {points[-1][1]:g}"


def _towards(corner: tuple[float, float], other: tuple[float, float]) -> tuple[float, float]:
    """The point at which the rounding of a corner begins, in the direction of another point."""
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
    yield _line(TextLine("kind", call.kind, box.head[0].y), x + WIDTH - INDENT, "end")
    yield from (_line(line, x + INDENT) for line in box.head)
    for key, port in box.inputs.items():
        yield from (_line(line, x + INDENT) for line in port.lines)
        yield _dot(graph, key, x, port.y)
    right = x + WIDTH
    for key, port in box.outputs.items():
        size = f'width="{WIDTH - 60}" height="{ROW * len(port.lines)}"'
        yield (
            f'<g class="key" data-key="{_text(key)}" data-writer="{call.id}" tabindex="0" role="button">'
            f"<title>{_text(f'{key} {graph.shape(call, key)}')}</title>"
            f'<rect x="{x + 60:g}" y="{port.y - ROW / 2:g}" {size} rx="4"/>'
        )
        yield from (_line(line, right - INDENT, "end") for line in port.lines)
        yield f"{_dot(graph, key, right, port.y)}</g>"
    yield "</g>"


def _line(line: TextLine, x: float, anchor: str = "start") -> str:
    at = "" if anchor == "start" else f' text-anchor="{anchor}"'
    return f'<text class="{line.style}" x="{x:g}" y="{line.y:g}"{at}>{_text(line.text)}</text>'


def _dot(graph: Dataflow, key: str, x: float, y: float) -> str:
    return f'<circle class="port" {_coloured("fill", graph.hue(key))} cx="{x:g}" cy="{y:g}" r="3"/>'


def _text(text: str) -> str:
    return escape(text, quote=True)
