"""`artschool push`, with a stand-in of Hugging Face."""

from __future__ import annotations

import sys
from pathlib import Path
from types import ModuleType, SimpleNamespace

import pytest
from click.testing import CliRunner, Result

from artschool.cli.main import cli
from artschool.errors import ConfigError, ResourceError


class Hub:
    """Records what is sent. Knows one public repository."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, object]] = []

    def repo_exists(self, name: str) -> bool:
        return name == "me/known"

    def model_info(self, name: str) -> SimpleNamespace:
        return SimpleNamespace(private=False)

    def create_repo(self, name: str, *, private: bool) -> None:
        self.calls.append((name, private))

    def upload_folder(self, *, repo_id: str, folder_path: str, commit_message: str) -> str:
        if repo_id == "me/full":
            raise OSError("no room")
        self.calls.append((repo_id, folder_path))
        return f"https://huggingface.co/{repo_id}"


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Hub:
    hub, module = Hub(), ModuleType("huggingface_hub")
    module.HfApi = lambda: hub  # type: ignore[attr-defined]  # a stand-in
    monkeypatch.setitem(sys.modules, "huggingface_hub", module)
    return hub


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "network").mkdir()
    (tmp_path / "network/net.py").write_text("pass")
    (tmp_path / "config.json").write_text("{}")
    (tmp_path / "README.md").write_text("---\n# license: apache-2.0\n---")
    return tmp_path


def push(*arguments: str | Path, answer: str = "") -> Result:
    return CliRunner().invoke(cli, ["push", *map(str, arguments)], input=answer)


def test_files_sizes_and_visibility_are_shown_before_anything_is_sent(hub: Hub, folder: Path) -> None:
    result = push(folder, "me/new", answer="n\n")
    assert result.exit_code != 0 and not hub.calls
    assert "2 bytes  config.json" in result.output and "4 bytes  network/net.py" in result.output
    assert "to the new private me/new" in result.output and "names no license" in result.output
    result = push(folder, "me/new", answer="y\n")
    assert result.exit_code == 0 and "https://huggingface.co/me/new" in result.output
    assert hub.calls == [("me/new", True), ("me/new", str(folder))]


def test_yes_does_not_ask_and_public_is_public(hub: Hub, folder: Path) -> None:
    result = push(folder, "me/new", "--yes", "--public")
    assert result.exit_code == 0 and "Upload?" not in result.output and "new public" in result.output
    assert hub.calls[0] == ("me/new", False)


def test_a_public_repository_is_not_taken_for_a_private_one(hub: Hub, folder: Path) -> None:
    result = push(folder, "me/known", "--yes")
    assert isinstance(result.exception, ConfigError) and "exists and is public" in str(result.exception)
    assert not hub.calls
    assert push(folder, "me/known", "--yes", "--public").exit_code == 0
    assert [name for name, _ in hub.calls] == ["me/known"]  # It is not created again.


def test_what_fails_is_named(hub: Hub, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    failed = push(folder, "me/full", "--yes").exception
    assert isinstance(failed, ResourceError) and "cannot push to me/full: no room" in str(failed)
    assert "has no config.json" in str(push(folder / "network", "me/new", "--yes").exception)
    assert "expected a folder" in str(push(folder / "no", "me/new", "--yes").exception)
    monkeypatch.setitem(sys.modules, "huggingface_hub", None)
    assert "artschool[huggingface]" in str(push(folder, "me/new", "--yes").exception)
