"""The reference's other sections: the top of the file, `train:`, `path:`, `eval:`, `logger:`, `upgrades:`.

An option becomes a native path, such as `train.iterations`.
"""

from __future__ import annotations

import math
from typing import Any

from artschool.config.source import Node
from artschool.legacy.evaluation import FREQUENCIES
from artschool.legacy.rules import ConversionRule, Fields, Notes, mapping, rebuilt, same
from artschool.legacy.schedules import ALL_OPTIONS


def _finish_top(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Combine `half_type` with `fp16`, and give the tracker its project."""
    half, wanted = node.get("half_type"), node.get("fp16")
    if half is not None:
        on = wanted is not None and wanted.value is True
        fields["train.precision"] = rebuilt(half, TOP.values["half_type"].get(half.plain()) if on else "fp32")
    _with_rollbacks(fields)
    project, tracker = node.get("wandb_project_name") or node.get("name"), fields.get("log.loggers")
    if project is not None and tracker is not None:
        mapping(tracker.get("wandb"))["project"] = project
    for name in ("start_step", "force_start_step"):
        if (given := node.get(name)) is not None and isinstance(given.value, int) and given.value >= 0:
            # The reference counts a step before it runs it.
            fields["train.start_iteration"] = rebuilt(given, given.value + 1)


TRAINER = {
    "cuda_benchmarking_enabled": "train.cudnn_benchmark",
    "anomaly_detection": "train.detect_anomaly",
    "automatically_recover_nan_by_reverting_n_saves": "train.max_rollbacks",
    "keep_optimizer_states_on_cpu": "train.offload.optimizer",
}
"""Options that the reference read at the top of the file. They are read in `train:` too."""
TRAINER_VALUES = {"keep_optimizer_states_on_cpu": {True: "cpu"}}
TRAINER_HARMLESS: dict[str, tuple[Any, ...]] = {
    "anomaly_detection": (False,),
    "automatically_recover_nan_by_reverting_n_saves": (None, 0),
    "cuda_benchmarking_enabled": (False,),
    "keep_optimizer_states_on_cpu": (False, None),
}
TRAINER_DROPPED = dict.fromkeys(
    ("ddp_find_unused_parameters", "ddp_static_graph"),
    "gradients are summed once per step, whether or not all parameters are used",
)
TRAINER_CHANGED = {"automatically_recover_nan_by_reverting_n_saves": "takes effect; the reference never used it"}
EXPERIMENTS = (
    "the reference's did nothing; `callbacks: {size: {type: update_size}}` in a step logs the size of its updates"
)
STARTS = "the first iteration is the next one, as in the reference; a resumed run continues from its checkpoint"
TOP = ConversionRule(
    options={
        **same("name", "plugins", "runs"),
        "fp16": "train.precision",
        "half_type": "train.precision",
        "wandb": "log.loggers",
        "start_step": "train.start_iteration",
        "force_start_step": "train.start_iteration",
        "training_data_encountered": "train.start_samples",
        **TRAINER,
    },
    values={
        **TRAINER_VALUES,
        "fp16": {True: "fp16", False: "fp32"},
        "wandb": {True: {"wandb": {"type": "wandb", "project": "dlas"}}},
        "half_type": {"float16": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16"},
    },
    harmless={
        "model": ("extensibletrainer",),
        "colab_mode": (False,),
        "wandb": (False,),
        "start_step": (-1,),
        "force_start_step": (-1,),
        "training_data_encountered": (0,),
        "automatically_scale_grads_for_fanin": (False, None),
        **TRAINER_HARMLESS,
    },
    advice={"automatically_scale_grads_for_fanin": "Fix: set the rate of each matrix by its width: `param_groups`."},
    finish=_finish_top,
    dropped={
        **TRAINER_DROPPED,
        "checkpointing_enabled": "write `activation_checkpointing: [body.*]` under `networks` to recompute "
        "modules in the "
        "backward pass; the weights are the same",
        "grad_scaler_enabled": "fp16 always scales losses",
        "use_8bit": "the state is kept in full precision; write `optimizer: adamw_8bit` in a step for 8 bits",
        "experiments": EXPERIMENTS,
        "wandb_run_name": "the run at Weights & Biases has the name of the run folder; choose it with `name`, and log "
        "there with `log: {loggers: {wandb: {type: wandb, project: mine}}}`",
        "wandb_progress_use_raw_steps": "numbers at Weights & Biases always stand at their iteration; log there with "
        "`log: {loggers: {wandb: {type: wandb, project: mine}}}`",
        "wandb_step_factor": "numbers at Weights & Biases always stand at their iteration",
        "dist_backend": "torchrun's processes use NCCL on GPUs and Gloo on CPUs",
        "ssh_server": "artschool copies the file into the run folder, so it must not contain passwords",
        "ssh_username": "artschool copies the file into the run folder, so it must not contain passwords",
        "ssh_password": "artschool copies the file into the run folder, so it must not contain passwords",
        "amp_opt_level": "write `train.precision` instead",
    },
    changed={
        "start_step": STARTS,
        "force_start_step": STARTS,
        **TRAINER_CHANGED,
        "colab_mode": "artschool does not copy files to a server",
    },
    silent=(
        *("datasets", "networks", "steps", "train", "path", "eval", "logger", "upgrades"),
        *("scale", "gpu_ids", "use_tb_logger", "is_train", "dist", "launcher", "distortion", "wandb_project_name"),
        *("automatically_scale_base_layer_size", "current_step", "remote_path"),
    ),
)


def _with_rollbacks(fields: Fields) -> None:
    """Enable rollbacks explicitly."""
    if (times := fields.get("train.max_rollbacks")) is not None:
        fields["train.non_finite"] = Node("rollback", times.place, times.key_place)


def _finish_train(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Check that an accumulation factor comes with its interval."""
    _with_rollbacks(fields)
    parts, every = fields.get("train.accumulate_every.parts"), fields.get("train.accumulate_every.every")
    if parts is not None and every is None:
        message = "'mod_batch_factor' requires 'mod_batch_factor_every', the interval in iterations at which it applies"
        notes.refuse(parts, f"{path}.mod_batch_factor", message)
    elif parts is None and every is not None:
        del fields["train.accumulate_every.every"]


TRAIN = ConversionRule(
    options={
        "niter": "train.iterations",
        "mega_batch_factor": "train.accumulate",
        "mod_batch_factor": "train.accumulate_every.parts",
        "mod_batch_factor_every": "train.accumulate_every.every",
        "manual_seed": "seed",
        "ema_rate": "ema.decay",
        "sort_key": "data.train.sort_key",
        "auto_collate": "data.train.trim",
        "ema_on_cpu": "train.offload.ema",
        **TRAINER,
    },
    values={"ema_on_cpu": {True: "cpu"}, **TRAINER_VALUES},
    harmless={
        "mod_batch_factor": (None,),
        "mod_batch_factor_every": (None,),
        "ema_on_cpu": (False, None),
        **TRAINER_HARMLESS,
    },
    dropped={
        **TRAINER_DROPPED,
        "mod_batch_factor_also_disable_checkpointing": "`activation_checkpointing` of a network applies at every "
        "iteration; the weights are the same",
    },
    finish=_finish_train,
    changed={
        "mod_batch_factor": "averages the losses of the micro-batches; the reference still divided by "
        "'mega_batch_factor'",
        **TRAINER_CHANGED,
        "niter": "training stops after exactly this number of iterations; the reference ran whole epochs, up to two "
        "more of them",
        "ema_on_cpu": "averages follow each update; the reference moved them every tenth iteration with this option",
    },
    silent=(*ALL_OPTIONS, *FREQUENCIES, "ema_enabled", "batch_size_optimizer"),
)
PATH = ConversionRule(
    options={"alt_path": "runs"},
    changed={"alt_path": "run folders are created there; the reference copied its checkpoints and logs to it"},
    harmless={"optimizer_reset": (False,), "alt_path": (None,)},
    advice={
        "optimizer_reset": "Fix: start a new run whose networks load `weights:` from the old run's checkpoint.",
    },
    dropped={"resume_state": "pass it to the command: `artschool train FILE --resume PATH`"},
    silent=("root", "strict_load", "experiments_root", "models", "training_state", "log", "val_images"),
)
EVAL = ConversionRule(silent=("pure", "injectors", "output_state", "evaluators", "compute_psnr", "compute_fea"))
LOGGER = ConversionRule(
    options={
        "print_freq": "log.every",
        "save_checkpoint_freq": "checkpoint.every",
        "visuals": "log.pictures.keys",
        "visual_debug_rate": "log.pictures.every",
        "recurrent_visual_indices": "log.pictures.frames",
        "is_mel_spectrogram": "log.pictures.range",
        "reverse_n1_to_1": "log.pictures.range",
        "reverse_imagenet_norm": "log.pictures.range",
    },
    values={
        "is_mel_spectrogram": {True: "auto"},
        "reverse_n1_to_1": {True: [-1.0, 1.0]},
        "reverse_imagenet_norm": {True: "imagenet"},
    },
    harmless=dict.fromkeys(("is_mel_spectrogram", "reverse_n1_to_1", "reverse_imagenet_norm"), (False, None)),
    silent=("disable_state_saving",),
    written={"save_checkpoint_freq": "iteration 0 is not saved, and the last iteration always is"},
)
UPGRADES = ConversionRule(silent=("number_of_checkpoints_to_save", "number_of_states_to_save"))


def put_retention(fields: Fields, tree: Node) -> None:
    """Keep as many checkpoints as the reference: all, unless `upgrades:` limits them.

    The newest of them keeps the state of its optimizers in any case, so that training can resume.
    """
    upgrades, logger = tree.get("upgrades"), tree.get("logger")
    count, states = (mapping(upgrades).get(f"number_of_{what}_to_save") for what in ("checkpoints", "states"))
    stateless = mapping(logger).get("disable_state_saving")
    at = count or states or logger or tree
    kept, kept_states = _count(count), _count(states)
    section = {"keep_last": rebuilt(at, kept or "all")}
    if (stateless is not None and stateless.value is True) or (kept_states and kept_states < (kept or math.inf)):
        section["state"] = rebuilt(stateless or states or at, "last")
    mapping(fields.setdefault("checkpoint", Node({}, at.place, at.key_place))).update(section)


def _count(node: Node | None) -> int:
    """A number of files to keep; 0 for all of them."""
    return node.value if node is not None and isinstance(node.value, int) and node.value > 0 else 0


MISTAKES = {"use_ema_model": "use_ema"}
"""Misspelt options in public files, which no code ever read, and the intended ones."""
