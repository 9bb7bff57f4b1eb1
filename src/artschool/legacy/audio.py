"""The reference's audio injectors and losses."""

from __future__ import annotations

from collections.abc import Callable

from artschool.config.source import Node
from artschool.legacy.networks import DVAE_CONFIG, DVAE_NAME, network_of_file
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    as_node,
    injector_rule,
    loss_rule,
    mapping,
    rebuilt,
    text,
)

MEL = {
    "filter_length": "n_fft",
    "hop_length": "hop_length",
    "win_length": "win_length",
    "n_mel_channels": "n_mels",
    "mel_fmin": "f_min",
    "mel_fmax": "f_max",
    "sampling_rate": "sample_rate",
}
TORCH_MEL = {"power": 2, "mel_scale": "htk"}
LOWEST, HIGHEST = -11.512925148010254, 2.3143386840820312
"""Lowest and highest value of Tacotron's log-mel spectrograms, which the reference maps to -1 and 1."""
TORCH_HIGHEST = 4.82
"""The value that the reference maps to 1 in mel spectrograms of powers."""
CLIP_NORMS = "../experiments/clips_mel_norms.pth"
GPT_NAME, GPT_CONFIG = "gpt", "../experiments/train_gpt_tts_unified.yml"
"""Defaults of the reference."""
SEPARATOR = 149
"""The number of Tacotron's symbols plus one."""


def _in_one_list(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Name or drop the start of a random crop, and combine the smallest and the largest size."""
    low, high, start = node.get("min_crop_size"), node.get("max_crop_size"), node.get("crop_start_key")
    if low is not None or high is not None:
        if low is None or high is None:
            notes.refuse(low or high or node, path, "requires both 'min_crop_size' and 'max_crop_size'")
            return
        fields["crop_size"] = rebuilt(low, [low, high])
    out = fields.get("out", node)
    fields["out"] = rebuilt(out, [out, start if start is not None and start.value else rebuilt(out, "_")])


def _clip_both(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Make the codes a second input and a second output."""
    codes, out = node.get("ctc_codes_key"), node.get("ctc_out_key")
    if codes is None or out is None or not {"in", "out"} <= fields.keys():
        notes.refuse(node, path, "requires 'in', 'out', 'ctc_codes_key' and 'ctc_out_key'")
        return
    fields["in"] = rebuilt(codes, [fields["in"], codes])
    fields["out"] = rebuilt(out, [fields["out"], out])


def _join_pairs(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """List the outputs. The reference did not write the joined lengths."""
    audio, texts = node.get("output_audio_key"), node.get("output_text_key")
    if audio is None or texts is None:
        notes.refuse(node, path, "requires 'output_audio_key' and 'output_text_key'")
        return
    fields.pop("in", None)
    dropped = rebuilt(audio, "_")
    fields["out"] = rebuilt(audio, [audio, dropped, texts, dropped])


def _call_two_other_files(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Add two frozen networks of other files, and the mel spectrogram that the reference's code contained."""
    if not text(node.get("gpt_path")):
        notes.refuse(node, path, "requires 'gpt_path'")
        return
    for role, name, default in (("coder", DVAE_NAME, DVAE_CONFIG), ("speaker", GPT_NAME, GPT_CONFIG)):
        source = node.get(f"{name}_config") or as_node(default, node.place)
        network = node.get(f"{name}_name") or as_node(name, node.place)
        frozen = network_of_file(source, network, f"{path}.{name}_config", notes)
        if name == GPT_NAME:
            mapping(frozen)["weights"] = mapping(node)["gpt_path"]
        notes.hold(text(network), frozen)
        fields[role] = network
    fields["mel"] = as_node({"type": "mel_spectrogram", **TORCH_MEL, "norms": CLIP_NORMS}, node.place)
    notes.warn(node, path, f"reads {CLIP_NORMS}, a path from the reference's code; write the correct path in 'mel'")


def _within_limits(option: str, limits: list[float]) -> Callable[[Fields, Node, str, Notes], None]:
    """Map two values of the reference's code to -1 and 1, if an option is true."""

    def finish(fields: Fields, node: Node, path: str, notes: Notes) -> None:
        given = node.get(option)
        if given is not None and given.value:
            fields["limits"] = as_node(limits, given.place)

    return finish


INJECTORS: dict[str, ConversionRule] = {
    "audio_clip": injector_rule(
        "audio_clip", {"clip_size": "clip_size"}, silent=("ctc_codes_key", "ctc_out_key"), finish=_clip_both
    ),
    "audio_resample": injector_rule(
        "audio_resample", {"input_sample_rate": "from_rate", "output_sample_rate": "to_rate"}
    ),
    "audio_unshuffle": injector_rule("audio_unshuffle", {"compression": "compression"}),
    "combine_mel": injector_rule(
        "combine_mel",
        {
            "audio_key": "mel",
            "audio_lengths_key": "mel_lengths",
            "text_key": "text",
            "text_lengths_key": "text_lengths",
        },
        constants={"separator": SEPARATOR},
        changed={
            "audio_key": "the last of an odd number of samples is kept unpaired; the reference dropped it, "
            "except a single one"
        },
        silent=("output_audio_key", "output_text_key"),
        finish=_join_pairs,
    ),
    "frequency_bin_normalize": injector_rule("frequency_bin_normalize", {"stats_file": "stats"}),
    "gpt_voice_latent": injector_rule(
        "voice_latents",
        {
            "in": "audio",
            "conditioning_clip": "conditioning",
            "text": "text",
            "text_lengths": "text_lengths",
            "input_lengths": "audio_lengths",
        },
        changed={
            "conditioning_clip": "clips keep their length; the reference padded or cropped them to 88000 samples, "
            "or 132300 in later versions"
        },
        silent=("dvae_config", "dvae_name", "gpt_config", "gpt_name", "gpt_path"),
        finish=_call_two_other_files,
    ),
    "mel_mask": injector_rule(
        "mel_mask",
        {
            "frequency_mask_size_high": "frequency_size",
            "frequency_mask_count": "frequency_count",
            "time_mask_size_high": "time_size",
            "time_mask_count": "time_count",
        },
        changed={"type": "draws different masks for each sample, and leaves the input unchanged"},
    ),
    "mel_spectrogram": injector_rule(
        "mel_spectrogram",
        MEL,
        silent=("do_normalization",),
        finish=_within_limits("do_normalization", [LOWEST, HIGHEST]),
    ),
    "normalize_mel": injector_rule(
        "normalize", constants={"shift": (HIGHEST + LOWEST) / 2, "scale": (HIGHEST - LOWEST) / 2}
    ),
    "random_audio_crop": injector_rule(
        "random_audio_crop",
        {"crop_size": "crop_size", "lengths_key": "lengths", "in": "audio"},
        changed={
            "lengths_key": "a sample shorter than the crop keeps its padding; the reference did not crop the "
            "batch then, or in later versions cropped all samples at one place"
        },
        harmless={"min_buffer": (0, None)},
        silent=("min_crop_size", "max_crop_size", "crop_start_key"),
        finish=_in_one_list,
    ),
    "torch_mel_spectrogram": injector_rule(
        "mel_spectrogram",
        {**MEL, "normalize": "normalized", "mel_norm_file": "norms"},
        constants=TORCH_MEL,
        silent=("true_normalization",),
        finish=_within_limits("true_normalization", [LOWEST, TORCH_HIGHEST]),
    ),
}
LOSSES: dict[str, ConversionRule] = {
    "nv_tacotron2_loss": loss_rule(
        "tacotron2",
        {
            "mel_target_key": "target_mel",
            "mel_output_key": "mel",
            "mel_output_postnet_key": "mel_postnet",
            "gate_target_key": "target_gate",
            "gate_output_key": "gate_logits",
        },
    ),
}
