"""Which name is suggested for one that nobody knows: a slip of the hand is, a name that is merely alike is not."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydantic import TypeAdapter

from artschool.config import section, sections
from artschool.config.source import read_text
from artschool.errors import ConfigError
from artschool.read.read import check_file
from artschool.registry import REGISTRIES
from artschool.wording.names import allowed, nearest
from artschool.wording.spelling import closest, distance
from artschool.wording.synonyms import OPTIONS, TYPES
from tests.config.bad_files import SOUND

CLOSE = [
    # Letters that are swapped, missing, doubled, wrong.
    ("gne", "gen"), ("wieght", "weight"), ("netwrok", "network"), ("trian", "train"), ("pnsr", "psnr"),
    ("ge", "gen"), ("gan", "gain"), ("widh", "width"), ("optimzer", "optimizer"), ("accumlate", "accumulate"),
    ("genn", "gen"), ("srr", "sr"), ("losss", "loss"), ("wwidth", "width"), ("iterationss", "iterations"),
    ("sise", "size"), ("critik", "critic"), ("kernal", "kernel"), ("discriminatar", "discriminator"),
    ("optimisation", "optimization"), ("rddb", "rrdb"), ("evaluation", "evaluate"),
    # Capitals, plurals, what stands between words.
    ("AdamW", "adamw"), ("BF16", "bf16"), ("Gen", "gen"), ("LR", "lr"), ("SR", "sr"),
    ("loss", "losses"), ("injector", "injectors"), ("iteration", "iterations"), ("milestone", "milestones"),
    ("networks", "network"), ("key", "keys"), ("train", "trains"),
    ("batch-size", "batch_size"), ("batchsize", "batch_size"), ("multistep", "multi_step"), ("gen-ema", "gen_ema"),
    ("lq noisy", "lq_noisy"), ("patchCritic", "patch_critic"), ("photo/psnr", "photos/psnr"), ("gne.ema", "gen.ema"),
    ("fcn_resnet", "fcn_resnet50"), ("resent18", "resnet18"),
    # Abbreviations.
    ("jud", "judge"), ("valid", "val"), ("clip_gradient_norm", "clip_grad_norm"), ("n_codes", "num_codes"),
    ("generator", "gen"), ("keep", "keep_last"), ("learned_sigma", "learned"),
    ("discriminator_gen", "discriminator_gan"),
    ("clip_grad_nrom", "clip_grad_norm"), ("keep_lats", "keep_last"), ("cosine_anealing", "cosine_annealing"),
]  # fmt: skip
FAR = [
    ("gen", "pen"), ("gen", "gem"), ("sr", "hr"), ("lq", "hq"), ("l1", "l2"), ("x", "y"), ("x", "xy"), ("in", "out"),
    ("gan", "gen"), ("old", "odd"), ("red", "bed"), ("lq", "l"), ("hr", "h"),
    ("lq_noisy", "hq_noisy"), ("fake_lq", "fake_hq"), ("lq_lengths", "hq_lengths"), ("in_channels", "out_channels"),
    ("encoder", "decoder"), ("input", "output"), ("before", "after"), ("batch", "patch"), ("fp32", "bf16"),
    ("fp32", "fp16"), ("vgg16", "vgg19"), ("conv1", "conv2"), ("block_1", "block_2"), ("student", "teacher"),
    ("generator", "critic"), ("upscale", "downscale"), ("photos/psnr", "photos/ssim"), ("gen", "gen.ema"),
    ("iterations", "epochs"), ("colour", "clip_grad_norm"), ("width", "height"), ("min", "max"), ("real", "fake"),
    ("adam", "sgd"), ("lamb", "lars"), ("noise", "poison"), ("", "gen"), ("gen", ""),
]  # fmt: skip


@pytest.mark.parametrize(("name", "meant"), CLOSE)
def test_a_slip_is_mended(name: str, meant: str) -> None:
    assert closest(name, ["zebra", meant, "quartz"]) == meant


@pytest.mark.parametrize(("name", "other"), FAR)
def test_another_name_is_not_suggested(name: str, other: str) -> None:
    assert closest(name, [other]) is None
    assert closest(other, [name]) is None


@pytest.mark.parametrize(
    ("name", "known", "meant"),
    [
        ("AdamW", ["adam", "adamw"], "adamw"),
        ("lossess", ["loss", "losses"], "losses"),
        ("multistep", ["multi_steps", "multi_step"], "multi_step"),
        ("critics", ["critic_2", "critic"], "critic"),
        ("widths", ["width", "weights"], "width"),
    ],
)
def test_of_several_the_one_with_the_fewest_slips_is_suggested(name: str, known: list[str], meant: str) -> None:
    assert closest(name, known) == meant
    assert closest(name, known[::-1]) == meant


def test_of_two_as_close_neither_is_suggested() -> None:
    assert closest("keep", ["keep_best", "keep_last"]) is None
    assert closest("view3", ["view", "view2"]) == "view"


@pytest.mark.parametrize(
    ("one", "other", "slips"),
    [("gen", "gen", 0), ("gen", "gne", 1), ("gen", "ge", 1), ("gen", "pan", 2), ("", "gen", 3), ("abcd", "badc", 2)],
)
def test_distance_counts_slips(one: str, other: str, slips: int) -> None:
    assert distance(one, other) == distance(other, one) == slips


def test_a_suggestion_is_a_sentence_and_none_is_nothing() -> None:
    assert nearest("gne", ["gen"]) == "Did you mean 'gen'?"
    assert nearest("pen", ["gen"]) == ""
    assert allowed("Available", "gne", ["gen", "critic"]) == "Available: critic, gen. Did you mean 'gen'?"
    assert allowed("Available", "pen", ["gen"]) == "Available: gen."


NAMED = [
    ("a section", "ema: {", "emma: {", "Did you mean 'ema'?"),
    ("an option of a section", "iterations: 800", "iteratoins: 800", "Did you mean 'iterations'?"),
    ("an option of a component", "scale: 0.05", "sclae: 0.05", "Did you mean 'scale'?"),
    ("an option, other capitals", "weight: 0.005", "Weight: 0.005", "Did you mean 'weight'?"),
    ("a value of few", "kind: hinge, network: critic, fake: sr, w", "kind: Hinge, network: critic, fake: sr, w",
     "Did you mean 'hinge'?"),
    ("a precision", "{iterations: 800}", "{iterations: 800, precision: bf-16}", "Did you mean 'bf16'?"),
    ("a key that is read", "in: lq_noisy", "in: lq_nosiy", "Did you mean 'lq_noisy'?"),
    ("a key of a picture", "keys: [lq, sr, hq]", "keys: [lq, srr, hq]", "Did you mean 'sr'?"),
    ("a key that is required", "    trains: gen\n", "    trains: gen\n    requires: [names]\n", "Did you mean 'name'?"),
    ("a network that is called", "network: gen, in: lq_noisy", "network: gne, in: lq_noisy", "Did you mean 'gen'?"),
    ("a network that is trained", "trains: critic", "trains: critics", "Did you mean 'critic'?"),
    ("an average", "network: gen, in: lq, out", "network: gne.ema, in: lq, out", "Did you mean 'gen.ema'?"),
    ("a network that is averaged", "networks: [gen]", "networks: [genn]", "Did you mean 'gen'?"),
    ("a data set", "data: val", "data: vall", "Did you mean 'val'?"),
    ("a step of an evaluation", "    data: val", "    steps: [Critic]\n    data: val", "Did you mean 'critic'?"),
    ("a metric", "metric: photos/psnr", "metric: photo/psnr", "Did you mean 'photos/psnr'?"),
    ("a type", "{type: l1, in", "{type: L1, in", "Did you mean 'l1'?"),
    ("a type, swapped letters", "type: multi_step", "type: mutli_step", "Did you mean 'multi_step'?"),
    ("torch's name of a loss", "{type: l1, in", "{type: MSELoss, in", "Did you mean 'l2'?"),
    ("torch's name of a function", "{type: l1, in", "{type: bce_with_logits, in",
     "Did you mean 'cross_entropy, kind: bce'?"),
    ("torch's name of an optimizer", "{type: adamw, lr: 2e-3", "{type: AdamW, lr: 2e-3", "Did you mean 'adamw'?"),
    ("torch's name of a schedule", "type: multi_step", "type: MultiStepLR", "Did you mean 'multi_step'?"),
    ("torchmetrics' name", "psnr: {type: psnr", "psnr: {type: PeakSignalNoiseRatio", "Did you mean 'psnr'?"),
    ("torch's name of an option", "{type: adamw, lr: 4e-4", "{type: adamw, learning_rate: 4e-4", "Did you mean 'lr'?"),
    ("Lightning's name of an option", "{iterations: 800}", "{max_steps: 800}", "Did you mean 'iterations'?"),
    ("torch's name in a group", "lr: 4e-4", "param_groups: [{learning_rate: 1e-4}]", "Did you mean 'lr'?"),
    ("a type of another kind", "{type: l1, in", "{type: psnr, in", "'psnr' is a metric, not a loss."),
    ("a kind of parameter", "weight_decay: 0.0", "weight_decay: 0.0, no_decay: [biass]", "Did you mean 'bias'?"),
    ("a path", "{iterations: 800}", '{iterations: "${log.evrey}"}', "Did you mean 'every'?"),
    ("an environment variable", "seed: 0", 'seed: "${env:ARTSCHOOL_SEDE}"', "Did you mean 'ARTSCHOOL_SEED'?"),
    ("a plugin", "seed: 0", "plugins: [net.py]", "Did you mean 'nets.py'?"),
    ("a module", "seed: 0", "plugins: [artschool.componets]", "Did you mean 'components'?"),
    ("a base", "seed: 0", "base: bsae.yml", "Did you mean 'base.yml'?"),
    ("a file of a network", "{type: patch_critic, width: 24}", "{from: bases.yml}", "Did you mean 'base.yml'?"),
    ("a network of another file", "{type: patch_critic, width: 24}", "{from: {file: base.yml, network: judges}}",
     "Did you mean 'judge'?"),
]  # fmt: skip
UNLIKE = [
    ("a key", "in: lq_noisy", "in: hq_noisy", "lq_noisy"),
    ("a picture", "keys: [lq, sr, hq]", "keys: [lq, hr, hq]", "sr"),
    ("a network", "network: gen, in: lq_noisy", "network: pen, in: lq_noisy", "gen"),
    ("a type", "{type: l1, in", "{type: l3, in", "l1"),
    ("a precision", "{iterations: 800}", "{iterations: 800, precision: fp64}", "fp32"),
    ("an option", "scale: 0.05", "colour: 0.05", "scale"),
]
OVERRIDES = [
    ("steps.gen.optimzer.lr=1", "Did you mean 'optimizer'?"),
    ("step.gen.optimizer.lr=1", "Did you mean 'steps'?"),
    ("steps.gne.clip_grad_norm=1", "Did you mean 'gen'?"),
    ("networks.gne.width=8", "Did you mean 'gen'?"),
    ("networks.gen.widht=8", "Did you mean 'width'?"),
    ("steps.gen.losses.pixle.weight=2", "Did you mean 'pixel'?"),
    ("data.trian.batch_size=2", "Did you mean 'train'?"),
    ("train.precison=bf16", "Did you mean 'precision'?"),
]


OTHERS = [
    ("losses", "MSELoss mse mse_loss", "l2"), ("losses", "L1Loss l1_loss mae", "l1"),
    ("losses", "SmoothL1Loss smoothL1", "smooth_l1"), ("losses", "CrossEntropyLoss ce", "cross_entropy"),
    ("losses", "HuberLoss", "huber"), ("losses", "CTCLoss", "ctc"), ("losses", "CosineEmbeddingLoss", "cosine"),
    ("losses", "bce BCELoss BCEWithLogitsLoss bce_with_logits binary_cross_entropy_with_logits",
     "cross_entropy, kind: bce"),
    ("losses", "wgan-gp", "gradient_penalty, kind: wgan_gp"), ("losses", "TVLoss", "total_variation"),
    ("losses", "kl_div KLLoss", "kl_divergence"), ("losses", "LPIPSLoss", "lpips"),
    ("optimizers", "Adam ADAM", "adam"), ("optimizers", "AdamW adam_w", "adamw"), ("optimizers", "SGD", "sgd"),
    ("optimizers", "RMSprop", "rmsprop"), ("optimizers", "Lion", "pytorch_optimizer, name: lion"),
    ("schedules", "CosineAnnealingLR cosine cosine_schedule", "cosine_annealing"),
    ("schedules", "CosineAnnealingWarmRestarts", "cosine_annealing_warm_restarts"),
    ("schedules", "StepLR", "step"), ("schedules", "MultiStepLR", "multi_step"),
    ("schedules", "ExponentialLR", "exponential"), ("schedules", "PolynomialLR poly", "polynomial"),
    ("metrics", "PeakSignalNoiseRatio PSNR", "psnr"), ("metrics", "FrechetInceptionDistance", "fid"),
    ("metrics", "acc", "accuracy"),
]  # fmt: skip
NOBODYS = [
    ("losses", "loss lr nll hinge gan triplet KLDivLoss adam"), ("optimizers", "lbfgs muon optimizer"),
    ("schedules", "lr OneCycleLR plateau schedule"), ("metrics", "mae iou"),
]  # fmt: skip


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(
    ("kind", "name", "meant"), [(kind, name, meant) for kind, names, meant in OTHERS for name in names.split()]
)
def test_what_others_call_it_is_understood(kind: str, name: str, meant: str) -> None:
    assert nearest(name, REGISTRIES[kind].names(), TYPES[kind]) == f"Did you mean {meant!r}?"


@pytest.mark.usefixtures("registries")
@pytest.mark.parametrize(("kind", "name"), [(kind, name) for kind, names in NOBODYS for name in names.split()])
def test_what_nothing_here_is_called_is_not_suggested(kind: str, name: str) -> None:
    assert nearest(name, REGISTRIES[kind].names(), TYPES[kind]) == ""


@pytest.mark.usefixtures("registries")
def test_what_a_synonym_stands_for_exists_and_the_synonym_does_not() -> None:
    for kind, synonyms in TYPES.items():
        for meant, others in synonyms.names.items():
            entry = read_text(f"{{type: {meant}}}", "").plain()
            registered = REGISTRIES[kind].get(entry.pop("type"))
            for name, value in entry.items():
                option = next(each for each in registered.signature.parameters if each.name == name)
                assert TypeAdapter(option.annotation).validate_python(value) == value
            taken = set(others.split()) & {name.replace("_", "") for name in REGISTRIES[kind].names()}
            assert not taken, (kind, taken)
    options = {
        name for registry in REGISTRIES.values() for each in registry.names() for name in registry.get(each).takes
    }
    models = [each for each in vars(sections).values() if isinstance(each, type) and issubclass(each, section.Section)]
    options |= {name for model in models for name in model.model_fields}
    assert OPTIONS.names.keys() <= options
    words = [name for names in [*TYPES.values(), OPTIONS] for others in names.names.values() for name in others.split()]
    assert all(word == word.casefold() and word.isalnum() for word in words)


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("ARTSCHOOL_SEED", "3")
    (tmp_path / "nets.py").write_text("")
    (tmp_path / "base.yml").write_text("networks: {judge: {type: patch_critic}}\n")
    return tmp_path


def said(old: str, new: str, *overrides: str) -> str:
    assert SOUND.count(old) == 1, old
    Path("gan.yml").write_text(SOUND.replace(old, new))
    with pytest.raises(ConfigError) as error:
        check_file(Path("gan.yml"), overrides)
    return str(error.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("title", "old", "new", "hint"), NAMED, ids=[each[0] for each in NAMED])
def test_every_place_that_names_something_suggests_it(title: str, old: str, new: str, hint: str) -> None:
    assert hint in said(old, new), title


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("title", "old", "new", "other"), UNLIKE, ids=[each[0] for each in UNLIKE])
def test_no_place_suggests_what_is_merely_alike(title: str, old: str, new: str, other: str) -> None:
    assert f"Did you mean {other!r}" not in said(old, new), title


@pytest.mark.usefixtures("folder")
def test_of_very_many_components_none_is_named_where_none_is_alike() -> None:
    number = len(REGISTRIES["losses"].names())
    assert said("{type: l1, in", "{type: hausdorff, in") == (
        "gan.yml:19:21: steps.gen.losses.pixel.type: unknown loss 'hausdorff'\n"
        f"    There are {number} losses; `artschool components losses` lists them."
    )


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(("override", "hint"), OVERRIDES)
def test_the_path_of_an_override_is_mended_too(override: str, hint: str) -> None:
    assert hint in said("seed: 0", "seed: 1", override)


@pytest.mark.usefixtures("folder")
def test_an_override_that_replaces_an_entry_is_not_told_the_names_beside_it() -> None:
    text = "override 'steps.gen.losses.pixel={type: mean, in: sr}': steps.gen.losses.pixel: missing option 'weight'"
    assert said("seed: 0", "seed: 1", "steps.gen.losses.pixel={type: mean, in: sr}") == text


@pytest.mark.usefixtures("registries")
def test_a_name_of_several_other_kinds_names_them_all() -> None:
    with pytest.raises(ConfigError, match=r"unknown optimizer 'photos'\. 'photos' is a data set, not an optimizer\."):
        REGISTRIES["optimizers"].get("photos")
