"""Writes a network of a run as a folder that stands alone."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors.torch import save
from torch import Tensor

from artschool.engine.adapters import has_adapters, merge_adapters
from artschool.engine.data_examples import NetworkInput
from artschool.errors import ConfigError
from artschool.export import inference
from artschool.export.alone import run_alone
from artschool.export.called import CalledNetwork, calls_networks
from artschool.export.card import model_card, newest_images
from artschool.export.diffusers_folder import write_diffusers
from artschool.export.inference.with_torch import difference, named, seeded_outputs
from artschool.export.program import (
    CannotExportError,
    Sizes,
    dynamic_sizes,
    program_of,
    write_onnx,
    write_program,
)
from artschool.export.source import CannotStandAloneError, standalone_source
from artschool.export.subject import Subject
from artschool.paths import is_file
from artschool.release import VERSION
from artschool.storage.durable import translate_disk_errors, write_file
from artschool.storage.new_folder import new_folder
from artschool.wording.hidden import without_hidden

Report = Callable[[str], None]
FORMATS = ("safetensors", "pt", "pt2", "onnx", "diffusers")
WEIGHTS = {"pt": "model.pth"}
"""The file of the weights by format, if it is not a `.safetensors` file."""


@dataclass
class _Draft:
    """A folder in the making."""

    subject: Subject
    folder: Path
    called: CalledNetwork
    inputs: list[Tensor]
    outputs: dict[str, Tensor]
    sizes: Sizes

    def write(self, name: str, content: bytes | str) -> None:
        """Write a file."""
        write_file(self.folder / name, content.encode() if isinstance(content, str) else content)


def export_network(subject: Subject, kind: str, output: Path, *, report: Report) -> list[Path]:
    """Write a network as a folder: weights, `config.json`, a model card, and `inference.py`, which is run and compared.

    Args:
        subject: The network.
        kind: One of `FORMATS`.
        output: The folder to create. It must be missing or empty.
        report: Called with what was found out, such as the largest difference.

    Returns:
        The files of the folder.

    Raises:
        ConfigError: The network cannot be exported in this format, or its outputs differ.
        ResourceError: The folder exists, or a package is missing.
    """
    if has_adapters(subject.network):
        merge_adapters(subject.network)
    called = CalledNetwork(subject.network, subject.call)
    inputs = called.random_inputs()
    with calls_networks():
        outputs = seeded_outputs(called, inputs)
    if not outputs:
        raise ConfigError(f"{subject.name}: cannot be exported, because its call returns no tensor")
    with new_folder(output) as folder, translate_disk_errors(output, 0):  # Packages write files, too.
        draft = _Draft(subject, folder, called, inputs, outputs, dynamic_sizes(called, inputs))
        largest = _written(draft, kind, report)
        report(f"dynamic sizes: {_described_sizes(draft)}")
        reader = "from_pretrained" if kind == "diffusers" else "inference.py in a process without it"
        report(f"largest difference from artschool, by {reader}: {largest:.1e}")
    return sorted(path for path in output.rglob("*") if is_file(path))


def _written(draft: _Draft, kind: str, report: Report) -> float:
    """Write all files of a folder. Returns the largest difference."""
    if kind == "diffusers":
        return _with_diffusers(draft)
    weights = _write_weights(draft, WEIGHTS.get(kind, "model.safetensors"))
    try:
        if kind == "onnx":
            return _with_onnx(draft, weights)
        return _with_program(draft, weights) if kind == "pt2" else _with_source_or_program(draft, weights, report)
    except CannotExportError as error:
        raise ConfigError(f"{draft.subject.name}: cannot be exported to {kind}: {error}") from error


def _write_weights(draft: _Draft, file: str) -> str:
    state = {name: value.detach().contiguous().clone() for name, value in draft.called.network.state_dict().items()}
    if file.endswith(".safetensors"):
        draft.write(file, save(state))
    else:
        buffer = io.BytesIO()  # torch does not say why it cannot write a file.
        torch.save(state, buffer)
        draft.write(file, buffer.getvalue())
    return file


def _with_source_or_program(draft: _Draft, weights: str, report: Report) -> float:
    try:
        return _with_source(draft, weights)
    except (CannotStandAloneError, CannotExportError) as error:
        report(f"note: inference.py runs a program (.pt2), because the source cannot stand alone: {error}")
        shutil.rmtree(draft.folder / "network", ignore_errors=True)
        return _with_program(draft, weights)


def _with_diffusers(draft: _Draft) -> float:
    largest = write_diffusers(draft.subject, draft.called, draft.folder)
    _describe(draft, "artschool.json", _facts(draft, "", "diffusion_pytorch_model.safetensors", {}))
    return largest


def _with_source(draft: _Draft, weights: str) -> float:
    component = draft.subject.component
    assert component.registered is not None
    source, options = standalone_source(component.registered.target), component.options()
    try:
        text = json.dumps(options, ensure_ascii=False)
    except TypeError as error:
        raise CannotStandAloneError(f"its options are no JSON: {error}") from error
    if without_hidden(text) != text:
        raise CannotStandAloneError("its options contain a secret or a value of the environment")
    (draft.folder / "network").mkdir()
    for name, text in source.items():
        draft.write(f"network/{name}", text)
    arguments = {"options": options, "arguments": [_plain(each) for each in draft.subject.call.inputs]}
    return _finish(draft, weights, weights, {**arguments, "keywords": draft.subject.call.keywords})


def _with_program(draft: _Draft, weights: str) -> float:
    write_program(program_of(draft.called, draft.inputs, draft.sizes), draft.folder / "network.pt2")
    return _finish(draft, "network.pt2", weights, {"dynamic_sizes": [sorted(sizes) for sizes in draft.sizes]})


def _with_onnx(draft: _Draft, weights: str) -> float:
    if _is_random(draft):
        message = "its outputs are random, and onnxruntime draws other random numbers than torch"
        raise CannotExportError(f"{message}. Fix: export it to safetensors, pt or pt2")
    program = program_of(draft.called, draft.inputs, draft.sizes)
    write_onnx(program, draft.called, list(draft.outputs), draft.folder / "network.onnx")
    return _finish(draft, "network.onnx", weights, {"dynamic_sizes": [sorted(sizes) for sizes in draft.sizes]})


def _is_random(draft: _Draft) -> bool:
    """Whether the network draws random numbers in eval mode, such as an encoder that samples its code."""
    with calls_networks(), torch.random.fork_rng(devices=[]):
        torch.manual_seed(1)  # `seeded_outputs` uses 0.
        again = dict(named(draft.called(*draft.inputs)))
    return difference(again, draft.outputs) > 0


def _finish(draft: _Draft, file: str, weights: str, more: Mapping[str, Any]) -> float:
    """Write what every folder with a program of its own has, and run it."""
    is_onnx = file.endswith(".onnx")
    _describe(draft, "config.json", _facts(draft, file, weights, more))
    program = "with_onnxruntime.py" if is_onnx else "with_torch.py"  # Not imported: onnxruntime may be missing.
    draft.write("inference.py", (Path(inference.__path__[0]) / program).read_text(encoding="utf-8"))
    _write_example(draft, is_onnx=is_onnx)
    return run_alone(draft.folder, ("onnxruntime", "numpy") if is_onnx else ("torch",))


def _facts(draft: _Draft, file: str, weights: str, more: Mapping[str, Any]) -> dict[str, Any]:
    """What the folder says of itself."""
    subject = draft.subject
    return {
        "artschool": VERSION,
        "network": subject.name,
        "type": subject.type,
        "method": subject.call.method,
        "run": subject.model.config.sections.name,
        "iteration": subject.model.iteration,
        "average": subject.is_average,
        "file": file,
        "weights": weights,
        "inputs": [
            {**_described(each.name, value), "low": each.example.low, "high": each.example.high}
            for each, value in zip(draft.called.inputs, draft.inputs, strict=True)
        ],
        "outputs": [_described(name, value) for name, value in draft.outputs.items()],
        **more,
    }


def _describe(draft: _Draft, file: str, facts: Mapping[str, Any]) -> None:
    """Write the facts, and the model card with its images."""
    draft.write(file, json.dumps(facts, indent=2) + "\n")
    images = newest_images(draft.subject.model.folder, draft.subject.model.iteration)
    draft.write("README.md", model_card(draft.subject, facts, [image.name for image in images]))
    for image in images:
        (draft.folder / "images").mkdir(exist_ok=True)
        draft.write(f"images/{image.name}", image.source.read_bytes())


def _write_example(draft: _Draft, *, is_onnx: bool) -> None:
    names = [f"inputs.{each.name}" for each in draft.called.inputs]
    values = {**dict(zip(names, draft.inputs, strict=True)), **draft.outputs}
    if is_onnx:
        arrays: dict[str, Any] = {name: value.numpy() for name, value in values.items()}
        np.savez(draft.folder / "example.npz", **arrays)
    else:
        draft.write("example.safetensors", save({name: value.contiguous().clone() for name, value in values.items()}))


def _described(name: str, value: Tensor) -> dict[str, Any]:
    return {"name": name, "shape": [*value.shape], "dtype": str(value.dtype).removeprefix("torch.")}


def _plain(part: NetworkInput) -> dict[str, Any]:
    """An argument as inference.py reads it."""
    inner = None if part.parts is None else [_plain(each) for each in part.parts]
    return {"name": part.name, "tensor": part.example is not None, "value": part.value, "parts": inner}


def _described_sizes(draft: _Draft) -> str:
    """What may change, such as `x (N, 3, H, W)`."""
    texts = []
    for each, value, sizes in zip(draft.called.inputs, draft.inputs, draft.sizes, strict=True):
        letters = dict(zip(reversed(range(value.dim())), "WH" if value.dim() > 3 else "TC", strict=False))
        letters |= {0: "N"} if each.has_batch else {}
        shape = [letters.get(at, "any") if at in sizes else str(size) for at, size in enumerate(value.shape)]
        texts.append(f"{each.name} ({', '.join(shape)})")
    return ", ".join(texts) or "no inputs"
