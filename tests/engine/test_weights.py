"""Pretrained weights: every format, names that do not fit, and a file that would run code."""

from __future__ import annotations

import io
import json
import os
import pickle
import re
import warnings
from collections import OrderedDict
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from rich.console import Console
from safetensors.torch import save_file
from torch import Tensor

from artschool.engine.pretrained_weights import load_weights
from artschool.errors import CheckpointError
from tests.engine.toy_parts import load, same


def after_place(error: Exception) -> str:
    """The text of an error after the file, the line and the column that it names."""
    found = re.fullmatch(r".*toy\.yml:\d+:\d+: (.*)", str(error), re.DOTALL)
    assert found is not None, error
    return found[1]


NETWORK = "networks.net={type: part_linear, width: 2, weights: WEIGHTS}"
DATA = "data.train.width=2"


def tensors() -> dict[str, Tensor]:
    return {"weight": torch.tensor([[1.0, 2.0], [3.0, 4.0]]), "bias": torch.tensor([5.0, 6.0])}


def loaded(folder: Path, weights: str) -> tuple[dict[str, Tensor], str]:
    """The network's tensors, and what was said after the line about the plugin."""
    console = Console(record=True, width=500, file=io.StringIO())
    run, _ = load(folder, DATA, NETWORK.replace("WEIGHTS", weights), console=console)
    return dict(run.networks["net"].state_dict()), console.export_text().partition("\n")[2]


def with_prefix(prefix: str) -> dict[str, Tensor]:
    return {f"{prefix}{name}": value for name, value in tensors().items()}


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize(
    ("content", "removed"),
    [
        (tensors(), ""),
        (OrderedDict(tensors()), ""),
        (with_prefix("module."), "module."),
        (with_prefix("_orig_mod.module."), "module., _orig_mod."),
        (with_prefix("_fsdp_wrapped_module."), "_fsdp_wrapped_module."),
        ({"state_dict": tensors(), "epoch": 3, "args": {"lr": 0.1}}, "state_dict."),
        ({"model": {"state_dict": with_prefix("module.")}}, "model.state_dict., module."),
        ({"state_dict": {**with_prefix("net."), "loss.weight": torch.zeros(3)}}, "state_dict.net."),
        ({"generator": tensors(), "critic": {"head": torch.zeros(3)}, "iteration": 7}, "generator."),
        ({"params_ema": tensors(), "optimizer": {"state": {0: {"exp_avg": torch.zeros(2)}}}}, "params_ema."),
        (with_prefix("trunk.encoder."), "trunk.encoder."),
        ({**tensors(), "ema": tensors()}, ""),
        ({"params_ema": tensors(), "params": {"weight": torch.zeros(3, 2), "bias": torch.zeros(3)}}, "params_ema."),
    ],
)
def test_a_file_of_torch_is_loaded(tmp_path: Path, content: Any, removed: str, suffix: str) -> None:
    file = tmp_path / f"w{suffix}"
    torch.save(content, file)
    found, said = loaded(tmp_path, str(file))
    assert same(found, tensors())
    told = f"; removed from the names: {removed}" if removed else ""
    assert said == f"networks.net: {file}: 2 tensors loaded{told}\n"


@pytest.mark.parametrize("strict", ["true", "false"])
@pytest.mark.parametrize(
    ("content", "prefixes"),
    [
        ({"params_ema": tensors(), "params": tensors()}, ["params.", "params_ema."]),
        ({"state_dict": tensors(), "model_ema": with_prefix("module.")}, ["model_ema.", "state_dict."]),
        ({"generator": tensors(), "critic": tensors()}, ["critic.", "generator."]),
    ],
)
def test_of_several_that_fit_none_is_guessed(
    tmp_path: Path, content: dict[str, Any], prefixes: list[str], strict: str
) -> None:
    file = tmp_path / "w.pt"
    torch.save(content, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, f"{{file: {file}, strict: {strict}}}")
    assert after_place(error.value) == (
        f"networks.net.weights: {file}: several prefixes fit: {', '.join(prefixes)}. "
        f"Fix: choose one, such as `weights: {{file: ..., prefix: {prefixes[-1]}}}`"
    )
    for prefix in prefixes:
        assert same(loaded(tmp_path, f"{{file: {file}, prefix: {prefix}}}")[0], tensors())


@pytest.mark.parametrize("prefix", ["netG.", "netG", "state_dict.netG.", "module.netG."])
def test_a_prefix_may_leave_out_what_holds_the_whole(tmp_path: Path, prefix: str) -> None:
    file = tmp_path / "w.pt"
    torch.save({"state_dict": {**with_prefix("module.netG."), **with_prefix("module.netD.")}}, file)
    assert same(loaded(tmp_path, f"{{file: {file}, prefix: {prefix}}}")[0], tensors())


def test_a_prefix_that_lies_in_several_mappings_is_not_guessed(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({"params": with_prefix("netG."), "params_ema": with_prefix("netG.")}, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, f"{{file: {file}, prefix: netG.}}")
    assert "several prefixes fit: params.netG., params_ema.netG.. Fix: choose one" in str(error.value)


def test_a_part_of_a_larger_network_is_suggested_and_not_taken(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({**with_prefix("fc."), "conv.weight": torch.zeros(3), "scale": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, str(file))
    assert after_place(error.value) == (
        f"networks.net.weights: {file}: does not fit the network: 0 of 2 tensors match; 2 missing: bias, weight; "
        "4 unexpected: conv.weight, fc.bias, fc.weight, scale. "
        "The file contains: conv. (1 tensor), fc. (2 tensors), scale (1 tensor)\n"
        "    Did you mean `prefix: fc.`? 2 of 2 tensors match with it."
    )


def test_wrappers_that_the_network_has_itself_stay(tmp_path: Path) -> None:
    network = torch.nn.ModuleDict({"module": torch.nn.Linear(2, 2)})
    torch.save(with_prefix("module."), tmp_path / "w.pt")
    assert str(load_weights(network, tmp_path / "w.pt")) == "2 tensors loaded"


def test_a_safetensors_file_is_loaded(tmp_path: Path) -> None:
    save_file(with_prefix("module."), tmp_path / "w.safetensors")
    assert same(loaded(tmp_path, str(tmp_path / "w.safetensors"))[0], tensors())


def test_a_checkpoint_of_a_run_is_loaded(tmp_path: Path) -> None:
    run, _ = load(tmp_path, DATA, "networks.net={type: part_linear, width: 2}")
    run.train()
    file = run.store.folder / "00000004" / "net.safetensors"
    (tmp_path / "next").mkdir()
    assert same(loaded(tmp_path / "next", str(file))[0], dict(run.networks["net"].state_dict()))


def test_a_prefix_takes_one_network_of_several(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({**with_prefix("netG."), "netD.weight": torch.zeros(9)}, file)
    found, said = loaded(tmp_path, f"{{file: {file}, prefix: netG.}}")
    assert same(found, tensors())
    assert said == f"networks.net: {file}: 2 tensors loaded\n"


def test_a_prefix_that_no_name_has_is_told_with_those_that_there_are(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({**with_prefix("netG."), "netD.weight": torch.zeros(9)}, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, f"{{file: {file}, prefix: gen.}}")
    contained = "The file contains: netD. (1 tensor), netG. (2 tensors)"
    said = f"networks.net.weights: {file}: no name starts with 'gen.'. {contained}"
    assert after_place(error.value) == said


@pytest.mark.parametrize("suffix", [".safetensors", ".pt"])
def test_a_trace_takes_weights_and_refuses_those_that_do_not_fit(tmp_path: Path, suffix: str) -> None:
    """Where no tensor has values, those of a file have to be read all the same."""
    file = tmp_path / f"w{suffix}"
    save_file(tensors(), file) if suffix == ".safetensors" else torch.save(tensors(), file)
    weights = NETWORK.replace("WEIGHTS", str(file))
    load(tmp_path, DATA, weights, traced=True)
    with pytest.raises(CheckpointError, match=r": wrong shape of .* \(expected \(3,.*\), got \(2,.*\)\)\. Fix: .*skip"):
        load(tmp_path, "data.train.width=3", weights.replace("width: 2", "width: 3"), traced=True)


@pytest.mark.parametrize(
    ("content", "report"),
    [
        ({"weight": torch.zeros(2, 2)}, "1 of 2 tensors {}; 1 missing: bias"),
        ({**tensors(), "head.weight": torch.zeros(1)}, "2 tensors {}; 1 unexpected: head.weight"),
        (
            {"bias": torch.zeros(2), **{f"x{index}": torch.zeros(1) for index in range(9)}},
            "1 of 2 tensors {}; 1 missing: weight; 9 unexpected: x0, x1, x2, x3, x4, x5, x6, x7 and 1 more",
        ),
    ],
)
def test_names_that_do_not_fit_are_reported_and_refused_unless_allowed(
    tmp_path: Path, content: dict[str, Tensor], report: str
) -> None:
    file = tmp_path / "w.pt"
    torch.save(content, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, str(file))
    fix = ". Fix: if this is intended, write `weights: {file: ..., strict: false}`"
    assert (
        after_place(error.value)
        == f"networks.net.weights: {file}: does not fit the network: {report.format('match')}{fix}"
    )
    assert error.value.exit_code == 6
    found, said = loaded(tmp_path, f"{{file: {file}, strict: false}}")
    assert said == f"networks.net: {file}: {report.format('loaded')}\n"
    assert all(torch.equal(found[name], content[name]) for name in found.keys() & content.keys())


def test_less_than_half_of_a_network_is_loaded_with_a_warning(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({"layers.0.weight": torch.zeros(2, 2)}, file)
    network = "networks.net={type: mlp, in_features: 2, out_features: 2, hidden: [2], weights: WEIGHTS}"
    console = Console(record=True, width=500, file=io.StringIO())
    for skip in ("[]", "[layers.2.*]"):
        weights = f"{{file: {file}, strict: false, skip: {skip}}}"
        load(tmp_path, DATA, network.replace("WEIGHTS", weights), console=console)
    lines = [line for line in console.export_text().splitlines() if "networks.net" in line]
    assert lines == [
        f"warning: networks.net: {file}: 1 of 4 tensors loaded; "
        "3 missing: layers.0.bias, layers.2.bias, layers.2.weight. "
        "Fix: map other names with `rename`, or list what starts anew under `skip`",
        f"networks.net: {file}: 1 of 2 tensors loaded; 1 missing: layers.0.bias; "
        "2 skipped: layers.2.bias, layers.2.weight",
    ]


@pytest.mark.parametrize("strict", ["true", "false"])
def test_a_file_of_which_nothing_fits_is_refused(tmp_path: Path, strict: str) -> None:
    file = tmp_path / "w.pt"
    torch.save({"other": torch.zeros(1)}, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, f"{{file: {file}, strict: {strict}}}")
    report = "0 of 2 tensors match; 2 missing: bias, weight; 1 unexpected: other. The file contains: other (1 tensor)"
    assert after_place(error.value) == f"networks.net.weights: {file}: does not fit the network: {report}"


@pytest.mark.parametrize("strict", ["true", "false"])
def test_another_shape_is_refused(tmp_path: Path, strict: str) -> None:
    file = tmp_path / "w.pt"
    torch.save({**tensors(), "bias": torch.zeros(3)}, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, f"{{file: {file}, strict: {strict}}}")
    assert after_place(error.value) == (
        f"networks.net.weights: {file}: wrong shape of bias (expected (2,), got (3,)). "
        "Fix: to start these layers anew, write `skip: [bias]`"
    )


def test_every_difference_of_shape_and_type_is_listed(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save({"weight": torch.zeros(2, 2, dtype=torch.int8), "bias": torch.zeros(3)}, file)
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, str(file))
    assert after_place(error.value) == (
        f"networks.net.weights: {file}: wrong shape of bias (expected (2,), got (3,)), "
        "wrong type of weight (expected float32, got int8). Fix: to start these layers anew, write `skip: [bias]`"
    )


def test_halves_are_loaded_as_floats(tmp_path: Path) -> None:
    torch.save({name: value.half() for name, value in tensors().items()}, tmp_path / "w.pt")
    assert same(loaded(tmp_path, str(tmp_path / "w.pt"))[0], tensors())


class Payload:
    """Unpickled, it makes a folder."""

    def __init__(self, folder: str) -> None:
        self._folder = folder

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Any, ...]]:
        return os.mkdir, (self._folder,)


@pytest.mark.parametrize("suffix", [".pt", ".pth", ".ckpt"])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_file_that_would_run_code_is_refused_and_runs_none(tmp_path: Path, suffix: str, zipped: bool) -> None:
    file, made = tmp_path / f"w{suffix}", tmp_path / "made"
    content = {**tensors(), "extra": Payload(str(made))}
    if zipped:
        torch.save(content, file)
    else:
        file.write_bytes(pickle.dumps(content, protocol=2))
    with pytest.raises(CheckpointError) as error:
        loaded(tmp_path, str(file))
    assert after_place(error.value) == (
        f"networks.net.weights: {file}: contains code, which is not run. Fix: save only `network.state_dict()`"
    )
    assert not made.exists()
    torch.load(file, weights_only=False) if zipped else pickle.loads(file.read_bytes())
    assert made.exists()  # It would have.


@pytest.mark.parametrize(
    ("name", "content", "text"),
    [
        (
            "w.bin",
            b"",
            "{file}: unknown format (expected .safetensors, .pt, .pth or .ckpt). Fix: rename it to .pt if torch.save",
        ),
        ("w.npz", b"", "{file}: unknown format (expected .safetensors, .pt, .pth or .ckpt). Fix: `save_file("),
        ("w.onnx", b"", "{file}: unknown format (expected .safetensors, .pt, .pth or .ckpt). Fix: use the weights"),
        ("w.h5", b"", "{file}: unknown format (expected .safetensors, .pt, .pth or .ckpt)"),
        ("m.safetensors.index.json", b"{}", "{file}: is no index of a .safetensors file in parts (expected 'weight"),
        (
            "m.safetensors.index.json",
            b'{"weight_map": {"a": "w.bin"}}',
            "{file}: expected parts that are .safetensors files, got w.bin",
        ),
        (
            "m.safetensors.index.json",
            b'{"weight_map": {"a": "' + b"w" * 300 + b'.safetensors"}}',
            "{file.parent}/" + "w" * 300 + ".safetensors: cannot read: File name too long",
        ),
        ("w.safetensors", b"nonsense", "{file}: cannot read: Error while deserializing header"),
        ("w.pt", b"", "{file}: cannot read: "),
        ("w.pt", b"<html>", "{file}: cannot read: the file was not written by torch.save"),
        ("w.pt", b"version https://git-lfs", "{file}: cannot read: the file was not written by torch.save"),
        ("w.pt", b"\x80\x02a.", "{file}: cannot read: "),
        ("w.pt", None, "{file}: file does not exist"),
    ],
)
def test_a_file_that_cannot_be_read_is_told(tmp_path: Path, name: str, content: bytes | None, text: str) -> None:
    file = tmp_path / name
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(CheckpointError) as error:
        load_weights(torch.nn.Linear(2, 2), file)
    assert str(error.value).startswith(text.format(file=file))


@pytest.mark.parametrize(
    ("content", "only"),
    [([torch.zeros(1)], ""), ({"epoch": 3, "args": {}}, ", only the keys epoch, args"), (torch.zeros(1), "")],
)
def test_a_file_without_names_is_told(tmp_path: Path, content: Any, only: str) -> None:
    file = tmp_path / "w.pt"
    torch.save(content, file)
    with pytest.raises(CheckpointError) as error:
        load_weights(torch.nn.Linear(2, 2), file)
    assert str(error.value) == f"{file}: no named tensors found{only}"


def test_a_missing_file_is_told_with_the_network_s_place(tmp_path: Path) -> None:
    with pytest.raises(CheckpointError, match=r"^networks\.gen\.weights: .*none\.pth: file does not exist$"):
        load_weights(torch.nn.Linear(2, 2), tmp_path / "none.pth", path="networks.gen")


def test_a_truncated_file_is_told(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    torch.save(tensors(), file)
    file.write_bytes(file.read_bytes()[:-300])
    with pytest.raises(CheckpointError) as error:
        load_weights(torch.nn.Linear(2, 2), file)
    assert str(error.value).startswith(f"{file}: cannot read: ")


def test_a_file_in_parts_is_loaded_by_its_index(tmp_path: Path) -> None:
    parts = {"m-1.safetensors": {"weight": tensors()["weight"]}, "m-2.safetensors": {"bias": tensors()["bias"]}}
    for name, part in parts.items():
        save_file(part, tmp_path / name)
    index = tmp_path / "m.safetensors.index.json"
    index.write_text(json.dumps({"weight_map": {key: name for name, part in parts.items() for key in part}}))
    assert same(loaded(tmp_path, str(index))[0], tensors())


def test_a_folder_is_refused_with_its_files(tmp_path: Path) -> None:
    checkpoint = tmp_path / "run" / "checkpoints" / "00000004"
    checkpoint.mkdir(parents=True)
    for name in ("gen.safetensors", "gen.ema.safetensors", "state.optimizers.safetensors", "manifest.json"):
        (checkpoint / name).touch()
    for folder in (checkpoint, tmp_path / "run"):
        with pytest.raises(CheckpointError) as error:
            load_weights(torch.nn.Linear(2, 2), folder)
        assert str(error.value) == (
            f"{folder}: expected a file, got a folder. "
            f"Fix: write one of the files in {checkpoint}: gen.ema.safetensors, gen.safetensors"
        )


def test_a_program_of_torchscript_is_not_run(tmp_path: Path) -> None:
    file = tmp_path / "w.pt"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.jit.save(torch.jit.script(torch.nn.Linear(2, 2)), str(file))
    with pytest.raises(CheckpointError) as error:
        load_weights(torch.nn.Linear(2, 2), file)
    assert str(error.value) == (
        f"{file}: is a program of TorchScript, which is not run. "
        "Fix: save `torch.jit.load(...).state_dict()` with torch.save"
    )
