"""The reference's steps."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.injectors import convert_injectors
from artschool.legacy.losses import convert_losses
from artschool.legacy.optimizers import NAMES, convert_optimizer
from artschool.legacy.rules import ConversionRule, Fields, Notes, apply, mapping, rebuilt, same, text
from artschool.legacy.schedules import convert_schedule, group_starts, starts_differ
from artschool.legacy.sections import EXPERIMENTS
from artschool.wording.names import allowed

STEP = ConversionRule(
    options={"training": "trains", "clip_grad_eps": "clip_grad_norm", **same("requires", "after", "before", "every")},
    dropped={
        "experiments": EXPERIMENTS,
        "step_outputs": "a value is kept as long as a later step reads it",
        "loss_log_buffer": "the log holds the mean since the last log point",
        "check_grads_for_nan": "updates with NaN or infinite gradients are always skipped; see `train.non_finite`",
        "grad_scaler_enabled": "fp16 always scales losses",
    },
    changed={
        "clip_grad_eps": "limits one norm over all parameters of the step; the reference clipped each group separately"
    },
    harmless={"min_total_loss": (None,)},
    advice={"min_total_loss": "The losses of GANs take `min_loss`."},
    silent=("optimizer", "optimizer_params", "injectors", "losses", "generator_outputs"),
)
BATCH_SIZING = ConversionRule(
    options=same("poll_parameters", "max_full_batches"),
    dropped={"recalculate_directions_steps": "the reference read it without using it"},
    silent=("type",),
)


def convert_steps(tree: Node, notes: Notes) -> Node | None:
    """The native `steps:`. Each step gets the schedule of `train:`."""
    section, train = tree.get("steps"), tree.get("train")
    if section is None:
        return None
    schedule = convert_schedule(train, notes) if train is not None else None
    sizing = _batch_sizing(train, notes) if train is not None else None
    shared = {name: part for name, part in (("batch_sizing", sizing), ("schedule", schedule)) if part is not None}
    starts = group_starts(train) if train is not None and starts_differ(train) else []
    converted = {
        name: rebuilt(node, _step(node, f"steps.{name}", shared, starts, notes))
        for name, node in mapping(section).items()
    }
    return rebuilt(section, converted)


def _batch_sizing(train: Node, notes: Notes) -> Node | None:
    """The native `batch_sizing`, the same for each step; None if every batch makes an update."""
    node, path = train.get("batch_size_optimizer"), "train.batch_size_optimizer"
    kind = text(node.get("type")) if node is not None else "megabatch"
    if node is None or kind == "megabatch":
        return None
    if kind != "gradient_direction":
        hint = allowed("Available", kind, ["gradient_direction", "megabatch"])
        notes.refuse(node, path, f"unknown batch-size optimizer {kind!r}", hint)
        return None
    message = (
        "each step sums its gradients until the angle of every polled tensor stops decreasing; the reference "
        "reset the sum at each iteration, and stopped at the first decrease"
    )
    notes.warn(node, path, message)
    return rebuilt(node, apply(BATCH_SIZING, node, path, notes, what="batch-size optimizer"))


def _step(node: Node, path: str, shared: Fields, starts: list[Node], notes: Notes) -> Fields:
    converted_here = {name: value for name, value in mapping(node).items() if name not in NAMES}
    fields = apply(STEP, rebuilt(node, converted_here), path, notes, what="steps")
    parts = {
        "optimizer": convert_optimizer(node, path, notes, starts),
        "injectors": convert_injectors(node, path, notes),
        "losses": convert_losses(node, path, notes),
    }
    if parts["optimizer"] is not None and parts["optimizer"].value != "none":
        fields |= {"optimizer": parts["optimizer"], **shared}
    return fields | {name: part for name, part in parts.items() if part is not None}
