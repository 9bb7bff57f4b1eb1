"""A self-contained HTML page: the drawing, the entries of the file, and code that highlights where a key goes."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from artschool.graph.model import Dataflow, GraphCall
from artschool.graph.svg import svg


def html(graph: Dataflow) -> str:
    """The drawing as an HTML page."""
    folder = files(__package__)
    page = Template(folder.joinpath("page.html").read_text())
    return page.substitute(
        title=escape(f"{graph.name}: dataflow"),
        drawing=folder.joinpath("drawing.css").read_text(),
        svg=svg(graph, style=False),
        graph=_json(graph),
    )


def _json(graph: Dataflow) -> str:
    data = {
        "calls": [_call(graph, call) for call in graph.calls],
        "flows": [{"key": edge.key, "writer": edge.writer, "reader": edge.reader} for edge in graph.edges],
        "networks": [{"name": n.name, "type": n.type, "fate": n.status, "place": str(n.place)} for n in graph.networks],
    }
    # A name in the file must not close the script element.
    return json.dumps(data).replace("<", "\\u003c")


def _call(graph: Dataflow, call: GraphCall) -> dict[str, Any]:
    return {
        "id": call.id,
        "lane": graph.lanes[call.lane].title,
        "name": call.name,
        "type": call.type,
        "place": str(call.place),
        "notes": call.notes,
        "networks": call.networks,
        "shapes": {key: graph.shape(call, key) for key in call.outputs},
        "source": call.source,
    }
