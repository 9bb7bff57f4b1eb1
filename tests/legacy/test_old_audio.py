"""Each row of the table of audio."""

from __future__ import annotations

from pathlib import Path

import pytest

from artschool.components.builtins import load_builtins
from artschool.config.source import read_file
from artschool.legacy.audio import INJECTORS, LOSSES
from artschool.legacy.injectors import convert_injector
from artschool.legacy.losses import convert_loss
from artschool.legacy.rules import Notes
from artschool.registry import injectors, losses
from tests.legacy.old_text import node, plain, silent, told

load_builtins()
ROWS = {
    "{type: mel_spectrogram, in: w, out: m, filter_length: 512, hop_length: 128, win_length: 400, n_mel_channels: 40, "
    "mel_fmin: 20, mel_fmax: 4000, sampling_rate: 16000}": {
        "type": "mel_spectrogram",
        "in": "w",
        "out": "m",
        "n_fft": 512,
        "hop_length": 128,
        "win_length": 400,
        "n_mels": 40,
        "f_min": 20,
        "f_max": 4000,
        "sample_rate": 16000,
    },
    "{type: torch_mel_spectrogram, in: w, out: m, normalize: true, mel_norm_file: norms.pth, n_mel_channels: 40}": {
        "type": "mel_spectrogram",
        "in": "w",
        "out": "m",
        "normalized": True,
        "norms": "norms.pth",
        "n_mels": 40,
        "power": 2,
        "mel_scale": "htk",
    },
    "{type: audio_clip, in: w, out: v, clip_size: 9, ctc_codes_key: c, ctc_out_key: d}": {
        "type": "audio_clip",
        "in": ["w", "c"],
        "out": ["v", "d"],
        "clip_size": 9,
    },
    "{type: audio_resample, in: w, out: v, input_sample_rate: 22050, output_sample_rate: 16000}": {
        "type": "audio_resample",
        "in": "w",
        "out": "v",
        "from_rate": 22050,
        "to_rate": 16000,
    },
    "{type: audio_unshuffle, in: w, out: v, compression: 16}": {
        "type": "audio_unshuffle",
        "in": "w",
        "out": "v",
        "compression": 16,
    },
    "{type: frequency_bin_normalize, in: m, out: n, stats_file: stats.pth}": {
        "type": "frequency_bin_normalize",
        "in": "m",
        "out": "n",
        "stats": "stats.pth",
    },
}
CROPS = "the reference did not crop the batch then, or in later versions cropped all samples at one place"
TOLD = {
    "{type: random_audio_crop, in: w, out: v, crop_size: 9, lengths_key: l}": (
        {"type": "random_audio_crop", "audio": "w", "out": ["v", "_"], "crop_size": 9, "lengths": "l"},
        ["1:56: here.lengths_key: a sample shorter than the crop keeps its padding; " + CROPS],
    ),
    "{type: random_audio_crop, in: w, out: v, min_crop_size: 5, max_crop_size: 9, crop_start_key: s, lengths_key: l}": (
        {"type": "random_audio_crop", "audio": "w", "out": ["v", "s"], "crop_size": [5, 9], "lengths": "l"},
        ["1:97: here.lengths_key: a sample shorter than the crop keeps its padding; " + CROPS],
    ),
    "{type: mel_mask, in: m, out: n, frequency_mask_size_high: 9, frequency_mask_count: 2, time_mask_size_high: 7, "
    "time_mask_count: 4}": (
        {
            "type": "mel_mask",
            "in": "m",
            "out": "n",
            "frequency_size": 9,
            "frequency_count": 2,
            "time_size": 7,
            "time_count": 4,
        },
        ["1:2: here.type: draws different masks for each sample, and leaves the input unchanged"],
    ),
    "{type: combine_mel, audio_key: m, audio_lengths_key: l, text_key: t, text_lengths_key: n, output_audio_key: o, "
    "output_text_key: u}": (
        {
            "type": "combine_mel",
            "mel": "m",
            "mel_lengths": "l",
            "text": "t",
            "text_lengths": "n",
            "separator": 149,
            "out": ["o", "_", "u", "_"],
        },
        [
            "1:21: here.audio_key: the last of an odd number of samples is kept unpaired; the reference dropped it, "
            "except a single one"
        ],
    ),
}
REFUSED = {
    "{type: random_audio_crop, in: w, out: v, max_crop_size: 9, lengths_key: l}": (
        "requires both 'min_crop_size' and 'max_crop_size'"
    ),
    "{type: audio_clip, in: w, out: v, clip_size: 9}": "requires 'in', 'out', 'ctc_codes_key' and 'ctc_out_key'",
    "{type: combine_mel, audio_key: m}": "requires 'output_audio_key' and 'output_text_key'",
    "{type: gpt_voice_latent, in: w, out: l, dvae_config: d.yml, gpt_config: g.yml}": "requires 'gpt_path'",
    "{type: random_audio_crop, in: w, out: v, crop_size: 9, min_buffer: 4}": (
        "'min_buffer' of the reference's injector 'random_audio_crop' has no counterpart"
    ),
}


@pytest.mark.parametrize("old", ROWS)
def test_injector_becomes_ours(old: str) -> None:
    notes = Notes()
    assert plain(convert_injector(node(old), "here", notes)) == ROWS[old]
    assert silent(notes)


@pytest.mark.parametrize("old", TOLD)
def test_injector_becomes_ours_with_a_word_on_what_changed(old: str) -> None:
    notes, (expected, said) = Notes(), TOLD[old]
    assert plain(convert_injector(node(old), "here", notes)) == expected
    assert told(notes.warnings) == said and not notes.faults


@pytest.mark.parametrize("old", REFUSED)
def test_injector_that_cannot_be_converted_is_refused(old: str) -> None:
    notes = Notes()
    convert_injector(node(old), "here", notes)
    assert REFUSED[old] in [fault.message for fault in notes.faults]


def test_tacotrons_mel_range_becomes_a_shift_and_a_scale() -> None:
    notes = Notes()
    fields = plain(convert_injector(node("{type: normalize_mel, in: m, out: n}"), "here", notes))
    shift, scale = fields.pop("shift"), fields.pop("scale")
    assert fields == {"type": "normalize", "in": "m", "out": "n"} and silent(notes)
    ends = [(end - shift) / scale for end in (-11.512925148010254, 2.3143386840820312)]
    assert ends == pytest.approx([-1.0, 1.0])


def test_the_tacotron_loss_becomes_ours() -> None:
    old = (
        "{type: nv_tacotron2_loss, weight: 2, mel_target_key: a, mel_output_key: b, mel_output_postnet_key: c, "
        "gate_target_key: d, gate_output_key: e}"
    )
    notes = Notes()
    assert plain(convert_loss(node(old), "here", notes, trained=None)) == {
        "type": "tacotron2",
        "weight": 2,
        "target_mel": "a",
        "mel": "b",
        "mel_postnet": "c",
        "target_gate": "d",
        "gate_logits": "e",
    }
    assert silent(notes)


def test_latents_call_two_frozen_networks_of_other_files(tmp_path: Path) -> None:
    dvae = "networks: {coder: {which_model_G: my_dvae, kwargs: {tokens: 9}}}\npath: {pretrain_model_coder: d.pth}"
    (tmp_path / "d.yml").write_text(dvae)
    (tmp_path / "g.yml").write_text("networks: {gpt: {which_model_G: my_gpt, layers: 2}}")
    (tmp_path / "old.yml").write_text(
        "{type: gpt_voice_latent, in: w, out: l, dvae_config: d.yml, dvae_name: coder, gpt_config: g.yml, "
        "gpt_path: gpt.pth, conditioning_clip: c, text: t, text_lengths: n, input_lengths: m}"
    )
    notes = Notes()
    assert plain(convert_injector(read_file(tmp_path / "old.yml"), "here", notes)) == {
        "type": "voice_latents",
        "audio": "w",
        "out": "l",
        "conditioning": "c",
        "text": "t",
        "text_lengths": "n",
        "audio_lengths": "m",
        "coder": "coder",
        "speaker": "gpt",
        "mel": {
            "type": "mel_spectrogram",
            "power": 2,
            "mel_scale": "htk",
            "norms": "../experiments/clips_mel_norms.pth",
        },
    }
    assert plain(notes.networks) == {
        "coder": {"from": {"file": "d.yml", "network": "coder"}, "frozen": True},
        "gpt": {"from": {"file": "g.yml", "network": "gpt"}, "frozen": True, "weights": "gpt.pth"},
    }
    assert not notes.faults
    said = [warning.message for warning in notes.warnings]
    assert any("padded or cropped them to 88000 samples, or 132300 in later versions" in message for message in said)
    assert any(message.startswith("reads ../experiments/clips_mel_norms.pth, a path from") for message in said)


@pytest.mark.parametrize("name", INJECTORS)
def test_row_of_an_injector_names_options_that_exist(name: str) -> None:
    rule = INJECTORS[name]
    assert {*rule.options.values(), *rule.constants} <= {*injectors.get(rule.type).takes, "type"}


@pytest.mark.parametrize("name", LOSSES)
def test_row_of_a_loss_names_options_that_exist(name: str) -> None:
    assert {*LOSSES[name].options.values()} <= {*losses.get(LOSSES[name].type).takes}
