"""The reference's diffusion injectors."""

from __future__ import annotations

from typing import Any

from artschool.config.source import Node
from artschool.legacy.rules import (
    ConversionRule,
    Fields,
    Notes,
    apply,
    as_node,
    injector_rule,
    items,
    mapping,
    rebuilt,
    same,
)

LOSSES: dict[str, ConversionRule] = {}
PLUGIN_NETWORKS = {
    "unet_diffusion": "To load its weights, register its code. To train from scratch, use `type: unet` "
    "with the conditions `label` and `image`."
}
"""Networks that have to come from a plugin, and the native alternative for a new training."""
_BETAS = ConversionRule(
    options={"schedule_name": "schedule", "num_diffusion_timesteps": "num_timesteps"},
    values={"schedule_name": {"linear": "linear", "cosine": "cosine"}},
)
_MEAN = {"epsilon": "epsilon", "start_x": "x0", "previous_x": "previous"}
_VARIANCE = {name: name for name in ("fixed_small", "fixed_large", "learned", "learned_range")}
_PROCESS: dict[str, Any] = {
    "options": {"model_mean_type": "prediction", "model_var_type": "variance", **same("rescale_timesteps")},
    "values": {"model_mean_type": _MEAN, "model_var_type": _VARIANCE},
}
_GUIDANCE = ("conditioning_free", "conditioning_free_k", "ramp_conditioning_free")
_TRAINING = ConversionRule(
    options={**_PROCESS["options"], "loss_type": "objective"},
    values={**_PROCESS["values"], "loss_type": {n: n for n in ("mse", "rescaled_mse", "kl", "rescaled_kl")}},
    silent=_GUIDANCE,
)
_SAMPLING = ConversionRule(**_PROCESS, silent=("loss_type", *_GUIDANCE))


def _both(fields: Fields, node: Node, path: str, notes: Notes, arguments: ConversionRule) -> None:
    """Collect options from two mappings, and the conditions."""
    for key, rule in (("beta_schedule", _BETAS), ("diffusion_args", arguments)):
        section = node.get(key)
        if section is None:
            notes.refuse(node, path, f"requires {key!r}")
            continue
        fields |= apply(rule, section, f"{path}.{key}", notes, what=f"`{key}:`")
    if mapping(node.get("model_input_keys")):
        fields["conditions"] = mapping(node)["model_input_keys"]


def _trained(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """List the outputs of a training under their keys."""
    _both(fields, node, path, notes, _TRAINING)
    unnamed = Node("_", node.place)
    out = [fields.get("out", unnamed), *(node.get(f"out_key_{name}") or unnamed for name in ("vb_loss", "x_start"))]
    more = items(node.get("extra_model_output_keys"))
    if more:
        fields["type"] = rebuilt(fields["type"], "gaussian_diffusion_extra")
    fields["out"] = rebuilt(fields.get("out", unnamed), [*out, unnamed, *more])
    every, sampler = fields.get("even_every"), node.get("sampler_type")
    if every is not None and not every.value:
        del fields["even_every"]
    elif every is not None:
        message = (
            "each batch gets timesteps spread evenly over the range; later versions of the reference spread them over "
            "the next 'deterministic_sampler_expected_batch_size' samples, 2048 by default"
        )
        notes.warn(every, f"{path}.deterministic_timesteps_every", message)
    if sampler is not None and sampler.value == "loss-second-moment":
        message = "losses are reweighted to the mean over uniform timesteps; the reference omitted the weights"
        notes.warn(sampler, f"{path}.sampler_type", message)


def _sampled(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Convert the network, the timesteps and the shape of the samples."""
    _both(fields, node, path, notes, _SAMPLING)
    network, use_ema, ddim = (mapping(node).get(name) for name in ("generator", "use_ema", "use_ddim"))
    if network is not None and use_ema is not None and use_ema.value is True:
        fields["network"] = rebuilt(network, f"{network.value}.ema")
    steps = fields.get("steps")
    if ddim is not None and ddim.value is True:
        fields["sampler"] = rebuilt(ddim, "ddim")
        if steps is not None:
            fields["steps"] = rebuilt(steps, f"ddim{steps.value}")
    guided = mapping(node.get("diffusion_args")).get("conditioning_free")
    if guided is not None and guided.value is True:
        hint = (
            "In training, write `nothing: {name: value}` with `drop_probability`, a learned value for no condition. In "
            "sampling, write `guidance: 2`, which equals conditioning_free_k 1 without its ramp."
        )
        where = f"{path}.diffusion_args.conditioning_free"
        notes.refuse(
            guided, where, "the reference's guidance passes its networks an argument that has no counterpart", hint
        )
    _shaped(fields, node, path, notes)


def _shaped(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Derive the shape of the samples from the two inputs that the reference knew by name."""
    inputs = mapping(node.get("model_input_keys"))
    multiple = fields.pop("multiple", None)
    if "low_res" in inputs:
        fields["like"], fields["channels"] = inputs["low_res"], as_node(3, node.place)
    elif "spectrogram" in inputs:
        fields["like"], fields["channels"] = inputs["spectrogram"], as_node(1, node.place)
        fields["multiple"] = multiple or as_node(4096, node.place)
    else:
        hint = (
            "Fix: write `like:` with a key of shape (B, C, ...), and `channels` and `scale_factor` if samples differ."
        )
        notes.refuse(node, path, "has no input 'low_res' or 'spectrogram' to take the shape of the samples from", hint)


_SECTIONS = ("beta_schedule", "diffusion_args", "model_input_keys")
INJECTORS: dict[str, ConversionRule] = {
    "gaussian_diffusion": injector_rule(
        "gaussian_diffusion",
        {"generator": "network", "sampler_type": "timesteps", "deterministic_timesteps_every": "even_every"},
        values={"sampler_type": {"uniform": "uniform", "loss-second-moment": "loss_second_moment"}},
        harmless={
            **dict.fromkeys(("channel_balancer_proportion", "channel_restriction_low", "preprocess_fn"), (None,)),
            "causal_mode": (False, None),
        },
        silent=(
            *(*_SECTIONS, "out_key_vb_loss", "out_key_x_start", "extra_model_output_keys"),
            *("deterministic_sampler_expected_batch_size", "channel_restriction_high", "causal_slope_range"),
        ),
        finish=_trained,
    ),
    "gaussian_diffusion_inference": injector_rule(
        "diffusion_sample",
        {
            "generator": "network",
            "output_scale_factor": "scale_factor",
            "undo_n1_to_1": "unit_range",
            "respaced_timestep_spacing": "steps",
            "noise_type": "noise",
            "multiple_requirement": "multiple",
        },
        values={"noise_type": {"random": "random", "fixed": "fixed", "zero": "zero"}},
        dropped={"output_batch_size": "draws one sample for each sample of the batch; set `batch_size` of the data"},
        silent=(*_SECTIONS, "use_ddim", "use_ema", "use_ema_model"),
        finish=_sampled,
    ),
}
