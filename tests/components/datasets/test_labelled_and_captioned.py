"""Images with a class or a caption each, and what is held out of a data set."""

from __future__ import annotations

import json
import re
import zipfile
from pathlib import Path

import pytest
import torch
from PIL import Image
from tokenizers import Tokenizer, models, pre_tokenizers

from artschool.build.classes import class_differences
from artschool.build.data import build_data
from artschool.components.builtins import load_builtins
from artschool.components.datasets.captioned_folder import CaptionedFolder
from artschool.components.datasets.labelled_folder import LabelledFolder
from artschool.components.datasets.wrappers import Split
from artschool.data.declared_values import DeclaredValues
from artschool.errors import DataError
from artschool.read.read import check_file
from artschool.registry import datasets
from tests.engine.toy_parts import Samples

load_builtins()

CLASSIFIER = """
name: animals
data:
  train: {type: labelled_folder, path: animals, batch_size: 1}
  val: {type: labelled_folder, path: val, batch_size: 1}
networks: {net: {type: resnet, depth: 18, width: 2, small: true, classes: 2}}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 0.1}
    injectors: {logits: {type: forward, network: net, in: image, out: logits}}
    losses: {ce: {type: cross_entropy, in: [logits, label], weight: 1.0}}
evaluate: {val: {data: val, steps: [main], metrics: {accuracy: {type: accuracy, in: [logits, label]}}}}
train: {iterations: 1}
"""


def save(path: Path, color: tuple[int, int, int] = (255, 102, 0), size: tuple[int, int] = (12, 8)) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", size, color).save(path)


@pytest.fixture
def animals(tmp_path: Path) -> Path:
    for name in ("dogs/a.png", "cats/b.png", "cats/deep/c.png"):
        save(tmp_path / "animals" / name)
    return tmp_path / "animals"


def test_the_first_folder_of_a_path_is_the_class(animals: Path) -> None:
    folder = LabelledFolder(path=animals)
    samples = [folder[index] for index in range(len(folder))]
    assert [(s["name"], s["label"], s["class_name"]) for s in samples] == [
        ("b.png", 0, "cats"),
        ("c.png", 0, "cats"),
        ("a.png", 1, "dogs"),
    ]
    assert folder.classes == ["cats", "dogs"] and folder.remarks == []
    torch.testing.assert_close(samples[0]["image"][:, 0, 0], torch.tensor([1.0, 0.4, 0.0]))


def test_an_archive_has_the_classes_of_its_folder(animals: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "animals.zip", "w") as archive:
        for file in animals.rglob("*.png"):
            archive.write(file, f"./{file.relative_to(animals)}")
    assert LabelledFolder(path=tmp_path / "animals.zip").classes == ["cats", "dogs"]


def test_labels_are_the_same_where_a_class_is_missing(animals: Path, tmp_path: Path) -> None:
    save(tmp_path / "val" / "dogs" / "d.png")
    assert LabelledFolder(path=tmp_path / "val")[0]["label"] == 0
    assert LabelledFolder(path=tmp_path / "val", classes=["cats", "dogs"])[0]["label"] == 1
    with pytest.raises(DataError, match=r"unknown class 'dogs'\. Available classes: cats, dog\. Did you mean 'dog'\?$"):
        LabelledFolder(path=animals, classes=["cats", "dog"])


class Holder:
    """As torchvision's `ImageFolder` and the data sets that wrap it."""

    def __init__(self, held: object) -> None:
        self.held = held

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> int:
        return index


def test_two_data_sets_that_number_a_class_differently_are_reported(animals: Path, tmp_path: Path) -> None:
    save(tmp_path / "val" / "dogs" / "d.png")
    train, val = LabelledFolder(path=animals), LabelledFolder(path=tmp_path / "val")
    difference = (
        "val: class 'dogs' has label 0, and in train label 1. "
        "Fix: give both the same folders, or the same `classes` as options of `labelled_folder`"
    )
    assert list(class_differences({"train": train, "val": val})) == [difference]
    held = DeclaredValues(Split(data=train, part="train"), {}, "")
    assert list(class_differences({"train": held, "val": Holder([val])})) == [difference]
    same = LabelledFolder(path=tmp_path / "val", classes=["cats", "dogs", "birds"])
    assert list(class_differences({"train": train, "val": same, "other": Holder([*range(9)])})) == []


@pytest.mark.usefixtures("animals")
def test_a_run_reports_labels_that_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    save(tmp_path / "val" / "dogs" / "d.png")
    (tmp_path / "run.yml").write_text(CLASSIFIER)
    monkeypatch.chdir(tmp_path)
    notes: list[str] = []
    build_data(check_file(Path("run.yml")), note=notes.append)
    assert notes == [
        "data.val: class 'dogs' has label 0, and in data.train label 1. "
        "Fix: give both the same folders, or the same `classes` as options of `labelled_folder`"
    ]


def test_images_outside_of_a_class_are_passed_over_with_a_note(animals: Path) -> None:
    save(animals / "e.png")
    folder = LabelledFolder(path=animals)
    assert [folder[index]["name"] for index in range(len(folder))] == ["b.png", "c.png", "a.png"]
    assert folder.remarks == [f"{animals}: passed over 1 of 4 images, which are in no folder"]


def test_images_without_folders_have_no_classes(tmp_path: Path) -> None:
    save(tmp_path / "a.png")
    with pytest.raises(DataError, match=r"got images without folders\. Fix: sort them into folders, or use `image_fol"):
        LabelledFolder(path=tmp_path)


def test_an_image_has_the_size_channels_and_values_that_are_wanted(animals: Path) -> None:
    image = LabelledFolder(path=animals, size=4, channels=1, values=(-1.0, 1.0))[0]["image"]
    torch.testing.assert_close(image, torch.full((1, 4, 4), 2 * 0.4666667 - 1))
    assert datasets.get("labelled_folder").values is not None
    with pytest.raises(DataError, match="smaller than a patch"):
        LabelledFolder(path=animals, size=9)[0]


def captioned(folder: Path, names: tuple[str, ...] = ("a.png", "deep/b.png")) -> Path:
    for name in names:
        save(folder / name)
    return folder


def texts(folder: CaptionedFolder) -> dict[str, str]:
    return {folder[index]["name"]: folder[index]["text"] for index in range(len(folder))}


def test_captions_are_beside_the_images(tmp_path: Path) -> None:
    folder = captioned(tmp_path)
    (folder / "a.txt").write_text("\ufeffa fox\n", encoding="utf-8")
    (folder / "deep" / "b.txt").write_text("ein Bär")
    assert texts(CaptionedFolder(path=folder)) == {"a.png": "a fox", "b.png": "ein Bär"}
    (folder / "a.txt").unlink()
    with pytest.raises(DataError, match=r"1 image has no \.txt file beside it: a\.png\. Fix: add what is missing"):
        CaptionedFolder(path=folder)
    assert texts(CaptionedFolder(path=folder, exclude=["a.*"])) == {"b.png": "ein Bär"}


@pytest.mark.parametrize(
    ("table", "content"),
    [
        (
            "metadata.jsonl",
            '{"file_name": "a.png", "text": "a fox"}\n\n{"file_name": "./deep/b.png", "text": "x, y"}\n',
        ),
        ("captions.csv", 'file_name,text\na.png,a fox\ndeep\\b.png,"x, y"\n'),
        ("metadata.csv", 'id,text,file_name\r\n7,a fox,a.png\r\n8,"x, y",deep/b.png\r\n'),
    ],
)
def test_captions_are_in_a_table(tmp_path: Path, table: str, content: str) -> None:
    folder = captioned(tmp_path)
    (folder / table).write_text(content)
    assert texts(CaptionedFolder(path=folder)) == {"a.png": "a fox", "b.png": "x, y"}


def test_the_column_and_the_table_can_be_named(tmp_path: Path) -> None:
    folder = captioned(tmp_path, ("a.png",))
    (folder / "words.jsonl").write_text(json.dumps({"file_name": "a.png", "caption": "a fox"}))
    assert texts(CaptionedFolder(path=folder, captions="words.jsonl", column="caption")) == {"a.png": "a fox"}
    with pytest.raises(
        DataError, match=r"words\.jsonl:1: expected text in the column 'text', got file_name, caption\. "
    ):
        CaptionedFolder(path=folder, captions="words.jsonl")
    with pytest.raises(DataError, match=r"word\.jsonl does not exist\. Fix: correct `captions`"):
        CaptionedFolder(path=folder, captions="word.jsonl")


def test_captions_become_tokens_of_one_length(tmp_path: Path) -> None:
    folder = captioned(tmp_path, ("a.png", "b.png"))
    (folder / "a.txt").write_text("a red fox")
    (folder / "b.txt").write_text("fox")
    words = Tokenizer(models.WordLevel({"none": 0, "a": 1, "red": 2, "fox": 3}, "none"))
    words.pre_tokenizer = pre_tokenizers.Whitespace()
    words.save(str(tmp_path / "tokenizer.json"))
    samples = CaptionedFolder(path=folder, tokenizer=tmp_path, tokens=2)
    assert [samples[index]["tokens"].tolist() for index in range(2)] == [[1, 2], [3, 0]]
    assert samples[0]["no_tokens"].tolist() == [0, 0] and samples[0]["tokens"].dtype is torch.int64
    assert CaptionedFolder(path=folder)[0]["tokens"].shape == (0,)
    (tmp_path / "words.json").write_text("{}")
    with pytest.raises(DataError, match=r"words\.json: expected a tokenizer\.json, got: "):
        CaptionedFolder(path=folder, tokenizer=tmp_path / "words.json")
    with pytest.raises(DataError, match=r"word\.json does not exist\. Fix: correct the path$"):
        CaptionedFolder(path=folder, tokenizer=tmp_path / "word.json")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ('{"file_name": "a.png", "text": "x"}', "metadata.jsonl: 1 image has no row: deep/b.png."),
        (
            "\n".join(f'{{"file_name": "{n}.png", "text": "x"}}' for n in ("a", "deep/b", "c")),
            "metadata.jsonl: 1 image of the table does not exist: c.png.",
        ),
        (
            '{"file_name": "a.png", "text": "x"}\n{"file_name": "./a.png", "text": "y"}',
            "metadata.jsonl: 1 image has several rows: a.png. Fix: leave one row for each image",
        ),
        ('{"file_name": "a.png"', 'metadata.jsonl:1: expected JSON, got \'{"file_name": "a.png"\''),
        ("[1]", "metadata.jsonl:1: expected a mapping, got '[1]'"),
    ],
)
def test_a_table_that_does_not_fit_is_refused(tmp_path: Path, content: str, message: str) -> None:
    folder = captioned(tmp_path)
    (folder / "metadata.jsonl").write_text(content)
    with pytest.raises(DataError, match=re.escape(message)):
        CaptionedFolder(path=folder)


@pytest.mark.parametrize(("count", "held_out", "held"), [(10, 0.1, [4]), (10, 0.3, [1, 4, 8]), (3, 0.5, [0, 2])])
def test_a_split_shares_no_sample_and_leaves_none_out(count: int, held_out: float, held: list[int]) -> None:
    train, val = (Split(data=Samples(count), part=part, held_out=held_out) for part in ("train", "val"))
    numbers = [[float(part[index]["x"]) for index in range(len(part))] for part in (train, val)]  # type: ignore[typeddict-item]
    assert numbers[1] == held
    assert sorted(numbers[0] + numbers[1]) == list(range(count))


def test_a_split_that_leaves_nothing_is_refused() -> None:
    with pytest.raises(
        DataError, match=r"^split: the part 'val' of 4 samples is empty \(held_out 0\.1\)\. Fix: change "
    ):
        Split(data=Samples(4), part="val")
