"""The reference's other sections: what stands at the top, `train:`, `path:`, `eval:`, `logger:`, `upgrades:`.

An option becomes a native path, such as `train.iterations`.
"""

from __future__ import annotations

from artschool.config.source import Node
from artschool.legacy.evaluation import FREQUENCIES
from artschool.legacy.rules import ConversionRule, Fields, Notes, mapping, rebuilt, same
from artschool.legacy.schedules import ALL_OPTIONS

SAME_WEIGHTS = "the weights are the same without it"


def _finish_top(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """`half_type` says which half precision, and `fp16` whether there is any; a tracker has a project."""
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
        "checkpointing_enabled": "which parts of a network compute again in backward instead of keeping memory is told "
        "by name, `activation_checkpointing: [body.*]` under `networks`; the weights are the same either way",
        "grad_scaler_enabled": "fp16 always scales its losses",
        "use_8bit": "8-bit optimizers need the extra package bitsandbytes, and a plugin that registers them; "
        "the state stays in full precision",
        "ssh_server": "a password does not belong into a file that is copied beside the run",
        "ssh_username": "a password does not belong into a file that is copied beside the run",
        "ssh_password": "a password does not belong into a file that is copied beside the run",
        "amp_opt_level": "precision is `train.precision`",
    },
    changed={
        "force_start_step": "a new run counts from it; one that is resumed goes on where its checkpoint ends",
        "colab_mode": "copies files to a server with a password that the file holds, which we do not do",
    },
    silent=(
        *("datasets", "networks", "steps", "train", "path", "eval", "logger", "upgrades"),
        *("scale", "gpu_ids", "use_tb_logger", "is_train", "dist", "launcher", "distortion", "wandb_project_name"),
    ),
)


def _finish_train(fields: Fields, node: Node, path: str, notes: Notes) -> None:
    """A rollback must be asked for, and another accumulation factor needs the iterations at which it holds."""
    if (times := fields.get("train.max_rollbacks")) is not None:
        fields["train.non_finite"] = Node("rollback", times.place, times.key_place)
    parts, every = fields.get("train.accumulate_every.parts"), fields.get("train.accumulate_every.every")
    if parts is not None and every is None:
        message = "'mod_batch_factor' needs 'mod_batch_factor_every', at the multiples of which it holds"
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
        "ema_on_cpu": f"averages stay beside their networks; {SAME_WEIGHTS}",
        "keep_optimizer_states_on_cpu": "an optimizer keeps its state beside its weights, which are the same either "
        "way; for memory, `shard: true` of the optimizer spreads it over processes",
        "ddp_find_unused_parameters": "gradients are summed once per step, whatever the step uses",
        "ddp_static_graph": "gradients are summed once per step, whatever the step uses",
        "mod_batch_factor_also_disable_checkpointing": "a network with `activation_checkpointing` has it at every "
        "iteration; the weights are the same either way",
    },
    finish=_finish_train,
    changed={
        "mod_batch_factor": "losses of these parts are averaged; the reference divided by 'mega_batch_factor' still",
        "automatically_recover_nan_by_reverting_n_saves": "works here; the reference never used it",
        "niter": "training stops after exactly so many iterations; the reference went up to two further",
    },
    silent=(*ALL_OPTIONS, *FREQUENCIES, "ema_enabled", "batch_size_optimizer"),
)
PATH = ConversionRule(
    harmless={"optimizer_reset": (False,), "alt_path": (None,)},
    advice={
        "optimizer_reset": "Begin a new run with `weights:` under `networks`, the files of the old run's checkpoint.",
        "alt_path": "A run resumes from its own folder, which `--run-dir` or `runs:` names.",
    },
    dropped={"resume_state": "give it to the command, `artschool train FILE --resume PATH`"},
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
        "disable_state_saving": "every checkpoint can be resumed from; `checkpoint.keep_last` says how many are kept",
    },
    changed={
        "save_checkpoint_freq": "nothing is saved at iteration 0, the last iteration always is, and of all the last "
        "`checkpoint.keep_last` are kept"
    },
)
UPGRADES = ConversionRule(
    options={"number_of_checkpoints_to_save": "checkpoint.keep_last"},
    dropped={"number_of_states_to_save": "a checkpoint holds weights and state, see `checkpoint.keep_last`"},
)
MISTAKES = {"use_ema_model": "use_ema"}
"""Options that public files write and no code ever read, and the one that was meant."""
