"""Initial weights from another network of the file, and names that are skipped or renamed."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from artschool.engine.pretrained_weights import load_weights
from artschool.engine.run import Run
from artschool.engine.weight_patterns import WeightPatterns
from artschool.errors import CheckpointError, ConfigError
from artschool.read.read import check_file
from tests.engine.toy_run import load, write

RENAMES = {"old.*.w": "body.*.weight", "out.*": "head.*"}


class Student(nn.Module):
    def __init__(self, classes: int = 3) -> None:
        super().__init__()
        self.body = nn.ModuleList([nn.Linear(2, 2, bias=False) for _ in range(2)])
        self.head = nn.Linear(2, classes)


def file_with(folder: Path, *names: str, prefix: str = "") -> Path:
    """A file in which each tensor holds its position among the names."""
    shapes = {"head.weight": (5, 2), "head.bias": (5,), "out.weight": (3, 2), "out.bias": (3,)}
    tensors = {prefix + n: torch.full(shapes.get(n, (2, 2)), float(i)) for i, n in enumerate(names)}
    save_file(tensors, folder / "w.safetensors")
    return folder / "w.safetensors"


def value(network: nn.Module, name: str) -> float:
    tensor = network.get_parameter(name).detach()
    assert (tensor == tensor.flatten()[0]).all()
    return float(tensor.flatten()[0])


@pytest.mark.parametrize("prefix", ["", "model."])
def test_names_of_another_project_are_renamed(tmp_path: Path, prefix: str) -> None:
    file, network = file_with(tmp_path, "old.0.w", "old.1.w", "out.weight", "out.bias", prefix=prefix), Student()
    report = load_weights(network, file, patterns=WeightPatterns(rename=RENAMES))
    assert [value(network, n) for n in ("body.0.weight", "body.1.weight", "head.weight", "head.bias")] == [0, 1, 2, 3]
    removed = f"; removed from the names: {prefix}" if prefix else ""
    assert str(report) == (
        "4 tensors loaded; 4 renamed: old.0.w -> body.0.weight, old.1.w -> body.1.weight, out.bias -> head.bias, "
        f"out.weight -> head.weight{removed}"
    )


def test_what_is_skipped_may_have_any_shape_and_keeps_its_values(tmp_path: Path) -> None:
    file = file_with(tmp_path, "body.0.weight", "body.1.weight", "head.weight", "head.bias")
    network = Student()
    before = network.head.weight.detach().clone()
    report = load_weights(network, file, patterns=WeightPatterns(["head.*"]))
    assert str(report) == "2 tensors loaded; 2 skipped: head.bias, head.weight"
    assert torch.equal(network.head.weight, before) and value(network, "body.1.weight") == 1
    with pytest.raises(CheckpointError, match=r"wrong shape of head\.bias \(expected \(3,\), got \(5,\)\)"):
        load_weights(network, file)


@pytest.mark.parametrize(
    ("skip", "rename", "message"),
    [
        (["haed.*"], {}, r"skip: 'haed\.\*' matches no name of the network or the file\..* Did you mean 'head\.\*'\?"),
        ([], {"odl.*": "body.*"}, r"rename: 'odl\.\*' matches no name of the file\..* Did you mean 'old\.\*'\?"),
        ([], {"old.*": "body"}, r"rename: 'old\.\*' and 'body' differ in their number of `\*`"),
        ([], {"old.*": "*.w", "out.*": "*.w"}, r"rename: '.*' and '.*' both become"),
    ],
)
def test_a_pattern_that_cannot_be_meant_is_refused(
    tmp_path: Path, skip: list[str], rename: dict[str, str], message: str
) -> None:
    file = file_with(tmp_path, "old.0", "out.0")
    with pytest.raises(CheckpointError, match=message):
        load_weights(Student(), file, patterns=WeightPatterns(skip, rename))


def tensors_of(run: Run, name: str) -> dict[str, Tensor]:
    return dict(run.networks[name].state_dict())


def test_a_network_starts_from_another_one_in_any_order(tmp_path: Path) -> None:
    # The last one starts from the first, which is listed after it has its own weights from a file.
    save_file({k: v + 1 for k, v in load(tmp_path).networks["gen"].state_dict().items()}, tmp_path / "gen.safetensors")
    run = load(
        tmp_path,
        "networks={a: {type: run_generator, weights: {network: gen, skip: ['4.*']}}, critic: {type: run_critic}, "
        f"gen: {{type: run_generator, weights: {tmp_path}/gen.safetensors}}, b: {{type: run_generator, weights: "
        "{network: a}}}",
    )
    gen, a, b = (tensors_of(run, name) for name in ("gen", "a", "b"))
    assert all(torch.equal(gen[name], a[name]) is not name.startswith("4.") for name in gen)
    assert all(torch.equal(a[name], b[name]) for name in a)
    assert a["0.weight"].data_ptr() != gen["0.weight"].data_ptr()


def test_a_network_that_only_gives_its_weights_is_used(tmp_path: Path) -> None:
    overrides = ("networks.teacher={type: run_generator}", "networks.gen.weights={network: teacher}")
    assert check_file(write(tmp_path, *overrides)).warnings == []
    assert "no step or evaluation uses" in str(check_file(write(tmp_path, overrides[0])).warnings[0])


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ("{strict: false}", r"networks\.gen\.weights: missing option 'file' or 'network'"),
        ("{file: a.pth, network: critic}", r"networks\.gen\.weights\.network: sets both 'file' and 'network'"),
        ("{network: critc}", r"weights\.network: unknown network 'critc'\n.*Did you mean 'critic'\?"),
        ("{network: gen}", r"networks\.gen\.weights\.network: starts from itself: gen <- gen"),
    ],
)
def test_a_source_that_cannot_be_is_refused(tmp_path: Path, weights: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message):
        load(tmp_path, f"networks.gen.weights={weights}")
