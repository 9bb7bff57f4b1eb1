"""`artschool profile`: which part takes how long, and that it changes neither the training nor the run folder."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

import artschool
from artschool.cli.main import cli
from artschool.cli.profile import summary
from artschool.errors import DataError, ResourceError
from artschool.profiling.parts import BACKWARD, COPY, LOG, OPTIMIZER, WAIT, Part
from artschool.profiling.peak import SIZES
from artschool.profiling.profile import profile
from artschool.profiling.report import Profile
from artschool.read.read import check_file
from tests.engine import toy_run
from tests.engine.test_ranks import PLUGIN_FOLDERS
from tests.little_room import little_room
from tests.profiling import parts_for_tests

pytestmark = pytest.mark.usefixtures("registries")
PLUGINS = f"plugins=[{toy_run.__file__}, {parts_for_tests.__file__}]"
BOTH = "train.start_iteration=6"
"""From here on, both steps run and all losses are active."""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setitem(SIZES, "cpu", 64)  # Nothing here depends on how fast this machine is.
    return tmp_path


def profiled(*overrides: str, iterations: int = 2, warmup: int = 1) -> Profile:
    file = toy_run.write(Path(), PLUGINS, *overrides)
    return profile(check_file(file), iterations=iterations, warmup=warmup)


def command(*arguments: str) -> Result:
    file = toy_run.write(Path(), BOTH)
    result = CliRunner().invoke(cli, ["profile", str(file), "--iterations", "2", "--warmup", "1", *arguments])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def largest(found: Profile) -> Part:
    """The part with the largest time of its own."""
    return max(found.root.all(), key=lambda part: part.own_seconds)


def names(part: Part) -> dict[str, Any]:
    return {inner.name: names(inner) for inner in part.parts.values()}


def test_the_tree_has_everything_that_an_iteration_does() -> None:
    found = profiled(BOTH, "log.every=1")
    assert names(found.root) == {
        WAIT: {},
        "steps.gen": {
            COPY: {},
            "injectors.up": {"networks.gen": {}},
            "losses.pixel": {},
            "losses.adversarial": {"networks.critic": {}},
            BACKWARD: {"losses.adversarial": {}, "networks.critic": {}, "losses.pixel": {}, "networks.gen": {}},
            OPTIMIZER: {},
        },
        "steps.critic": {
            "losses.gan": {"networks.critic": {}},
            BACKWARD: {"losses.gan": {}, "networks.critic": {}},
            OPTIMIZER: {},
        },
        "ema.gen": {},
        LOG: {},
    }


def test_the_parts_add_up_to_the_iterations() -> None:
    found = profiled(BOTH, iterations=3)
    assert len(found.durations) == 3
    assert found.root.seconds == pytest.approx(sum(part.own_seconds for part in found.root.all()))
    assert 0.9 * sum(found.durations) < found.root.seconds <= sum(found.durations)


@pytest.mark.parametrize(
    ("override", "name", "line"),
    [
        ("data.train.type=sleepy_pairs", WAIT, "train:"),
        ("steps.gen.injectors.late={type: sleepy_copy, in: sr, out: late}", "injectors.late", "late:"),
        ("steps.gen.losses.late={type: sleepy_l1, in: [sr, hq], weight: 1.0}", "losses.late", "late:"),
    ],
)
def test_what_takes_long_is_the_largest_part_at_its_line(override: str, name: str, line: str) -> None:
    part = largest(profiled(override))
    assert part.name == name
    assert part.place is not None
    assert Path("toy.yml").read_text().splitlines()[part.place.line - 1].strip().startswith(line)


def test_a_slow_backward_pass_belongs_to_its_network() -> None:
    part = largest(profiled(BOTH, "networks.critic={type: sleepy_critic}", "steps.critic.before=5"))
    assert part.name == "networks.critic"
    assert part.parent is not None
    assert part.parent.name == BACKWARD
    assert part.parent.parent is not None
    assert part.parent.parent.name == "steps.gen"


def test_an_injector_that_returns_its_input_takes_no_part_of_the_backward_pass() -> None:
    found = profiled("steps.gen.injectors.late={type: sleepy_copy, in: sr, out: late}")
    assert set(found.root.below(BACKWARD)[0].parts) == {"losses.pixel", "networks.gen"}


def test_methods_of_networks_are_measured_once() -> None:
    found = profiled("networks.gen={type: coder}", "steps.gen.injectors.up.method=enlarge")
    assert names(found.root.below("injectors.up")[0]) == {"networks.gen": {}}


def test_a_gradient_penalty_is_part_of_its_loss() -> None:
    found = profiled(
        "train.start_iteration=4",
        "steps.critic.losses.penalty={type: gradient_penalty, kind: r1, network: critic, real: hq, weight: 10.0}",
    )
    backward = found.root.below("steps.critic")[0].parts[BACKWARD]
    assert set(backward.parts) == {"losses.gan", "losses.penalty", "networks.critic"}


def test_flops_are_those_of_the_matrix_products() -> None:
    """A product of (8, 64) and (64, 64) forward, one for its weight backward, and none for its input."""
    found = profiled(
        "networks.gen={type: one_layer, size: 64}",
        "data.train.size=64",
        "steps.gen.injectors.up={type: forward, network: gen, in: hq, out: sr}",
        "steps.critic.after=100",
    )
    product = 2 * (8 * 3 * 64) * 64 * 64
    assert found.root.flops == 2 * product
    assert found.root.below("injectors.up")[0].flops == product
    assert found.root.below(BACKWARD)[0].parts["networks.gen"].flops == product
    assert found.utilization == found.root.flops / found.seconds / found.machine.peak_flops


def test_memory_is_that_of_what_is_in_use() -> None:
    found = profiled(
        "networks.gen={type: one_layer, size: 512}",
        "data.train={type: run_pairs, length: 8, batch_size: 1, size: 512}",
        "steps.gen.injectors.up={type: forward, network: gen, in: hq, out: sr}",
        "steps.critic.after=100",
        "ema=null",
    )
    weight = 4 * 512 * 512
    optimizer = found.root.below(OPTIMIZER)[0]
    critic = 4 * 401
    # The weight, its gradient and the two moments of AdamW, and whatever small numbers there are.
    assert 4 * weight + critic <= optimizer.peak
    assert found.root.peak == max(part.peak for part in found.root.all() if part is not found.root)


def test_each_average_of_a_network_is_a_part() -> None:
    found = profiled("ema={networks: {gen: 0.9, slow: {of: gen}}}", "evaluate={}")
    assert {"ema.gen", "ema.slow"} <= {part.name for part in found.root.all()}


def test_the_losses_are_those_of_a_normal_run() -> None:
    override = "steps.gen.losses.pixel={type: kept_l1, in: [sr, hq], weight: 1.0}"
    parts_for_tests.kept.clear()
    toy_run.load(Path(), PLUGINS, override, "evaluate={}", "train.iterations=8").train()
    normal = list(parts_for_tests.kept)
    parts_for_tests.kept.clear()
    profiled(override, "evaluate={}", iterations=4, warmup=3)  # And the one that is counted.
    assert len(normal) == 8
    assert parts_for_tests.kept == normal


def test_the_run_folder_is_neither_read_nor_written() -> None:
    file = toy_run.write(Path(), "train.iterations=5", "evaluate={}")
    artschool.load(file).train()
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert any(path.parts[:2] == ("runs", "toy") for path in before)
    profile(check_file(file), iterations=8, warmup=0)  # Further than the run: it neither resumes nor ends.
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_an_error_of_the_data_is_that_of_the_data() -> None:
    with pytest.raises(DataError) as error:
        profiled("data.train.fail_at=3", iterations=20)
    assert getattr(error.value, "__notes__", []) == []


def test_an_error_of_a_component_names_no_file_that_is_deleted() -> None:
    with pytest.raises(ValueError, match="a loss of a plugin fails") as error:
        profiled("steps.gen.losses.pixel={type: failing_l1, in: [sr, hq], at: 3, weight: 1.0}", iterations=20)
    notes = "\n".join(error.value.__notes__)
    assert "steps.gen.losses.pixel" in notes
    assert "artschool-profile" not in notes
    assert "saved" not in notes


@pytest.mark.slow
def test_several_processes_print_one_profile() -> None:
    """Over five seconds: three processes import torch."""
    file = toy_run.write(Path(), BOTH, "train.parallel=shard", "data.val=", "evaluate=", "checkpoint=")
    command = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node=2", "-m", "artschool"]
    ended = subprocess.run(
        [*command, "profile", str(file), "--iterations", "2", "--warmup", "1", "--json"],
        capture_output=True, text=True, timeout=120, check=False,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": PLUGIN_FOLDERS},
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    assert json.loads(ended.stdout)["processes"] == 2


def test_the_command_prints_a_table_with_the_lines_of_the_file() -> None:
    lines = command().stdout.splitlines()
    text = Path("toy.yml").read_text().splitlines()
    line = next(number for number, content in enumerate(text, 1) if content.strip().startswith("pixel:"))
    assert any(row.startswith("    losses.pixel") and f"toy.yml:{line}" in row for row in lines)
    assert lines[1].startswith("iteration ")
    assert "100.0" in lines[1]
    assert any(row.startswith("  other ") for row in lines)
    assert any("evaluations and checkpoints are left out" in row for row in lines)


def test_steps_that_do_not_run_are_named() -> None:
    file = toy_run.write(Path())
    result = CliRunner().invoke(
        cli, ["profile", str(file), "--iterations", "1", "--warmup", "0"], catch_exceptions=False
    )
    assert "step critic does not run in these iterations; train.start_iteration=4 profiles later ones" in result.stdout


def test_the_trace_names_the_parts() -> None:
    command("--trace", "trace.json")
    events = json.loads(Path("trace.json").read_text())["traceEvents"]
    found = {event.get("name") for event in events}
    assert {
        "steps.gen",
        "steps.gen.injectors.up",
        "networks.critic",
        BACKWARD,
        "steps.gen.optimizer",
        "ema.gen",
    } <= found


def test_a_trace_without_room_is_an_error_and_leaves_nothing() -> None:
    refused = r"^trace\.json: torch could not write the trace\. Fix: free some space, or name another file$"
    with little_room(100_000), pytest.raises(ResourceError, match=refused):
        command("--trace", "trace.json")
    assert [path.name for path in Path().iterdir()] == ["toy.yml"]


def test_json_has_the_same_numbers() -> None:
    found: dict[str, Any] = json.loads(command("--json").stdout)
    parts = found["parts"]

    def own(part: dict[str, Any]) -> float:
        return float(part["own_seconds"]) + sum(own(inner) for inner in part["parts"])

    assert own(parts) == pytest.approx(found["seconds"])
    assert found["iterations"] == 2
    assert found["first_iteration"] == 7
    assert {"name", "path", "place", "seconds", "flops", "operations", "peak_bytes"} <= parts.keys()


def test_more_than_the_device_reaches_is_no_utilization() -> None:
    found = profiled()
    found.machine = replace(found.machine, peak_flops=found.flops_per_second / 2)
    assert found.utilization is None and found.as_json()["utilization"] is None
    assert any("GFLOP per second, more than the device reaches: a gate" in line for line in summary(found))
