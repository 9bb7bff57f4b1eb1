"""The page in a real browser: what a click or a key press follows, and that everything can be read."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from artschool.components.builtins import load_builtins
from artschool.graph.html import html
from tests.graph.drawn import HOSTILE, RECIPES, of_name, of_recipe, of_text

load_builtins()
pytestmark = pytest.mark.skipif(
    shutil.which("chromedriver") is None, reason="needs a browser: apt-get install chromium chromium-driver"
)
SETTLED = "return document.readyState === 'complete'"
OVERLAPS = """
const boxes = [...document.querySelectorAll('svg text')].map(t => [t.textContent, t.getBoundingClientRect()]);
const found = [];
boxes.forEach(([a, p], i) => boxes.slice(i + 1).forEach(([b, q]) => {
  if (p.left < q.right - 1 && q.left < p.right - 1 && p.top < q.bottom - 3 && q.top < p.bottom - 3) found.push([a, b]);
}));
return found;
"""
OUTSIDE = """
const all = document.querySelector('svg.dataflow').getBoundingClientRect();
return [...document.querySelectorAll('svg text, svg rect, svg path')].map(e => [e.outerHTML, e.getBoundingClientRect()])
  .filter(([t, r]) => r.left < all.left - 1 || r.right > all.right + 1 || r.top < all.top - 1
    || r.bottom > all.bottom + 1)
  .map(([t]) => t);
"""
OVERFULL = """
return [...document.querySelectorAll('svg .call, svg .network')].flatMap(call => {
  const box = call.querySelector('rect').getBoundingClientRect();
  return [...call.querySelectorAll('text')].map(t => [t.textContent, t.getBoundingClientRect()])
    .filter(([t, r]) => r.right > box.right - 4 || r.left < box.left + 4 || r.top < box.top || r.bottom > box.bottom)
    .map(([t]) => t);
});
"""
CROSSED = """
const texts = [...document.querySelectorAll('svg > g[transform] text')].map(t => [t.textContent, t.getBBox()]);
return [...document.querySelectorAll('svg .wire')].flatMap(wire => {
  const steps = [...Array(Math.floor(wire.getTotalLength() / 2)).keys()].map(step => wire.getPointAtLength(2 * step));
  const runs = r => steps.some(p => p.x > r.x && p.x < r.x + r.width && p.y > r.y && p.y < r.y + r.height);
  return texts.filter(([t, r]) => runs(r)).map(([t]) => [wire.dataset.key, t]);
});
"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    """One browser for all pages; it logs what it asks the network for."""
    from selenium import webdriver
    from selenium.webdriver.chrome.service import Service

    options = webdriver.ChromeOptions()
    for argument in (
        "--headless=new",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-dev-shm-usage",
        "--window-size=1400,1000",
    ):
        options.add_argument(argument)
    options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(shutil.which("chromedriver")))
    yield driver
    driver.quit()


def opened(browser: Any, folder: Path, page: str) -> Any:
    file = folder / "page.html"
    file.write_text(page)
    browser.get_log("performance")
    browser.get(file.as_uri())
    assert browser.execute_script(SETTLED)
    return browser


def lit(browser: Any) -> tuple[set[str], set[str]]:
    """The names of the calls, and the keys of the wires, that are not dimmed."""
    calls = browser.execute_script("return [...document.querySelectorAll('.call.on .name')].map(t => t.textContent)")
    wires = browser.execute_script("return [...document.querySelectorAll('.wire.on')].map(w => w.dataset.key)")
    return set(calls), set(wires)


def panel(browser: Any) -> str:
    text: str = browser.find_element("id", "panel").text
    return text


def test_following_a_key_lights_what_it_comes_from_and_what_it_becomes(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_recipe("photo_sr", sr="(16, 3, 64, 64) float32")))
    browser.find_element("css selector", '.key[data-key="sr"]').click()
    assert lit(browser) == ({"train", "upscale", "pixel", "adversarial", "gan"}, {"lq", "sr"})
    place = RECIPES / "photo_sr.yml"
    assert panel(browser).splitlines() == [
        "sr",
        "(16, 3, 64, 64) float32",
        f"written by upscale (forward) in step gen, at {place}:18:16",
        f"read by pixel (l1) in step gen, at {place}:20:14",
        f"read by adversarial (generator_gan) in step gen, at {place}:21:20",
        f"read by gan (discriminator_gan) in step critic, at {place}:27:12",
    ]


def test_a_key_is_followed_all_the_way(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_recipe("digits_byol")))
    key = browser.find_element("css selector", '.key[data-key="projected1"]')
    browser.execute_script("arguments[0].dispatchEvent(new MouseEvent('click', {bubbles: true}))", key)
    assert lit(browser) == (
        {"train", "view1", "features1", "projected1", "predicted1", "byol"},
        {"image", "view1", "features1", "projected1", "predicted1"},
    )


def test_lines_that_are_not_followed_are_pale_and_below_the_others(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_recipe("photo_sr")))
    browser.find_element("css selector", '.key[data-key="sr"]').click()
    wires = browser.execute_script(
        "return [...document.querySelectorAll('.wire')].map(w => [w.matches('.on'), getComputedStyle(w).stroke])"
    )
    assert [on for on, _ in wires] == [False] * 10 + [True] * 4  # Of 14 flows: lq to upscale, and sr to three losses.
    assert {colour for on, colour in wires if not on} == {"rgb(225, 229, 234)"}  # However many lie upon each other.


def test_the_keyboard_reaches_everything_and_escape_ends_it(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_recipe("photo_sr")))
    from selenium.webdriver.common.keys import Keys

    key = browser.find_element("css selector", '.key[data-key="hq"]')
    key.send_keys(Keys.ENTER)
    assert lit(browser) == ({"train", "pixel", "gan"}, {"hq"})
    browser.find_element("css selector", "body").send_keys(Keys.ESCAPE)
    assert lit(browser) == (set(), set())
    assert not browser.execute_script("return document.querySelector('svg').classList.contains('followed')")


def test_a_call_shows_its_entry_and_a_network_its_callers(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_recipe("photo_sr")))
    browser.find_element("css selector", '.call[data-call="1-3"] .name').click()
    shown = panel(browser)
    assert shown.startswith("adversarial: generator_gan\nstep gen\n")
    assert "weight 0.02, after 320" in shown and "kind: hinge" in shown
    browser.find_element("css selector", '.network[data-network="critic"] text').click()
    assert lit(browser)[0] == {"adversarial", "gan"}
    assert panel(browser).startswith("critic: patch_critic\ntrained by critic\n")


@pytest.mark.parametrize("name", ["photo_sr", "digits_byol", "video_sr", "four_networks", "long_names"])
def test_everything_can_be_read(browser: Any, tmp_path: Path, name: str) -> None:
    opened(browser, tmp_path, html(of_name(name)))
    assert browser.execute_script(OVERLAPS) == []
    assert browser.execute_script(OUTSIDE) == []
    assert browser.execute_script(OVERFULL) == []
    assert browser.execute_script(CROSSED) == []


def test_photo_sr_fits_a_screen(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_recipe("photo_sr")))
    assert browser.execute_script("return document.documentElement.scrollWidth") <= 1400


def test_names_of_the_file_run_nothing_and_the_page_asks_for_nothing(browser: Any, tmp_path: Path) -> None:
    opened(browser, tmp_path, html(of_text(HOSTILE)))
    browser.find_element("css selector", ".key[data-writer='1-1']").click()
    assert panel(browser).startswith('</script><script>alert(1)</script>"&$title\n')
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []
    log = [entry["message"] for entry in browser.get_log("performance")]
    asked = [message for message in log if '"Network.requestWillBeSent"' in message]
    assert asked
    assert [message for message in asked if "file:" not in message] == []
