"""`plugins: [dlas:codes]`: networks, data sets and injectors of the user's own checkout of DL-Art-School."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

import artschool
from artschool.config.plugins import forget_files, load_plugin
from artschool.config.standalone import standalone_text
from artschool.config.write import dump
from artschool.errors import ConfigError
from artschool.faults import Place
from artschool.read.read import check_file, convert_file, read_config
from artschool.registry import REGISTRIES
from tests.legacy.checkout import OLD, write_checkout


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> Iterator[Path]:
    write_checkout(tmp_path)
    monkeypatch.chdir(tmp_path)
    forget_files()
    yield tmp_path
    forget_files()


def losses(run: Path) -> list[float]:
    lines = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [line["gen/pix"] for line in lines if "gen/pix" in line]


def announced(text: str = OLD, **options: Any) -> list[str]:
    lines: list[str] = []
    Path("old.yml").write_text(text)
    check_file(Path("old.yml"), announce=lines.append, **options)
    return [line for line in lines if "plugin" in line]


def fault(text: str, **options: Any) -> str:
    with pytest.raises(ConfigError) as error:
        announced(text, **options)
    return str(error.value)


NAMED = (
    "network 'wide_net' of models/audio/wide.py",
    "injector 'blend_clips' of trainer/injectors/own_injectors.py",
    "injector 'call_twice' of trainer/injectors/own_injectors.py",
    "data set 'noise_clips' of data/__init__.py",
)


def test_a_file_trains_and_resumes_with_the_code_of_a_checkout(folder: Path) -> None:
    artschool.load("old.yml").train()
    artschool.load("old.yml", ["train.iterations=3"]).train()
    artschool.load("old.yml", ["train.iterations=3"], run_dir="straight").train()
    assert losses(folder / "runs/mine") == losses(folder / "straight") and len(losses(folder / "straight")) == 3


def test_the_first_loss_is_that_of_the_code_called_by_hand(folder: Path) -> None:
    run = artschool.load("old.yml", ["data.train.shuffle=false"])
    network = run.networks["gen"]
    clips = torch.stack([torch.randn(8, generator=torch.Generator().manual_seed(index)) for index in range(4)])
    with torch.no_grad():
        fake = network(network(0.25 * clips + 0.75 * clips.flip(1)))
    expected = torch.nn.functional.l1_loss(fake, clips.flip(1) - clips)
    run.train()
    assert losses(folder / "runs/mine")[0] == pytest.approx(float(expected), rel=1e-5)


def test_the_converted_file_trains_the_same(folder: Path) -> None:
    (folder / "new.yml").write_text(dump(convert_file(Path("old.yml"))[0].plain()))
    artschool.load("old.yml", run_dir="old").train()
    forget_files()
    artschool.load("new.yml", run_dir="new").train()
    assert losses(folder / "new") == losses(folder / "old") != []
    steps: Any = convert_file(Path("old.yml"))[0].plain()["steps"]
    assert steps["gen"]["injectors"]["blend"]["in"] == ["clip", "target"]
    assert steps["gen"]["injectors"]["blend"]["out"] == ["blended", "wanted"]
    assert steps["gen"]["injectors"]["call"]["networks"] == ["gen"]


def test_only_what_the_file_names_is_imported_and_announced(folder: Path) -> None:
    assert announced() == ["plugin dlas:codes", *(f"plugin dlas:codes: {part}" for part in NAMED)]
    assert "models.audio.wide" in sys.modules and "models.side_effect" not in sys.modules


def test_a_folder_of_the_same_modules_before_the_checkout_on_the_path_does_not_hide_it(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "mine/models/audio").mkdir(parents=True)
    (folder / "mine/models/audio/wide.py").write_text("raise RuntimeError('of somebody else')")
    monkeypatch.setattr(sys, "path", [str(folder / "mine"), *sys.path, str(folder / "codes")])
    assert announced() == ["plugin dlas:codes", *(f"plugin dlas:codes: {part}" for part in NAMED)]
    assert sys.path.count(str(folder / "codes")) == 1


def test_without_plugins_only_its_parts_are_listed(folder: Path) -> None:
    lines: list[str] = []
    with pytest.raises(ConfigError, match="injector 'blend_clips' is not converted"):
        check_file(Path("old.yml"), announce=lines.append, with_plugins=False)
    assert lines[1:] == [f"plugin dlas:codes would load {part}" for part in NAMED]
    assert "models.audio.wide" not in sys.modules and str(folder / "codes") not in sys.path


def test_the_code_finds_its_options_and_no_8_bit_layers(folder: Path) -> None:
    announced(OLD.replace("name: mine", "name: mine\nfactor_of_code: 3"))
    assert sys.modules["utils.util"].factor() == 3
    assert sys.modules["utils.util"].loaded_options["not_there"] is None
    assert sys.modules["maybe_bnb"].nn.bits == (False, False, False, None)


def test_a_module_that_cannot_be_imported_is_passed_over_and_named(folder: Path) -> None:
    lines: list[str] = []
    (folder / "old.yml").write_text(OLD.replace("wide_net", "broken_net").replace("noise_clips", "lost_clips"))
    with pytest.raises(ConfigError) as error:
        check_file(folder / "old.yml", announce=lines.append)
    assert (
        "warning: plugin dlas:codes: network 'broken_net' of models/broken.py is not available: "
        "ModuleNotFoundError: No module named 'a_library_that_nobody_has'" in lines
    )
    assert any("'lost_clips' of data/__init__.py is not available: ModuleNotFound" in line for line in lines)
    assert "unknown network 'broken_net'" in str(error.value) and "blend_clips" not in str(error.value)


def test_a_network_of_the_checkout_precedes_the_table_and_a_known_injector_does_not(folder: Path) -> None:
    text = OLD.replace("wide_net, kwargs: {width: 6}", "RRDBNet, nf: 5, nb: 1").replace("call_twice", "generator")
    (folder / "codes/trainer/injectors/base.py").write_text("raise SystemError\nclass GeneratorInjector(Injector):\n")
    (folder / "old.yml").write_text(text)
    network = artschool.load("old.yml").networks["gen"]
    assert type(network).__name__ == "Wide" and sum(p.numel() for p in network.parameters()) == 9 * 5 + 6 * 8


def test_a_missing_path_and_a_folder_that_is_no_checkout(folder: Path) -> None:
    assert f"old.yml:4:11: plugins.0: plugin 'dlas:nothing': folder {folder / 'nothing'} does not exist" in fault(
        OLD.replace("dlas:codes", "dlas:nothing")
    )
    (folder / "empty").mkdir()
    expected = "empty is not a checkout of DL-Art-School: it does not contain models/ and trainer/"
    assert expected in fault(OLD.replace("dlas:codes", "dlas:empty"))
    assert announced(OLD.replace("dlas:codes", f"dlas:{folder}"))[0] == f"plugin dlas:{folder}"  # Above `codes`.


def test_a_name_that_is_defined_twice_is_a_fault_only_if_the_file_names_it(folder: Path) -> None:
    (folder / "codes/models/copy.py").write_text("@register_model\ndef register_RRDBNet(opt_net, opt):\n    pass\n")
    assert announced()
    forget_files()
    (folder / "codes/models/copy.py").write_text("@register_model\ndef register_wide_net(opt_net, opt):\n    pass\n")
    assert "network 'wide_net' is defined twice: in models/audio/wide.py and models/copy.py" in fault(OLD)


def test_an_own_module_of_the_same_name_is_a_fault(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "mine/utils").mkdir(parents=True)
    (folder / "mine/utils/__init__.py").touch()
    monkeypatch.syspath_prepend(folder / "mine")
    __import__("utils")
    try:
        assert f"module 'utils' is already imported from {folder / 'mine'}, but the checkout imports its own" in fault(
            OLD
        )
    finally:
        del sys.modules["utils"]


def test_another_checkout_takes_the_place_of_the_first(folder: Path) -> None:
    announced()
    write_checkout(folder / "second")
    forget_files()
    announced(OLD.replace("dlas:codes", "dlas:second/codes"))
    assert sys.modules["models.audio.wide"].__file__ == str(folder / "second/codes/models/audio/wide.py")
    assert str(folder / "codes") not in sys.path


def test_a_key_that_no_option_names_is_an_error_at_the_call(folder: Path) -> None:
    (folder / "old.yml").write_text(
        OLD.replace(
            "call: {type: call_twice, in: blended, out: fake",
            "odd: {type: sneaky, in: blended, out: odd}\n      call: {type: call_twice, in: odd, out: fake",
        )
    )
    with pytest.raises(ConfigError, match="the injector reads 'clip', which none of its options names"):
        artschool.load("old.yml").train()


def test_a_data_set_with_a_collate_function_is_refused(folder: Path) -> None:
    (folder / "old.yml").write_text(OLD.replace("noise_clips", "joined_clips"))
    with pytest.raises(ConfigError, match="'joined_clips' joins samples by a function of its own"):
        artschool.load("old.yml")


def test_a_class_that_is_no_injector_is_not_available(folder: Path) -> None:
    lines: list[str] = []
    (folder / "old.yml").write_text(OLD.replace("call_twice", "plain_thing"))
    with pytest.raises(ConfigError, match="injector 'plain_thing' is not converted"):
        check_file(folder / "old.yml", announce=lines.append)
    assert any("'plain_thing'" in line and "is not a subclass of Injector" in line for line in lines)


def test_the_path_follows_the_file_that_names_it(folder: Path) -> None:
    below = folder / "configs"
    below.mkdir()
    (below / "old.yml").write_text(OLD.replace("dlas:codes", "dlas:../codes"))
    tree, _ = read_config(below / "old.yml")
    assert "- dlas:../codes" in standalone_text(tree) or "dlas:../codes]" in standalone_text(tree)


def test_all_of_a_checkout_can_be_listed(folder: Path) -> None:
    load_plugin("dlas:codes", Place("--plugin"), "")
    assert {"wide_net", "RRDBNet"} <= {*REGISTRIES["networks"].names()}
    assert "noise_clips" in REGISTRIES["datasets"] and "broken_net" not in REGISTRIES["networks"]
