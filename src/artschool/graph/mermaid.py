"""The dataflow as Mermaid text, for a README or an issue."""

from __future__ import annotations

from artschool.graph.model import Dataflow, GraphCall


def mermaid(graph: Dataflow) -> str:
    """A flowchart: lanes are subgraphs, keys label the arrows, and dotted lines link networks to their callers."""
    lines = ["flowchart LR"]
    for index, lane in enumerate(graph.lanes):
        lines.append(f'  subgraph lane{index}["{_text(f"{lane.title}: {lane.detail}")}"]')
        lines += [f"    {_id(call.id)}{_shape(call)}" for call in graph.calls if call.lane == index]
        lines.append("  end")
    numbers = {network.name: f"network{index}" for index, network in enumerate(graph.networks)}
    for network in graph.networks:
        style = "trained" if network.trained else "frozen"
        text = _text(f"{network.name}: {network.type}, {network.status}")
        lines.append(f'  {numbers[network.name]}(["{text}"]):::{style}')
    calls = {call.id: call for call in graph.calls}
    for edge in graph.edges:
        shape = graph.shape(calls[edge.writer], edge.key)
        label = _text(f"{edge.key} {shape}".strip())
        lines.append(f'  {_id(edge.writer)} -->|"{label}"| {_id(edge.reader)}')
    for call in graph.calls:
        lines += [f"  {numbers[name]} -.- {_id(call.id)}" for name in call.networks if name in numbers]
    lines += ["  classDef trained stroke-width:2px", "  classDef frozen stroke-dasharray:5 4"]
    return "\n".join(lines) + "\n"


def _id(call: str) -> str:
    return f"call{call.replace('-', '_')}"


def _shape(call: GraphCall) -> str:
    text = _text("\n".join([call.name, call.type, *call.notes]))
    opening, closing = {"data": ("[(", ")]"), "loss": ("{{", "}}"), "metric": ("[/", "/]")}.get(call.kind, ("[", "]"))
    return f'{opening}"{text}"{closing}'


def _text(text: str) -> str:
    """Escape a quoted text: characters with a meaning in Mermaid become character codes, newlines become tags."""
    return "".join("<br>" if c == "\n" else c if c.isalnum() or c in " .,_:-()/=+" else f"#{ord(c)};" for c in text)
