"""What a notebook shows of a run and a model, and of the progress of a training."""

from __future__ import annotations

import re
import sys
import types
from html import unescape
from pathlib import Path
from typing import Any

import pytest

from artschool.logs.notebook import NotebookLogger, in_notebook
from artschool.show.notebook import NetworkRow, as_html
from tests.engine import toy_parts
from tests.show.made import add_lines, make_run, record

ROOT = Path(__file__).parents[2]


def test_networks_images_and_a_curve(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    add_lines(folder / "metrics.jsonl", record(100, **{"held/psnr": "NaN"}))
    shown = as_html("<toy>", [NetworkRow("<gen>", "EDSR", 12345, "trained")], folder)
    assert "<toy>" not in shown
    assert "<strong>&lt;toy&gt;</strong>" in shown
    cells = re.findall(r"<td[^>]*>([^<]*)</td>", shown)
    assert [unescape(cell) for cell in cells] == ["<gen>", "EDSR", "12,345 parameters", "trained"]
    assert "held/psnr: 23.09 after 100 iterations (from 22.29 to 24.98)" in shown
    (points,) = re.findall(r'<polyline points="([^"]*)"', shown)
    heights = [float(point.split(",")[1]) for point in points.split()]
    assert len(heights) == 5
    assert heights.index(min(heights)) == 2  # The third value is the largest.
    assert "pictures/sr after 100" in shown
    assert 'src="data:image/png;base64,iVBOR' in shown


def test_an_image_with_a_name_in_capitals_is_shown(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "run")
    (image,) = (folder / "pictures/sr").glob("*0100.png")
    image.rename(image.with_suffix(".PNG"))
    assert 'src="data:image/png;base64,iVBOR' in as_html("toy", [], folder)


def test_a_run_that_has_not_begun_shows_its_networks(tmp_path: Path) -> None:
    shown = as_html("toy", [NetworkRow("gen", "EDSR", 1, "trained")], tmp_path / "nothing")
    assert "1 parameters" in shown
    assert "<svg" not in shown
    assert "<img" not in shown


def test_a_run_is_one_line_of_text_and_a_table_in_a_notebook(tmp_path: Path) -> None:
    run, _ = toy_parts.load(tmp_path, "train.iterations=2")
    assert repr(run).startswith(f"<run {run.sections.name}: 0 of 2 iterations on cpu; ")
    assert repr(run).endswith(f"; {run.folder}>")
    shown = run._repr_html_()
    names = re.findall(r"<tr><td[^>]*>([^<]*)</td><td[^>]*>([^<]*)</td><td[^>]*>([\d,]+) parameters", shown)
    sizes = {name: sum(p.numel() for p in network.parameters()) for name, network in run.networks.items()}
    assert {name: int(size.replace(",", "")) for name, _, size in names} == sizes
    assert "trained" in shown


def test_a_training_shows_its_progress_in_place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    updates: list[str] = []
    kernel = types.SimpleNamespace(kernel=object())
    handle = types.SimpleNamespace(update=lambda html: updates.append(html.data))
    display = types.ModuleType("IPython.display")
    vars(display).update(HTML=lambda data: types.SimpleNamespace(data=data), display=lambda *_, **__: handle)
    shell: Any = types.ModuleType("IPython")
    assert not in_notebook()
    monkeypatch.setitem(sys.modules, "IPython", shell)
    shell.get_ipython = lambda: None  # A console of IPython, or a script that imports it.
    assert not in_notebook()
    shell.get_ipython = lambda: kernel
    monkeypatch.setitem(sys.modules, "IPython.display", display)
    assert in_notebook()
    run, _ = toy_parts.load(tmp_path, "train.iterations=4")
    run.loggers = [NotebookLogger()]
    run.train()
    assert len(updates) < 4  # Not for every iteration.
    assert "4/4" in updates[-1]
    assert "0/4" in updates[0]
    text = unescape(re.sub("<[^>]*>", "", updates[-1]))
    assert re.search(r"(iterations/s|s/iteration), 0 s left", text)


@pytest.mark.soak
def test_the_notebook_of_the_documentation_runs(tmp_path: Path) -> None:
    """Soak: a kernel starts, and trains a recipe."""
    nbformat, nbclient = pytest.importorskip("nbformat"), pytest.importorskip("nbclient")
    (tmp_path / "recipes").symlink_to(ROOT / "recipes")
    notebook = nbformat.read(ROOT / "docs" / "notebook.ipynb", as_version=4)
    assert not any(cell.get("outputs") for cell in notebook.cells), "strip the outputs of docs/notebook.ipynb"
    resources = {"metadata": {"path": str(tmp_path)}}
    nbclient.NotebookClient(notebook, timeout=300, kernel_name="python3", resources=resources).execute()
    shown = [
        "".join(output.get("data", {}).get("text/html", "") for output in cell.get("outputs", ()))
        for cell in notebook.cells
        if cell.cell_type == "code"
    ]
    assert "<strong>digits_gan: 0 of 40 iterations on" in shown[0]
    assert "40/40" in shown[1]
    assert "<strong>digits_gan: 40 of 40 iterations on" in shown[1]
    assert "<strong>digits_gan after 40 iterations on" in shown[2]
    assert "digits/accuracy: " in shown[2]
    assert "pictures/drawn after 40" in shown[2]
