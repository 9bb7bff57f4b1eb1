"""Whole files: what is one, the sections, and what is said of them."""

from __future__ import annotations

from typing import Any

import pytest

from artschool.config.sections import FileSections
from artschool.config.structure import structure
from artschool.legacy import sections
from artschool.legacy.convert import convert, is_legacy
from artschool.legacy.rules import ConversionRule, Notes
from artschool.registry.entries import DatasetEntry
from tests.legacy.old_text import FILES, node, told

STEP = "steps: {s: {training: n, optimizer_params: {lr: 1}}}\nnetworks: {n: {which_model: m}}\n"


def converted(text: str) -> tuple[dict[str, Any], Notes]:
    tree, notes = convert(node(text))
    plain: dict[str, Any] = tree.plain()
    return plain, notes


@pytest.mark.parametrize("file", sorted(FILES.glob("*.yml")), ids=lambda file: file.name)
def test_old_files_are_known(file: Any) -> None:
    assert is_legacy(node(file.read_text()))


@pytest.mark.parametrize(
    "text",
    [
        "{name: a, data: {}, networks: {a: {type: rrdb}}, steps: {a: {trains: a}}}",
        "{name: a, data: {}, networks: {a: {type: rrdb}}, steps: {a: {training: a}}, log: {}}",
        "{name: a}",
        "[1, 2]",
        "text",
        "{steps: [1], networks: 3}",
    ],
)
def test_our_files_are_not_taken_for_old_ones(text: str) -> None:
    assert not is_legacy(node(text))


def test_top_and_train_options_find_their_sections() -> None:
    plain, notes = converted(
        STEP + "name: x\nmodel: extensibletrainer\nfp16: true\ngpu_ids: [0, 1]\nstart_step: -1\nplugins: [a.py]\n"
        "train: {niter: 9, mega_batch_factor: 1, manual_seed: 4, ema_rate: .9, warmup_iter: -1}\n"
        "logger: {print_freq: 5, save_checkpoint_freq: 3, visuals: [n], visual_debug_rate: 2}\n"
        "upgrades: {number_of_checkpoints_to_save: 7}"
    )
    assert list(plain) == ["name", "seed", "plugins", "networks", "steps", "train", "ema", "log", "checkpoint"]
    assert plain["seed"] == 4
    assert plain["plugins"] == ["a.py"]
    assert plain["train"] == {"precision": "fp16", "iterations": 9}
    assert plain["ema"] == {"decay": 0.9, "networks": ["n"]}
    assert plain["log"] == {"every": 5, "pictures": {"keys": ["n"], "every": 2}}
    assert plain["checkpoint"] == {"every": 3, "keep_last": 7}
    assert not notes.faults


@pytest.mark.parametrize("rule", [sections.TOP, sections.TRAIN, sections.LOGGER, sections.UPGRADES])
def test_sections_name_options_that_exist(rule: ConversionRule) -> None:
    for native in rule.options.values():
        if native.startswith("data.train."):
            assert native.removeprefix("data.train.") in DatasetEntry.model_fields
            continue
        fields = FileSections.model_fields
        for part in native.split("."):
            assert part in fields
            inner = [fields[part].annotation, *getattr(fields[part].annotation, "__args__", ())]
            fields = next((t.model_fields for t in inner if hasattr(t, "model_fields")), {})


def test_averages_are_written_out_or_off() -> None:
    plain, notes = converted(STEP + "train: {niter: 9}")
    assert plain["ema"] == {"networks": ["n"]}
    message = (
        "averages include buffers and follow each update; the reference averaged after every step, without buffers"
    )
    assert f"3:1: train.ema_rate: {message}" in told(notes.warnings)
    plain, notes = converted(STEP + "train: {niter: 9, ema_enabled: false, ema_rate: .9}")
    assert "ema" not in plain
    assert not any("ema" in warning.path for warning in notes.warnings)


def test_accumulation_is_told() -> None:
    plain, notes = converted(STEP + "train:\n  mega_batch_factor: 32")
    assert plain["train"]["accumulate"] == 32
    message = "splits a batch of any size into 32 micro-batches, weighted by their sizes"
    assert f"4:3: train.mega_batch_factor: {message}" in told(notes.remarks)


def test_another_accumulation_factor_at_some_iterations() -> None:
    plain, notes = converted(
        STEP + "train:\n  mod_batch_factor: 2\n  mod_batch_factor_every: 10\n"
        "  mod_batch_factor_also_disable_checkpointing: true\n  keep_optimizer_states_on_cpu: true"
    )
    assert plain["train"]["accumulate_every"] == {"parts": 2, "every": 10}
    assert plain["train"]["offload"] == {"optimizer": "cpu"}
    assert not notes.faults
    assert [warning for warning in told(notes.warnings) if "mod_batch" in warning or "cpu" in warning] == [
        "4:3: train.mod_batch_factor: averages the losses of the micro-batches; the reference still divided by "
        "'mega_batch_factor'",
        "6:3: train.mod_batch_factor_also_disable_checkpointing: is dropped: `activation_checkpointing` of a "
        "network applies at every iteration; the weights are the same",
    ]


def test_one_half_of_another_accumulation_factor_is_a_fault_or_nothing() -> None:
    plain, notes = converted(STEP + "train: {mod_batch_factor_every: 10}")
    assert "accumulate_every" not in plain.get("train", {})
    assert not notes.faults
    _, notes = converted(STEP + "train: {mod_batch_factor: 2}")
    assert told(notes.faults) == [
        "3:9: train.mod_batch_factor: 'mod_batch_factor' requires 'mod_batch_factor_every', the interval in "
        "iterations at which it applies"
    ]


def test_pictures_without_a_rate_or_keys_are_not_drawn() -> None:
    for logger in ("{visuals: [a]}", "{visuals: [], visual_debug_rate: 3}", "{visual_debug_rate: 3}"):
        plain, _ = converted(STEP + f"logger: {logger}")
        assert plain.get("log", {}) == {}


@pytest.mark.parametrize(
    "text", ["steps: {s: {training: [{}]}}", "logger: {visuals: [{}], visual_debug_rate: 1}", "steps: 3"]
)
def test_values_of_the_wrong_kind_are_left_to_our_check(text: str) -> None:
    tree, _ = convert(node(text))
    config, faults = structure(tree)
    assert config is None
    assert faults


def test_tags_and_references_are_plain_values() -> None:
    plain, _ = converted(STEP + "name: !!str 12${x}\ntrain: {lr_gamma: !!float 1, gen_lr_steps: [4]}")
    assert plain["name"] == "12__x_"
    assert plain["steps"]["s"]["schedule"]["gamma"] == 1.0


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("model: sr", "3:1: model: 'model' of the reference's files has no counterpart"),
        ("colab_mode: true", "3:1: colab_mode: 'colab_mode' of the reference's files has no counterpart"),
    ],
)
def test_what_has_no_counterpart_is_refused_by_name(text: str, fault: str) -> None:
    _, notes = converted(STEP + text)
    assert told(notes.faults) == [fault]


@pytest.mark.parametrize(
    ("text", "warning"),
    [
        ("lerning: 3", "3:1: lerning: is dropped: 'lerning' is no known option of the reference's files"),
        (
            "eval: {pure: true}",
            "3:8: eval.pure: is dropped: there is no `datasets.val` to evaluate on",
        ),
        (
            "gpu_ids: [0, 1]",
            "3:1: gpu_ids: is dropped: torchrun starts one process for each device",
        ),
        (
            "path: {resume_state: x.state}",
            "3:8: path.resume_state: is dropped: pass it to the command: `artschool train FILE --resume PATH`",
        ),
        (
            "eval: {evaluators: {e: {type: wer, for: n}}}",
            "3:21: eval.evaluators.e: is dropped: the evaluator 'wer' has no automatic conversion",
        ),
        (
            "eval: {evaluators: {e: {type: were, for: n}}}",
            "3:21: eval.evaluators.e: unknown evaluator 'were'",
        ),
        (
            "name: my_debug_run",
            "3:1: name: has no effect on the schedule; with 'debug' in the name, the reference logged, saved and "
            "evaluated more often",
        ),
        (
            "train: {niter: 9, ema_enabled: false}",
            "3:9: train.niter: training stops after exactly this number of iterations; the reference ran whole "
            "epochs, up to two more of them",
        ),
        (
            "eval:\n  a: {use_ema_model: true}",
            "4:7: eval.a.use_ema_model: the reference never read 'use_ema_model'; the option is 'use_ema'",
        ),
    ],
)
def test_what_changed_is_told_with_its_line(text: str, warning: str) -> None:
    _, notes = converted(STEP + text)
    assert warning in told(notes.warnings)
    assert not notes.faults


@pytest.mark.parametrize(
    "text", ["wandb: false", "checkpointing_enabled: false", "gpu_ids: [0]", "use_tb_logger: true"]
)
def test_what_is_off_or_means_nothing_is_not_told(text: str) -> None:
    _, before = converted(STEP)
    _, notes = converted(STEP + text)
    assert notes == before


def test_a_step_s_options_are_ours() -> None:
    plain, notes = converted(
        "networks: {n: {which_model: m}}\n"
        "steps: {s: {training: n, after: 3, before: 9, every: 2, clip_grad_eps: 4, loss_log_buffer: 50, requires: [a],"
        " step_outputs: [b], optimizer: none}}\n"
        "train: {gen_lr_steps: [3]}"
    )
    assert plain["steps"] == {
        "s": {
            "trains": "n",
            "after": 3,
            "before": 9,
            "every": 2,
            "clip_grad_norm": 4,
            "requires": ["a"],
            "optimizer": "none",
        }
    }
    assert [warning.path for warning in notes.warnings if warning.path.startswith("steps")] == [
        "steps.s.clip_grad_eps",
        "steps.s.loss_log_buffer",
        "steps.s.step_outputs",
    ]


VAL = "datasets: {train: {mode: own, batch_size: 8}, val: {mode: imagefolder, paths: p}}\n"


def test_an_evaluation_of_the_steps_is_one_here() -> None:
    plain, notes = converted(STEP + VAL + "eval: {pure: true}\ntrain: {val_freq: 70}")
    assert plain["evaluate"] == {"val": {"data": "val", "every": 70, "steps": ["s"]}}
    assert not notes.faults


def test_what_an_evaluation_puts_out_is_compared_with_the_originals() -> None:
    plain, notes = converted(STEP + VAL + "eval: {output_state: sr}\ntrain: {val_freq_megasamples: .001}")
    assert plain["evaluate"]["val"] == {
        "data": "val",
        "every": 125,
        "steps": ["s"],
        "metrics": {"psnr": {"type": "psnr", "in": ["sr", "hq"]}},
    }
    message = "0.001 million samples in batches of 8 equal 125 iterations"
    assert f"5:9: train.val_freq_megasamples: {message}" in told(notes.warnings)


def test_injectors_of_an_evaluation_run_in_place_of_the_steps() -> None:
    injector = "eval: {output_state: y, injectors: {a: {type: grey, in: hq, out: y}}}"
    plain, _ = converted(STEP + VAL + injector)
    assert plain["evaluate"]["val"] == {
        "data": "val",
        "injectors": {"a": {"type": "grey", "in": "hq", "out": "y"}},
        "metrics": {"psnr": {"type": "psnr", "in": ["y", "hq"]}},
    }
    plain, notes = converted(STEP + VAL + injector.replace("output_state: y, ", ""))
    assert "evaluate" not in plain
    assert "4:8: eval.injectors: no metric reads their output; add `metrics:`" in told(notes.warnings)


@pytest.mark.parametrize(
    ("text", "precision"),
    [
        ("fp16: true\nhalf_type: bfloat16", "bf16"),
        ("half_type: bf16\nfp16: true", "bf16"),
        ("half_type: bf16\nfp16: false", None),
        ("half_type: bf16", None),
    ],
)
def test_the_kind_of_half_precision_counts_where_it_is_on(text: str, precision: str | None) -> None:
    plain, _ = converted(STEP + text)
    assert plain.get("train", {}).get("precision") == precision


def test_counters_and_pictures_keep_their_meaning() -> None:
    plain, notes = converted(
        STEP + "start_step: 500\ntraining_data_encountered: 900\n"
        "logger: {visuals: [n], visual_debug_rate: 2, reverse_n1_to_1: true, is_mel_spectrogram: false,"
        " recurrent_visual_indices: [0, 2]}\ntrain: {anomaly_detection: true, cuda_benchmarking_enabled: true}"
    )
    assert plain["train"] == {
        "start_iteration": 501,
        "start_samples": 900,
        "detect_anomaly": True,
        "cudnn_benchmark": True,
    }
    assert plain["log"]["pictures"] == {"keys": ["n"], "every": 2, "range": [-1.0, 1.0], "frames": [0, 2]}
    assert not notes.faults


def test_joined_text_is_put_together_and_an_unfilled_place_is_told() -> None:
    plain, notes = converted(STEP + 'name: !join [a, _, 3]\nlogger: {print_freq: "${often}"}')
    assert plain["name"] == "a_3"
    assert told(notes.faults) == ["4:10: logger.print_freq: placeholder '${often}' is not filled in; write its value"]


def test_lengths_sort_and_trim_the_training_data() -> None:
    plain, notes = converted(STEP + VAL + "train: {sort_key: wav_lengths, auto_collate: true}")
    assert plain["data"]["train"] == {"type": "own", "batch_size": 8, "sort_key": "wav_lengths", "trim": True}
    assert "sort_key" not in plain["data"]["val"]
    assert not notes.faults


def test_going_back_after_an_explosion_works_here() -> None:
    plain, notes = converted(STEP + "train: {automatically_recover_nan_by_reverting_n_saves: 2}")
    assert plain["train"] == {"max_rollbacks": 2, "non_finite": "rollback"}
    path = "train.automatically_recover_nan_by_reverting_n_saves"
    assert f"3:9: {path}: takes effect; the reference never used it" in told(notes.warnings)


def test_a_tracker_is_a_logger_here() -> None:
    plain, notes = converted(STEP + "wandb: true\nwandb_project_name: mine")
    assert plain["log"]["loggers"] == {"wandb": {"type": "wandb", "project": "mine"}}
    assert not notes.faults
    assert converted(STEP + "wandb: true\nname: x")[0]["log"]["loggers"]["wandb"]["project"] == "x"
    assert "log" not in converted(STEP + "wandb: false\nwandb_project_name: mine")[0]
