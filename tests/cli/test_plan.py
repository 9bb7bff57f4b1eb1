"""What `artschool plan` prints, and the picture that it draws."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from artschool.cli.main import cli
from artschool.errors import ArtschoolError, ConfigError
from artschool.registry import schedules
from tests.engine import toy_run

pytestmark = pytest.mark.usefixtures("registries")
TABLE = """\
toy                20 iterations of 8 samples; 4 epochs of 5 iterations, 160 samples at the end
step gen           updates gen 20 times
  0 to 5           pixel 1
  6 to 19          pixel 1, adversarial 0.1
  rate             0.0005 at 0, 0.002 at 3, 0.001 at 12, 0.001 at 19
step critic        updates critic 8 times
  4 to 19          trains every 2; gan 1
  rate             0.01 at 4, 0.01 at 18
network gen        20 updates, averaged 20 times
network critic     8 updates
evaluate held_out  2 times, every 10 and at the end
checkpoints        4 times, every 5 and at the end
log                7 times, every 3 and at the end
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def planned(*arguments: str, overrides: tuple[str, ...] = ()) -> Result:
    file = toy_run.write(Path(), *overrides)
    result = CliRunner().invoke(cli, ["plan", str(file), *arguments])
    if isinstance(result.exception, Exception):
        raise result.exception
    return result


def as_json(*arguments: str) -> dict[str, Any]:
    result: dict[str, Any] = json.loads(planned("--json", *arguments).stdout)
    return result


def table(*arguments: str) -> list[str]:
    return [line for line in planned(*arguments).stdout.splitlines() if not line.startswith("plugin ")]


def test_the_table_tells_a_run_in_the_order_of_the_file() -> None:
    assert "\n".join(table()) + "\n" == TABLE


def test_rates_are_told_where_they_are_asked_for() -> None:
    lines = table("--at", "20, 5,4,1")
    assert lines[4].split(None, 1)[1] == "0.001 at 1, 0.002 at 4, 0.002 at 5, none at 20"
    assert lines[7].split(None, 1)[1] == "none at 1, 0.01 at 4, none at 5, none at 20"


def test_numbers_that_change_have_rows_of_their_own() -> None:
    overrides = (
        "steps.gen.losses.pixel.weight={type: linear, start: 0, end: 2, iterations: 8}",
        "steps.critic.optimizer.momentum={type: half_cosine, start: 0.5, end: 0.9, iterations: 10}",
        "ema.decay={type: ramp, scale: 0.9}",
    )
    lines = table(*overrides)
    assert lines[2:6] == [
        "  0 to 5           pixel linear",
        "  6 to 19          pixel linear, adversarial 0.1",
        "  rate             0.0005 at 0, 0.002 at 3, 0.001 at 12, 0.001 at 19",
        "  pixel/weight     0 at 0, 2 at 8, 2 at 19",
    ]
    assert lines[9] == "  momentum         0.5 at 0, 0.9 at 10, 0.9 at 19"
    assert lines[12] == "ema/decay          0.1 at 0, 0.6897 at 19"
    found = as_json("--at", "4", *overrides)
    assert found["numbers"]["gen/pixel/weight"] == [{"iteration": 4, "value": 1.0}]
    assert found["steps"]["gen"]["losses"]["pixel"]["weight"]["type"] == "linear"


def test_a_number_is_told_at_its_extremes_too() -> None:
    @schedules.register("plan_waves")
    def waves(rate: float, iteration: int) -> float:
        return rate * {3: 0.9, 8: 0.9, 6: 0.1}.get(iteration % 10, 0.5)

    assert table("ema.decay={type: plan_waves}")[10] == "ema/decay          0.5 at 0, 0.9 at 3, 0.1 at 6, 0.5 at 19"
    long = table("ema.decay={type: plan_waves}", "train.iterations=1000000")[10]
    assert long == "ema/decay          0.5 at 0, 0.9 at 3,003, 0.1 at 6,006, 0.5 at 999,999"


def test_warnings_come_first_and_each_once() -> None:
    lines = table("steps.gen.losses.adversarial.after=20", "steps.gen.schedule.milestones=[30]")
    assert lines[:2] == [
        "warning: override 'steps.gen.schedule.milestones=[30]': steps.gen.schedule.milestones: iteration 30 is never "
        "reached: the last update is at iteration 19",
        "warning: toy.yml:20:7: steps.gen.losses.adversarial: never runs: it is active after 20, "
        "and training ends after 20 iterations",
    ]
    assert [line for line in lines[2:] if line.startswith("warning")] == []


def test_every_kind_of_row() -> None:
    lines = table(
        "train.iterations=1",
        "train.start_iteration=0",
        "steps.gen.optimizer=none",
        "steps.gen.schedule=null",
        "steps.gen.clip_grad_norm=null",
        "steps.critic.requires=[lq]",
        "steps.critic.after=0",
        "steps.critic.losses.gan.every=2",
        "steps.critic.optimizer.param_groups=[{match: critic.0.*, lr: 0.5}]",
        "ema=null",
        "log.pictures={every: 2, keys: [lq]}",
    )
    assert [line for line in lines if not line.startswith("warning")] == [
        "toy                1 iteration of 8 samples; 0.2 epochs of 5 iterations, 8 samples at the end",
        "step gen           runs 1 time, without an optimizer",
        "  0                runs without training; pixel 1",
        "step critic        updates critic at most 1 time",
        "  0                trains every 2; gan 1 every 2",
        "  rate             0.01 at 0",
        "  rate             of critic.0.*: 0.5 at 0",
        "network gen        not trained",
        "network critic     at most 1 update",
        "evaluate held_out  1 time, every 10 and at the end",
        "checkpoints        1 time, every 5 and at the end",
        "pictures           0 times, every 2",
        "log                1 time, every 3 and at the end",
    ]


def test_networks_of_a_step_that_move_at_other_times_are_told_apart() -> None:
    lines = table("steps.gen.trains=[gen, critic]", "networks.critic.every=4")
    assert lines[1] == "step gen           updates gen 20 times, critic 5 times"
    # 0 4 8 12 16 by one step, all but the first by the other too.
    assert lines[9] == "network critic     9 updates"


def test_json_has_everything_by_name() -> None:
    plan = as_json()
    assert plan["iterations"] == 20 and plan["samples"] == 160 and plan["epochs"] == 4.0
    assert plan["steps"]["critic"] == {
        "runs": {"count": 16, "first": 4, "last": 19},
        "trains": {"count": 8, "first": 4, "last": 18},
        "updates": {"least": 8, "most": 8},
        "condition": None,
        "networks": {"critic": {"least": 8, "most": 8}},
        "losses": {"gan": {"weight": 1.0, "every": 1, "count": 16, "first": 4, "last": 19}},
        "spans": [{"first": 4, "last": 19, "trains_every": [2], "losses": ["gan"]}],
        "rates": [{"group": None, "at": [{"iteration": 4, "rate": 0.01}, {"iteration": 18, "rate": 0.01}]}],
    }
    assert plan["networks"]["gen"] == {"updates": {"least": 20, "most": 20}, "average": {"least": 20, "most": 20}}
    held_out = {"every": 10, "at_end": True, "count": {"least": 2, "most": 2}, "first": 10, "last": 20}
    assert plan["evaluations"] == {"held_out": held_out}
    assert plan["checkpoints"]["count"] == {"least": 4, "most": 4} and plan["pictures"] is None and plan["never"] == []


def test_json_is_alone_on_stdout_and_names_what_never_happens() -> None:
    result = planned("--json", "steps.gen.losses.adversarial.after=20", "--at", "3", "--svg", "toy.svg")
    plan = json.loads(result.stdout)
    assert [fault["path"] for fault in plan["never"]] == ["steps.gen.losses.adversarial"]
    assert plan["steps"]["gen"]["rates"][0]["at"] == [{"iteration": 3, "rate": 0.002}]
    assert result.stderr.splitlines()[-1] == "drawing: toy.svg" and "warning: toy.yml" in result.stderr


def test_what_a_plugin_prints_is_no_part_of_the_json(folder: Path) -> None:
    (folder / "chatty.py").write_text("print('hello')\n")
    result = planned("--json", f"plugins=[{folder / 'chatty.py'}]")
    assert json.loads(result.stdout)["name"] == "toy" and "hello" in result.stderr


def test_data_that_is_not_here_leaves_epochs_unknown() -> None:
    absent = "data.train={type: image_folder, path: nowhere, keys: [lq, hq, name]}"
    assert table(absent)[0].startswith(
        "toy                20 iterations of 1 sample; epochs unknown: override 'data.train="
    )
    plan = as_json(absent)
    assert plan["samples"] is None and plan["epochs"] is None and "nowhere" in plan["unknown"]
    with pytest.raises(ArtschoolError, match=r"train\.epochs: the length of an epoch of data\.train is unknown"):
        planned(absent, "train.iterations=null", "train.epochs=2")


@pytest.mark.parametrize("at", ["", "1,,2", "-1", "1.5", "all"])
def test_what_is_no_iteration_is_refused(at: str) -> None:
    with pytest.raises(ArtschoolError, match="expected iterations, counted from 0 and separated by commas"):
        planned("--at", at)


def test_a_picture_that_has_no_place_is_refused_before_anything_is_printed(folder: Path) -> None:
    file = toy_run.write(folder)
    result = CliRunner().invoke(cli, ["plan", str(file), "--svg", "none/toy.svg"])
    assert (str(result.exception), result.output) == ("--svg none/toy.svg: folder none does not exist", "")
    assert isinstance(result.exception, ConfigError)
