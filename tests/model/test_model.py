"""`artschool.open`: the networks of a run and what its dataflows compute, without the data of its training."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor

import artschool
from artschool.components.builtins import load_builtins
from artschool.engine.data_examples import Example
from artschool.errors import ArtschoolError, CheckpointError, ConfigError, DataError
from artschool.model import opening
from artschool.model.absent import with_absent
from artschool.model.cut import cut
from artschool.model.flows import default_keys, flows_of
from artschool.model.inputs import sampled_inputs
from artschool.model.model import Model
from artschool.read.read import check_file
from artschool.registry import REGISTRIES
from artschool.storage.choose_checkpoint import choose_checkpoint
from tests.model import small_run


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    """The folder of a trained run. The data is gone."""
    load_builtins()
    before = {name: dict(registry._items) for name, registry in REGISTRIES.items()}
    folder = tmp_path_factory.mktemp("small")
    small_run.load(folder).train()
    shutil.rmtree(folder / "data")
    small_run.built.clear()
    yield folder / "run"
    for name, registry in REGISTRIES.items():
        registry._items = before[name]


@pytest.fixture
def model(folder: Path) -> Model:
    return artschool.open(folder, device="cpu")


def by_hand(folder: Path, owner: str, z: Tensor, label: Tensor) -> Tensor:
    """What the generator draws with the weights of a file, in 0..1."""
    weights = load_file(folder / "checkpoints" / "00000006" / f"{owner}.safetensors")
    gen = small_run.Gen().eval()
    gen.load_state_dict(weights)
    with torch.no_grad():
        drawn: Tensor = gen(z, label)
    return drawn * 0.5 + 0.5


def decoded(model: Model, logits: Tensor) -> Tensor:
    code = model["code"]
    assert isinstance(code, small_run.Code)
    return code.decode(logits)


def test_a_checkpoint_that_a_training_deletes_meanwhile_is_replaced_by_the_next(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    chosen: list[Path] = []
    next_one = folder / "checkpoints" / ".tmp-00000007-12345678"

    def choose(*arguments: Any) -> Path:
        path = choose_checkpoint(*arguments)
        chosen.append(path if chosen else path.with_name("00000005"))
        next_one.mkdir(exist_ok=True)
        return chosen[-1]

    monkeypatch.setattr(opening, "choose_checkpoint", choose)
    assert artschool.open(folder, device="cpu").iteration == 6
    next_one.rmdir()
    assert [path.name for path in chosen] == ["00000005", "00000006"]


def test_training_writes_what_its_data_and_calls_are_like(folder: Path) -> None:
    found = json.loads((folder / "data_examples.json").read_bytes())
    assert found["data"].keys() == {"train", "val"}
    image, label = found["data"]["train"]["image"], found["data"]["train"]["label"]
    assert (image["shape"], image["dtype"], image["classes"]) == ([1, 4, 4], "float32", None)
    assert 0 <= image["low"] < 0.2 and 0.8 < image["high"] <= 1
    assert (label["shape"], label["dtype"], label["low"], label["high"]) == ([], "int64", 0.0, 4.0)
    assert label["classes"] == 5  # Though a batch of four has no more than four of them.
    assert found["calls"].keys() == {"gen", "judge", "code.decode"}


def test_calls_have_the_names_and_shapes_of_their_inputs(model: Model) -> None:
    gen, decode = model.calls["gen"], model.calls["code.decode"]
    assert [each.name for each in gen.inputs] == ["z", "label"]
    shapes = [(each.example.shape, each.example.dtype) for each in gen.inputs if each.example]
    assert shapes == [((1, 3), "float32"), ((1,), "int64")] and gen.method is None and gen.keywords == 0
    assert decode.method == "decode" and [each.name for each in decode.inputs] == ["logits"]


def test_samples_are_those_of_the_average_in_eval_mode(folder: Path, model: Model) -> None:
    sampled = model.sample("z", "drawn", count=7, seed=3)
    label = torch.arange(7) % 5
    assert torch.equal(sampled["drawn"], by_hand(folder, "gen.ema", sampled["z"], label))
    assert model.averaged == ["gen"]
    raw = artschool.open(folder, device="cpu", average=False)
    without = raw.sample("z", "drawn", count=7, seed=3)
    assert torch.equal(without["drawn"], by_hand(folder, "gen", sampled["z"], label))
    assert not torch.equal(without["drawn"], sampled["drawn"]) and raw.averaged == []


def test_what_is_wanted_is_the_result_of_the_network_that_is_averaged(model: Model) -> None:
    assert model.default_outputs == ["drawn"] and model.outputs[0] == "drawn"
    assert {"z", "raw", "logits", "double", "image_again"} <= set(model.outputs)
    assert not {"moved", "value", "image"} & set(model.outputs)
    assert model.sample(count=2).keys() == {"drawn"}
    assert model.inputs() == ["label"] and model.inputs("image_again") == ["image"]


def test_what_an_evaluation_shows_is_wanted_before_its_last_result(folder: Path) -> None:
    config = check_file(folder / "resolved.yml", ["evaluate.held.pictures={keys: [raw]}"])
    assert default_keys(config, flows_of(config, 5)) == ["raw"]


def test_a_result_of_networks_with_and_without_averages_is_wanted_if_there_is_no_other(registries: None) -> None:
    # A generator with an average calls a flow network.
    config = check_file(Path(__file__).parents[2] / "recipes" / "video_sr.yml")
    assert default_keys(config, flows_of(config, 600)) == ["sr"]


@pytest.mark.parametrize(
    ("shape", "fix"),
    [
        ((3, 4, 4), "write `artschool apply 'the run' FILES -o DIR --output-key image_again`, or give it"),
        ((8, 3, 4, 4), "call `artschool.open(RUN).apply({'image': batch}, 'image_again')` in Python"),
    ],
)
def test_what_is_computed_from_data_is_computed_from_files_or_in_python(
    model: Model, shape: tuple[int, ...], fix: str
) -> None:
    example = replace(model.examples["image"], shape=shape)
    with pytest.raises(DataError, match=rf"made up\. Fix: {re.escape(fix)}$"):
        sampled_inputs(model.cut(["image_again"]), {}, 2, lambda key: example, Path("the run"))


def test_labels_are_given_once_for_all_or_for_each_sample(folder: Path, model: Model) -> None:
    for given, label in ((3, [3, 3, 3]), ([4, 1], [4, 1, 4]), (torch.tensor([0, 2, 4]), [0, 2, 4])):
        sampled = model.sample("z", "drawn", count=3, label=given)
        assert torch.equal(sampled["drawn"], by_hand(folder, "gen.ema", sampled["z"], torch.tensor(label)))


def test_batches_have_seeds_and_leave_random_numbers_and_buffers_as_they_are(model: Model) -> None:
    state, buffers = torch.get_rng_state(), [b.clone() for b in model["gen"].buffers()]
    first, again = (model.sample("drawn", count=5, batch_size=2, label=0)["drawn"] for _ in range(2))
    assert torch.equal(first, again) and len(first) == 5 and not torch.equal(first[1], first[3])
    assert not torch.equal(first, model.sample("drawn", count=5, batch_size=2, label=0, seed=1)["drawn"])
    assert torch.equal(torch.get_rng_state(), state)
    assert all(torch.equal(one, other) for one, other in zip(buffers, model["gen"].buffers(), strict=True))


def test_only_what_is_needed_is_built(folder: Path) -> None:
    small_run.built.clear()
    model = artschool.open(folder, device="cpu")
    assert repr(model) == "<small after 6 iterations on cpu: gen (average), judge, code>" and small_run.built == []
    model.sample("drawn", count=1)
    model.sample("drawn", count=1)
    assert small_run.built == ["gen"]
    assert not model["judge"].training and small_run.built == ["gen", "judge"]
    assert list(model.networks) == ["gen", "judge", "code"] and model["gen"] is model["gen.ema"]
    assert not any(parameter.requires_grad for parameter in model["gen"].parameters())


def test_data_is_applied_where_it_is_read(model: Model) -> None:
    image = torch.rand(3, 1, 6, 6)
    expected = model["judge"](image)
    assert torch.equal(model.apply({"image": image}, "logits")["logits"], expected)
    assert torch.equal(model.apply(image, "logits"), expected)
    torch.testing.assert_close(model.apply(image[0], "logits"), expected[0])
    again = model.apply(image, "image_again")  # Only a step computes it.
    assert torch.equal(again, decoded(model, expected))


def test_a_key_in_between_can_be_given(model: Model) -> None:
    logits = torch.rand(2, 5)
    assert torch.equal(model.apply({"logits": logits}, "image_again")["image_again"], decoded(model, logits))
    raw = torch.full((2, 1, 4, 4), 0.5)
    assert torch.equal(model.sample("drawn", count=2, raw=raw)["drawn"], raw * 0.5 + 0.5)


def test_gates_are_those_of_the_last_iteration(model: Model) -> None:
    flow = next(flow for flow in model._flows if flow.path == "steps")
    assert flow.writers["drawn"].path == "steps.gen.injectors.late"
    assert model.sample("double", count=2)["double"].shape == (2, 1, 4, 4)  # Its own gate is closed then.


def test_ranges_are_those_that_components_declare_or_usual_ones(model: Model) -> None:
    assert model.examples["image"] == Example((1, 4, 4), "float32", *_ends(model), None)
    assert model.range_of("drawn") is None


def _ends(model: Model) -> tuple[float | None, float | None]:
    known = model._known.data["val"]["image"]
    return known.low, known.high


def test_checkpoints_are_chosen_by_name_number_or_folder(folder: Path) -> None:
    best = json.loads((folder / "checkpoints" / "00000006" / "state.json").read_bytes())["best"][1]
    for chosen, number in (("last", 6), ("best", best), (4, 4), ("4", 4), (folder / "checkpoints" / "00000002", 2)):
        assert artschool.open(folder, chosen, device="cpu").iteration == number
    assert best < 6


def test_a_moved_run_and_one_of_an_earlier_version_open(folder: Path, tmp_path: Path) -> None:
    moved = shutil.copytree(folder, tmp_path / "elsewhere")
    (moved / "data_examples.json").unlink()
    model = artschool.open(moved, device="cpu")
    assert model.calls == {} and model.examples == {}
    z = torch.rand(2, 3)
    drawn = model.apply({"z": z, "label": torch.tensor([1, 2])}, "drawn")["drawn"]
    assert torch.equal(drawn, by_hand(folder, "gen.ema", z, torch.tensor([1, 2])))


@pytest.mark.parametrize(
    ("use", "error", "message"),
    [
        (lambda m: m.sample("drwn"), ConfigError, "unknown key 'drwn'. Available keys: "),
        (lambda m: m.sample(lable=1), ConfigError, "Available inputs: image, label. Did you mean 'label'?"),
        (lambda m: m.sample("image_again"), DataError, "values of 'image', which cannot be made up"),
        (lambda m: m.sample("image_again"), DataError, "/run FILES -o DIR --output-key image_again`, or give it"),
        (
            lambda m: m.sample("image_again", "logits"),
            DataError,
            "'image_again' and 'logits' of steps are computed from the ",
        ),
        (lambda m: m.sample("raw", "image_again"), ConfigError, "no evaluation and no step computes all of"),
        (lambda m: m.sample(count=0), ConfigError, "count: expected 1 or more, got 0"),
        (lambda m: m.sample(label=12), DataError, "label: expected 0 to 4, got 12"),
        (lambda m: m.sample(label=[1, -1]), DataError, "label: expected 0 to 4, got -1"),
        (lambda m: m.sample(label=1.5), DataError, "label: expected 0 to 4, got 1.5"),
        (lambda m: m.sample(label="cat"), DataError, "label: expected numbers, got 'cat'"),
        (lambda m: m.sample(label=[]), DataError, "label: expected at least one value, got []"),
        (lambda m: m.sample(label=[[1, 2]]), DataError, "label: expected the shape () for a sample, got (1, 2)"),
        (lambda m: m.apply({"image": torch.rand(4, 4)}, "logits"), DataError, "such as (B, 1, 4, 4), got (4, 4)"),
        (lambda m: m["critic"], ConfigError, "unknown network 'critic'. Available networks: code, gen, gen.ema"),
        (lambda m: artschool.open(m.folder, 5), CheckpointError, "Available checkpoints: 2, 4, 6"),
        (lambda m: artschool.open(m.folder, "newest"), CheckpointError, "expected best, last, a number"),
        (lambda m: artschool.open(m.folder.parent), ConfigError, "expected a run folder"),
        (lambda m: artschool.open(m.folder, device="gpu"), ConfigError, "expected auto, cpu, cuda or another device"),
    ],
)
def test_mistakes(model: Model, use: Callable[[Model], Any], error: type[ArtschoolError], message: str) -> None:
    with pytest.raises(error) as raised:
        use(model)
    assert message in str(raised.value)


def test_a_run_without_a_best_checkpoint_says_what_to_configure(folder: Path, tmp_path: Path) -> None:
    copy = shutil.copytree(folder, tmp_path / "copy")
    for number in (2, 4):
        shutil.rmtree(copy / "checkpoints" / f"{number:08d}")
    with pytest.raises(CheckpointError, match="checkpoint does not exist"):
        artschool.open(copy, "best")


def test_a_resume_keeps_what_is_known(tmp_path: Path, registries: None) -> None:
    small_run.load(tmp_path, "train.iterations=2").train()
    file = tmp_path / "run" / "data_examples.json"
    known = json.loads(file.read_bytes())
    known["data"]["train"]["label"]["classes"] = 9
    file.write_text(json.dumps(known))
    small_run.load(tmp_path, "train.iterations=4").train()
    found = json.loads(file.read_bytes())
    assert found["data"]["train"]["label"]["classes"] == 9 and found["calls"] == known["calls"]


def test_the_number_that_means_no_class_is_a_label(registries: None) -> None:
    config = check_file(Path(__file__).parents[1] / "mutants" / "bases" / "tiny_diffusion.yml")
    chosen = cut(flows_of(config, 1)[0], ["drawn"])
    known = {"label": Example((), "int64", classes=4), "image": Example((1, 8, 8), "float32")}

    def labels(*given: float) -> list[int]:
        inputs = {"label": list(given)} if given else {}
        found = sampled_inputs(chosen, inputs, 6, lambda key: with_absent(known[key], config, key), Path("run"))
        return list(found["label"].tolist())

    assert labels(3, 4) == [3, 4] * 3 and labels() == [0, 1, 2, 3, 0, 1]
    with pytest.raises(DataError, match=r"^label: expected 0 to 3 or 4 for none, got 5$"):
        labels(5)
