"""The reference's other sections: what stands at the top, `train:`, `path:`, `eval:`, `logger:`, `upgrades:`.

An option becomes a native path, such as `train.iterations`.
"""

from __future__ import annotations

from artschool.legacy.rules import Rule, same
from artschool.legacy.schedules import ALL_OPTIONS

NO_PICTURES = "pictures are drawn as they are, from 0 to 1"
NOT_EVALUATED = "evaluating by it has no counterpart yet, so nothing is evaluated"
SAME_WEIGHTS = "it has no counterpart yet; the weights are the same without it"

TOP = Rule(
    options={**same("name", "plugins", "runs"), "fp16": "train.precision"},
    values={"fp16": {True: "fp16", False: "fp32"}},
    harmless={
        "model": ("extensibletrainer",),
        "start_step": (-1, 0),
        "force_start_step": (-1, 0),
        "colab_mode": (False,),
    },
    dropped={
        "checkpointing_enabled": "which parts of a network compute again in backward instead of keeping memory is told "
        "by name, `activation_checkpointing: [body.*]` under `networks`; the weights are the same either way",
        "grad_scaler_enabled": "fp16 always scales its losses",
        "use_8bit": "8-bit optimizers need the extra package bitsandbytes, and a plugin that registers them; "
        "the state stays in full precision",
        "wandb": "Weights & Biases has no counterpart yet; the numbers are in metrics.jsonl and TensorBoard",
        "ssh_server": "a password does not belong into a file that is copied beside the run",
        "ssh_username": "a password does not belong into a file that is copied beside the run",
        "ssh_password": "a password does not belong into a file that is copied beside the run",
        "amp_opt_level": "precision is `train.precision`",
    },
    changed={
        "force_start_step": "a run starts at iteration 0, or where its checkpoint ends",
        "colab_mode": "copies files to a server with a password that the file holds, which we do not do",
    },
    silent=(
        *("datasets", "networks", "steps", "train", "path", "eval", "logger", "upgrades"),
        *("scale", "gpu_ids", "use_tb_logger", "is_train", "dist", "launcher", "distortion", "wandb_project_name"),
    ),
)
TRAIN = Rule(
    options={
        "niter": "train.iterations",
        "mega_batch_factor": "train.accumulate",
        "manual_seed": "seed",
        "ema_rate": "ema.decay",
    },
    harmless={
        "mod_batch_factor": (1, None),
        "sort_key": (None,),
        "auto_collate": (False,),
    },
    dropped={
        "val_freq": NOT_EVALUATED,
        "val_freq_megasamples": NOT_EVALUATED,
        "ema_on_cpu": f"averages stay beside their networks; {SAME_WEIGHTS}",
        "keep_optimizer_states_on_cpu": SAME_WEIGHTS,
        "cuda_benchmarking_enabled": "it only chooses between kernels",
        "anomaly_detection": SAME_WEIGHTS,
        "ddp_find_unused_parameters": "gradients are summed once per step, whatever the step uses",
        "ddp_static_graph": "gradients are summed once per step, whatever the step uses",
        "automatically_recover_nan_by_reverting_n_saves": "it was never used; non-finite updates are skipped, see "
        "`train.non_finite`",
        "mod_batch_factor_every": "there is no second accumulation factor",
        "mod_batch_factor_also_disable_checkpointing": "there is no second accumulation factor",
    },
    changed={"niter": "training stops after exactly so many iterations; the reference went up to two further"},
    silent=(*ALL_OPTIONS, "ema_enabled"),
)
PATH = Rule(
    harmless={"resume_state": (None, ""), "optimizer_reset": (False,), "alt_path": (None,)},
    silent=("root", "strict_load", "experiments_root", "models", "training_state", "log", "val_images"),
)
EVAL = Rule(
    dropped=dict.fromkeys(("pure", "injectors", "output_state"), NOT_EVALUATED),
    silent=("evaluators",),
)
LOGGER = Rule(
    options={
        "print_freq": "log.every",
        "save_checkpoint_freq": "checkpoint.every",
        "visuals": "log.pictures.keys",
        "visual_debug_rate": "log.pictures.every",
    },
    dropped={
        "recurrent_visual_indices": NO_PICTURES,
        "is_mel_spectrogram": NO_PICTURES,
        "reverse_n1_to_1": NO_PICTURES,
        "reverse_imagenet_norm": NO_PICTURES,
        "disable_state_saving": "every checkpoint can be resumed from; `checkpoint.keep_last` says how many are kept",
    },
    changed={
        "save_checkpoint_freq": "nothing is saved at iteration 0, the last iteration always is, and of all the last "
        "`checkpoint.keep_last` are kept"
    },
)
UPGRADES = Rule(
    options={"number_of_checkpoints_to_save": "checkpoint.keep_last"},
    dropped={"number_of_states_to_save": "a checkpoint holds weights and state, see `checkpoint.keep_last`"},
)
MISTAKES = {"use_ema_model": "use_ema"}
"""Options that public files write and no code ever read, and the one that was meant."""
