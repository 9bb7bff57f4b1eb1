"""The picture of a timeline: what stands where."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise
from pathlib import Path

import pytest

from artschool.build.data import train_batches
from artschool.plan.svg import LEFT, RIGHT, WIDTH, draw, short
from artschool.plan.timeline import timeline
from artschool.read.read import check_file
from tests.engine import toy_run

pytestmark = pytest.mark.usefixtures("registries")
NAMESPACE = "{http://www.w3.org/2000/svg}"


def drawn(folder: Path, *overrides: str) -> ET.Element:
    config = check_file(toy_run.write(folder, *overrides))
    return ET.fromstring(draw(timeline(config, train_batches(config))))


def texts(picture: ET.Element) -> list[str]:
    return ["".join(element.itertext()) for element in picture.iter(f"{NAMESPACE}text")]


def bars(picture: ET.Element) -> dict[str, tuple[float, float]]:
    """Left and right of each bar by its title, in iterations of twenty."""
    found = {}
    for element in picture.iter(f"{NAMESPACE}rect"):
        title = element.findtext(f"{NAMESPACE}title")
        if title is not None:
            left, width = float(element.attrib["x"]), float(element.attrib["width"])
            found[title] = tuple(round((x - LEFT) / (RIGHT - LEFT) * 20, 2) for x in (left, left + width))
    return found  # type: ignore[return-value]  # two each


def lines(picture: ET.Element) -> list[list[tuple[float, float]]]:
    return [
        [(float(x), float(y)) for x, y in (point.split(",") for point in element.attrib["points"].split())]
        for element in picture.iter(f"{NAMESPACE}polyline")
    ]


def test_bars_lie_over_their_iterations(tmp_path: Path) -> None:
    assert bars(drawn(tmp_path, "steps.critic.optimizer.before=13")) == {
        "gen: trains, iterations 0 to 19": (0, 20),
        "pixel, weight 1: iterations 0 to 19": (0, 20),
        "adversarial, weight 0.1: iterations 6 to 19": (6, 20),
        "critic: every 2, iterations 4 to 13": (4, 14),
        "critic: runs without training, iterations 14 to 19": (14, 20),
        "gan, weight 1: iterations 4 to 19": (4, 20),
    }


def test_evaluations_and_checkpoints_are_ticks_over_the_finished_iterations(tmp_path: Path) -> None:
    picture = drawn(tmp_path)
    ticks = [line[0][0] for line in lines(picture) if len(line) == 2 and line[1][1] - line[0][1] == 12]
    scale = (RIGHT - LEFT) / 20
    assert [round((x - LEFT) / scale, 2) for x in ticks] == [10, 20, 5, 10, 15, 20]


def test_a_curve_follows_the_rate(tmp_path: Path) -> None:
    curve = next(line for line in lines(drawn(tmp_path)) if len(line) > 10)
    height = {round((x - LEFT) / (RIGHT - LEFT) * 20, 2): y for x, y in curve}
    # The warm-up ends at 3, where the rate is the highest; half of it from 12 on, a quarter at first.
    whole = height[0] - height[3]
    assert height[11] == height[3] and height[12] - height[3] == pytest.approx(whole * 2 / 3, abs=0.1)


def test_a_jump_of_a_long_run_is_steep(tmp_path: Path) -> None:
    picture = drawn(tmp_path, "train.iterations=100000", "steps.gen.schedule.milestones=[50100]")
    curve = next(line for line in lines(picture) if len(line) > 10)
    before, after = next(pair for pair in pairwise(curve) if pair[1][1] - pair[0][1] > 10)
    assert after[0] - before[0] < 0.1


def test_names_are_text_not_markup(tmp_path: Path) -> None:
    group = "steps.critic.optimizer.param_groups=[{match: 'critic.[<0>&1]*', lr: 0.5, marked: null}]"
    assert "critic.[<0>&1]*" in texts(drawn(tmp_path, group))


def test_long_names_go_on_in_the_next_line_and_push_down_what_follows(tmp_path: Path) -> None:
    name = "loss_with_a_very_long_name_that_goes_on"
    picture = drawn(tmp_path, f"steps.gen.losses.{name}={{type: l1, in: [sr, hq], weight: 1.5}}")
    parts = [text for text in picture.iter(f"{NAMESPACE}text") if text.text and text.text in name and text.text != "1"]
    assert "".join(part.text or "" for part in parts) == name
    heights = [float(part.attrib["y"]) for part in parts]
    rate = next(text for text in picture.iter(f"{NAMESPACE}text") if text.text == "rate")
    assert len(parts) > 1 and heights == sorted(heights) and float(rate.attrib["y"]) - heights[-1] > 11


@pytest.mark.parametrize("iterations", [1, 3, 17, 600, 12_345, 10_000_000])
def test_any_length_fits(tmp_path: Path, iterations: int) -> None:
    picture = drawn(tmp_path, f"train.iterations={iterations}", "evaluate.held_out.every=10")
    assert picture.attrib["width"] == str(WIDTH)
    for element in picture.iter(f"{NAMESPACE}rect"):
        left, width = float(element.attrib.get("x", 0)), float(element.attrib["width"])
        assert left >= 0 and left + width <= WIDTH and width >= 1.5
    assert all(0 <= x <= WIDTH for line in lines(picture) for x, _ in line)
    assert 2 <= sum(1 for line in lines(picture) if line[1][1] - line[0][1] == 5) <= 11  # ticks of the axis
    assert len(ET.tostring(picture)) < 100_000


def test_one_iteration_of_millions_is_seen_over_what_only_runs(tmp_path: Path) -> None:
    picture = drawn(tmp_path, "train.iterations=10000000", "steps.critic.optimizer={type: sgd, lr: 0.1, before: 4}")
    titles = list(bars(picture))
    trains = next(title for title in titles if title.startswith("critic: every 2"))
    idle = next(title for title in titles if title.startswith("critic: runs without training"))
    assert titles.index(trains) > titles.index(idle)


def test_a_run_without_data_is_drawn_too(tmp_path: Path) -> None:
    config = check_file(toy_run.write(tmp_path))
    picture = ET.fromstring(draw(timeline(config, None, "no data")))
    assert "epoch" not in texts(picture) and "iteration" in texts(picture)


def test_numbers_of_an_axis_are_short() -> None:
    assert [short(number) for number in (0, 950, 1_200, 40_000, 2_500_000, 3_000_000_000)] == [
        "0",
        "950",
        "1,200",
        "40k",
        "2.5M",
        "3G",
    ]
