"""The page in a real browser: live, hostile, in light and dark, narrow and wide, with 0, 1 and 20 runs."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from artschool.show.folder import find_runs
from artschool.show.page import saved_page
from artschool.show.server import Server
from tests.show.made import add_lines, incident, make_run, record

pytestmark = pytest.mark.skipif(
    shutil.which("chromedriver") is None, reason="needs a browser: apt-get install chromium chromium-driver"
)
HOSTILE = '<img src=x onerror="window.hurt=1">'
OUTSIDE = """
return [...document.querySelectorAll('main h2, main h3, main td, main figcaption, nav a')].filter(e => e.offsetParent)
  .filter(e => e.getBoundingClientRect().right > innerWidth + 1 && !e.closest('.scroll, .drawing'))
  .map(e => e.textContent);
"""
PALE = """
const parse = text => text.match(/[0-9.]+/g).map(Number);
const light = color => parse(color).slice(0, 3).map(c => c / 255)
  .map(c => c <= 0.03928 ? c / 12.92 : ((c + 0.055) / 1.055) ** 2.4)
  .reduce((sum, c, i) => sum + c * [0.2126, 0.7152, 0.0722][i], 0);
const own = e => getComputedStyle(e).backgroundColor;
const behind = e => parse(own(e))[3] === 0 ? behind(e.parentElement) : own(e);
const says = e => [...e.childNodes].some(node => node.nodeType === 3 && node.data.trim());
return [...document.querySelectorAll('main *, header *')].filter(e => e.offsetParent && says(e))
  .filter(e => !e.closest('svg, option'))
  .map(e => [e.textContent.slice(0, 40), light(getComputedStyle(e).color), light(behind(e))])
  .filter(([, a, b]) => (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) < 4.5);
"""
"""Texts whose contrast with what is behind them is below 4.5, as WCAG 2 measures it."""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in ("--headless=new", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "the page has not become what it should be"
        time.sleep(0.05)


def words(browser: Any, selector: str) -> list[str]:
    found: list[str] = browser.execute_script(
        "return [...document.querySelectorAll(arguments[0])].map(e => e.innerText.trim())", selector
    )
    return found


def drawn(browser: Any) -> int:
    """The number of curves that are drawn."""
    return int(browser.execute_script("return document.querySelectorAll('.scatterlayer .trace').length"))


def faults(browser: Any) -> list[str]:
    return [entry["message"] for entry in browser.get_log("browser") if entry["level"] == "SEVERE"]


def look(browser: Any, width: int, *, dark: bool) -> None:
    browser.execute_cdp_cmd(
        "Emulation.setDeviceMetricsOverride", {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": False}
    )
    scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
    browser.execute_cdp_cmd("Emulation.setEmulatedMedia", {"features": [scheme]})


def set_slider(browser: Any, selector: str, value: float) -> None:
    browser.execute_script(
        "const e = document.querySelector(arguments[0]); e.value = arguments[1]; e.dispatchEvent(new Event('input'))",
        selector,
        value,
    )


def test_a_page_follows_its_runs_and_runs_nothing_that_they_say(browser: Any, tmp_path: Path) -> None:
    folder = make_run(tmp_path / "runs" / HOSTILE.replace("/", ""), 60, seed=HOSTILE)
    make_run(tmp_path / "runs" / "b")
    incident(folder, "error", 60, HOSTILE)
    (folder / "config.yml").write_text(HOSTILE)
    with Server([tmp_path / "runs"]) as server:
        threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()
        look(browser, 1400, dark=False)
        browser.get_log("performance")
        browser.get(server.address)
        until(lambda: drawn(browser) >= 3)
        assert words(browser, "#runs .state") == ["dead", "finished"]
        assert words(browser, "#runs .fault") == [f"error in iteration 60: {HOSTILE}"]
        assert words(browser, "#differences code")[::2] == ["seed", "0"]
        assert "onerror" in words(browser, "#differences code")[1]

        # The slider shows of each run the newest image until then.
        assert words(browser, "#media figcaption span:last-child") == ["after 60", "after 100", "after 60", "after 100"]
        set_slider(browser, "#slider input", 1)
        assert words(browser, "#slider output") == ["after 40"]
        assert browser.execute_script("return document.querySelector('#media img').src").endswith("00000040.png")

        # What is written appears, and what is chosen stays.
        add_lines(folder / "metrics.jsonl", *(record(at) for at in range(60, 90)))
        until(lambda: "90/100" in words(browser, "#runs td")[2])
        assert words(browser, "#slider output") == ["after 40"]

        browser.find_element("css selector", "#runs tbody input").click()
        assert words(browser, "#metrics .run-name") == ["b"]
        assert browser.execute_script("return document.activeElement.type") == "checkbox"
        browser.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert words(browser, "#details pre")[0] == HOSTILE
        assert browser.execute_script("return window.hurt === undefined")
        assert faults(browser) == []
        asked = [
            entry["message"]
            for entry in browser.get_log("performance")
            if '"Network.requestWillBeSent"' in entry["message"]
        ]
        assert asked
        assert [each for each in asked if server.address not in each and '"url":"data:' not in each] == []
        server.shutdown()


@pytest.mark.soak
def test_curves_are_smoothed_zoomed_and_found(browser: Any, tmp_path: Path) -> None:
    """Soak: a browser draws curves again and again."""
    page = tmp_path / "page.html"
    make_run(tmp_path / "run")
    page.write_text(saved_page(find_runs([tmp_path / "run"])))
    look(browser, 1400, dark=False)
    browser.get(page.as_uri())
    until(lambda: drawn(browser) == 4)  # held/psnr, gen/l1 raw and smoothed, gen/lr.
    set_slider(browser, "#smoothing", 0)
    until(lambda: drawn(browser) == 3)
    values = "return document.querySelector('[data-name=\"gen/l1\"] .plot').data.at(-1).y"
    raw = browser.execute_script(values)
    set_slider(browser, "#smoothing", 0.9)
    smooth = browser.execute_script(values)
    assert raw[0] == pytest.approx(smooth[0])
    assert max(abs(a - b) for a, b in zip(smooth[1:], smooth[:-1], strict=True)) < 0.15
    assert max(abs(a - b) for a, b in zip(raw[1:], raw[:-1], strict=True)) > 0.25
    browser.execute_script(
        "Plotly.relayout(document.querySelector('.plot'), {'xaxis.range[0]': 10, 'xaxis.range[1]': 30})"
    )
    ranges = "return [...document.querySelectorAll('.plot')].map(e => e.layout.xaxis.range)"
    until(lambda: browser.execute_script(ranges) == [[10, 30]] * 3)
    browser.execute_script("Plotly.relayout(document.querySelector('.plot'), {'xaxis.autorange': true})")
    until(lambda: all(high > 90 for _, high in browser.execute_script(ranges)))
    browser.find_element("id", "find").send_keys("psnr")
    until(lambda: words(browser, "#charts figcaption") == ["held/psnr"])
    assert faults(browser) == []


@pytest.mark.soak
@pytest.mark.parametrize("dark", [False, True], ids=["light", "dark"])
@pytest.mark.parametrize("count", [0, 1, 20])
def test_everything_can_be_read(browser: Any, tmp_path: Path, count: int, dark: bool) -> None:
    """Soak: four sizes of four pages, which are drawn completely."""
    (tmp_path / "runs").mkdir()
    for index in range(count):
        make_run(tmp_path / "runs" / f"a-study-with-a-long-name/trial-{index:02}", 60 + 20 * (index % 3), seed=index)
    page = tmp_path / "page.html"
    page.write_text(saved_page(find_runs([tmp_path / "runs"])))
    for width in (400, 800, 1600):
        look(browser, width, dark=dark)
        browser.get(page.as_uri())
        browser.execute_script("document.getElementById('charts').scrollIntoView()")  # They are drawn when seen.
        until(lambda: count == 0 or drawn(browser) >= count)
        browser.execute_script("document.querySelectorAll('details').forEach(each => { each.open = true; })")
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        assert browser.execute_script(OUTSIDE) == []
        assert browser.execute_script(PALE) == []
        assert len(words(browser, "#runs tbody tr")) == count
        assert faults(browser) == []
    assert words(browser, "#headline") == [f"{count} run{'' if count == 1 else 's'}, saved"]
    if not count:
        assert words(browser, "#runs") == ["There are no runs in these folders yet."]
