"""What a file means together with its bases, overrides and references."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from artschool.config.compose import finish
from artschool.config.source import Node, read_file
from artschool.errors import ConfigError


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def compose(path: Path, overrides: Sequence[str] = ()) -> Node:
    return finish(read_file(path), path, overrides)


def composed(files: dict[str, str], *overrides: str) -> Any:
    for name, text in files.items():
        Path(name).parent.mkdir(parents=True, exist_ok=True)
        Path(name).write_text(text)
    return compose(Path(next(iter(files))), overrides).plain()


def test_later_bases_stand_over_earlier_ones_and_the_file_over_all() -> None:
    files = {
        "x.yml": "base: [a.yml, b.yml]\nthree: x\n",
        "a.yml": "one: a\ntwo: a\nthree: a\n",
        "b.yml": "two: b\nthree: b\nfour: b\n",
    }
    assert composed(files) == {"one": "a", "two": "b", "three": "x", "four": "b"}


def test_a_base_has_bases_of_its_own_relative_to_itself() -> None:
    files = {"x.yml": "base: sub/a.yml\n", "sub/a.yml": "base: b.yml\none: 1\n", "sub/b.yml": "one: 0\ntwo: 2\n"}
    assert composed(files) == {"one": 1, "two": 2}


def test_one_base_may_serve_twice() -> None:
    files = {
        "x.yml": "base: [a.yml, b.yml]\n",
        "a.yml": "base: c.yml\na: 1\n",
        "b.yml": "base: c.yml\nb: 1\n",
        "c.yml": "c: 1\n",
    }
    assert composed(files) == {"a": 1, "b": 1, "c": 1}


def test_mappings_merge_and_lists_and_scalars_are_replaced() -> None:
    files = {
        "x.yml": "base: a.yml\ntrain: {accumulate: 2}\nlist: [3]\nnone: null\ndeep: 1\n",
        "a.yml": "train: {iterations: 5, accumulate: 1}\nlist: [1, 2]\nnone: {a: 1}\ndeep: {a: {b: 1}}\n",
    }
    assert composed(files) == {"train": {"iterations": 5, "accumulate": 2}, "list": [3], "none": None, "deep": 1}


def test_options_do_not_survive_another_type() -> None:
    base = "optimizer: {type: adamw, lr: 1, betas: [0, 0]}\n"
    assert composed({"x.yml": "base: a.yml\noptimizer: {type: sgd, lr: 2}\n", "a.yml": base}) == {
        "optimizer": {"type": "sgd", "lr": 2}
    }
    for above in ("{type: adamw, lr: 2}", "{lr: 2}"):
        assert composed({"x.yml": f"base: a.yml\noptimizer: {above}\n", "a.yml": base}) == {
            "optimizer": {"type": "adamw", "lr": 2, "betas": [0, 0]}
        }


def test_an_override_is_yaml_at_a_path() -> None:
    files = {"x.yml": "a: {b: [1, {c: 2}]}\n"}
    assert composed(files, "a.b.0=1e-4", "a.b.1.c=[x, 'y']", "d.e={f: on}", "g=", "h=a=b") == {
        "a": {"b": [1e-4, {"c": ["x", "y"]}]},
        "d": {"e": {"f": "on"}},
        "g": None,
        "h": "a=b",
    }


def test_an_override_stands_over_the_bases_and_the_last_one_counts() -> None:
    assert composed({"x.yml": "base: a.yml\n", "a.yml": "a: 1\n"}, "a=2", "a=3") == {"a": 3}


def test_an_override_replaces_a_mapping_whole() -> None:
    assert composed({"x.yml": "a: {b: 1, c: 2}\n"}, "a={b: 3}") == {"a": {"b": 3}}


def test_a_whole_reference_takes_the_value_and_a_part_its_text() -> None:
    text = "a: {b: [1, 2], c: 0.5, d: true, e: null, f: x}\nlist: ${a.b}\nmap: ${a}\nfirst: ${a.b.0}\n"
    files = {"x.yml": text + "text: <${a.b.1}|${a.c}|${a.d}|${a.e}|${a.f}>\n"}
    given = {"b": [1, 2], "c": 0.5, "d": True, "e": None, "f": "x"}
    assert composed(files) == {"a": given, "list": [1, 2], "map": given, "first": 1, "text": "<2|0.5|true||x>"}


def test_references_see_bases_and_overrides_and_lead_on() -> None:
    files = {"x.yml": "base: a.yml\nc: ${b}\n", "a.yml": "a: 1\nb: ${a}\n"}
    assert composed(files, "a=5") == {"a": 5, "b": 5, "c": 5}


def test_two_dollars_are_one() -> None:
    assert composed({"x.yml": "a: 1\nb: $${a}\nc: cost $5 ${a}\n"}) == {"a": 1, "b": "${a}", "c": "cost $5 1"}


def test_an_environment_variable_is_read_like_yaml_and_masked_everywhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NUMBER", "1e-3")
    Path("x.yml").write_text(
        "a: ${env:NUMBER}\nb: x-${env:NUMBER}\nc: ${a}\nd: [${b}]\ne: 1\n".replace("[${b}]", "['${b}']")
    )
    tree = compose(Path("x.yml"))
    assert tree.plain() == {"a": 1e-3, "b": "x-0.001", "c": 1e-3, "d": ["x-0.001"], "e": 1}
    assert tree.masked() == {"a": "${env:NUMBER}", "b": "x-${env:NUMBER}", "c": "${a}", "d": ["${b}"], "e": 1}


def test_a_mapping_that_holds_a_secret_stays_masked_where_it_is_referred_to(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "s3cret")
    Path("x.yml").write_text("a: {token: '${env:TOKEN}', b: 1}\nc: ${a}\n")
    tree = compose(Path("x.yml"))
    assert tree.plain()["c"] == {"token": "s3cret", "b": 1}
    assert "s3cret" not in str(tree.masked())


def test_every_reference_that_fails_is_told() -> None:
    with pytest.raises(ConfigError) as error:
        composed({"x.yml": "a: ${b}\nc: ${a}\nd: x${e.f}\n"})
    assert str(error.value) == ("x.yml:1:4: ${b}: key 'b' does not exist\nx.yml:3:4: ${e.f}: key 'e' does not exist")


def test_the_place_of_a_value_is_where_it_was_written() -> None:
    Path("a.yml").write_text("a: 1\nb: {c: 2}\n")
    Path("x.yml").write_text("base: a.yml\nd: ${b.c}\ne: 5\n")
    tree = compose(Path("x.yml"), ["e=6"])
    places = [str(tree.at(path).place) for path in (["a"], ["b", "c"], ["d"], ["e"])]
    assert places == ["a.yml:1:4", "a.yml:2:8", "x.yml:2:4", "override 'e=6'"]


def test_references_that_double_again_and_again_are_stopped() -> None:
    doubled = "".join(f"a{i}: ${{a{i + 1}}}${{a{i + 1}}}\n" for i in range(40)) + "a40: x\n"
    with pytest.raises(ConfigError, match=r"^x\.yml:\d+:\d+: expands to more than 100,000 values$"):
        composed({"x.yml": doubled})
    listed = "".join(f"a{i}: ['${{a{i + 1}}}', '${{a{i + 1}}}']\n" for i in range(40)) + "a40: x\n"
    with pytest.raises(ConfigError, match=r"^x\.yml:\d+:\d+: expands to more than 100,000 values$"):
        composed({"x.yml": listed})


def test_what_references_nest_too_deeply_is_refused() -> None:
    nested = "".join(f"a{i}: ['${{a{i + 1}}}']\n" for i in range(70)) + "a70: x\n"
    with pytest.raises(ConfigError, match=r"^x\.yml:64:7: nested deeper than 64 levels$"):
        composed({"x.yml": nested})
    chained = "".join(f"a{i}: ${{a{i + 1}}}\n" for i in range(3000)) + "a3000: x\n"
    with pytest.raises(ConfigError, match=r"^x\.yml: nested deeper than 64 levels$"):
        composed({"x.yml": chained})
    with pytest.raises(ConfigError, match=r"^x\.yml: nested deeper than 64 levels$"):
        composed({"x.yml": "a: 1\n"}, ".".join("b" * 3000) + "=1")


@pytest.mark.parametrize("written", ["${TOKEN_OF_MINE}", "${oc.env:TOKEN_OF_MINE}"])
def test_who_writes_a_variable_as_elsewhere_is_told_how_here(written: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN_OF_MINE", "1")
    fix = r"\n    Fix: write `\$\{env:TOKEN_OF_MINE\}` for the environment variable\.$"
    with pytest.raises(ConfigError, match=fix):
        composed({"x.yml": f"a: {written}\n"})


def test_null_removes_a_named_entry_of_a_base() -> None:
    files = {
        "x.yml": "base: a.yml\nsteps: {gen: {losses: {gan: null}}, critic: null}\n",
        "a.yml": "steps:\n  gen: {losses: {gan: {type: g}, l1: {type: l}}}\n  critic: {trains: critic}\n",
    }
    assert composed(files) == {"steps": {"gen": {"losses": {"l1": {"type": "l"}}}}}
    gone = composed(files, "steps.gen=", "networks={a: {type: x}, b: {type: y}}", "networks.a=null")
    assert gone == {"steps": {}, "networks": {"b": {"type": "y"}}}


def test_null_is_a_value_where_it_has_a_meaning_and_where_nothing_is_below() -> None:
    files = {
        "x.yml": "base: a.yml\nsteps: {gen: {schedule: null}, m: null}\nnetworks: {gen: {weights: null}}\nema: null\n",
        "a.yml": "steps: {gen: {schedule: {type: s}}}\nnetworks: {gen: {type: n, weights: w}}\nema: {networks: [g]}\n",
    }
    assert composed(files) == {
        "steps": {"gen": {"schedule": None}, "m": None},
        "networks": {"gen": {"type": "n", "weights": None}},
        "ema": None,
    }


def test_an_entry_that_was_removed_can_come_back() -> None:
    files = {
        "x.yml": "base: [a.yml, b.yml]\nsteps: {gen: {trains: two}}\n",
        "a.yml": "steps: {gen: {trains: one, every: 2}}\n",
        "b.yml": "steps: {gen: null}\n",
    }
    assert composed(files) == {"steps": {"gen": {"trains": "two"}}}


def test_null_clears_a_section() -> None:
    files = {
        "x.yml": "base: a.yml\nevaluate: null\nsteps: {gen: {injectors: null}}\n",
        "a.yml": "evaluate: {a: {data: d}}\nlog: {every: 2}\nsteps: {gen: {injectors: {i: {type: t}}, trains: n}}\n",
    }
    kept = {"steps": {"gen": {"trains": "n"}}}
    assert composed(files) == {"log": {"every": 2}, **kept}
    assert composed(files, "log=null", "checkpoint=", "steps.gen.losses=null") == kept
    assert composed(files, "log.every=null")["log"] == {"every": None}  # The check says that it cannot be null.
