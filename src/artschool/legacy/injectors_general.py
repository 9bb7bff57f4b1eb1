"""The reference's general injectors: shapes, random values, schedules."""

from __future__ import annotations

from dataclasses import replace

from artschool.config.source import Node
from artschool.legacy.rules import ConversionRule, Fields, Notes, as_node, injector_rule, mapping, rebuilt, same, text

HOLDERS = ("for_each", "step_interleave")
"""Injectors that contain another, whose options are in the same mapping."""
CORNERS = ("top_left", "top_right", "bottom_left", "bottom_right")


def _with_corners(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """List the five output keys, which the reference derived from one."""
    out = fields.get("out")
    if out is not None:
        fields["out"] = as_node([text(out), *(f"{text(out)}_{corner}" for corner in CORNERS)], out.place)


def _with_shape(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """List the output keys for the inverse operation, which the reference derived from one."""
    out = fields.get("out")
    if out is not None:
        names = [text(out), f"{text(out)}_reverse_shape", f"{text(out)}_reverse_permute"]
        fields["out"] = as_node(names, out.place)


def _with_labels(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """List the mixed batch and its labels as outputs."""
    out, labels = fields.get("out"), node.get("out_labels")
    if out is None or labels is None:
        notes.refuse(node, path, "requires 'out' and 'out_labels'")
    else:
        fields["out"] = rebuilt(out, [out, labels])


def _constant(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Drop `in`, which the reference never read: the shape comes from `like`."""
    if "in" in fields and "like" in fields:
        del fields["in"]


def _without_cutoff(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Drop the limit -1, which meant no limit."""
    limit = fields.get("limit")
    if limit is not None and limit.value == -1:
        del fields["limit"]
    _with_shape(fields, node, path, notes)


def _indices(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """One slice for each output. From a single name, the reference made one output for each of its letters."""
    out = fields.get("out")
    if out is not None:
        count = len(out.value) if isinstance(out.value, list) else None
        fields["index"] = as_node(0 if count is None else list(range(count)), out.place)
        if count is None:
            notes.warn(
                out, f"{path}.out", "holds the first slice; the reference wrote one key for each letter of the name"
            )


def _differences(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Convert one of two injectors, chosen by `mode`."""
    mode, out = node.get("mode"), fields.get("out")
    keys = [key for key in (fields.pop("lq", None), fields.pop("hq", None)) if key is not None]
    fields["in"] = Node(keys, node.place)
    if text(mode) == "recombine":
        fields["type"] = rebuilt(node.get("type") or node, "add")
        fields.pop("include_hq", None)
    elif text(mode) != "produce_diff":
        notes.refuse(mode or node, f"{path}.mode", "must be 'produce_diff' or 'recombine'")
    elif out is not None:
        fields["out"] = rebuilt(out, [out, node.get("diff") or rebuilt(out, "_")])


def _resized_crop(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """The size of the smallest crop, which the reference defined by two sizes."""
    before, after = node.get("dim_in"), node.get("dim_out")
    numbers = [part.value for part in (before, after) if part is not None and isinstance(part.value, int | float)]
    if before is None or len(numbers) != 2 or not 0 < numbers[1] <= numbers[0]:
        notes.refuse(node, path, "requires 'dim_in' and 'dim_out', with dim_out no larger than dim_in")
    else:
        fields["min_area"] = rebuilt(before, numbers[1] / numbers[0])


def _without_input(rule: ConversionRule) -> ConversionRule:
    """The rule of an injector that reads no key."""
    return replace(rule, options={name: own for name, own in rule.options.items() if name != "in"})


_LINEAR = {"initial_weight": "initial", "lower_bound": "final", "steps": "iterations", "start_step": "start"}
_COSINE = {"upper_weight": "initial", "lower_weight": "final", "period": "iterations", "start_step": "start"}
_SCHEDULES = {"fixed": {"weight": "value"}, "linear_decay": _LINEAR, "sinusoidal": _COSINE}


def _scheduled(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Merge the options of `scheduler:`. A fixed schedule becomes a constant."""
    scheduler = node.get("scheduler") or node
    kind = text(scheduler.get("type"))
    if kind not in _SCHEDULES:
        notes.refuse(scheduler, f"{path}.scheduler", f"expected fixed, linear_decay or sinusoidal, got {kind!r}")
        return
    if kind == "fixed":
        fields["type"] = rebuilt(node.get("type") or node, "constant")
    else:
        fields["kind"] = rebuilt(scheduler, "linear" if kind == "linear_decay" else "cosine")
    for name, value in mapping(scheduler).items():
        if name in _SCHEDULES[kind]:
            fields[_SCHEDULES[kind][name]] = value
        elif name != "type":
            notes.warn(value, f"{path}.scheduler.{name}", f"is dropped: the reference's {kind} has no option {name!r}")


INJECTORS: dict[str, ConversionRule] = {
    "batch_rotate": injector_rule("roll"),
    "channel_clip": injector_rule("slice", {"channel_low": "start", "channel_high": "stop"}),
    "constant": injector_rule(
        "constant",
        {"constant_type": "value", "like": "like"},
        values={"constant_type": {"zeroes": 0.0, "zeros": 0.0, "ones": 1.0}},
        finish=_constant,
    ),
    "decompose_dimension": injector_rule(
        "fold_dimension", {"dim": "dim", "cutoff_dim": "limit"}, finish=_without_cutoff
    ),
    "for_each": injector_rule("for_each", {"aslist": "as_list"}),
    "image_patch": injector_rule("corner_crops", {"patch_size": "size", "resize": "resize"}, finish=_with_corners),
    "indices_extractor": injector_rule("select", same("dim"), finish=_indices),
    "kmeans_quantizer": injector_rule("kmeans_quantizer", same("centroids")),
    "margin_removal": injector_rule("crop_border", {"margin": "margin", "random_shift_max": "max_shift"}),
    "mix_and_label": injector_rule("mix_and_label", silent=("out_labels",), finish=_with_labels),
    "noise": injector_rule("noise", same("shape")),
    "random_crop": injector_rule(
        "random_resized_crop",
        {"dim_out": "size"},
        constants={"mode": "nearest"},
        silent=("dim_in",),
        finish=_resized_crop,
    ),
    "random_scale": injector_rule("random_length", {"min_samples": "min_length"}),
    "random_shift": injector_rule(
        "alias", changed={"type": "has no effect, as in the reference; write `type: random_shift` to shift"}
    ),
    "recompose_dimension": injector_rule(
        "unfold_dimension", {"reverse_shape": "shape", "reverse_permute": "order", "in": "x"}
    ),
    "scheduled_scalar": _without_input(
        injector_rule("scheduled_scalar", silent=("scheduler", "in"), finish=_scheduled),
    ),
    "sr_diffs": injector_rule(
        "difference_channels",
        {**same("lq", "hq"), "include_combined": "include_hq"},
        silent=("mode", "diff"),
        finish=_differences,
    ),
    "step_interleave": injector_rule(
        "for_each", {"aslist": "as_list"}, changed={"type": "becomes for_each; the reference's could not be built"}
    ),
    "stylegan2_noise": injector_rule(
        "style_mixing_noise",
        same("mix_probability", "latent_dim"),
        changed={
            "type": "draws two latents for each sample, equal unless mixed; the reference drew one or two a batch"
        },
    ),
}
