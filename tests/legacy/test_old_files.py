"""Old files from end to end: read, checked, trained, written as ours and read back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from click.testing import CliRunner

import artschool
from artschool.cli.main import cli
from artschool.config.compose import finish
from artschool.config.source import read_text
from artschool.errors import ConfigError
from artschool.read.read import NOTICE, check_file, read_config
from tests.legacy.old_text import FILES, told


def outcome(name: str) -> tuple[list[str], list[str]]:
    """The faults and warnings of a file, without the texts of hints."""
    try:
        _, warnings = read_config(FILES / name)
    except ConfigError as error:
        notes = [note.removeprefix("warning: ").split("/files/")[1].split("\n")[0] for note in error.__notes__]
        return told(error.faults), [note.removeprefix(f"{name}:") for note in notes]
    return [], told(warnings)


def written(name: str) -> str:
    return CliRunner().invoke(cli, ["convert", str(FILES / name)]).stdout


def test_a_whole_file_is_read_as_ours() -> None:
    lines: list[str] = []
    config = check_file(FILES / "whole.yml", ["train.device=cpu"], announce=lines.append)
    assert lines[0] == f"{FILES / 'whole.yml'}: {NOTICE}"
    gen = config.steps["gen"]
    assert gen.section.trained == ["gen"]
    assert gen.section.clip_grad_norm == 1.5
    assert [component.registered and component.registered.name for component in gen.injectors.values()] == [
        "forward",
        "add_noise",
        "alias",
    ]
    assert config.sections.train.accumulate == 2
    assert config.sections.train.device == "cpu"


def test_warnings_point_to_the_lines_of_the_old_file() -> None:
    faults, warnings = outcome("whole.yml")
    assert faults == []
    lines = (FILES / "whole.yml").read_text().splitlines()
    for warning in warnings:
        line, _, path, _ = warning.split(":", 3)
        name = path.strip().rpartition(".")[2]
        assert name in lines[int(line) - 1] or name == "type"
    assert [warning.split(": ")[1] for warning in warnings] == [
        "steps.gen.clip_grad_eps",
        "train.niter",
        "train.ema_rate",
    ]


def test_faults_of_our_check_point_to_the_lines_of_the_old_file(tmp_path: Path) -> None:
    file = tmp_path / "old.yml"
    text = (FILES / "whole.yml").read_text().replace("own.py", str(FILES / "own.py"))
    file.write_text(text.replace("real: hq, fake: noisy}", "real: hq, fake: nosy}"))
    with pytest.raises(ConfigError) as caught:
        check_file(file)
    line = next(i for i, text in enumerate(file.read_text().splitlines(), 1) if "nosy" in text)
    assert [str(fault).split(": ", 1)[0].rpartition(":")[0] for fault in caught.value.faults] == [f"{file}:{line}"]
    assert caught.value.faults[0].message == "reads 'nosy', which no earlier component writes"
    assert any("clip_grad_eps" in note for note in caught.value.__notes__)


def test_the_printed_text_is_the_same_tree() -> None:
    tree, _ = read_config(FILES / "whole.yml")
    assert finish(read_text(written("whole.yml"), "printed.yml"), FILES / "printed.yml").plain() == tree.plain()


def test_old_and_printed_file_train_to_the_same_weights(tmp_path: Path) -> None:
    (tmp_path / "printed.yml").write_text(written("whole.yml").replace("own.py", str(FILES / "own.py")))
    runs = [
        artschool.load(file, ["train.device=cpu"], run_dir=tmp_path / file.stem).train()
        for file in (FILES / "whole.yml", tmp_path / "printed.yml")
    ]
    for name, network in runs[0].networks.items():
        for one, other in zip(network.parameters(), runs[1].networks[name].parameters(), strict=True):
            assert torch.equal(one, other)
    assert (tmp_path / "whole" / "config.yml").read_text() == (FILES / "whole.yml").read_text()


def test_each_change_is_a_comment_above_its_line() -> None:
    lines = written("whole.yml").splitlines()
    assert lines[0] == "# Converted from whole.yml."
    at = lines.index("    clip_grad_norm: 1.5")
    assert lines[at - 1] == (
        "    # line 24: steps.gen.clip_grad_eps: limits one norm over all parameters of the step; the reference "
        "clipped each group separately"
    )


def test_check_takes_an_old_file_as_it_is() -> None:
    result = CliRunner().invoke(cli, ["check", str(FILES / "whole.yml")])
    lines = result.stdout.splitlines()
    assert result.exit_code == 0
    assert lines[0] == f"{FILES / 'whole.yml'}: {NOTICE}"
    assert lines[-1] == f"{FILES / 'whole.yml'}: valid. {sum(line.startswith('warning: ') for line in lines)} warnings."
    assert any(line.startswith(f"warning: {FILES / 'whole.yml'}:24:5: steps.gen.clip_grad_eps: ") for line in lines)


def test_convert_refuses_a_file_of_ours(tmp_path: Path) -> None:
    file = tmp_path / "own.yml"
    file.write_text("{name: a, data: {}, steps: {a: {trains: a}}}")
    result = CliRunner().invoke(cli, ["convert", str(file)])
    assert str(result.exception) == f"{file}:1:1: is not a DL-Art-School file and needs no conversion"


def test_convert_prints_a_draft_and_every_fault() -> None:
    result = CliRunner().invoke(cli, ["convert", str(FILES / "photos.yml")])
    assert isinstance(result.exception, ConfigError)
    assert (
        "      # NOT CONVERTED line 14: steps.critic.injectors.patch: injector 'image_patsch' "
        "is not converted, and no plugin of the file registers it\n"
        "      # Available: "
    ) in result.stdout
    assert "more. Did you mean 'image_patch'?\n      patch: {type: image_patsch, in: lq, out: patch}\n" in result.stdout


def assert_told(found: list[str], expected: dict[str, str]) -> None:
    """Each place and path has its words."""
    said: dict[str, Any] = {": ".join(line.split(": ")[:2]): line for line in found}
    for where, words in expected.items():
        assert where in said
        assert words in said[where]


def test_speech_says_what_it_must() -> None:
    faults, warnings = outcome("speech.yml")
    assert_told(faults, {"15:58: steps.talk.injectors.codes.dvae_config": "file 'tokens.yml' does not exist (tried /"})
    assert len(faults) == 1
    assert_told(
        warnings,
        {
            "1:1: name": "has no effect on the schedule",
            "2:1: use_8bit": "adamw_8bit",
            "4:11: datasets.train.mode": "'my_voices' is not a built-in data set; a plugin has to register it",
            "6:29: networks.talker.which_model_G": "'my_talker' is not a built-in network",
            "13:7: steps.talk.optimizer_params.triton": "is dropped: it is an option of 'lion', which 'adamw' does not",
            "26:8: eval.pure": "there is no `datasets.val` to evaluate on",
            "30:3: logger.visuals": "lists 'mel', 'portrait', which no step writes",
        },
    )
    text = written("speech.yml")
    assert "        method: get_codebook_indices\n" in text
    assert "  keep_last: 4\n  state: last\n" in text
    assert "ema:" not in text
    assert "milestones: [49, 79]" in text


def test_photos_say_what_they_must() -> None:
    faults, warnings = outcome("photos.yml")
    assert faults == [
        "11:5: steps.critic: misplaced option 'lr', 'beta1': the reference's last versions ignore it here and "
        "train nothing in this step",
        "14:15: steps.critic.injectors.patch: injector 'image_patsch' is not converted, and no plugin of the file "
        "registers it",
    ]
    assert_told(
        warnings,
        {
            "16:64: steps.critic.losses.gan.gradient_penalty": "becomes a separate loss, gan_penalty",
            "18:8: eval.output_state": "there is no `datasets.val` to evaluate on",
        },
    )
    text = written("photos.yml")
    assert "    after: 10\n" in text
    assert text.count("        after: 20\n") == 2


def test_diffusion_says_what_it_must() -> None:
    faults, warnings = outcome("diffusion.yml")
    assert faults == ["10:3: path.pretrain_model_uent: unknown network 'uent', which the reference ignored"]
    assert_told(
        warnings,
        {
            "4:1: force_start_step": "the first iteration is the next one, as in the reference",
            "19:43: train.val_freq_megasamples": "million samples in batches of",
            "22:5: eval.evaluators.fid": "is dropped: the evaluator 'sr_diffusion_fid' has no automatic conversion",
            "22:101: eval.evaluators.fid.diffusion_params.use_ema_model": "the option is 'use_ema'",
        },
    )
    text = written("diffusion.yml")
    assert "  accumulate: 32\n" in text
    assert "out: [loss, vb, x_start, _]" in text and "variance: learned_range" in text


def test_views_say_what_they_must() -> None:
    faults, warnings = outcome("views.yml")
    assert faults == []
    assert_told(
        warnings,
        {
            "10:5: steps.learn.step_outputs": "a value is kept as long as a later step reads it",
            "11:5: steps.learn.optimizer": "each parameter is updated once",
        },
    )
    text = written("views.yml")
    assert "dataset: {type: image_folder, path: pictures, size: 32, scale: 1, crop: middle, augment: flip}" in text
    assert "lr: 0.2\n" in text and "weight_decay: 1e-06\n" in text
    assert "{type: cosine_annealing, from: 55, scale: 0.5, period: 40, eta_min: 0.01}" in text
    tree, _ = read_config(FILES / "views.yml")
    assert finish(read_text(text, "printed.yml"), FILES / "printed.yml").plain() == tree.plain()
