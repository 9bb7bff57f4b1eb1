"""Every recipe is sound, trains for two iterations, and gives every number that it promises."""

from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

import artschool
from artschool.components.builtins import load_builtins
from artschool.engine.run import Run
from artschool.errors import Stopped
from artschool.read.read import check_file
from artschool.registry import networks
from tests.engine.toy_run import Recorder, StopAfter, fingerprint, recorded

load_builtins()
pytestmark = pytest.mark.usefixtures("beside_the_corpus")
ROOT = Path(__file__).parents[1]
RECIPES = sorted((ROOT / "recipes").glob("*.yml"))
QUICKER = {
    "digits_ddpm": ["evaluate.drawn.injectors.draw.steps=2"],
    "digits_flow": ["evaluate.drawn.injectors.draw.steps=1"],
}
"""What makes an evaluation of a recipe short; nothing else of it changes."""


def quick(recipe: Path, folder: Path) -> Run:
    """Two iterations, with everything that happens at the end."""
    workers = [f"data.{name}.workers=0" for name in check_file(recipe).data]
    overrides = ["train.iterations=2", "train.device=cpu", *workers, *QUICKER.get(recipe.stem, [])]
    return artschool.load(recipe, overrides, run_dir=folder)


def test_there_are_recipes() -> None:
    assert "photo_sr" in {recipe.stem for recipe in RECIPES}


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_is_sound_without_a_warning(recipe: Path) -> None:
    assert [str(warning) for warning in check_file(recipe).warnings] == []


@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_a_recipe_trains_and_gives_its_numbers(recipe: Path, tmp_path: Path) -> None:
    run = quick(recipe, tmp_path / "run")
    run.train()
    promised = {f"{e.name}/{metric}" for e in run.evaluations for metric in e.metrics}
    assert promised <= run.last_evaluation.keys()
    assert all(math.isfinite(run.last_evaluation[name]) for name in promised)
    assert (tmp_path / "run" / "checkpoints" / "00000002" / "manifest.json").exists()


def test_esrgan_takes_a_perceptual_loss_where_weights_are_given(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    weights = tmp_path / "vgg19.safetensors"
    features = networks.get("vgg").target(depth=19, layers=["conv1_2"])
    save_file(features.state_dict(), weights)
    monkeypatch.setenv("VGG19", str(weights))
    recipe = ROOT / "recipes" / "with_weights" / "photo_esrgan_perceptual.yml"
    overrides = ["networks.vgg.layers=[conv1_2]", "train.iterations=1", "train.device=cpu", "data.train.workers=0"]
    run = artschool.load(recipe, overrides, run_dir=tmp_path / "run")
    run.train()
    logged = json.loads((tmp_path / "run" / "metrics.jsonl").read_text().splitlines()[0])
    assert logged["gen/perceptual"] > 0
    assert logged["gen/total"] == pytest.approx(0.01 * logged["gen/pixel"] + logged["gen/perceptual"], rel=1e-5)


def test_adapters_are_trained_beside_the_weights_of_another_recipe(tmp_path: Path) -> None:
    quick(ROOT / "recipes" / "digits_ddpm.yml", tmp_path / "base").train()
    trained = tmp_path / "base" / "checkpoints" / "00000002"
    weights = [
        f"networks.trained.weights={trained / 'unet.ema.safetensors'}",
        f"networks.judge.weights={trained / 'judge.safetensors'}",
        "evaluate.before.injectors.draw.steps=2",
        "evaluate.drawn.injectors.draw.steps=2",
    ]
    recipe = ROOT / "recipes" / "with_weights" / "digits_lora.yml"
    run = artschool.load(recipe, [*weights, "train.iterations=2", "train.device=cpu"], run_dir=tmp_path / "run")
    before = load_file(trained / "unet.ema.safetensors")
    run.train()
    assert run.last_evaluation.keys() == {
        f"{evaluation}/{metric}" for evaluation in ("drawn", "read", "before") for metric in ("accuracy", "slant")
    }
    own = {name.replace(".base_layer", ""): value for name, value in run.networks["unet"].state_dict().items()}
    assert all(torch.equal(own[name], value) for name, value in before.items())
    saved = tmp_path / "run" / "checkpoints" / "00000002"
    adapters = load_file(saved / "unet.ema.safetensors")
    assert adapters and all(".lora_" in name for name in adapters)
    assert any(value.any() for name, value in adapters.items() if ".lora_B." in name)
    assert _size(saved) < 0.25 * _size(trained)


def _size(checkpoint: Path) -> int:
    return sum(file.stat().st_size for file in checkpoint.glob("*.safetensors"))


@pytest.mark.soak
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
def test_five_resumes_of_a_recipe_change_no_bit(recipe: Path, tmp_path: Path) -> None:
    """In `make soak`, since it builds each recipe seven times."""
    workers = [f"data.{name}.workers=0" for name in check_file(recipe).data]
    overrides = ["train.iterations=12", "train.device=cpu", "evaluate={}", "log.every=1", *workers]
    straight = artschool.load(recipe, overrides, run_dir=tmp_path / "straight")
    expected = recorded(straight)
    straight.train()
    records = []
    for stop in (2, 3, 5, 8, 11):
        run = artschool.load(recipe, overrides, run_dir=tmp_path / "chain")
        run.loggers = [stopped := StopAfter(stop)]
        with pytest.raises(Stopped):
            run.train()
        records += stopped.records
    run = artschool.load(recipe, overrides, run_dir=tmp_path / "chain")
    last = recorded(run)
    run.train()
    assert fingerprint(run) == fingerprint(straight)
    assert _losses(records + last.records) == _losses(expected.records)


def _losses(records: list[dict[str, float]]) -> list[dict[str, float]]:
    """What is logged, without what a clock says."""
    return [{name: value for name, value in record.items() if "second" not in name} for record in records]


@pytest.mark.soak
@pytest.mark.parametrize("recipe", RECIPES, ids=lambda recipe: recipe.stem)
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch reads it where a graph breaks.
def test_a_recipe_trains_compiled_as_eagerly(recipe: Path, tmp_path: Path) -> None:
    """In `make soak`, since each of some kinds of calls is compiled for each network."""
    _compare_compiled(recipe, tmp_path, "aot_eager", 1e-4)


@pytest.mark.soak
@pytest.mark.parametrize("name", ["digits_gan", "photo_sr"])
@pytest.mark.filterwarnings("ignore:`torch.jit.script:DeprecationWarning")  # When inductor is first imported.
@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")
def test_a_recipe_trains_as_eagerly_with_generated_kernels(name: str, tmp_path: Path) -> None:
    """In `make soak`, since a C++ compiler runs for each graph."""
    _compare_compiled(ROOT / "recipes" / f"{name}.yml", tmp_path, "inductor", 1e-3)


SMOOTH = {"photo_sr": ["steps.gen.losses.pixel.type=l2"]}
"""The gradient of l1 jumps where an image equals its target. There, the last bit decides, which a graph may change."""


def _compare_compiled(recipe: Path, folder: Path, backend: str, tolerance: float) -> None:
    runs, notes = [], list[str]()
    for compiled in ("false", f"{{backend: {backend}}}"):
        overrides = [f"train.compile={compiled}", "train.iterations=3", "log.every=1", "train.device=cpu"]
        workers = [f"data.{name}.workers=0" for name in check_file(recipe).data]
        overrides += [*workers, "evaluate={}", *SMOOTH.get(recipe.stem, [])]
        run = artschool.load(recipe, overrides, run_dir=folder / compiled[:3])
        run.loggers = [recorder := Recorder()]
        run.train()
        runs.append(recorder.records)
        notes += recorder.notes
    names = {name for record in runs[0] for name in record} - {"seconds"}
    for eager, compiled_record in zip(*runs, strict=True):
        for name in names & eager.keys():
            assert compiled_record[name] == pytest.approx(eager[name], rel=tolerance, abs=1e-6), name
    assert any("compiled and proven" in note for note in notes), notes
    assert not any(note.startswith("warning") for note in notes), notes
