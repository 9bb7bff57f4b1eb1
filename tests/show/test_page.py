"""What the page and its server give: the data of runs, the files that they show, and nothing else."""

from __future__ import annotations

import http.client
import json
import sys
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from click.testing import CliRunner

from artschool.cli.main import cli
from artschool.errors import ConfigError, ResourceError
from artschool.show import server as show_server
from artschool.show.data import page_data
from artschool.show.differences import comparison
from artschool.show.folder import find_runs
from artschool.show.media import media
from artschool.show.page import as_json
from artschool.show.server import Server
from artschool.show.times import times
from artschool.wording import hidden
from tests.show.made import add_lines, incident, make_run, record, start

HOSTILE = '</script><script>alert(1)</script><img src=x onerror=alert(1)>"&$data'


def data_of(*folders: Path) -> dict[str, Any]:
    return page_data(find_runs(list(folders)), lambda run, path: f"{run.name}:{path}")


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    make_run(tmp_path / "runs" / "a")
    make_run(tmp_path / "runs" / "b c&d", 60)
    (tmp_path / "secret.png").write_bytes(b"secret")
    with Server([tmp_path / "runs"]) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def get(server: Server, path: str, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    connection.request("GET", path, headers={name.replace("_", "-"): value for name, value in headers.items()})
    answer = connection.getresponse()
    found = answer.status, answer.read(), dict(answer.getheaders())
    connection.close()
    return found


def test_the_data_of_a_run(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", 60)
    add_lines(folder / "metrics.jsonl", record(60, **{"gen/l1": "NaN"}))
    incident(folder, "nan", 60, HOSTILE)
    (run,) = data_of(folder)["runs"]
    assert (run["name"], run["state"], run["iteration"], run["iterations"]) == ("a", "stopped", 61, 100)
    assert run["evaluations"] == ["held/psnr"]
    iterations, values = run["curves"]["held/psnr"]
    assert (iterations, values) == ([20, 40, 60], [22.2867, 24.1385, 24.9771])
    assert run["summary"]["held/psnr"]["max"] == (pytest.approx(24.9771, abs=1e-4), 60)
    assert run["curves"]["gen/l1"][1][-1] is None
    assert (run["summary"]["gen/l1"]["last"], run["summary"]["gen/l1"]["firstBad"]) == (("NaN", 61), 61)
    assert run["media"] == {
        "audio/held/drawn (audio)": [[60, "a:audio/held/drawn/00000060.wav"]],
        "pictures/sr": [[at, f"a:pictures/sr/{at:08}.png"] for at in (20, 40, 60)],
    }
    assert run["drawings"] == {"graph": "a:graph.svg", "plan": "a:plan.svg"}
    assert (run["config"], run["overrides"]) == ("name: toy  # as given\n", ["seed=0"])
    assert [each["error"] for each in run["incidents"]] == [HOSTILE]


def test_what_changed_between_starts_and_between_runs(tmp_path: Path) -> None:
    a = make_run(tmp_path / "a")
    warmer = {"steps": {"gen": {"optimizer": {"type": "adamw", "lr": 0.01}}}}
    add_lines(a / "starts.jsonl", start(50, 200, **warmer))
    b = make_run(tmp_path / "b", seed=3, name="other")
    c = make_run(tmp_path / "c")
    (c / "starts.jsonl").unlink()
    (c / "checkpoints" / "00000100" / "state.json").write_text("{}")
    found = data_of(a, b, c)
    lr = {"path": "steps.gen.optimizer.lr", "effect": "Optimizers and learning rates"}
    assert [each["changes"] for each in found["runs"][0]["starts"]] == [[], [{**lr, "then": "0.001", "now": "0.01"}]]
    assert found["differences"] == [
        {"path": "seed", "effect": "Random numbers", "values": ["0", "3", "unknown"]},
        {**lr, "values": ["0.01", "0.001", "unknown"]},
    ]


def test_an_added_part_is_shown_without_what_is_null_or_empty() -> None:
    critic: dict[str, Any] = {
        "type": "patch_critic",
        "weights": None,
        "frozen": False,
        "wrap": [],
        "ema": {},
        "width": 8,
    }
    (added,) = comparison([{"networks": {}}, {"networks": {"critic": critic}}])
    assert added["values"] == ["(not set)", "{type: patch_critic, frozen: false, width: 8}"]


def test_where_time_went() -> None:
    iterations = list(range(10))
    seconds = [5.0, 6.0, 7.0, 8.0, 12.0, 13.0, 14.0, 16.0, 17.0, 18.0]  # 4 seconds follow iteration 3, 2 iteration 6.
    found = {part["name"].split(",")[0]: part["seconds"] for part in times((iterations, seconds), {3})}
    assert found == {
        "iterations at the usual pace": 9.0,
        "evaluations": 3.0,
        "other slow stretches": 1.0,
        "until the first log point": 5.0,
    }
    assert times(([0, 1], [1.0, 2.0]), set()) == []


def test_links_other_names_and_checkpoints_are_no_media(tmp_path: Path) -> None:
    folder = make_run(tmp_path / "a", 20)
    images = folder / "pictures" / "sr"
    (images / "00000030.png").symlink_to(tmp_path / "elsewhere.png")
    (images / ".tmp-00000040.png-0123abcd").write_bytes(b"")
    (images / "notes.png").write_bytes(b"")
    (images / "00000050.html").write_bytes(b"")
    (images / "00000020-3.png").write_bytes(b"")
    (folder / "checkpoints" / "00000020" / "00000020.png").write_bytes(b"")
    assert list(media(folder)["pictures/sr"]) == [20]
    assert list(media(folder)) == ["audio/held/drawn (audio)", "pictures/sr", "pictures/sr-3"]


def test_secrets_and_ends_of_elements_are_not_in_the_page(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hidden, "_hidden", {})
    hidden.hide("hunter2-token", "${env:TOKEN}")
    assert as_json({"a": f"hunter2-token{HOSTILE}"}).count("hunter2") == 0
    assert "<" not in as_json({"a": HOSTILE})
    assert json.loads(as_json({"a": HOSTILE})) == {"a": HOSTILE}


def test_numbers_that_json_lacks_are_texts() -> None:
    data = {"keepBest": {"threshold": float("inf")}, "values": [1.5, (float("nan"), None, True)]}
    assert json.loads(as_json(data)) == {"keepBest": {"threshold": "inf"}, "values": [1.5, ["nan", None, True]]}


def test_the_server_looks_at_a_folder_once_for_all_files(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    looks: list[Path] = []

    def counted(folder: Path) -> dict[str, dict[int, str]]:
        looks.append(folder)
        return media(folder)

    monkeypatch.setattr(show_server, "EVERY_S", 3600.0)
    monkeypatch.setattr(show_server, "media", counted)
    for _ in range(3):
        assert get(server, "/file?run=a&path=pictures/sr/00000020.png")[0] == 200
    assert len(looks) == 1


def test_the_server_sends_the_page_its_data_and_files(server: Server) -> None:
    status, page, headers = get(server, "/")
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"<!-- artschool show -->" in page
    status, found, headers = get(server, "/data")
    runs = json.loads(found)["runs"]
    assert [run["name"] for run in runs] == ["a", "b c&d"]
    assert get(server, "/data", If_None_Match=headers["ETag"])[0] == 304
    address = runs[1]["media"]["pictures/sr"][0][1]
    assert get(server, f"/{address}")[1].startswith(b"\x89PNG")
    status, drawing, headers = get(server, f"/{runs[0]['drawings']['plan']}")
    assert (status, headers["Content-Type"], drawing[:4]) == (200, "image/svg+xml", b"<svg")
    assert "sandbox" in headers["Content-Security-Policy"]
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert b"Plotly" in get(server, "/plotly.js")[1]


@pytest.mark.parametrize(
    "path",
    [
        "../../secret.png",
        "pictures/sr/../../../../secret.png",
        "{tmp}/secret.png",
        "config.yml",
        "checkpoints/00000100/state.json",
        "pictures/sr",
        "pictures/sr/00000020.png\x00",
        "pictures/sr/00000020.txt",
        "",
    ],
)
def test_the_server_sends_no_other_file(server: Server, tmp_path: Path, path: str) -> None:
    wanted = path.format(tmp=tmp_path)
    assert get(server, f"/file?run=a&path={quote(wanted, safe='')}")[0] == 404
    assert get(server, f"/{quote(wanted)}x")[0] == 404
    assert get(server, f"/file?run=..&path={quote(wanted, safe='')}")[0] == 404


def test_a_file_that_becomes_a_link_is_not_sent(server: Server, tmp_path: Path) -> None:
    image = tmp_path / "runs" / "a" / "pictures" / "sr" / "00000020.png"
    assert get(server, "/file?run=a&path=pictures/sr/00000020.png")[0] == 200
    image.unlink()
    image.symlink_to(tmp_path / "secret.png")
    assert get(server, "/file?run=a&path=pictures/sr/00000020.png")[0] == 404
    folder = tmp_path / "elsewhere"
    image.parent.rename(folder)
    image.parent.symlink_to(folder)
    assert get(server, "/file?run=a&path=pictures/sr/00000040.png")[0] == 404


@pytest.mark.parametrize(
    ("host", "status"),
    [
        ("localhost:9", 200),
        ("[::1]:9", 200),
        ("LOCALHOST", 200),
        ("127.0.0.1", 200),
        ("evil.example", 403),
        ("evil.example:80", 403),
        ("127.0.0.1.evil.example:80", 403),
        ("", 403),
    ],
)
def test_only_loopback_addresses_are_answered(server: Server, host: str, status: int) -> None:
    assert get(server, "/data", Host=host)[0] == status


def test_the_server_listens_on_loopback_and_only_reads(server: Server) -> None:
    assert server.server_address[0] == "127.0.0.1"
    connection = http.client.HTTPConnection("127.0.0.1", server.server_address[1], timeout=10)
    for method in ("POST", "PUT", "DELETE", "OPTIONS"):
        connection.request(method, "/data")
        answer = connection.getresponse()
        answer.read()
        assert answer.status == 501
        connection.close()


def test_new_runs_appear(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artschool.show.server.EVERY_S", 0)
    make_run(tmp_path / "runs" / "z")
    assert [run["name"] for run in server.data()["runs"]] == ["a", "b c&d", "z"]


def test_a_run_whose_name_another_one_gets_too_is_shown_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("artschool.show.server.EVERY_S", 0)
    folders = [tmp_path / "one", tmp_path / "other"]
    made = [make_run(folder / name) for folder, name in zip(folders, "ab", strict=True)]
    with Server(folders) as server:
        made.append(make_run(tmp_path / "other" / "a"))
        shown = server.data()["runs"]
    assert [run["folder"] for run in shown] == list(map(str, made))
    assert [run["name"] for run in shown] == ["a", "b", str(made[2])]


def test_a_browser_that_goes_away_is_not_reported(server: Server, capsys: pytest.CaptureFixture[str]) -> None:
    for error in (BrokenPipeError(), ConnectionResetError(), ValueError("a fault")):
        try:
            raise error
        except (OSError, ValueError):
            server.handle_error(None, ("127.0.0.1", 1))
    assert capsys.readouterr().err.count("Traceback") == 1


def test_a_port_in_use_is_an_error(server: Server, tmp_path: Path) -> None:
    with pytest.raises(ResourceError, match=r"port \d+: Address already in use. Fix: choose another one with --port"):
        Server([tmp_path / "runs"], server.server_address[1])


class _Addresses(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [f"{value}" for name, value in attrs if name in ("src", "href")]


def test_a_saved_page_needs_nothing_else(tmp_path: Path) -> None:
    make_run(tmp_path / "runs" / "a", 400, 400)
    page = tmp_path / "page.html"
    result = CliRunner().invoke(cli, ["show", str(tmp_path / "runs"), "--save", str(page)], catch_exceptions=False)
    assert result.output.startswith(f"{page}: 1 run, ")
    parser = _Addresses()
    parser.feed(page.read_text())
    assert parser.found == ["data:,"]
    text = page.read_text().partition('id="data">')[2].partition("</script>")[0]
    (run,) = json.loads(text)["runs"]
    files = run["media"]["pictures/sr"]
    assert (len(files), files[0][0], files[-1][0]) == (12, 20, 400)
    assert files[0][1].startswith("data:image/png;base64,iVBOR")
    CliRunner().invoke(cli, ["show", str(tmp_path / "runs"), "--save", str(page)], catch_exceptions=False)  # Again.


def test_a_file_of_somebody_else_is_not_replaced(tmp_path: Path) -> None:
    make_run(tmp_path / "run")
    (tmp_path / "own.html").write_text("<p>mine</p>")
    with pytest.raises(ConfigError, match="exists, and is no page of artschool show"):
        CliRunner().invoke(
            cli, ["show", str(tmp_path / "run"), "--save", str(tmp_path / "own.html")], catch_exceptions=False
        )
    assert (tmp_path / "own.html").read_text() == "<p>mine</p>"


def test_without_plotly_the_error_says_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "plotly.offline", None)
    with pytest.raises(ResourceError, match=r"pip install 'artschool\[show\]'"):
        Server([tmp_path])
