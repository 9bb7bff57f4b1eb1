"""Each row of the importer's table of diffusion, and what the table cannot say."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.legacy.injectors import convert_injector
from artschool.legacy.networks import convert_network
from artschool.legacy.rules import Notes
from tests.legacy.old_text import node, plain, silent, told

TRAINING = (
    "{type: gaussian_diffusion, in: hq, generator: g, out: loss, beta_schedule: {schedule_name: %s, "
    "num_diffusion_timesteps: 400}, diffusion_args: {model_mean_type: %s, model_var_type: %s, loss_type: %s}, %s}"
)
SAMPLING = (
    "{type: gaussian_diffusion_inference, generator: g, out: y, output_scale_factor: 2, beta_schedule: "
    "{schedule_name: linear, num_diffusion_timesteps: 400}, diffusion_args: {model_mean_type: epsilon, "
    "model_var_type: fixed_small, loss_type: mse%s}, %s}"
)


def converted(text: str) -> tuple[dict[str, Any], Notes]:
    notes = Notes()
    return plain(convert_injector(node(text), "here", notes)), notes


def test_training_becomes_ours() -> None:
    found, notes = converted(
        TRAINING
        % (
            "linear", "epsilon", "learned_range", "mse",
            "sampler_type: uniform, model_input_keys: {low_res: lq, strength: 3}, out_key_vb_loss: vb, "
            "out_key_x_start: x, deterministic_timesteps_every: 0, deterministic_sampler_expected_batch_size: 512",
        )
    )  # fmt: skip
    assert found == {
        "type": "gaussian_diffusion",
        "in": "hq",
        "network": "g",
        "out": ["loss", "vb", "x", "_"],
        "timesteps": "uniform",
        "schedule": "linear",
        "num_timesteps": 400,
        "prediction": "epsilon",
        "variance": "learned_range",
        "objective": "mse",
        "conditions": {"low_res": "lq", "strength": 3},
    }
    assert silent(notes)


@pytest.mark.parametrize(("old", "new"), [("epsilon", "epsilon"), ("start_x", "x0"), ("previous_x", "previous")])
def test_predictions(old: str, new: str) -> None:
    assert converted(TRAINING % ("cosine", old, "fixed_small", "kl", "after: 3"))[0]["prediction"] == new


@pytest.mark.parametrize("variance", ["learned", "learned_range", "fixed_small", "fixed_large"])
@pytest.mark.parametrize("objective", ["mse", "rescaled_mse", "kl", "rescaled_kl"])
def test_variances_and_objectives_keep_their_names(variance: str, objective: str) -> None:
    found, notes = converted(TRAINING % ("cosine", "epsilon", variance, objective, "after: 3"))
    assert (found["variance"], found["objective"], found["schedule"]) == (variance, objective, "cosine")
    assert found["out"] == ["loss", "_", "_", "_"] and found["after"] == 3
    assert silent(notes)


def test_results_beyond_the_prediction_are_named_last() -> None:
    found, _ = converted(TRAINING % ("linear", "epsilon", "learned", "mse", "extra_model_output_keys: [a, b]"))
    assert found["type"] == "gaussian_diffusion_extra"
    assert found["out"] == ["loss", "_", "_", "_", "a", "b"]


def test_loss_aware_timesteps_say_what_changed() -> None:
    found, notes = converted(
        TRAINING
        % ("linear", "epsilon", "learned", "mse", "sampler_type: loss-second-moment, deterministic_timesteps_every: 10")
    )
    assert (found["timesteps"], found["even_every"]) == ("loss_second_moment", 10)
    assert [message.split(": ", 2)[1:] for message in told(notes.warnings)] == [
        [
            "here.deterministic_timesteps_every",
            "each batch gets timesteps spread evenly over the range; later versions of the reference spread them "
            "over the next 'deterministic_sampler_expected_batch_size' samples, 2048 by default",
        ],
        [
            "here.sampler_type",
            "losses are reweighted to the mean over uniform timesteps; the reference omitted the weights",
        ],
    ]


def test_rescaled_timesteps_are_kept_and_guidance_does_not_matter_in_training() -> None:
    text = TRAINING % ("linear", "epsilon", "learned", "mse", "after: 1")
    found, notes = converted(
        text.replace("loss_type: mse", "loss_type: mse, rescale_timesteps: true, conditioning_free: true")
    )
    assert found["rescale_timesteps"] is True and silent(notes)


def test_what_was_never_there_is_told() -> None:
    _, notes = converted("{type: gaussian_diffusion, in: hq, generator: g, out: loss}")
    assert told(notes.faults) == ["1:1: here: requires 'beta_schedule'", "1:1: here: requires 'diffusion_args'"]
    _, notes = converted(TRAINING % ("quadratic", "epsilon", "learned", "mse", "channel_balancer_proportion: 1"))
    assert [message.split(": ", 1)[1] for message in told(notes.faults)] == [
        "here.channel_balancer_proportion: 'channel_balancer_proportion' of the reference's injector "
        "'gaussian_diffusion' has no counterpart",
        "here.beta_schedule.schedule_name: schedule_name 'quadratic' is not converted for the reference's "
        "`beta_schedule:`",
    ]


def test_sampling_of_images_becomes_ours() -> None:
    found, notes = converted(
        SAMPLING
        % (
            ", rescale_timesteps: false",
            "model_input_keys: {low_res: lq}, undo_n1_to_1: true, respaced_timestep_spacing: 50, noise_type: fixed, "
            "use_ema: true, multiple_requirement: 64",
        )
    )
    assert found == {
        "type": "diffusion_sample",
        "network": "g.ema",
        "out": "y",
        "scale_factor": 2,
        "unit_range": True,
        "steps": 50,
        "noise": "fixed",
        "schedule": "linear",
        "num_timesteps": 400,
        "prediction": "epsilon",
        "variance": "fixed_small",
        "rescale_timesteps": False,
        "conditions": {"low_res": "lq"},
        "like": "lq",
        "channels": 3,
    }
    assert silent(notes)


def test_sampling_of_audio_rounds_lengths_up() -> None:
    found, _ = converted(
        SAMPLING % ("", "model_input_keys: {spectrogram: mel}, use_ddim: true, respaced_timestep_spacing: 50")
    )
    assert (found["like"], found["channels"], found["multiple"]) == ("mel", 1, 4096)
    assert (found["sampler"], found["steps"], found["network"]) == ("ddim", "ddim50", "g")


def test_the_size_of_a_batch_is_told_to_be_that_of_the_data() -> None:
    _, notes = converted(SAMPLING % ("", "model_input_keys: {low_res: lq}, output_batch_size: 8, use_ema_model: true"))
    assert [message.split(": ", 2)[1:] for message in told(notes.warnings)] == [
        [
            "here.output_batch_size",
            "is dropped: draws one sample for each sample of the batch; set `batch_size` of the data",
        ]
    ]


def test_sampling_without_a_shape_or_with_guidance_is_refused_with_the_way_out() -> None:
    _, notes = converted(SAMPLING % (", conditioning_free: true, conditioning_free_k: 2", "in: x"))
    assert [message.split(": ", 1)[1] for message in told(notes.faults)] == [
        "here.diffusion_args.conditioning_free: the reference's guidance passes its networks an argument that "
        "has no counterpart",
        "here: has no input 'low_res' or 'spectrogram' to take the shape of the samples from",
    ]
    assert "`guidance: 2`" in notes.faults[0].hint
    assert notes.faults[1].hint.startswith("Fix: write `like:` with a key of shape (B, C, ...)")


def test_the_network_of_the_reference_stays_a_plugin_and_ours_is_named() -> None:
    notes = Notes()
    fields = convert_network(node("{which_model_G: unet_diffusion, args: {channels: 8}}"), "networks.g", notes)
    assert plain(fields) == {"type": "unet_diffusion", "channels": 8}
    assert told(notes.warnings) == [
        "1:2: networks.g.which_model_G: 'unet_diffusion' is not a built-in network; a plugin has to register it"
    ]
    assert "To train from scratch, use `type: unet`" in notes.warnings[0].hint
