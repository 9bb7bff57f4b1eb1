"""The dataflow as data and as text: who writes what for whom, and names that mean something to HTML and Mermaid."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.components.builtins import load_builtins
from artschool.errors import ConfigError
from artschool.graph.box import WIDTH
from artschool.graph.html import html
from artschool.graph.layout import layout
from artschool.graph.mermaid import mermaid
from artschool.graph.model import Dataflow
from artschool.graph.svg import svg
from tests.graph.drawn import HOSTILE, LARGE, RECIPES, of_name, of_recipe, of_text

load_builtins()
SVG = "{http://www.w3.org/2000/svg}"


def flows(graph: Dataflow) -> set[tuple[str, str, str]]:
    names = {call.id: f"{graph.lanes[call.lane].title}/{call.name}" for call in graph.calls}
    return {(names[edge.writer], edge.key, names[edge.reader]) for edge in graph.edges}


def test_keys_flow_from_who_writes_them_to_who_reads_them() -> None:
    assert flows(of_recipe("photo_sr")) == {
        ("data/train", "lq", "step gen/upscale"),
        ("data/train", "hq", "step gen/pixel"),
        ("data/train", "hq", "step critic/gan"),
        ("step gen/upscale", "sr", "step gen/pixel"),
        ("step gen/upscale", "sr", "step gen/adversarial"),
        ("step gen/upscale", "sr", "step critic/gan"),
        ("evaluate photos/val", "lq", "evaluate photos/upscale"),
        ("evaluate photos/val", "lq", "evaluate photos/enlarge"),
        ("evaluate photos/val", "hq", "evaluate photos/psnr"),
        ("evaluate photos/val", "hq", "evaluate photos/ssim"),
        ("evaluate photos/val", "hq", "evaluate photos/bicubic_psnr"),
        ("evaluate photos/upscale", "sr", "evaluate photos/psnr"),
        ("evaluate photos/upscale", "sr", "evaluate photos/ssim"),
        ("evaluate photos/enlarge", "bicubic", "evaluate photos/bicubic_psnr"),
    }


WEIGHED = """
name: weighed
data: {train: {type: sklearn_digits, batch_size: 2}}
networks: {net: {type: edsr, scale: 1, in_channels: 1, out_channels: 1}}
steps:
  main:
    trains: net
    optimizer: {type: adam, lr: 1e-3}
    injectors:
      y: {type: forward, network: net, in: image, out: y}
      ratio: {type: gradient_ratio, in: [near, far], at: y, out: ratio}
    losses:
      near: {type: l1, in: [y, image], weight: 1.0, out: near}
      far: {type: l2, in: [y, image], weight: ratio, out: far}
train: {iterations: 2}
evaluate: {held: {data: train, steps: [main]}}
"""


def test_values_of_losses_flow_to_their_readers_and_back_as_weights() -> None:
    graph = of_text(WEIGHED)
    assert {flow for flow in flows(graph) if flow[1] in ("near", "far", "ratio")} == {
        ("step main/near", "near", "step main/ratio"),
        ("step main/far", "far", "step main/ratio"),
        ("step main/ratio", "ratio", "step main/far"),
    }
    far = next(call for call in graph.calls if call.name == "far")
    assert far.notes == ["weight ratio"]
    ET.fromstring(svg(graph))


def test_networks_tell_who_trains_them() -> None:
    fates = {network.name: (network.status, network.trained) for network in of_text(LARGE).networks}
    assert fates == {
        "gen": ("trained by gen", True),
        "fine": ("trained by fine", True),
        "coarse": ("trained by coarse", True),
        "features": ("frozen", False),
        "gen.ema": ("of gen, decay 0.999", False),
    }


def test_an_average_shows_its_interval() -> None:
    text = (
        (RECIPES / "photo_sr.yml").read_text().replace("networks: [gen]}", "networks: {gen: {decay: 0, every: 1000}}}")
    )
    assert "of gen, decay 0 every 1,000 iterations" in [network.status for network in of_text(text).networks]


def test_evaluations_call_the_averages_unless_told_otherwise() -> None:
    calls = of_recipe("photo_sr").calls  # The one of the step, then that of the evaluation.
    assert [call.networks for call in calls if call.name == "upscale"] == [["gen"], ["gen.ema"]]
    text = (RECIPES / "photo_sr.yml").read_text().replace("every: 100", "every: 100\n    ema: false", 1)
    assert [call.networks for call in of_text(text).calls if call.name == "upscale"] == [["gen"], ["gen"]]


def test_gates_and_weights_are_on_the_call() -> None:
    notes = {call.name: call.notes for call in of_text(LARGE).calls if call.lane == 1}
    assert notes["l2"] == ["weight 0.1", "before 100"]
    assert notes["wanted"] == ["no gradient"]
    assert notes["coarse"] == ["weight 0.01", "after 200"]
    assert notes["upscale"] == []


@pytest.mark.parametrize("recipe", sorted(path.stem for path in RECIPES.glob("*.yml")))
def test_no_line_runs_through_a_box_and_no_two_boxes_touch(recipe: str) -> None:
    drawing = layout(of_recipe(recipe))
    boxes = list(drawing.boxes.values())
    for index, box in enumerate(boxes):
        for other in boxes[index + 1 :]:
            apart_across = abs(box.x - other.x) >= WIDTH
            assert apart_across or box.y + box.height < other.y or other.y + other.height < box.y
    for wire in drawing.wires:
        for (x1, y1), (x2, y2) in zip(wire.points, wire.points[1:], strict=False):
            for box in boxes:
                across = min(x1, x2) < box.x + WIDTH and box.x < max(x1, x2)
                down = min(y1, y2) < box.y + box.height and box.y < max(y1, y2)
                assert not (across and (down or box.y < y1 == y2 < box.y + box.height)), (wire.edge, box.call.name)


@pytest.mark.parametrize("name", [*sorted(path.stem for path in RECIPES.glob("*.yml")), "four_networks", "long_names"])
def test_no_two_keys_run_along_the_same_line(name: str) -> None:
    pieces: dict[tuple[bool, float], list[tuple[float, float, str, str]]] = {}
    for wire in layout(of_name(name)).wires:
        for (x1, y1), (x2, y2) in zip(wire.points, wire.points[1:], strict=False):
            upright = x1 == x2
            low, high = sorted((y1, y2) if upright else (x1, x2))
            pieces.setdefault((upright, x1 if upright else y1), []).append((low, high, wire.edge.key, wire.edge.writer))
    for line in pieces.values():
        for index, (low, high, *key) in enumerate(line):
            for other_low, other_high, *other in line[index + 1 :]:
                assert key == other or high <= other_low or other_high <= low


@pytest.mark.parametrize("name", ["video_sr", "long_names"])
def test_boxes_tell_the_whole_of_every_name(name: str) -> None:
    graph = of_name(name)
    drawn = {
        box.get("data-call"): "".join(text.text or "" for text in box.iter(f"{SVG}text"))
        for box in ET.fromstring(svg(graph)).iter(f"{SVG}g")
        if "call" in (box.get("class") or "").split()
    }
    for call in graph.calls:
        wanted = [call.name, call.type, *call.notes, *call.outputs, *call.networks, *(key for _, key in call.inputs)]
        shown = drawn[call.id].replace(" ", "")  # A space at which a line breaks is left out.
        assert [text for text in wanted if text.replace(" ", "") not in shown] == []


def test_a_call_of_two_networks_has_a_line_for_each() -> None:
    texts = [text.text for text in ET.fromstring(svg(of_recipe("video_sr"))).iter(f"{SVG}text")]
    assert texts.count("calls flow, frozen here") == 3  # `generate`, and `temporal` of two steps.
    assert texts.count("calls critic, trained here") == 1


def test_the_picture_is_xml_with_a_line_for_each_flow() -> None:
    graph = of_text(LARGE)
    drawn = ET.fromstring(svg(graph))
    wires = [(p.get("data-from"), p.get("data-key"), p.get("data-to")) for p in drawn.iter(f"{SVG}path")]
    assert wires == [(edge.writer, edge.key, edge.reader) for edge in graph.edges]


def test_shapes_are_told_where_they_are_known() -> None:
    graph = of_recipe("photo_sr", sr="(16, 3, 64, 64) float32")
    texts = [text.text for text in ET.fromstring(svg(graph)).iter(f"{SVG}text")]
    assert texts.count("(16, 3, 64, 64) float32") == 1  # Of training; the evaluation's is not known.
    assert '-->|"sr (16, 3, 64, 64) float32"|' in mermaid(graph)


def test_mermaid_has_lanes_calls_networks_and_keys() -> None:
    lines = mermaid(of_recipe("photo_sr")).splitlines()
    assert lines[0] == "flowchart LR"
    assert '  subgraph lane2["step critic: trains critic, after 300"]' in lines
    assert '    call1_3{{"adversarial<br>generator_gan<br>weight 0.02<br>after 320"}}' in lines
    assert '  network1(["critic: patch_critic, trained by critic"]):::trained' in lines
    assert '  call1_1 -->|"sr"| call2_4' in lines
    assert "  network1 -.- call2_4" in lines


def test_names_are_text_whatever_they_hold() -> None:
    graph = of_text(HOSTILE)
    page = html(graph)
    assert page.count("<script") == 2  # Ours: the data and the code.
    assert "alert(1)</script>" not in page
    assert "<script>" not in mermaid(graph)
    assert ET.fromstring(svg(graph)).find(f".//{SVG}script") is None


def test_the_picture_has_colours_where_nobody_knows_css_variables() -> None:
    picture = svg(of_recipe("photo_sr"))
    assert ".dataflow .lane { fill: #f4f6f8; fill: var(--lane); }" in picture
    wires = [path for path in ET.fromstring(picture).iter(f"{SVG}path") if path.get("class") == "wire"]
    assert wires and all(wire.get("stroke", "").startswith("hsl(") for wire in wires)


def test_the_page_loads_nothing() -> None:
    page = html(of_recipe("photo_sr")).replace("http://www.w3.org/2000/svg", "")
    assert "http" not in page and "src=" not in page and "@import" not in page


def test_the_command_writes_by_suffix_and_prints_mermaid(tmp_path: Path) -> None:
    recipe = str(RECIPES / "photo_sr.yml")
    printed = CliRunner().invoke(cli, ["graph", recipe])
    assert printed.output.startswith("flowchart LR\n")
    for suffix, start in ((".svg", "<svg"), (".html", "<!doctype html>"), (".mmd", "flowchart LR")):
        output = tmp_path / f"graph{suffix}"
        assert CliRunner().invoke(cli, ["graph", recipe, "-o", str(output)]).output == f"{output}\n"
        assert output.read_text().startswith(start)
    refused = CliRunner().invoke(cli, ["graph", recipe, "-o", "graph.png"])
    assert isinstance(refused.exception, ConfigError)
    assert str(refused.exception) == "-o graph.png: unknown suffix (expected .html or .svg or .mmd)"
    lost = CliRunner().invoke(cli, ["graph", recipe, "-o", str(tmp_path / "none" / "graph.svg")])
    assert isinstance(lost.exception, ConfigError)
    assert str(lost.exception) == f"-o {tmp_path}/none/graph.svg: folder {tmp_path}/none does not exist"


def test_the_command_asks_a_trace_for_shapes(tmp_path: Path) -> None:
    output = tmp_path / "graph.svg"
    CliRunner().invoke(cli, ["graph", str(RECIPES / "photo_sr.yml"), "--trace", "-o", str(output)])
    assert "(16, 3, 64, 64) float32" in output.read_text()
    assert "(1, 3, 426, 640) float32" in output.read_text()
