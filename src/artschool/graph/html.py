"""One page that needs nothing else: the drawing, what stands in the file, and a way to follow a key."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from artschool.graph.model import Dataflow, GraphCall
from artschool.graph.svg import svg


def html(graph: Dataflow) -> str:
    """The page."""
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
        "flows": [{"key": flow.key, "writer": flow.writer, "reader": flow.reader} for flow in graph.flows],
        "networks": [{"name": n.name, "type": n.type, "fate": n.fate, "place": str(n.place)} for n in graph.networks],
    }
    # No end tag may stand inside of a script, whatever the names of the file are.
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
