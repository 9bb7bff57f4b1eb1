"""The reference's steps."""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.injectors import convert_injectors
from artschool.legacy.losses import convert_losses
from artschool.legacy.optimizers import NAMES, convert_optimizer
from artschool.legacy.rules import Fields, Notes, Rule, apply, mapping, rebuilt, same
from artschool.legacy.schedules import convert_schedule

STEP = Rule(
    options={"training": "trains", "clip_grad_eps": "clip_grad_norm", **same("requires", "after", "before", "every")},
    harmless={"experiments": ([], None)},
    dropped={
        "step_outputs": "what leaves a step is kept as long as something later reads it",
        "loss_log_buffer": "what is logged is the mean since the last log point",
        "check_grads_for_nan": "an update with NaN or infinite gradients is always skipped, see `train.non_finite`",
        "grad_scaler_enabled": "fp16 always scales its losses",
    },
    changed={
        "clip_grad_eps": "limits one norm over all that the step trains; the reference took each parameter group alone"
    },
    silent=("optimizer", "optimizer_params", "injectors", "losses"),
)


def convert_steps(tree: Node, notes: Notes) -> Node | None:
    """The native `steps:`, each with the schedule of `train:`."""
    section, train = tree.get("steps"), tree.get("train")
    if section is None:
        return None
    schedule = convert_schedule(train, notes) if train is not None else None
    converted = {
        name: rebuilt(node, _step(node, f"steps.{name}", schedule, notes)) for name, node in mapping(section).items()
    }
    return rebuilt(section, converted)


def _step(node: Node, path: str, schedule: Node | None, notes: Notes) -> Fields:
    told = {name: value for name, value in mapping(node).items() if name not in NAMES}
    fields = apply(STEP, rebuilt(node, told), path, notes, what="steps")
    parts = {
        "optimizer": convert_optimizer(node, path, notes),
        "schedule": schedule,
        "injectors": convert_injectors(node, path, notes),
        "losses": convert_losses(node, path, notes),
    }
    if parts["optimizer"] is None or parts["optimizer"].value == "none":
        parts["schedule"] = None
    return fields | {name: part for name, part in parts.items() if part is not None}
