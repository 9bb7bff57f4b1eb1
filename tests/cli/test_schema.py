"""`artschool schema`: where it writes, what it leaves alone, and what it makes of a file that is wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from jsonschema import Draft7Validator

from artschool.cli.main import cli
from artschool.errors import ConfigError, ResourceError
from tests.config.bad_files import SOUND
from tests.little_room import little_room

pytestmark = pytest.mark.usefixtures("registries")

LINE = b"# yaml-language-server: $schema=run.schema.json"
PLUGIN = '''
from artschool import losses
from torch import Tensor

@losses.register
def odd(fake: Tensor, *, oddity: float = 3.0) -> Tensor:
    """An odd loss.

    Args:
        fake: Any shape.
        oddity: How odd, in dB.
    """
    return oddity * fake.mean()
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Where what the schema says does not matter."""
    monkeypatch.setattr("artschool.cli.schema.json_schema", lambda *_, **__: {})


def run(*arguments: str) -> tuple[str, str]:
    """What the command prints, and what it warns of."""
    result = CliRunner().invoke(cli, ["schema", *arguments])
    if result.exception is not None:
        raise result.exception
    return result.stdout, result.stderr


def schema(path: str = "run.schema.json") -> dict[str, Any]:
    read: dict[str, Any] = json.loads(Path(path).read_text())
    return read


def offered(name: str, path: str = "run.schema.json") -> list[str]:
    """The names that are offered where a key, or a network, is asked for."""
    return [snippet["label"] for snippet in schema(path)["definitions"][name].get("defaultSnippets", [])]


def test_it_is_written_beside_the_file_which_names_it() -> None:
    Path("run.yml").write_text(SOUND)
    printed, _ = run("run.yml")
    size = Path("run.schema.json").stat().st_size
    assert printed == (
        f"run.schema.json: wrote {size:,} bytes\n"
        "run.yml: added the line # yaml-language-server: $schema=run.schema.json\n"
    )
    assert Path("run.yml").read_bytes() == LINE + b"\n" + SOUND.encode()
    assert schema()["$schema"] == "http://json-schema.org/draft-07/schema#"


@pytest.mark.usefixtures("quick")
def test_a_second_time_the_file_stays_as_it_is() -> None:
    Path("run.yml").write_text(SOUND)
    run("run.yml")
    before = Path("run.yml").read_bytes()
    printed, _ = run("run.yml")
    assert printed.endswith("run.yml: already names a schema: # yaml-language-server: $schema=run.schema.json\n")
    assert Path("run.yml").read_bytes() == before


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    ("before", "after"),
    [
        (b"seed: 1\r\nname: x\r\n", LINE + b"\r\nseed: 1\r\nname: x\r\n"),
        (b"\xef\xbb\xbfseed: 1\n", b"\xef\xbb\xbf" + LINE + b"\nseed: 1\n"),
        (b"# what it is\n\nseed: 1", LINE + b"\n# what it is\n\nseed: 1"),
        (b"seed: 1\n# yaml-language-server: $schema=other.json\n", None),
        (b"# what it is\n\n# yaml-language-server: $schema=other.json\nseed: 1\n", ...),
        (b"%YAML 1.2\n# $schema: other.json\n---\nseed: 1\n", ...),
    ],
)
def test_nothing_but_the_first_line_is_written(before: bytes, after: Any) -> None:
    Path("run.yml").write_bytes(before)
    run("run.yml")
    expected = {None: LINE + b"\n" + before, ...: before}.get(after, after)
    assert Path("run.yml").read_bytes() == expected


@pytest.mark.usefixtures("quick")
def test_the_line_names_a_file_with_spaces_as_an_address_does() -> None:
    Path("my run.yml").write_text(SOUND)
    run("my run.yml")
    assert Path("my run.schema.json").exists()
    assert Path("my run.yml").read_text().startswith("# yaml-language-server: $schema=my%20run.schema.json\n")


def test_output_leaves_the_file_alone() -> None:
    Path("run.yml").write_text(SOUND)
    run("run.yml", "-o", "here.json")
    assert Path("run.yml").read_text() == SOUND
    assert not Path("run.schema.json").exists()
    assert schema("here.json")["title"] == "artschool"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize("file", [["run.yml"], []])
def test_a_dash_for_the_output_is_no_file_but_what_is_printed(file: list[str]) -> None:
    Path("run.yml").write_text(SOUND)
    printed, _ = run(*file, "-o", "-")
    assert printed == "{}\n"
    assert [each.name for each in Path().iterdir()] == ["run.yml"]
    assert Path("run.yml").read_text() == SOUND


def test_without_a_file_it_is_that_of_what_ships(folder: Path) -> None:
    printed, _ = run()
    assert "losses.l1" in json.loads(printed)["definitions"]
    assert list(folder.iterdir()) == []


def test_components_of_plugins_are_in_it_with_their_documentation() -> None:
    Path("parts.py").write_text(PLUGIN)
    Path("run.yml").write_text("plugins: [parts.py]\n" + SOUND)
    run("run.yml")
    definitions = schema()["definitions"]
    option = definitions["losses.odd"]["properties"]["oddity"]
    option |= definitions.get(option.get("$ref", "").rpartition("/")[2], {})
    assert option["description"] == "How odd, in dB. Default: 3.0."
    assert option["default"] == 3.0


def test_names_of_the_file_are_offered() -> None:
    Path("run.yml").write_text(SOUND + "\nema: {networks: [gen]}\n")
    run("run.yml")
    assert {"gen", "gen.ema"} <= set(offered("network"))
    assert {"lq", "hq", "sr"} <= set(offered("key"))


def test_names_of_a_base_are_offered_and_what_it_says_may_be_left_out() -> None:
    Path("base.yml").write_text(SOUND)
    Path("run.yml").write_text("base: base.yml\nnetworks: {second: {type: edsr}}\n")
    run("run.yml")
    assert {"gen", "second"} <= set(offered("network"))
    assert "required" not in schema()


def test_entries_have_the_options_of_the_types_of_all_bases_and_of_no_type_that_the_file_itself_had() -> None:
    Path("parts.py").write_text(PLUGIN)
    Path("lowest.yml").write_text(SOUND.replace("seed: 0", "plugins: [parts.py]"))
    Path("base.yml").write_text("base: lowest.yml\nsteps: {gen: {losses: {pixel: {type: odd}}}}\n")
    Path("run.yml").write_text("base: [base.yml]\nnetworks: {second: {type: edsr}}\n")
    run("run.yml")
    validator = Draft7Validator(schema())
    right = {
        "networks": {"gen": {"scale": 2}, "second": {"x": 1}},
        "steps": {"gen": {"losses": {"pixel": {"oddity": 1}}}},
    }
    wrong = {"networks": {"gen": {"x": 1}}, "steps": {"gen": {"losses": {"pixel": {"real": "hq"}}}}}
    assert [error.message for error in validator.iter_errors(right)] == []
    assert [list(error.absolute_path) for error in validator.iter_errors(wrong)] == [
        ["networks", "gen"],
        ["steps", "gen", "losses", "pixel"],
    ]


HALF = """
name: half
plugins: [parts.py]
data: {train: {type: photo_patches, size: 16}}
networks:
  gen: {type: edsr}
steps:
  gen:
    losses: {odd: {type: odd, in: [
"""


def test_a_file_that_is_half_written_has_a_schema_with_its_plugins() -> None:
    Path("parts.py").write_text(PLUGIN)
    Path("run.yml").write_text(HALF)
    run("run.yml")
    assert "losses.odd" in schema()["definitions"]
    assert offered("network") == ["gen"]
    assert Path("run.yml").read_text() == f"{LINE.decode()}\n{HALF}"


@pytest.mark.usefixtures("quick")
@pytest.mark.parametrize(
    "text", ["", "- 1\n", "steps: 3\nplugins: x\nema: [gen]\n", "\t: [\n", "name: x\nname: y\n", "base: gone.yml\n"]
)
def test_whatever_the_file_holds_it_has_a_schema(text: str) -> None:
    Path("run.yml").write_text(text)
    run("run.yml")
    assert Path("run.schema.json").exists()
    assert Path("run.yml").read_text() == f"{LINE.decode()}\n{text}"


def test_a_plugin_that_fails_is_told_and_the_others_are_registered() -> None:
    Path("broken.py").write_text("1 / 0\n")
    Path("parts.py").write_text(PLUGIN)
    Path("run.yml").write_text("name: x\nplugins: [broken.py, parts.py]\n")
    _, warned = run("run.yml")
    assert warned.startswith(
        "warning: run.yml:2:11: plugins.0: plugin 'broken.py' raised ZeroDivisionError: division by zero\n"
    )
    assert "losses.odd" in schema()["definitions"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "model: x\nsteps: {g: {training: gen}}\nnetworks: {gen: {which_model_G: x}}\n",
            "run.yml:1:1: is a DL-Art-School file, which has no schema\n    Fix: convert it with `artschool convert`.",
        ),
        (None, "run.yml: file does not exist"),
    ],
)
def test_what_has_no_schema(text: str | None, message: str) -> None:
    if text is not None:
        Path("run.yml").write_text(text)
    with pytest.raises(ConfigError) as refusal:
        run("run.yml")
    assert str(refusal.value) == message
    assert not Path("run.schema.json").exists()


def test_a_place_that_cannot_be_written_is_told() -> None:
    with pytest.raises(ConfigError, match=r"^-o none/schema\.json: folder none does not exist$"):
        run("-o", "none/schema.json")
    with pytest.raises(ConfigError, match=r"^-o /dev/stdout: is a device or a pipe \(expected a file\)$"):
        run("-o", "/dev/stdout")


def test_a_disk_without_room_keeps_no_half_schema() -> None:
    Path("run.yml").write_text(SOUND)
    with little_room(1000), pytest.raises(ResourceError, match=r"^run\.schema\.json: cannot write: File too large"):
        run("run.yml")
    assert Path("run.yml").read_text() == SOUND
    assert [path.name for path in Path().iterdir()] == ["run.yml"]


@pytest.mark.usefixtures("quick")
def test_a_disk_without_room_for_the_first_line_keeps_the_file(folder: Path) -> None:
    text = SOUND + "#" * 1000
    Path("real.yml").write_text(text)
    Path("run.yml").symlink_to("real.yml")
    with little_room(1000), pytest.raises(ResourceError, match=r"real\.yml: cannot write: File too large"):
        run("run.yml")
    assert Path("real.yml").read_text() == text
    Path("real.yml").chmod(0o640)
    run("run.yml")
    assert Path("run.yml").is_symlink() and Path("real.yml").stat().st_mode & 0o777 == 0o640
    assert Path("real.yml").read_bytes() == LINE + b"\n" + text.encode()
    assert {path.name for path in Path().iterdir()} == {"real.yml", "run.yml", "run.schema.json"}
