"""The dataflow in Mermaid's language, for a README or an issue."""

from __future__ import annotations

from artschool.graph.model import Dataflow, GraphCall


def mermaid(graph: Dataflow) -> str:
    """A flowchart: lanes are subgraphs, keys are on the arrows, dotted lines lead from networks to what calls them."""
    lines = ["flowchart LR"]
    for index, lane in enumerate(graph.lanes):
        lines.append(f'  subgraph lane{index}["{_text(f"{lane.title}: {lane.detail}")}"]')
        lines += [f"    {_id(call.id)}{_shape(call)}" for call in graph.calls if call.lane == index]
        lines.append("  end")
    numbers = {network.name: f"network{index}" for index, network in enumerate(graph.networks)}
    for network in graph.networks:
        style = "trained" if network.trained else "frozen"
        text = _text(f"{network.name}: {network.type}, {network.fate}")
        lines.append(f'  {numbers[network.name]}(["{text}"]):::{style}')
    calls = {call.id: call for call in graph.calls}
    for flow in graph.flows:
        shape = graph.shape(calls[flow.writer], flow.key)
        label = _text(f"{flow.key} {shape}".strip())
        lines.append(f'  {_id(flow.writer)} -->|"{label}"| {_id(flow.reader)}')
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
    """Text in quotes, in which everything but letters and digits that means something to Mermaid has its number."""
    return "".join("<br>" if c == "\n" else c if c.isalnum() or c in " .,_:-()/=+" else f"#{ord(c)};" for c in text)
