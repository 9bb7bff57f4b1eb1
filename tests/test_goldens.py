"""The golden cases pass, and a case that does not agree is found."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from tests.goldens import Case, load_cases, load_old_runs, main, run_case
from tests.old_runs import OldRun, run_old

FOLDER = Path(__file__).parent / "goldens"
CASES = {case.name: case for case in load_cases(FOLDER)}


@pytest.mark.parametrize("name", sorted(CASES))
def test_case_agrees_with_the_reference(name: str) -> None:
    assert run_case(CASES[name]) == []


def test_networks_agree_with_the_reference() -> None:
    # In a process of its own, since torch chooses its kernels when it is first used.
    folder = Path(__file__).parent / "goldens_rrdb"
    command = [sys.executable, str(FOLDER.with_suffix(".py")), str(folder)]
    result = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert result.stdout == "8 passed, 0 failed\n", result.stderr


RESUMED = load_old_runs(Path(__file__).parent / "goldens_resume")


@pytest.mark.parametrize("name", sorted(RESUMED))
def test_a_training_of_the_reference_goes_on_as_it_did(name: str) -> None:
    assert run_old(RESUMED[name]) == []


@pytest.mark.parametrize(
    ("name", "tensor", "problem"),
    [
        ("lamb", "slots/net.norm.bias/exp_avg", "slots/net.norm.bias/exp_avg: off by 1"),
        ("lars", "corrected/final/net/out.bias", "final/net/out.bias: off by 1"),
        ("gan_waiting", "corrected/ema/disc/a.bias", "ema/disc/a.bias: off by 1"),
    ],
)
def test_a_number_that_went_on_otherwise_is_found(name: str, tensor: str, problem: str) -> None:
    case = OldRun(RESUMED[name].folder)
    stored = load_file(case.folder / "expected.safetensors")
    assert tensor in stored
    case.tensors[tensor.removeprefix("corrected/")].sub_(1.0)
    assert run_old(case) == [problem]


def with_tensor_off(name: str, tensor: str) -> Case:
    case = CASES[name]
    moved = case.tensors[tensor].clone()
    moved.view(-1)[0] += 3e-5 * max(1.0, float(moved.view(-1)[0].abs()))
    return replace(case, tensors={**case.tensors, tensor: moved})


@pytest.mark.parametrize(
    ("name", "tensor"),
    [
        ("injectors/normalize", "out/b"),
        ("losses/pix-l1", "grad/f"),
        ("losses/generator_gan-gan", "param_grad/net/out.bias"),
        ("optimizers/lars", "final/norm.bias"),
        ("training/gan", "final/disc/out.weight"),
        ("training/distillation", "ema/student/inp.bias"),
    ],
)
def test_a_tensor_that_is_off_is_found(name: str, tensor: str) -> None:
    problems = run_case(with_tensor_off(name, tensor))
    assert len(problems) == 1
    assert "off by 3e-05" in problems[0]


def test_a_number_that_is_off_or_has_no_partner_is_found() -> None:
    case = CASES["training/gan-schedule"]
    trace = json.loads(json.dumps(case.data["trace"]))
    trace[4]["metrics"]["loss_gan_d_real"] += 1e-4
    trace[5]["lr"][1][0] *= 2
    del trace[6]["metrics"]["loss_adv"]
    problems = run_case(replace(case, data={**case.data, "trace": trace}))
    assert [problem.split(": off")[0] for problem in problems] == [
        "iteration 4: disc/gan/d_real",
        "iteration 5: rates",
        "iteration 6: gen/adv: not expected",
    ]


def test_a_rate_that_is_off_is_found() -> None:
    case = CASES["lr/multistep"]
    rates = [*case.data["lr"]]
    rates[19] = 0.1
    assert run_case(replace(case, data={**case.data, "lr": rates})) == ["iteration 19: 0.05, expected 0.1"]


def test_the_command_counts_and_names(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    odd = {**CASES["injectors/grey"].data, "id": "injectors/odd", "config": {"type": "odd", "in": "a", "out": "b"}}
    listed = [*(CASES[name].data for name in ("injectors/grey", "injectors/pad-multiple")), odd]
    (tmp_path / "cases.json").write_text(json.dumps(listed))
    shutil.copy(FOLDER / "toys.py", tmp_path)
    tensors = {name: t for name, t in load_file(FOLDER / "tensors.safetensors").items() if name.startswith("injectors")}
    tensors["injectors/grey/out/b"] = torch.zeros_like(tensors["injectors/grey/out/b"])
    save_file(
        {n: t for n, t in tensors.items() if n.rsplit("/", 2)[0] in {c["id"] for c in listed}},
        tmp_path / "tensors.safetensors",
    )
    assert main(tmp_path) == 1
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("failed injectors/grey: b: off by ")
    assert lines[1:] == [
        "unsupported injectors/odd: injector 'odd' is not converted, and no plugin of the file registers it",
        "1 passed, 2 failed",
    ]
