"""Promises of SECURITY.md about the code of the package as a whole, and about names in files."""

from __future__ import annotations

import ast
import json
import os
import pickle
import random
import string
import sys
from pathlib import Path

import pytest
import torch

import artschool
from artschool.config.source import read_text
from artschool.errors import CheckpointError, ConfigError
from artschool.read.check import check_tree
from artschool.storage.tensors import read_content
from tests.config.bad_files import SOUND

SOURCES = sorted(Path(artschool.__file__).parent.rglob("*.py"))
UNSAFE = {"pickle", "_pickle", "dill", "cloudpickle", "marshal", "shelve"}
"""Modules that read objects by running code, which no source imports."""
FORBIDDEN = {"yaml.load", "yaml.unsafe_load", "os.system", "os.popen"}


def name_of(node: ast.expr) -> str:
    return ast.unparse(node) if isinstance(node, ast.Name | ast.Attribute) else ""


@pytest.mark.parametrize("file", SOURCES, ids=lambda path: path.name)
def test_no_source_runs_code_from_a_file(file: Path) -> None:
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            assert not UNSAFE & {alias.name.partition(".")[0] for alias in node.names}, f"{file}:{node.lineno}"
        if isinstance(node, ast.ImportFrom):
            assert (node.module or "").partition(".")[0] not in UNSAFE, f"{file}:{node.lineno}"
            assert not FORBIDDEN & {f"{node.module}.{alias.name}" for alias in node.names}, f"{file}:{node.lineno}"
        if not isinstance(node, ast.Call):
            continue
        name, options = name_of(node.func), {each.arg: each.value for each in node.keywords}
        assert name not in FORBIDDEN and name not in ("eval", "exec", "compile"), f"{file}:{node.lineno}"
        if name == "torch.load":
            assert ast.unparse(options["weights_only"]) == "True", f"{file}:{node.lineno}"
        if name in ("np.load", "numpy.load"):
            assert ast.unparse(options["allow_pickle"]) == "False", f"{file}:{node.lineno}"


class Marker:
    """Writes a file when it is unpickled."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[object, tuple[str]]:
        return os.mkdir, (str(self.file),)


@pytest.mark.parametrize("zipped", [True, False])
@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
def test_weights_run_no_code_even_where_torch_is_told_to(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, suffix: str, zipped: bool
) -> None:
    monkeypatch.setenv("TORCH_FORCE_NO_WEIGHTS_ONLY_LOAD", "1")
    file = tmp_path / f"a{suffix}"
    torch.save({"a": Marker(tmp_path / "marker")}, file, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"contains code, which is not run"):
        read_content(file)
    file.write_bytes(pickle.dumps(Marker(tmp_path / "marker")))
    with pytest.raises(CheckpointError):
        read_content(file)
    assert not (tmp_path / "marker").exists()


@pytest.mark.parametrize("number", [300, pytest.param(10_000, marks=pytest.mark.soak)])
def test_a_type_is_never_imported(number: int) -> None:
    """10,000 names in `make soak`, since each is compared with those of all losses."""
    draw, words = (
        random.Random(0),
        ["os.system", "builtins.eval", "logging.os.system", "antigravity", "this", "__import__"],
    )
    alphabet = string.printable + "ä\u2028"
    names = [*words, *("".join(draw.choices(alphabet, k=draw.randint(1, 30))) for _ in range(number))]
    tree = read_text(SOUND, "x.yml").plain()
    losses = tree["steps"]["gen"]["losses"]
    losses.clear()
    losses |= {f"l{index}": {"type": name} for index, name in enumerate(names)}
    before = set(sys.modules)
    with pytest.raises(ConfigError) as error:
        check_tree(read_text(json.dumps(tree), "x.yml"))
    assert len([fault for fault in error.value.faults if fault.path.endswith(".type")]) >= len(names) - 5
    assert not {"antigravity", "this"} & sys.modules.keys()
    assert not {name for name in sys.modules.keys() - before if not name.startswith(("artschool", "torch"))}


def test_text_of_others_controls_no_terminal() -> None:
    """The versions of a checkpoint are printed, and so are names in errors."""
    assert str(CheckpointError("torch \x1b[31m \x9b2J")) == r"torch \x1b[31m \x9b2J"
