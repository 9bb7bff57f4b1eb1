"""What `artschool components` prints."""

from __future__ import annotations

from pathlib import Path

import pytest
from torch import Tensor

from artschool.cli.components import components_command
from artschool.errors import ConfigError
from artschool.registry import REGISTRIES, injectors
from artschool.registry.signature import Injector, Network

pytestmark = pytest.mark.usefixtures("registries")


def printed(capsys: pytest.CaptureFixture[str], kind: str | None = None, name: str | None = None, *plugins: str) -> str:
    components_command(kind, name, plugins)
    return capsys.readouterr().out


def test_kinds_are_listed_with_their_components(capsys: pytest.CaptureFixture[str]) -> None:
    lines = printed(capsys).splitlines()
    kinds = ["injectors", "losses", "networks", "datasets", "metrics", "optimizers", "schedules"]
    kinds += ["callbacks", "loggers"]
    assert [line.split()[0] for line in lines] == kinds
    assert lines[4] == "metrics     " + ", ".join(REGISTRIES["metrics"].names())
    assert lines[-1] == "loggers     aim, apprise, mlflow, trackio, wandb"


def test_the_components_of_a_kind_are_listed_with_what_they_do(capsys: pytest.CaptureFixture[str]) -> None:
    rows = dict(line.split(maxsplit=1) for line in printed(capsys, "losses").splitlines())
    assert list(rows) == REGISTRIES["losses"].names()
    assert rows["l1"] == "Mean absolute difference, computed in float32 or better."


def test_a_component_is_described_by_its_signature(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "losses", "l1") == (
        "l1, loss\n"
        "\n"
        "Mean absolute difference, computed in float32 or better.\n"
        "\n"
        "Args:\n"
        "    fake: Any shape.\n"
        "    real: The same shape.\n"
        "\n"
        "Raises:\n"
        "    ConfigError: The shapes differ.\n"
        "\n"
        "option  default   takes\n"
        "after   0         whole number or text such as `2 epochs`\n"
        "before  null      whole number or text such as `2 epochs` or null\n"
        "every   1         whole number or text such as `2 epochs` or mapping with `of`, `at`\n"
        "weight  required  number or schedule or key\n"
        "while   null      mapping with `value`, `below`, `above`, `until` or null\n"
        "out     null      key or null\n"
        "fake    required  key\n"
        "real    required  key\n"
        "\n"
        "`in:` fills fake, real, in this order.\n"
    )


def test_every_kind_of_parameter_is_in_words(capsys: pytest.CaptureFixture[str]) -> None:
    def odd(
        x: Tensor | None,
        nets: list[Network],
        inner: Injector,
        *,
        table: dict[str, list[int]] | None = None,
        pair: tuple[float, bool] = (0.5, True),
        name: str = "yes",
    ) -> Tensor:
        return Tensor()

    injectors.register(odd)
    lines = printed(capsys, "injectors", "odd").splitlines()
    assert lines[:3] == ["odd, injector", "", "No documentation."]
    assert lines[5:] == [
        "after      0            whole number or text such as `2 epochs`",
        "before     null         whole number or text such as `2 epochs` or null",
        "every      1            whole number or text such as `2 epochs` or mapping with `of`, `at`",
        "out        required     key or list of keys",
        "only       null         'training' or 'evaluation' or null",
        "once       false        true or false",
        "no_grad    false        true or false",
        "precision  null         'fp32' or null",
        "x          required     key or null",
        "nets       required     list of networks",
        "inner      required     mapping with a `type` from the injectors",
        "table      null         mapping to list of whole numbers or null",
        "pair       [0.5, true]  [number, true or false]",
        'name       "yes"        text',
        "",
        "`in:` fills x, in this order.",
    ]


def test_what_a_data_set_yields_and_a_group_holds_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert printed(capsys, "datasets", "photos").endswith("\n\nYields lq, hq, name.\n")
    assert (
        "\nparam_groups    []            list of mappings with `match`, `kinds`, `marked`, `schedule_from`\n"
        in printed(capsys, "optimizers", "adamw")
    )


def test_every_component_can_be_described(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in [line.split()[0] for line in printed(capsys).splitlines()][:-1]:
        for name in [line.split()[0] for line in printed(capsys, kind).splitlines()]:
            text = printed(capsys, kind, name)
            assert text.startswith(f"{name}, ") and "Base class for all" not in text and "Initialize self" not in text


def test_an_unknown_kind_or_name_is_refused_with_what_there_is() -> None:
    with pytest.raises(ConfigError) as kind:
        components_command("lossez", None, ())
    assert str(kind.value) == (
        "unknown kind 'lossez'. Available kinds: callbacks, datasets, injectors, loggers, losses, metrics, networks, "
        "optimizers, schedules. Did you mean 'losses'?"
    )
    with pytest.raises(ConfigError) as name:
        components_command("metrics", "pnsr", ())
    there_are = ", ".join(REGISTRIES["metrics"].names())
    assert str(name.value) == f"unknown metric 'pnsr'. Available metrics: {there_are}. Did you mean 'psnr'?"


def test_a_plugin_adds_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("pulls.py").write_text(
        "from artschool import losses\nfrom torch import Tensor\n\n"
        "@losses.register\ndef pull(x: Tensor) -> Tensor:\n    '''Pull.'''\n    return x.mean()\n"
    )
    lines = printed(capsys, "losses", None, "pulls.py").splitlines()
    assert lines[0] == "plugin pulls.py" and ["pull", "Pull."] in [line.split() for line in lines]
    with pytest.raises(ConfigError) as error:
        components_command("losses", None, ("none.py",))
    assert str(error.value) == f"--plugin: file {tmp_path}/none.py does not exist"
