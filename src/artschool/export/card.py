"""The model card of an exported network, in the form that Hugging Face shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path, PurePath
from typing import Any

from artschool.config.structure import Component, Config, StepConfig
from artschool.config.write import dump
from artschool.export.subject import Subject
from artschool.show.log import METRICS, json_lines
from artschool.show.media import media

MOST_IMAGES = 4
LIBRARIES = {".onnx": "onnx", "": "diffusers"}
"""Names of libraries on Hugging Face, by the suffix of the file that is run."""
_LICENSE = "<!-- Fill in the license of the weights, here and in the first lines of this file. -->\nNot chosen yet."


@dataclass(frozen=True)
class CardImage:
    """An image of the run.

    Attributes:
        name: File name in the exported folder.
        source: The file in the run folder.
    """

    name: str
    source: Path


def newest_images(run: Path, iteration: int) -> list[CardImage]:
    """The newest image of each of the first keys that the run has shown, as they were at an iteration."""
    found = [sorted(files.items()) for group, files in media(run).items() if group.startswith("pictures/")]
    newest = [[path for at, path in files if at <= iteration and path.endswith(".png")][-1:] for files in found]
    paths = [Path(path) for path in chain.from_iterable(newest)][:MOST_IMAGES]
    return [CardImage("-".join(path.parts[1:]), run / path) for path in paths]


def model_card(subject: Subject, config: Mapping[str, Any], images: Sequence[str]) -> str:
    """The text of `README.md`."""
    run = subject.model.config
    metrics = last_metrics(subject.model.folder, run, subject.model.iteration)
    title = f"{run.sections.name}: {subject.name}"
    parts = [
        _front_matter(subject, config, metrics),
        f"# {title}",
        f"{_article(subject)} trained by artschool {config['artschool']} for {subject.model.iteration:,} iterations.",
        f"## Use\n{_use(config)}",
        f"## Training\n{_training(subject, run)}",
        f"## Data\n```yaml\n{dump({name: _masked(part) for name, part in run.data.items()})}```",
        "## Metrics\n" + _table(metrics) if metrics else "",
        "## Images\n" + "\n".join(f"![{name}](images/{name})" for name in images) if images else "",
        f"## License\n{_LICENSE}",
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def last_metrics(run: Path, config: Config, iteration: int) -> dict[str, tuple[float, int]]:
    """The metrics of the last evaluations before an iteration, with the iteration of each."""
    names = {f"{name}/{metric}" for name, each in config.evaluations.items() for metric in each.metrics}
    found: dict[str, tuple[float, int]] = {}
    for record in json_lines(run / METRICS):
        at = record.get("iteration")
        if isinstance(at, int) and at < iteration:
            values = {name: record[name] for name in names & record.keys()}
            found |= {name: (float(value), at) for name, value in values.items() if isinstance(value, int | float)}
    return found


def _front_matter(subject: Subject, config: Mapping[str, Any], metrics: Mapping[str, Any]) -> str:
    library = LIBRARIES.get(Path(config["file"]).suffix, "pytorch")
    fields: dict[str, Any] = {"library_name": library, "tags": ["artschool", subject.type]}
    if metrics:
        fields["metrics"] = sorted({name.rpartition("/")[2] for name in metrics})
    return f"---\n{dump(fields)}# license: apache-2.0  # fill in the license of the weights\n---"


def _article(subject: Subject) -> str:
    average = "The moving average of a" if subject.is_average else "A"
    return f"{average} network of type `{subject.type}`,"


def _use(config: Mapping[str, Any]) -> str:
    inputs = "\n".join(
        f"| `{each['name']}` | {each['shape']} | {each['dtype']} | {_range(each)} |" for each in config["inputs"]
    )
    outputs = "\n".join(f"| `{each['name']}` | {each['shape']} | {each['dtype']} | |" for each in config["outputs"])
    return (
        f"{_program(config)}\n\nThe example has these inputs and outputs; ranges are those of training.\n\n"
        f"| name | shape | type | range |\n|---|---|---|---|\n{inputs}\n{outputs}"
    )


def _program(config: Mapping[str, Any]) -> str:
    """How to call the network."""
    if not config["file"]:
        return "```python\nfrom diffusers import AutoModel\n\nnetwork = AutoModel.from_pretrained(folder)\n```"
    needs = "numpy and onnxruntime" if config["file"].endswith(".onnx") else "torch"
    names = ", ".join(each["name"].replace(".", "_") for each in config["inputs"])
    return (
        f"`inference.py` needs {needs}. Without arguments, it compares the network with the outputs at export.\n\n"
        f"```python\nfrom inference import load\n\nnetwork = load()\noutput = network({names})\n```"
    )


def _range(part: Mapping[str, Any]) -> str:
    return "" if part["low"] is None else f"{part['low']:.4g} to {part['high']:.4g}"


def _training(subject: Subject, config: Config) -> str:
    base = subject.component.path.rpartition(".")[2]
    steps = [step for step in config.steps.values() if base in step.section.trained]
    lines = [line for step in steps for line in _step(step)]
    return "\n".join(lines) or "No step of the run trains it."


def _step(step: StepConfig) -> Iterator[str]:
    yield f"- step `{step.name}`: trains {', '.join(f'`{name}`' for name in step.section.trained)}"
    optimizer = step.node.get("optimizer")
    if optimizer is not None:
        yield f"  - optimizer: `{json.dumps(_without_folders(optimizer.masked()))}`"
    for name, loss in step.losses.items():
        yield f"  - loss `{name}`: `{json.dumps(_masked(loss))}`"


def _masked(component: Component) -> Any:
    return _without_folders(component.node.masked())


def _without_folders(value: Any) -> Any:
    """Options whose absolute paths are reduced to their last part. The folders of a machine are not for readers."""
    if isinstance(value, dict):
        return {name: _without_folders(part) for name, part in value.items()}
    if isinstance(value, list):
        return [_without_folders(part) for part in value]
    is_absolute = isinstance(value, str) and value.startswith(("/", "~"))
    return f".../{PurePath(value).name}" if is_absolute else value


def _table(metrics: Mapping[str, tuple[float, int]]) -> str:
    rows = "\n".join(f"| {name} | {value:.6g} | {at} |" for name, (value, at) in sorted(metrics.items()))
    return f"| metric | value | iteration |\n|---|---|---|\n{rows}"
