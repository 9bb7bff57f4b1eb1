"""Perceptual losses of the reference, and the networks that they bring into the file."""

from __future__ import annotations

from pathlib import Path

from artschool.components.builtins import load_builtins
from artschool.config.compose import finish
from artschool.config.source import read_text
from artschool.config.structure import structure
from artschool.legacy.convert import convert
from artschool.legacy.losses import convert_loss
from artschool.legacy.rules import Notes
from tests.legacy.old_text import node, plain, silent, told

load_builtins()
FEATURE = (
    "{type: feature, which_model_F: vgg, criterion: l1, real: r, fake: f, weight: 1, load_path: own.pth, after: 8}"
)
VGG = {"type": "vgg", "depth": 19, "layers": ["conv5_4"], "frozen": True}


def test_the_feature_network_becomes_one_of_the_file() -> None:
    notes = Notes()
    assert plain(convert_loss(node(FEATURE), "here", notes, trained=None)) == {
        "type": "perceptual",
        "criterion": "l1",
        "network": "vgg19_features",
        "real": "r",
        "fake": "f",
        "weight": 1,
        "after": 8,
    }
    assert plain(notes.networks) == {"vgg19_features": {**VGG, "weights": "own.pth"}}
    assert silent(notes)


def test_without_a_file_the_one_to_bring_is_named() -> None:
    notes = Notes()
    convert_loss(node(FEATURE.replace(", load_path: own.pth", "")), "here", notes, trained=None)
    assert plain(notes.networks) == {"vgg19_features": {**VGG, "weights": "vgg19-dcbb9e9d.pth"}}
    message = "needs torchvision's weights of VGG19; artschool downloads nothing, so supply vgg19-dcbb9e9d.pth"
    assert told(notes.warnings) == [f"1:17: here.load_path: {message}"]
    assert notes.warnings[0].hint == "Download it from https://download.pytorch.org/models/vgg19-dcbb9e9d.pth"


def test_losses_share_a_network_if_its_weights_are_the_same() -> None:
    notes = Notes()
    olds = [FEATURE, FEATURE, FEATURE.replace("own.pth", "other.pth")]
    found = [plain(convert_loss(node(old), "here", notes, trained=None))["network"] for old in olds]
    assert found == ["vgg19_features", "vgg19_features", "vgg19_features_2"]
    assert [network.plain()["weights"] for network in notes.networks.values()] == ["own.pth", "other.pth"]


def test_an_interpreted_feature_has_a_network_for_each_side() -> None:
    notes = Notes()
    fields = plain(convert_loss(node(FEATURE.replace("feature,", "interpreted_feature,")), "here", notes, trained=None))
    weights = {name: network.plain()["weights"] for name, network in notes.networks.items()}
    assert weights[fields["network"]] == "own.pth"
    assert weights[fields["real_network"]] == "vgg19-dcbb9e9d.pth"
    assert len(notes.warnings) == 1


def test_a_file_with_a_perceptual_loss_reads_as_ours() -> None:
    old = f"""
name: sharp
datasets: {{train: {{mode: imagefolder, batch_size: 4, paths: [pictures], target_size: 32, scale: 2}}}}
networks: {{gen: {{which_model_G: RRDBNet, in_nc: 3, out_nc: 3, nf: 16, nb: 2, scale: 2}}}}
steps:
  gen:
    training: gen
    optimizer_params: {{lr: 1e-4}}
    injectors: {{up: {{type: generator, generator: gen, in: lq, out: sr}}}}
    losses:
      pix: {{type: pix, criterion: l1, real: hq, fake: sr, weight: 1}}
      feature: {FEATURE.replace("real: r, fake: f", "real: hq, fake: sr")}
train: {{niter: 50, ema_enabled: false}}
"""
    tree, notes = convert(read_text(old, "old.yml", yaml11=True))
    config, faults = structure(finish(tree, Path("old.yml")))
    assert not notes.faults and not faults and config is not None
    assert config.networks["vgg19_features"].options() == {"depth": 19, "layers": ["conv5_4"]}
    assert [use.name for use in config.steps["gen"].losses["feature"].networks] == ["vgg19_features"]


def test_an_injector_that_could_not_run_in_training_is_left_to_evaluations() -> None:
    tree, notes = convert(
        node(
            "name: old\n"
            "datasets: {train: {mode: imagefolder, batch_size: 2, paths: [p], target_size: 32, scale: 2}}\n"
            "networks: {gen: {which_model_G: RRDBNet, in_nc: 3, out_nc: 3, nf: 8, nb: 1, scale: 2}}\n"
            "steps:\n"
            "  gen:\n"
            "    training: gen\n"
            "    optimizer_params: {lr: 1e-4}\n"
            "    injectors:\n"
            "      up: {type: generator, generator: gen, in: lq, out: sr}\n"
            "      dead: {type: mel_spectrogram, in: wav, out: mel}\n"
            "      read: {type: mel_spectrogram, in: speech, out: heard}\n"
            "    losses: {pix: {type: pix, weight: 1, criterion: l1, real: heard, fake: sr}}\n"
            "train: {niter: 4}\n"
        )
    )
    injectors = tree.plain()["steps"]["gen"]["injectors"]
    assert injectors["dead"]["only"] == "evaluation"
    assert "only" not in injectors["read"]  # A loss needs its result: the check refuses it.
    assert [str(warning).splitlines()[0] for warning in notes.warnings if "'wav'" in str(warning)] == [
        "old.yml:10:7: steps.gen.injectors.dead: reads 'wav', which nothing writes in training, and nothing there "
        "reads its result"
    ]
