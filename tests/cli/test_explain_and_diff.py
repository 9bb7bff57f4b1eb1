"""The commands `explain` and `diff`: what they print and their exit codes."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from artschool.cli.main import cli
from artschool.errors import ConfigError
from tests.config.bad_files import SOUND

pytestmark = pytest.mark.usefixtures("registries")
PLUGIN = '''
from artschool import networks
from torch import nn

@networks.register
class Mine(nn.Module):
    """Mine alone.

    Args:
        depth: How deep it is.
    """

    def __init__(self, depth: int = 3) -> None:
        super().__init__()
'''


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("gan.yml").write_text(SOUND)
    return tmp_path


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(cli, arguments)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


def test_explain_prints_what_stands_at_a_line_and_column() -> None:
    assert run("explain", "gan.yml:12:35").output == (
        "steps.gen.optimizer.lr = 0.002\n"
        "  is          `lr` of the optimizer adamw\n"
        "              learning rate (default: 1e-3). A tensor LR is not yet supported for all our implementations. "
        "Please use a float LR if you are not also specifying fused=True or capturable=True.\n"
        "  takes       number, 0 or more, default 0.001\n"
        "  from        gan.yml:12:30\n"
        "  read by     the optimizer adamw of step gen\n"
        "  changed by  steps.gen.schedule (multi_step)\n"
    )
    assert run("explain", "gan.yml:12").output.startswith("steps.gen.optimizer\n  is    the optimizer adamw\n")


def test_explain_takes_a_path_with_overrides_in_any_order() -> None:
    for arguments in (("train.accumulate", "train.accumulate=4"), ("train.accumulate=4", "train.accumulate")):
        output = run("explain", "gan.yml", *arguments).output
        assert output.startswith("train.accumulate = 4\n") and "override 'train.accumulate=4'\n" in output
    assert run("explain", "gan.yml:27", "train.accumulate=4").output.startswith("train\n")


def test_explain_without_a_path_shows_the_file() -> None:
    output = run("explain", "gan.yml").output
    assert output.startswith("gan.yml\n  is  The whole file.\n") and "  runs        runs " in output


def test_explain_knows_what_a_plugin_registers(folder: Path) -> None:
    (folder / "nets.py").write_text(PLUGIN)
    text = SOUND.replace("seed: 0", "plugins: [nets.py]").replace("{type: patch_critic, width: 24}", "{type: mine}")
    Path("gan.yml").write_text(text)
    output = run("explain", "gan.yml", "networks.critic.depth").output
    assert "`depth` of the network mine\n           How deep it is.\n  takes    whole number, default 3\n" in output


def test_explain_refuses_a_line_with_a_path_and_two_paths() -> None:
    with pytest.raises(ConfigError, match=r"expected a line or a path, got both: line 3 and 'train'"):
        run("explain", "gan.yml:3", "train")
    with pytest.raises(ConfigError, match=r"expected one path or key, got 2: train, seed"):
        run("explain", "gan.yml", "train", "seed")
    with pytest.raises(ConfigError, match=r"file does not exist"):
        run("explain", "gam.yml:3")


def test_explain_says_what_a_line_of_an_old_file_became(folder: Path) -> None:
    old = "name: old\nmodel: extensibletrainer\nsteps:\n  a:\n    training: gen\n    lr: !!float 2e-4\n"
    old += "networks:\n  gen: {type: generator, which_model_G: vgg, scale: 2}\n"
    Path("old.yml").write_text(old)
    output = run("explain", "old.yml:6").output
    assert output.startswith("steps.a.optimizer.lr = 0.0002\n")
    assert "converted from lr: !!float 2e-4\n" in output
    with pytest.raises(ConfigError, match="line 2 has no counterpart in artschool's language"):
        run("explain", "old.yml:2")


def test_diff_is_0_when_files_mean_the_same() -> None:
    Path("same.yml").write_text(
        SOUND.replace("2e-3", "0.002").replace("{iterations: 800}", "{iterations: 8e2, accumulate: 1}")
    )
    result = run("diff", "gan.yml", "same.yml")
    assert result.output == (
        "Notation only: no consequence\n"
        "  train.accumulate  written only in the second file\n"
        "gan.yml and same.yml are equivalent.\n"
    )
    assert result.exit_code == 0


def test_diff_is_1_and_tells_the_consequences_when_they_differ() -> None:
    Path("other.yml").write_text(SOUND.replace("weight: 0.005", "weight: 0.01").replace("width: 24, b", "width: 8, b"))
    result = run("diff", "gan.yml", "other.yml")
    assert result.output == (
        "Architecture: checkpoints may be incompatible\n"
        "  networks.gen.width  24 -> 8\n"
        "Training: trained networks, timing and losses\n"
        "  steps.gen.losses.adversarial.weight  0.005 -> 0.01\n"
        "gan.yml and other.yml differ.\n"
    )
    assert result.exit_code == 1


def test_diff_tells_what_overrides_of_the_second_file_do() -> None:
    result = run("diff", "gan.yml", "gan.yml", "networks.critic.width=8", "train.accumulate=2")
    assert result.output == (
        "Architecture: checkpoints may be incompatible\n"
        "  networks.critic.width  24 -> 8\n"
        "Precision and computation\n"
        "  train.accumulate  1 (default) -> 2\n"
        "gan.yml and gan.yml with networks.critic.width=8 train.accumulate=2 differ.\n"
    )
    assert result.exit_code == 1
    assert run("diff", "gan.yml", "gan.yml", "networks.critic.width=24").exit_code == 0
    with pytest.raises(ConfigError, match=r"^override 'networks\.critic\.widht=8': networks\.critic\.widht: unknown"):
        run("diff", "gan.yml", "gan.yml", "networks.critic.widht=8")


def test_diff_keeps_the_plugins_of_two_folders_apart(folder: Path) -> None:
    text = SOUND.replace("seed: 0", "plugins: [nets.py]").replace("{type: patch_critic, width: 24}", "{type: mine}")
    for name, code in (
        ("one", PLUGIN),
        ("copy", PLUGIN),
        ("other", PLUGIN.replace("depth: int = 3", "depth: int = 4")),
    ):
        (folder / name).mkdir()
        (folder / name / "nets.py").write_text(code)
        (folder / name / "gan.yml").write_text(text)
    assert run("diff", "one/gan.yml", "copy/gan.yml").output == "one/gan.yml and copy/gan.yml are equivalent.\n"
    lines = run("diff", "one/gan.yml", "other/gan.yml").output.splitlines()
    assert lines[:3] == [
        "Architecture: checkpoints may be incompatible",
        "  networks.critic.depth  3 (default) -> 4 (default)",
        "Imported code",
    ]
    assert lines[3].startswith("  plugins.nets.py  code ")


def test_diff_refuses_a_file_with_faults_as_check_does() -> None:
    Path("bad.yml").write_text(SOUND.replace("batch_size: 16", "batch_size: x"))
    with pytest.raises(ConfigError, match=r"bad\.yml:4:54: data\.train\.batch_size: expected a whole number"):
        run("diff", "gan.yml", "bad.yml")


@pytest.mark.parametrize(
    ("asked", "hint"),
    [("critic", "Did you mean 'networks.critic' or 'steps.critic'?"), ("lq_nosiy", "Did you mean 'lq_noisy'?")],
)
def test_explain_knows_what_was_meant_by_one_word(asked: str, hint: str) -> None:
    with pytest.raises(ConfigError) as error:
        run("explain", "gan.yml", asked)
    assert error.value.faults[0].hint == hint
