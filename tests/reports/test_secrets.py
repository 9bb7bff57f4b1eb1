"""Values of the environment, and those whose key looks like a secret, are neither in a run folder nor in output."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from artschool.config.secrets import text_without_secrets
from artschool.config.source import read_text
from artschool.wording import hidden
from artschool.wording.hidden import is_secret
from tests.reports.small import artschool

SPY = """
import os
import warnings

import torch
from torch import nn

from artschool import losses, networks
from artschool.registry import datasets, loggers


@datasets.register
class spy_data:
    def __init__(self, root: str) -> None:
        self._root = root
        self.remarks = [f"passed over {root}/x"]

    def __len__(self) -> int:
        return 8

    def __getitem__(self, index: int) -> dict:
        if index == 3:
            raise OSError(f"no file {self._root}/3")
        return {"x": torch.ones(2)}


@networks.register
class spy_net(nn.Module):
    def __init__(self, auth: dict[str, str]) -> None:
        super().__init__()
        self.scale, self._auth = nn.Parameter(torch.ones(2)), auth

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x * self.scale


@losses.register
class spy_loss:
    def __init__(self, *, passphrase: str, fail: bool = False) -> None:
        self._passphrase, self._fail, self._calls = passphrase, fail, 0

    def __call__(self, x: torch.Tensor) -> torch.Tensor:
        self._calls += 1
        if self._fail and self._calls > 3:
            raise KeyError(f"{self._passphrase} from {os.environ['CANARY_HOST']}")
        return x.square().mean()


@loggers.register
class spy_logger:
    def __init__(self, *, url: str, token: str, api_key: str, client_secret: str, db_password: str, file: str) -> None:
        self._all = (url, token, api_key, client_secret, db_password, file)

    def start(self, run) -> None:
        print("connecting", *self._all)
        warnings.warn(f"insecure: {self._all}")

    def advance(self, run) -> None:
        pass

    def log(self, record) -> None:
        raise OSError(f"cannot reach {self._all}")

    def picture(self, key, iteration, values) -> None:
        pass

    def note(self, message) -> None:
        pass

    def close(self) -> None:
        pass
"""
TEXT = """
name: spied
plugins: [spy.py]
data: {train: {type: spy_data, root: '/data/${env:CANARY_ROOT}', batch_size: 2, max_bad: 3}}
networks: {net: {type: spy_net, auth: {hf_token: canary-hf-1f6a, user: me, access_key: "canary-\\x61ccess-22"}}}
steps:
  main:
    trains: net
    optimizer: {type: sgd, lr: 0.1}
    injectors: {f: {type: forward, network: net, in: x, out: y}}
    losses: {spy: {type: spy_loss, in: y, weight: 1.0, passphrase: '${env:CANARY_PHRASE}'}}
train: {iterations: 6, device: cpu}
checkpoint: {every: 2}
log:
  every: 2
  loggers:
    spy:
      type: spy_logger
      url: ${env:CANARY_URL}
      token: canary-token-77aa
      api_key: 'canary-api-key-9d'
      client_secret: |
        canary-client-secret
      db_password: placeholder
      file: ${env:CANARY_FILE}
"""
ENVIRONMENT = {
    "CANARY_ROOT": "canary-root-5d1e",
    "CANARY_PHRASE": "canary-phrase-b2",
    "CANARY_URL": "https://canary-url.example",
    "CANARY_FILE": "canary-file-77",
    "CANARY_HOST": "canary-host-3e",
    "CANARY_TYPE": "canary-type-c4",
    "CANARY_PATH": "canary-path-e9",
}
PASSWORD = "log.loggers.spy.db_password=canary-password-0c"


def in_new_process(folder: Path, *arguments: str) -> tuple[int, str]:
    environment = {**os.environ, **ENVIRONMENT, "PYTHONPATH": ":".join(sys.path)}
    command = [sys.executable, "-m", "artschool", *arguments]
    done = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return done.returncode, done.stdout + done.stderr


@pytest.fixture(autouse=True)
def here(folder: Path, monkeypatch: pytest.MonkeyPatch, registries: None) -> None:
    monkeypatch.chdir(folder)
    monkeypatch.setattr(hidden, "_hidden", {})
    for name, value in ENVIRONMENT.items():
        monkeypatch.setenv(name, value)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder: Path = tmp_path_factory.mktemp("spied")
    (folder / "spy.py").write_text(SPY)
    (folder / "run.yml").write_text(TEXT)
    return folder


def canaries_in(folder: Path) -> list[str]:
    files = [path for path in (folder / "runs").rglob("*") if path.is_file()]
    assert {"config.yml", "resolved.yml", "state.json", "metrics.jsonl"} <= {path.name for path in files}
    return [str(path) for path in files if b"canary" in path.read_bytes().lower().replace(b"canary_", b"")]


def test_neither_a_run_nor_a_crash_shows_a_canary(folder: Path) -> None:
    code, crash = in_new_process(folder, "train", "run.yml", PASSWORD, "--no-trace", "steps.main.losses.spy.fail=true")
    assert code == 1
    assert "Traceback" in crash and "${env:CANARY_PHRASE} from " in crash
    said = crash.replace("canary-host-3e", "")  # The plugin itself has read it.
    assert "canary" not in said.lower().replace("canary_", "")
    assert "connecting ${env:CANARY_URL} *** *** *** *** ${env:CANARY_FILE}" in crash.replace("***\n", "***")
    assert "no file /data/${env:CANARY_ROOT}/3" in crash
    code, out = artschool("train", "run.yml", PASSWORD, "--no-trace")
    assert code == 0 and "resuming after iteration" in out, out
    assert "canary" not in out.lower().replace("canary_", "")
    assert canaries_in(folder) == []


def test_the_files_of_a_run_say_what_they_lack(folder: Path) -> None:
    resolved = (folder / "runs" / "spied" / "resolved.yml").read_text()
    config = (folder / "runs" / "spied" / "config.yml").read_text()
    for text in (resolved, config):
        spy = read_text(text, "").at(["log", "loggers", "spy"]).plain()
        assert spy["token"] == spy["api_key"] == spy["client_secret"] == spy["db_password"] == "***"
        assert spy["url"] == "${env:CANARY_URL}"
    code, out = artschool("check", "runs/spied/resolved.yml")
    assert code == 2
    assert (
        "log.loggers.spy.token: the secret has been left out of this file\n"
        "    Fix: write `token: ${env:NAME}`, and set the variable NAME." in out
    )


@pytest.mark.parametrize(
    ("override", "text"),
    [
        ("networks.net.type=${env:CANARY_TYPE}", "networks.net.type: unknown network '${env:CANARY_TYPE}'"),
        ("networks.net.weights=${env:CANARY_PATH}/x.pt", "${env:CANARY_PATH}"),
        ("base=${env:CANARY_PATH}", "cannot be overridden"),
        ("plugins=[spy.py, '${env:CANARY_PATH}.py']", "${env:CANARY_PATH}"),
        ("networks.${env:CANARY_PATH}={type: spy_net}", "${env:CANARY_PATH}"),
        ("train.iterations=${env:CANARY_PATH}", "expected a whole number"),
        ("log.loggers.spy.token=[canary-token-77aa]", "override 'log.loggers.spy.token=***'"),
    ],
)
def test_an_error_shows_no_canary(override: str, text: str) -> None:
    code, out = artschool("train", "run.yml", PASSWORD, "--no-trace", override)
    assert code in (2, 6), out
    assert text in out
    assert "canary" not in out.lower().replace("canary_", "")


def test_what_looks_like_a_secret() -> None:
    for key in ("api_key", "apikey", "API-KEY", "password", "db_password", "secret", "client_secret", "hf_token"):
        assert is_secret(key, "x"), key
    assert is_secret("token", "abcdefgh")
    for key, value in (("token", "label"), ("pad_token", "abcdefgh"), ("tokens", "abcdefgh"), ("password", 3)):
        assert not is_secret(key, value), key


def test_secrets_are_cut_out_of_a_text_wherever_they_are() -> None:
    text = "\ufeffa: {api_key: 'x''y', b: [{secret: \"\\u00e4\"}]}\npassword: |\n  p\n  q\nä: ü\nname: p # p\n"
    assert text_without_secrets(text) == (
        "a: {api_key: '***', b: [{secret: '***'}]}\npassword: '***'\nä: ü\nname: p # p\n"
    )


def test_drawings_show_no_canary(folder: Path) -> None:
    for name, option in (("plan", "--svg"), ("graph", "-o")):
        code, out = artschool(name, "run.yml", PASSWORD, "name=${env:CANARY_HOST}", option, f"{name}.svg")
        assert code == 0, out
        assert "canary-host" not in (folder / f"{name}.svg").read_text()
    code, out = artschool("train", "run.yml", PASSWORD, "name=${env:CANARY_HOST}", "--no-trace", "--run-dir", "other")
    assert code == 0, out
    assert [
        str(path) for path in (folder / "other").rglob("*") if path.is_file() and b"canary-host" in path.read_bytes()
    ] == []
