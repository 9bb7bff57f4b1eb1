"""Networks that stand in another file."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.errors import ConfigError
from artschool.read.read import check_file, read_config

FILE = """
name: own
data: {train: {type: photo_patches, size: 16}}
networks:
  gen: {type: edsr, blocks: 1}
  teacher: FROM
steps:
  gen:
    trains: gen
    optimizer: {type: sgd, lr: 0.1}
    injectors:
      own: {type: forward, network: gen, in: lq, out: sr}
      theirs: {type: forward, network: teacher, in: lq, out: goal}
    losses: {follow: {type: l1, in: [sr, goal], weight: 1.0}}
train: {iterations: 1}
"""
OTHER = """
name: other
plugins: [nets.py]

networks:
  teacher: {type: edsr, width: "${networks.student.width}", blocks: 3, weights: t.pth}
  student: {type: edsr, width: 8}
"""


def write(folder: Path, source: str, other: str = OTHER) -> Path:
    (folder / "sub").mkdir()
    (folder / "sub" / "other.yml").write_text(other)
    (folder / "sub" / "nets.py").write_text("LOADED = True\n")
    (folder / "own.yml").write_text(FILE.replace("FROM", source))
    return folder / "own.yml"


def test_a_network_takes_what_the_other_file_means_below_its_own_options(tmp_path: Path) -> None:
    file = write(tmp_path, "{from: sub/other.yml, frozen: true, blocks: 2}")
    tree, warnings = read_config(file)
    assert tree.at(("networks", "teacher")).plain() == {
        "type": "edsr",
        "width": 8,
        "blocks": 2,
        "weights": "t.pth",
        "frozen": True,
    }
    assert tree.at(("plugins",)).plain() == [str(tmp_path / "sub" / "nets.py")]
    assert warnings == []
    assert check_file(file).networks["teacher"].option("blocks") == 2


def test_the_other_file_is_beside_the_base_that_names_it(tmp_path: Path) -> None:
    base = write(tmp_path, "{from: sub/other.yml, frozen: true}")
    (tmp_path / "above").mkdir()
    file = tmp_path / "above" / "top.yml"
    file.write_text("base: ../own.yml\nname: top\n")
    tree, _ = read_config(file)
    assert tree.at(("networks", "teacher", "width")).value == 8
    by_override, _ = read_config(
        file, [f"networks.gen={{from: {{file: {base.parent}/sub/other.yml, network: student}}}}"]
    )
    assert by_override.at(("networks", "gen", "width")).value == 8


def test_a_plugin_of_both_files_is_imported_once(tmp_path: Path) -> None:
    file = write(tmp_path, "{from: sub/other.yml, frozen: true}")
    file.write_text(file.read_text() + "plugins: [sub/nets.py]\n")
    tree, _ = read_config(file)
    assert tree.at(("plugins",)).plain() == ["sub/nets.py"]


def test_another_name_is_given_beside_the_file_and_missing_weights_are_told(tmp_path: Path) -> None:
    file = write(tmp_path, "{from: {file: sub/other.yml, network: student}, frozen: true}")
    tree, warnings = read_config(file)
    assert tree.at(("networks", "teacher", "width")).value == 8
    assert [str(warning) for warning in warnings] == [
        f"{file}:6:19: networks.teacher: has no weights, so it starts from random ones\n"
        "    Fix: add `weights:` with the file that its training wrote."
    ]


def test_a_file_of_dl_art_school_lends_its_networks_whatever_else_is_wrong_in_it(tmp_path: Path) -> None:
    old = (
        "networks: {teacher: {type: generator, which_model_G: RRDBNet, nf: 8, nb: 1, scale: 2}}\n"
        "path: {pretrain_model_teacher: old.pth}\nsteps: {a: {training: teacher, injectors: {b: {type: nonsense}}}}\n"
    )
    tree, _ = read_config(write(tmp_path, "{from: sub/other.yml, frozen: true}", old))
    assert tree.at(("networks", "teacher")).plain() == {
        "type": "rrdb",
        "width": 8,
        "blocks": 1,
        "scale": 2,
        "variant": "dl_art_school",
        "weights": "old.pth",
        "frozen": True,
    }


@pytest.mark.parametrize(
    ("source", "said"),
    [
        ("{from: sub/none.yml}", "networks.teacher.from: file {}/sub/none.yml does not exist"),
        ("{from: 3}", "networks.teacher.from: expected a file or {{file: other.yml, network: name}}, got 3"),
        (
            "{from: {file: sub/other.yml, network: studnet}}",
            "networks.teacher.from: {}/sub/other.yml has no network 'studnet'\n"
            "    Available networks: student, teacher. Did you mean 'student'?",
        ),
        (
            "{from: sub/other.yml, type: rrdb}",
            "networks.teacher.type: conflicts with `from`, which also sets the type; remove one",
        ),
    ],
)
def test_what_cannot_be_borrowed_is_told(tmp_path: Path, source: str, said: str) -> None:
    with pytest.raises(ConfigError) as error:
        read_config(write(tmp_path, source))
    assert str(error.value).split(": ", 1)[1].startswith(said.format(tmp_path))
