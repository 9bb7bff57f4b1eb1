"""What `artschool check` prints."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from artschool.cli.check import check_command
from artschool.errors import ConfigError
from tests.config.bad_files import SOUND

pytestmark = pytest.mark.usefixtures("registries")
SUMMARY = """\
gan              800 iterations of 16 samples, in fp32
network gen      rrdb, trained by gen, averaged with decay 0.98
network critic   patch_critic, trained by critic
data train       photo_patches -> lq, hq, name
data val         photos -> lq, hq, name
step gen         trains gen with adamw at 0.002, multi_step
  noisy          lq -> add_noise -> lq_noisy
  upscale        lq_noisy -> forward(gen) -> sr
  pixel          sr, hq -> l1, weight 1
  adversarial    sr -> generator_gan(critic), weight 0.005, after 600
step critic      trains critic with adamw at 0.0004, after 600
  gan            sr, hq -> discriminator_gan(critic), weight 1
evaluate photos  on val, every 200 iterations
  upscale        lq -> forward(gen.ema) -> sr
  psnr           sr, hq -> psnr
gan.yml: valid.
"""
STYLE = re.compile(r"\x1b\[[0-9;]*m")
NETS = """\
print("imported")
from artschool import networks
from torch import nn

@networks.register
class Mine(nn.Module):
    \"\"\"Mine.\"\"\"
"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    return tmp_path


def checked(text: str, capsys: pytest.CaptureFixture[str], *overrides: str, with_plugins: bool = True) -> str:
    Path("gan.yml").write_text(text)
    check_command(Path("gan.yml"), overrides, with_plugins=with_plugins)
    return capsys.readouterr().out


def test_a_sound_file_is_summed_up_in_the_order_in_which_it_happens(capsys: pytest.CaptureFixture[str]) -> None:
    assert checked(SOUND, capsys) == SUMMARY


def test_a_pipe_gets_whole_lines_however_narrow(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "30")
    assert checked(SOUND, capsys) == SUMMARY


def test_a_terminal_gets_long_lines_wrapped_beside_their_column(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FORCE_COLOR", "1")
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "80")
    styled = checked(SOUND, capsys)
    assert STYLE.sub("", styled) == SUMMARY  # It fits into 80 columns.
    assert styled.startswith("\x1b[1mgan\x1b[0m              800 iterations") and "\n  noisy          lq ->" in styled
    monkeypatch.setenv("COLUMNS", "60")
    lines = STYLE.sub("", checked(SOUND, capsys)).splitlines()
    assert max(map(len, lines)) <= 60 and lines[9:12] == [
        "  pixel          sr, hq -> l1, weight 1",
        "  adversarial    sr -> generator_gan(critic), weight 0.005,",
        "                 after 600",
    ]


def test_every_part_that_differs_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    text = (
        SOUND.replace("optimizer: {type: adamw, lr: 4e-4}", "optimizer: none")
        .replace(
            "{iterations: 800}", "{epochs: 1, accumulate: 4, accumulate_every: {every: 5, parts: 8}, precision: bf16}"
        )
        .replace("batch_size: 16", "batch_size: 1")
        .replace("    every: 200\n", "")
        .replace("scale: 0.05, out: lq_noisy", "scale: 0.05, out: lq_noisy, before: 900")
        .replace("noise, in: lq,", "noise, in: lq, every: 1,")
        .replace(
            "    trains: gen\n",
            "    trains: gen\n    batch_sizing: {max_full_batches: 9}\n    every: 2\n    before: 900\n",
        )
        .replace("    after: 600\n", "    after: 600\n    before: 900\n")
        .replace("data:\n", "data:\n  more: {type: image_folder, path: pictures}\n", 1)
    )
    lines = checked(text, capsys).splitlines()
    assert lines[0] == "warning: gan.yml:4:3: data.more: nothing uses this data set"
    assert "gan              1 epoch of 1 sample in 4 parts, at multiples of 5 in 8, in bf16" in lines
    assert (
        "step gen         trains gen with adamw at 0.002, over up to 9 batches, multi_step, before 900, every 2"
        in lines
    )
    assert "step critic      trains critic without an optimizer, after 600, before 900" in lines
    assert "  noisy          lq -> add_noise -> lq_noisy, before 900" in lines
    assert "evaluate photos  on val, at the end" in lines
    # Of the data set, more parts than samples, idle losses, images of an ended step, and the best of one checkpoint.
    assert lines[-1] == "gan.yml: valid. 6 warnings."


def test_markup_in_a_file_is_only_text(capsys: pytest.CaptureFixture[str]) -> None:
    text = SOUND.replace("lq_noisy", "'[bold]'")
    assert "  noisy          lq -> add_noise -> [bold]" in checked(text, capsys).splitlines()


def test_a_plugin_is_announced_before_it_is_imported(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nets.py").write_text(NETS)
    text = SOUND.replace("seed: 0", "plugins: [nets.py]").replace("{type: patch_critic, width: 24}", "{type: mine}")
    Path("gan.yml").write_text(text)
    check_command(Path("gan.yml"), (), with_plugins=True)
    printed = capsys.readouterr()
    assert printed.err == "imported\n"  # Not among what the command prints, which may be JSON.
    lines = printed.out.splitlines()
    assert lines[0] == "plugin nets.py" and "network critic   mine, trained by critic" in lines


def test_a_plugin_that_raises_has_been_announced(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nets.py").write_text("raise ValueError('imported')\n")
    with pytest.raises(ConfigError, match="imported"):
        checked(SOUND.replace("seed: 0", "plugins: [nets.py]"), capsys)
    assert capsys.readouterr().out == "plugin nets.py\n"


def test_without_plugins_no_code_of_the_file_runs(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (folder / "nets2.py").write_text(NETS)
    text = SOUND.replace("seed: 0", "plugins: [nets2.py]")
    assert checked(text, capsys, with_plugins=False) == SUMMARY
    with pytest.raises(ConfigError) as error:
        checked(text.replace("{type: patch_critic, width: 24}", "{type: mine}"), capsys, with_plugins=False)
    # What there is besides depends on the other tests of the process, which register networks too.
    assert str(error.value).startswith("gan.yml:8:18: networks.critic.type: unknown network 'mine'\n")
    assert " networks" in str(error.value).splitlines()[1]
    assert capsys.readouterr().out == ""
