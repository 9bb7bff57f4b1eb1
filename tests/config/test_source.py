"""Text to nodes: places, anchors, limits."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.config.source import Node, read_file, read_text, tag_faults
from artschool.config.syntax import MAX_DEPTH
from artschool.errors import ConfigError

TEXT = """\
# a comment
name: gan
steps:
  gen:
    in: [sr, "hq"]
    note: |
      two
      lines
    ? odd
    : {a: 1, b: ~}
"""


def test_every_key_and_value_knows_its_place() -> None:
    tree = read_text(TEXT, "gan.yml")
    paths = ["name", "steps", "steps.gen", "steps.gen.in", "steps.gen.in.1", "steps.gen.note", "steps.gen.odd"]
    nodes = {path: tree.at(path.split(".")) for path in [*paths, "steps.gen.odd.b"]}
    places = {path: (str(node.key_place), str(node.place)) for path, node in nodes.items()}
    assert places == {
        "name": ("gan.yml:2:1", "gan.yml:2:7"),
        "steps": ("gan.yml:3:1", "gan.yml:4:3"),
        "steps.gen": ("gan.yml:4:3", "gan.yml:5:5"),
        "steps.gen.in": ("gan.yml:5:5", "gan.yml:5:9"),
        "steps.gen.in.1": ("None", "gan.yml:5:14"),
        "steps.gen.note": ("gan.yml:6:5", "gan.yml:6:11"),
        "steps.gen.odd": ("gan.yml:9:7", "gan.yml:10:7"),
        "steps.gen.odd.b": ("gan.yml:10:14", "gan.yml:10:17"),
    }
    assert tree.plain() == {
        "name": "gan",
        "steps": {"gen": {"in": ["sr", "hq"], "note": "two\nlines\n", "odd": {"a": 1, "b": None}}},
    }


def test_quoted_scalars_are_text() -> None:
    assert read_text("""{a: "1", b: '2', c: 3, d: "", e: , f: 'it''s', g: "\\u00e9\\n"}""", "x").plain() == {
        "a": "1",
        "b": "2",
        "c": 3,
        "d": "",
        "e": None,
        "f": "it's",
        "g": "é\n",
    }


def test_an_alias_repeats_a_whole_value_under_its_own_key() -> None:
    tree = read_text("a: &x [1, 2]\nb: *x\n", "x")
    assert tree.plain() == {"a": [1, 2], "b": [1, 2]}
    assert (str(tree.at(["b"]).key_place), str(tree.at(["b", 1]).place)) == ("x:2:1", "x:1:11")


def test_the_deepest_nesting_that_is_read() -> None:
    text = "[" * MAX_DEPTH + "1" + "]" * MAX_DEPTH
    node = read_text(text, "x")
    for _ in range(MAX_DEPTH):
        assert isinstance(node.value, list)
        (node,) = node.value
    assert node.value == 1
    with pytest.raises(ConfigError, match=r"^x:1:66: nested deeper than 64 levels$"):
        read_text(f"[{text}]", "x")


def test_a_file_without_an_end_is_too_large() -> None:
    """A stranger's file may have it as its `base`."""
    if not Path("/dev/zero").exists():
        pytest.skip("the system has no such device")
    with pytest.raises(ConfigError, match=r"^/dev/zero: file too large: 1,048,577 bytes"):
        read_file(Path("/dev/zero"))


def test_every_key_that_stands_twice_is_told() -> None:
    with pytest.raises(ConfigError) as error:
        read_text("a: 1\nb: {c: 1, c: 2}\na: 3\na: 4\n", "x")
    assert str(error.value) == (
        "x:2:11: duplicate key 'c', first defined at x:2:5\n"
        "x:3:1: duplicate key 'a', first defined at x:1:1\n"
        "x:4:1: duplicate key 'a', first defined at x:1:1"
    )


def test_a_fault_before_broken_syntax_is_told_with_it() -> None:
    with pytest.raises(ConfigError) as error:
        read_text("a: 1\na: 2\nb: [\n", "x")
    assert str(error.value) == (
        "x:2:1: duplicate key 'a', first defined at x:1:1\nx:4:1: invalid YAML: did not find expected node content"
    )


@pytest.mark.parametrize(("tag", "value"), [("float", 3.0), ("int", 3), ("str", "3")])
def test_tags_of_old_files_keep_their_meaning_and_are_noted(tag: str, value: object) -> None:
    tree = read_text(f"a: !!{tag} 3\n", "x", yaml11=True)
    assert (tree.plain(), type(tree.plain()["a"])) == ({"a": value}, type(value))
    assert [str(fault) for fault in tag_faults(tree)] == [
        f"x:1:4: YAML tag '!!{tag}' is not supported; write the value without it"
    ]


def test_a_tag_that_does_not_fit_is_a_fault_in_old_files_too() -> None:
    with pytest.raises(ConfigError, match=r"^x:1:4: YAML tag '!!int' is not supported; write the value without it$"):
        read_text("a: !!int three\n", "x", yaml11=True)


def test_a_path_goes_as_deep_as_there_is_something(tmp_path: Path) -> None:
    (tmp_path / "x.yml").write_text("a: [1, {b: 2}]\n")
    tree = read_file(tmp_path / "x.yml")
    assert tree.at(["a", 1, "b", "c"]).value == tree.at(["a", "1", "b"]).value == 2
    assert tree.at(["a", 2]).plain() == [1, {"b": 2}]
    assert tree.child("z") is None and tree.at(["a"]).child("x") is None and tree.at(["a"]).get("b") is None
    assert [child.plain() for child in tree.children()] == [[1, {"b": 2}]]


def test_a_reference_stands_for_what_an_environment_variable_holds() -> None:
    place = read_text("a", "x").place
    tree = Node({"a": Node("s3cret", place, reference="${env:TOKEN}"), "b": Node([Node(1, place)], place)}, place)
    assert tree.plain() == {"a": "s3cret", "b": [1]}
    assert tree.masked() == {"a": "${env:TOKEN}", "b": [1]}
