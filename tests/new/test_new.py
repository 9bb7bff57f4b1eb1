"""`artschool new`: files that are valid, fit the user's data, and train."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image

import artschool
from artschool.cli.main import cli
from artschool.config.construct import construct_dataset
from artschool.config.source import read_file
from artschool.errors import ArtschoolError, ConfigError, DataError, ResourceError
from artschool.lint import Subject, lint
from artschool.new.fit import run_name, settings_of
from artschool.new.look import Images, Recordings, look_at
from artschool.new.templates import (
    FILE,
    as_yaml,
    files_of_recipe,
    files_of_template,
    find_template,
    recipes,
    template_names,
)
from artschool.read.read import check_file

pytestmark = pytest.mark.usefixtures("no_plugins")
TEMPLATES = [
    "diffusion",
    "gan",
    "latent_diffusion",
    "own_network",
    "self_supervision",
    "speech",
    "super_resolution",
    "vq",
]
OF_IMAGES = [name for name in TEMPLATES if name != "speech"]


def written(folder: Path, name: str, data: Path | None = None) -> Path:
    """The files of a template, without the command's own check."""
    template = find_template(name)
    settings = settings_of(template, run_name(folder), data, look_at(data) if data else None)
    folder.mkdir(parents=True)
    for file, content in files_of_template(template, settings).items():
        (folder / file).write_bytes(content)
    return folder / FILE


def findings(file: Path) -> list[str]:
    config = check_file(file)
    return [str(warning) for warning in (*config.warnings, *lint(Subject(config, None)))]


def save(path: Path, width: int = 40, height: int = 36, mode: str = "RGB") -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = np.random.default_rng(len(path.name)).integers(0, 255, (height, width, 3), dtype=np.uint8)
    Image.fromarray(pixels).convert(mode).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    """Twenty images in two folders, with a path that needs quotes."""
    folder = tmp_path / 'my "animals" ${x}'
    for index in range(10):
        save(folder / "cats" / f"{index}.png")
        save(folder / "dogs: two" / f"{index}.png", 64, 50)
    return folder


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    for index in range(8):
        save(tmp_path / "plain" / f"{index}.png", 70, 66)
    return tmp_path / "plain"


@pytest.fixture
def spoken(tmp_path: Path) -> Path:
    soundfile = pytest.importorskip("soundfile")
    (tmp_path / "spoken").mkdir()
    for index in range(6):
        soundfile.write(tmp_path / "spoken" / f"{index}.wav", np.sin(np.arange(30_000) / 9), 22050)
    return tmp_path / "spoken"


def test_these_templates_are_there() -> None:
    assert template_names() == TEMPLATES


@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_is_sound_without_data(name: str, tmp_path: Path) -> None:
    assert findings(written(tmp_path / "new", name)) == []


@pytest.mark.parametrize("name", OF_IMAGES)
@pytest.mark.parametrize("folder", ["animals", "plain"])
def test_a_template_is_sound_on_a_folder_of_images(
    name: str, folder: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    assert findings(written(tmp_path / "new", name, request.getfixturevalue(folder))) == []


def test_a_template_is_sound_on_a_folder_of_recordings(spoken: Path, tmp_path: Path) -> None:
    file = written(tmp_path / "new", "speech", spoken)
    assert findings(file) == []
    data = check_file(file).data["train"].options()
    assert data["part"] == "train" and data["held_out"] == 0.33
    assert read_file(file).plain()["data"]["train"]["data"]["sample_rate"] == 22050


def test_the_file_fits_the_images(animals: Path, tmp_path: Path) -> None:
    tree = read_file(written(tmp_path / "new", "gan", animals)).plain()
    train = tree["data"]["train"]
    assert train["data"] == {
        "type": "labelled_folder",
        "path": str(animals).replace("${", "$${"),
        "classes": ["cats", "dogs: two"],
        "channels": 3,
        "crop": "middle",
        "size": 32,
        "augment": "flip",
    }
    assert train["held_out"] == 0.1 and train["batch_size"] == 8
    assert tree["networks"]["gen"]["size"] == 32 and tree["networks"]["gen"]["num_classes"] == 2
    config = check_file(tmp_path / "new" / FILE)
    assert config.data["train"].inner[0].option("path") == animals


def test_train_and_val_share_no_file(animals: Path, tmp_path: Path) -> None:
    data = check_file(written(tmp_path / "new", "gan", animals)).data
    built = {name: construct_dataset(component) for name, component in data.items()}
    files = {name: {(part[i]["class_name"], part[i]["name"]) for i in range(len(part))} for name, part in built.items()}
    assert len(files["train"]) == 18 and len(files["val"]) == 2 and not files["train"] & files["val"]
    assert {name for name, _ in files["val"]} == {"cats", "dogs: two"}


def test_what_is_in_a_folder_is_found(animals: Path, plain: Path, spoken: Path, tmp_path: Path) -> None:
    found = look_at(animals)
    assert isinstance(found, Images)
    assert (found.count, found.smallest, found.largest) == (20, ("cats/0.png", 40, 36), (64, 50))
    assert found.classes == ("cats", "dogs: two") and not found.gray
    assert str(found) == "20 images in 2 folders of 40 x 36 (cats/0.png) to 64 x 50 pixels."
    sound = look_at(spoken)
    assert isinstance(sound, Recordings) and dict(sound.rates) == {22050: 6}
    mixed = tmp_path / "mixed"
    save(mixed / "a.png", mode="L")
    Image.fromarray(np.full((20, 30), 1000, np.uint16)).save(mixed / "b.png")
    (mixed / "c.png").write_bytes(b"no image")
    for name in "abc":
        (mixed / f"{name}.txt").write_text("text")
    found = look_at(mixed)
    assert isinstance(found, Images)
    assert (found.gray, found.deep, found.damaged, found.captions, found.classes) == (True, 1, 1, ".txt files", ())
    save(plain / "d.png", mode="RGBA")
    assert "1 with transparency, which is dropped" in str(look_at(plain))


@pytest.mark.parametrize(
    ("name", "folder", "message"),
    [
        ("speech", "plain", "template speech needs recordings, got 8 images"),
        ("gan", "spoken", "template gan needs images, got 6 recordings"),
        ("super_resolution", "small", "needs images of at least 32 x 32 pixels, got 20 x 20 (0.png). Fix: remove or"),
        ("gan", "few", "template gan needs 4 images or more, got 1"),
        ("gan", "empty", "expected images or recordings (.png, "),
        ("gan", "none", "expected a folder, got nothing"),
    ],
)
def test_data_that_does_not_fit_is_refused(
    name: str, folder: str, message: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if folder in ("plain", "spoken"):
        request.getfixturevalue(folder)
    (tmp_path / "empty").mkdir()
    save(tmp_path / "few" / "0.png")
    for index in range(4):
        save(tmp_path / "small" / f"{index}.png", 20, 20)
    with pytest.raises(DataError) as caught:
        written(tmp_path / "new", name, tmp_path / folder)
    assert message in str(caught.value)


def invoke(*arguments: str | Path) -> Any:
    return CliRunner().invoke(cli, ["new", *map(str, arguments)])


@pytest.mark.soak
def test_the_command_writes_and_proves(tmp_path: Path) -> None:
    """In `make soak`, since it starts a process that traces the file. The page docs/new.md runs the command, too."""
    done = invoke("own_network", tmp_path / "new")
    assert done.exit_code == 0 and f"{tmp_path}/new/train.yml: valid. " in done.output
    names = {"README.md", "parts.py", "train.yml", "train.schema.json"}
    assert {file.name for file in (tmp_path / "new").iterdir()} == names
    assert (tmp_path / "new" / FILE).read_text().startswith("# yaml-language-server: $schema=train.schema.json\n")


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / FILE).write_text("mine")
    for name in ("gan", "recipe:photo_sr"):
        error = invoke(name, tmp_path / "full").exception
        assert isinstance(error, ConfigError) and "is not empty, and nothing is overwritten" in str(error)
        error = invoke(name, tmp_path / "full" / FILE).exception
        assert isinstance(error, ConfigError) and "exists, and nothing is overwritten" in str(error)
    assert [file.read_text() for file in (tmp_path / "full").iterdir()] == ["mine"]


def test_a_full_disk_leaves_nothing_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ARTSCHOOL_FAULT", "before_rename:2=disk_full")
    error = invoke("own_network", tmp_path / "new").exception
    assert isinstance(error, ResourceError) and "No space left" in str(error)
    assert list(tmp_path.iterdir()) == []


def test_templates_and_recipes_are_listed() -> None:
    lines = invoke().output.splitlines()
    assert [line.split()[0] for line in lines] == TEMPLATES + [f"recipe:{name}" for name in recipes()]
    assert invoke("--list").output.splitlines() == lines


@pytest.mark.parametrize("name", list(recipes()))
def test_a_recipe_is_copied_with_its_files(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for file, content in files_of_recipe(name).items():
        (tmp_path / file).write_bytes(content)
    monkeypatch.setenv("VGG19", "vgg19.safetensors")
    assert check_file(tmp_path / f"{name}.yml").steps


def test_unknown_names_and_wrong_uses_are_refused(tmp_path: Path) -> None:
    for arguments, message in (
        (("gann", tmp_path / "x"), "unknown template 'gann'. Available templates: diffusion, gan"),
        (("recipe:photo", tmp_path / "x"), "unknown recipe 'photo'. Available recipes: "),
        (("recipe:photo_sr", tmp_path / "x", "--data", tmp_path), "--data is for templates"),
    ):
        error = invoke(*arguments).exception
        assert isinstance(error, ArtschoolError) and message in str(error)
    assert invoke("gan").exit_code == 2 and not (tmp_path / "x").exists()


def test_names_and_texts_are_safe() -> None:
    assert run_name(Path("/a/my run: é")) == "my_run" and run_name(Path("/")) == "run"
    assert as_yaml('a "b" ${c}') == '"a \\"b\\" $${c}"'


def trained(folder: Path, name: str) -> artschool.Run:
    overrides = [*find_template(name).try_.split(), "train.device=cpu", "log.every=10"]
    run = artschool.load(written(folder / "new", name), overrides, run_dir=folder / "run")
    run.train()
    return run


@pytest.mark.soak
@pytest.mark.parametrize("name", TEMPLATES)
def test_a_template_trains_and_gives_its_numbers(name: str, tmp_path: Path) -> None:
    """In `make soak`, since each trains for ten iterations or more."""
    run = trained(tmp_path, name)
    promised = {f"{e.name}/{metric}" for e in run.evaluations for metric in e.metrics}
    assert promised <= run.last_evaluation.keys()
