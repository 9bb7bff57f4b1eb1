"""The reference's other sections: the top of the file, `train:`, `path:`, `eval:`, `logger:`, `upgrades:`.

An option becomes a native path, such as `train.iterations`.
"""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.evaluation import FREQUENCIES
from artschool.legacy.rules import ConversionRule, Fields, Notes, mapping, rebuilt, same
from artschool.legacy.schedules import ALL_OPTIONS

SAME_WEIGHTS = "the weights are the same without it"


def _finish_top(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Combine `half_type` with `fp16`, and give the tracker its project."""
    half, wanted = node.get("half_type"), node.get("fp16")
    if half is not None:
        on = wanted is not None and wanted.value is True
        fields["train.precision"] = rebuilt(half, TOP.values["half_type"].get(half.plain()) if on else "fp32")
    project, tracker = node.get("wandb_project_name"), fields.get("log.loggers")
    if project is not None and tracker is not None:
        mapping(tracker.get("wandb"))["project"] = project


TOP = ConversionRule(
    options={
        **same("name", "plugins", "runs"),
        "fp16": "train.precision",
        "half_type": "train.precision",
        "wandb": "log.loggers",
        "start_step": "train.start_iteration",
        "force_start_step": "train.start_iteration",
        "training_data_encountered": "train.start_samples",
    },
    values={
        "fp16": {True: "fp16", False: "fp32"},
        "wandb": {True: {"wandb": {"type": "wandb", "project": "dlas"}}},
        "half_type": {"float16": "fp16", "fp16": "fp16", "bfloat16": "bf16", "bf16": "bf16"},
    },
    harmless={
        "model": ("extensibletrainer",),
        "colab_mode": (False,),
        "wandb": (False,),
        "start_step": (-1, 0),
        "force_start_step": (-1, 0),
        "training_data_encountered": (0,),
    },
    finish=_finish_top,
    dropped={
        "checkpointing_enabled": "write `activation_checkpointing: [body.*]` under `networks` to recompute "
        "modules in the "
        "backward pass; the weights are the same",
        "grad_scaler_enabled": "fp16 always scales losses",
        "use_8bit": "8-bit optimizers need the package bitsandbytes and a plugin that registers them; "
        "the state is kept in full precision",
        "ssh_server": "artschool copies the file into the run folder, so it must not contain passwords",
        "ssh_username": "artschool copies the file into the run folder, so it must not contain passwords",
        "ssh_password": "artschool copies the file into the run folder, so it must not contain passwords",
        "amp_opt_level": "write `train.precision` instead",
    },
    changed={
        "force_start_step": "a new run starts at this iteration; a resumed run continues from its checkpoint",
        "colab_mode": "artschool does not copy files to a server",
    },
    silent=(
        *("datasets", "networks", "steps", "train", "path", "eval", "logger", "upgrades"),
        *("scale", "gpu_ids", "use_tb_logger", "is_train", "dist", "launcher", "distortion", "wandb_project_name"),
    ),
)


def _finish_train(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """Enable rollbacks explicitly, and check that an accumulation factor comes with its interval."""
    if (times := fields.get("train.max_rollbacks")) is not None:
        fields["train.non_finite"] = Node("rollback", times.place, times.key_place)
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
        "cuda_benchmarking_enabled": "train.cudnn_benchmark",
        "anomaly_detection": "train.detect_anomaly",
        "automatically_recover_nan_by_reverting_n_saves": "train.max_rollbacks",
    },
    harmless={
        "mod_batch_factor": (None,),
        "mod_batch_factor_every": (None,),
        "anomaly_detection": (False,),
        "automatically_recover_nan_by_reverting_n_saves": (None, 0),
        "cuda_benchmarking_enabled": (False,),
    },
    dropped={
        "ema_on_cpu": f"averages stay on the device of their networks; {SAME_WEIGHTS}",
        "keep_optimizer_states_on_cpu": "optimizer state stays on the device of its weights; the weights are the "
        "same. To save memory, `shard: true` of the optimizer splits the state among processes",
        "ddp_find_unused_parameters": "gradients are summed once per step, whether or not all parameters are used",
        "ddp_static_graph": "gradients are summed once per step, whether or not all parameters are used",
        "mod_batch_factor_also_disable_checkpointing": "`activation_checkpointing` of a network applies at every "
        "iteration; the weights are the same",
    },
    finish=_finish_train,
    changed={
        "mod_batch_factor": "averages the losses of the micro-batches; the reference still divided by "
        "'mega_batch_factor'",
        "automatically_recover_nan_by_reverting_n_saves": "takes effect; the reference never used it",
        "niter": "training stops after exactly this number of iterations; the reference ran up to two more",
    },
    silent=(*ALL_OPTIONS, *FREQUENCIES, "ema_enabled", "batch_size_optimizer"),
)
PATH = ConversionRule(
    harmless={"optimizer_reset": (False,), "alt_path": (None,)},
    advice={
        "optimizer_reset": "Fix: start a new run whose networks load `weights:` from the old run's checkpoint.",
        "alt_path": "A run resumes from its own folder; choose it with `--run-dir` or `runs:`.",
    },
    dropped={"resume_state": "pass it to the command: `artschool train FILE --resume PATH`"},
    silent=("root", "strict_load", "experiments_root", "models", "training_state", "log", "val_images"),
)
EVAL = ConversionRule(silent=("pure", "injectors", "output_state", "evaluators"))
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
    dropped={
        "disable_state_saving": "every checkpoint can be resumed; `checkpoint.keep_last` sets how many are kept",
    },
    changed={
        "save_checkpoint_freq": "iteration 0 is not saved, the last iteration always is, and the last "
        "`checkpoint.keep_last` checkpoints are kept"
    },
)
UPGRADES = ConversionRule(
    options={"number_of_checkpoints_to_save": "checkpoint.keep_last"},
    dropped={"number_of_states_to_save": "a checkpoint holds weights and state; see `checkpoint.keep_last`"},
)
MISTAKES = {"use_ema_model": "use_ema"}
"""Misspelt options in public files, which no code ever read, and the intended ones."""
