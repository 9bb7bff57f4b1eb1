"""What is said about wrong files: every fault, its exact place and text. The table is `bad_files.txt`."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from artschool.components.builtins import load_builtins
from artschool.errors import ConfigError
from artschool.read.read import check_file
from artschool.registry import REGISTRIES
from tests.config.bad_files import KNOWN, SOUND, Case, read_cases

CASES = read_cases()


def said_about(data: str | bytes, folder: Path, *overrides: str, name: str = "gan.yml") -> str:
    """What the check says about a file, without the folder."""
    (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    try:
        config = check_file(Path(name), overrides)
    except ConfigError as error:
        return str(error).replace(str(folder), "<folder>")
    return "\n".join([*(f"warning: {warning}" for warning in config.warnings), "sound"])


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and the registries as the table knows them."""
    load_builtins()
    for kind, names in KNOWN.items():
        registry = REGISTRIES[kind]
        monkeypatch.setattr(registry, "_items", {name: registry.get(name) for name in names.split()})
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_a_changed_file_says(case: Case, folder: Path) -> None:
    assert said_about(case.text(), folder, *case.overrides) == case.says


def test_the_table_is_long_and_its_titles_differ() -> None:
    wrong = [case for case in CASES if not case.says.endswith("sound")]
    assert len(wrong) > 120 and len(CASES) - len(wrong) > 15
    assert len({(case.title, tuple(case.overrides)) for case in CASES}) == len(CASES)


BOMB = "a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"a{i}: &a{i} [{', '.join([f'*a{i - 1}'] * 10)}]\n" for i in range(1, 9)
)
FILES: dict[str, tuple[str | bytes, str]] = {
    "empty": ("", "gan.yml: file is empty"),
    "only a comment": ("# later\n", "gan.yml: file is empty"),
    "a list": ("- name\n- data\n", "gan.yml:1:1: expected a mapping of sections, got a list of 2"),
    "text": ("name\n", "gan.yml:1:1: expected a mapping of sections, got text 'name'"),
    "brackets": ("a: " + "[\n" * 200_000, "gan.yml:65:1: nested deeper than 64 levels"),
    "braces": ("{a: " * 200_000, "gan.yml:1:258: nested deeper than 64 levels"),
    "dashes": ("- " * 200_000, "gan.yml:1:131: nested deeper than 64 levels"),
    "a bomb of aliases": (BOMB, "gan.yml:5:45: expands to more than 100,000 values"),
    "an alias of what holds it": ("a: &a [*a]\n", "gan.yml:1:8: alias '*a' has no earlier anchor '&a'"),
    "Latin 1": (b"name: caf\xe9\n", "gan.yml: is not UTF-8 text: byte 9 is 0xe9"),
    "UTF-16": ("name: gan\n".encode("utf-16-le"), "gan.yml:1:2: invalid YAML: control characters are not allowed, "
               "got '\\x00'"),
    "a bell": ("seed: 0\nnäme: g\x07n\n", "gan.yml:2:8: invalid YAML: control characters are not allowed, "
               "got '\\x07'"),
    "large": ("#" * (1 << 20) + "\n", "gan.yml: file too large: 1,048,577 bytes (limit 1,048,576)"),
    "a tab": (
        SOUND.replace("    trains: gen\n", "\ttrains: gen\n"),
        "gan.yml:11:1: invalid YAML: found character that cannot start any token\n"
        "    Fix: indent with spaces; YAML does not allow tabs for indentation.",
    ),
    "a tab after spaces": (
        SOUND.replace("      pixel", "    \tpixel"),
        "gan.yml:19:5: invalid YAML: found character that cannot start any token\n"
        "    Fix: indent with spaces; YAML does not allow tabs for indentation.",
    ),
    "a name of 101 letters": (
        SOUND.replace("name: gan", "name: " + "a" * 101),
        f"gan.yml:1:7: name: '{'a' * 101}' is not a valid name (expected up to 100 letters, digits, '_', '-' and '.', "
        "not starting with '-' or '.')",
    ),
    "a byte order mark": (b"\xef\xbb\xbf" + SOUND.encode(), "sound"),
    "Windows' ends of lines": (SOUND.replace("\n", "\r\n"), "sound"),
}  # fmt: skip


@pytest.mark.parametrize(("data", "says"), FILES.values(), ids=FILES.keys())
def test_a_file_says(data: str | bytes, says: str, folder: Path) -> None:
    assert said_about(data, folder) == says


def test_brackets_in_one_line_nest_too_deeply_wherever_the_parser_stops(folder: Path) -> None:
    # The parser looks ahead in a line; releases since PyYAML 6.0.4 stop at a depth of their own there.
    said = said_about("a: " + "[" * 200_000, folder)
    assert re.fullmatch(r"gan\.yml:1:\d+: nested deeper than 64 levels", said)


def test_a_missing_file_names_what_is_there(folder: Path) -> None:
    (folder / "gan.yml").write_text(SOUND)
    with pytest.raises(ConfigError) as missing:
        check_file(Path("gam.yml"))
    assert str(missing.value) == "gam.yml: file does not exist\n    YAML files in .: gan.yml."
    with pytest.raises(ConfigError) as nothing:
        check_file(folder / "elsewhere" / "gan.yml")
    assert str(nothing.value) == f"{folder}/elsewhere/gan.yml: file does not exist"
    with pytest.raises(ConfigError) as a_folder:
        check_file(Path())
    assert str(a_folder.value) == ".: expected a YAML file, got a folder"


def test_of_very_many_files_beside_a_missing_one_those_that_are_alike_are_named(folder: Path) -> None:
    for index in range(40):
        (folder / f"other_{index}.yml").write_text("")
    for index in range(8):
        (folder / f"photo_gan_{index}.yml").write_text("")
    with pytest.raises(ConfigError) as missing:
        check_file(Path("photo_gan_.yml"))
    names = ", ".join(f"photo_gan_{index}.yml" for index in range(8))
    assert str(missing.value) == f"photo_gan_.yml: file does not exist\n    YAML files in .: {names} and 40 more."


def test_a_fault_of_a_base_stands_in_the_base(folder: Path) -> None:
    (folder / "small.yml").write_text(
        "base: gan.yml\nname: small\nnetworks: {gen: {widht: 8}}\ntrain: {iterations: x}\n"
    )
    said_about(SOUND.replace("blocks: 2", "block: 2"), folder)
    assert said_about((folder / "small.yml").read_text(), folder, name="small.yml") == (
        "gan.yml:7:42: networks.gen.block: unknown option\n"
        "    rrdb takes: activation_checkpointing, adapters, after, before, blocks, channels_last, compile, every, "
        "first_stride, frozen, growth, in_channels, out_channels, output, parallel, saved, scale, skip, variant, "
        "weights, width, wrap. "
        "Did you mean 'blocks'?\n"
        "small.yml:3:18: networks.gen.widht: unknown option\n"
        "    rrdb takes: activation_checkpointing, adapters, after, before, blocks, channels_last, compile, every, "
        "first_stride, frozen, growth, in_channels, out_channels, output, parallel, saved, scale, skip, variant, "
        "weights, width, wrap. "
        "Did you mean 'width'?\n"
        "small.yml:4:21: train.iterations: expected a whole number, got text 'x'"
    )


def test_bases_that_lead_in_a_circle_are_named(folder: Path) -> None:
    (folder / "a.yml").write_text("base: sub/b.yml\n")
    (folder / "sub").mkdir()
    (folder / "sub" / "b.yml").write_text("base: ../a.yml\n")
    assert (
        said_about("base: a.yml\n", folder)
        == "sub/b.yml:1:7: base: circular reference: gan.yml -> a.yml -> b.yml -> a.yml"
    )


@pytest.mark.parametrize(
    ("code", "says"),
    [
        (
            "x = 1\nraise ValueError('broken')\n",
            "plugin 'nets.py' raised ValueError: broken\n    at <folder>/nets.py:2: raise ValueError('broken')",
        ),
        (
            "import nothing_like_it\n",
            "plugin 'nets.py' raised ModuleNotFoundError: No module named 'nothing_like_it'\n"
            "    at <folder>/nets.py:1: import nothing_like_it",
        ),
        (
            "x = 1\ndef f(:\n",
            "plugin 'nets.py' raised SyntaxError: invalid syntax (nets.py, line 2)\n    at <folder>/nets.py:2: def f(:",
        ),
        (
            "from .other import x\n",
            "plugin 'nets.py' raised ImportError: attempted relative import with no known parent package\n"
            "    at <folder>/nets.py:1: from .other import x\n"
            "    Fix: list the file as a module of its package, such as `my_package.parts`.",
        ),
        (
            "raise SystemExit(3)\n",
            "plugin 'nets.py' raised SystemExit: 3\n    at <folder>/nets.py:1: raise SystemExit(3)",
        ),
        (
            "open('weights.bin')\n",
            "plugin 'nets.py' raised FileNotFoundError: [Errno 2] No such file or directory: 'weights.bin'\n"
            "    at <folder>/nets.py:1: open('weights.bin')",
        ),
        (
            "from artschool import losses\n@losses.register\ndef l1(x): ...\n",
            "plugin 'nets.py': loss 'l1' is already registered by artschool.components.losses.pixel.l1; "
            "choose another name",
        ),
    ],
)
def test_a_plugin_that_raises_is_told_with_its_line(code: str, says: str, folder: Path) -> None:
    (folder / "nets.py").write_text(code)
    said = said_about(SOUND.replace("seed: 0", "plugins: [nets.py]"), folder)
    assert said == f"gan.yml:2:11: plugins.0: {says}"


def test_a_plugin_hides_no_other_fault(folder: Path) -> None:
    (folder / "nets.py").write_text("raise ValueError('broken')\n")
    said = said_about(SOUND.replace("seed: 0", "plugins: [nets.py, none.py]").replace("size: 64", "sise: 64"), folder)
    assert [line.split(": ")[0] for line in said.splitlines() if not line.startswith(" ")] == [
        "gan.yml:2:11",
        "gan.yml:2:20",
        "gan.yml:4:32",
    ]


def test_a_plugin_that_raises_is_one_fault_and_not_one_more_for_each_of_its_components(folder: Path) -> None:
    (folder / "nets.py").write_text("raise ValueError('broken')\n")
    text = (
        SOUND.replace("seed: 0", "plugins: [nets.py]")
        .replace("photo_patches", "mine")
        .replace("type: patch_critic", "type: theirs")
    )
    assert "type: mine" in text and "type: theirs" in text
    said = said_about(text, folder)
    assert [line.split(": ")[0] for line in said.splitlines() if not line.startswith(" ")] == ["gan.yml:2:11"]


def test_the_value_of_an_environment_variable_is_never_shown(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    assert said_about(SOUND.replace("name: gan", "name: ../${env:TOKEN}"), folder) == (
        "gan.yml:1:7: name: '../${env:TOKEN}' is not a valid name (expected up to 100 letters, digits, '_', '-' "
        "and '.', not starting with '-' or '.')"
    )
    assert said_about(SOUND.replace("lr: 4e-4", "lr: '${env:TOKEN}'"), folder) == (
        "gan.yml:24:34: steps.critic.optimizer.lr: expected a number, got text '${env:TOKEN}'"
    )
    for secret, old, new in (
        ("2", "lr: 4e-4", "lr: '1${env:TOKEN}'"),
        ("l2", "{type: l1, in: [sr, hq], weight: 1.0}", "'${env:TOKEN}'"),
    ):
        monkeypatch.setenv("TOKEN", secret)
        assert said_about(SOUND.replace(old, new), folder).endswith("${env:TOKEN}'")


def test_the_command_says_so_and_returns_2(folder: Path) -> None:
    (folder / "gan.yml").write_text(SOUND.replace("size: 64", "sise: 64").replace("trains: critic", "trains: critik"))
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    command = [sys.executable, "-m", "artschool", "check", "gan.yml"]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "gan.yml:4:32: data.train.sise: unknown option\n"
        "    photo_patches takes: augment, batch_size, count, drop_last, example, keys, max_bad, pad, scale, shuffle, "
        "size, sort_key, timeout, trim, workers. Did you mean 'size'?\n"
        "gan.yml:22:13: steps.critic.trains: unknown network 'critik'\n"
        "    Available networks: critic, gen. Did you mean 'critic'?\n"
        "2 faults; nothing was started.\n"
    )
