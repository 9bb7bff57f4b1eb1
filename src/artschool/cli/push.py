"""`artschool push`."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import click

from artschool.errors import ConfigError, ResourceError
from artschool.extras import extra
from artschool.paths import is_dir, is_file

UNFINISHED = "# license:"
"""The line of a model card whose license is not filled in yet."""


def push_command(folder: Path, repository: str, *, public: bool, confirmed: bool) -> None:
    """Upload an exported folder to Hugging Face, once the user has seen what that is."""
    files = _files(folder)
    api = _api()
    try:
        is_private = _is_private(api, repository)
    except Exception as error:  # The network, a token or the name can be wrong, each with an error of its own.
        raise ResourceError(f"cannot read {repository}: {error}") from error
    if is_private is False and not public:
        raise ConfigError(f"{repository}: exists and is public. Fix: add --public, or choose another repository")
    visibility = "public" if (public if is_private is None else not is_private) else "private"
    state = "new" if is_private is None else "existing"
    for file in files:
        click.echo(f"{file.stat().st_size:>14,} bytes  {file.relative_to(folder)}")
    click.echo(f"{sum(file.stat().st_size for file in files):>14,} bytes  to the {state} {visibility} {repository}")
    card = folder / "README.md"
    if is_file(card) and UNFINISHED in card.read_text(encoding="utf-8"):
        click.echo("warning: README.md names no license", err=True)
    if not confirmed:
        click.confirm("Upload?", abort=True)
    try:
        if is_private is None:
            api.create_repo(repository, private=not public)
        address = api.upload_folder(repo_id=repository, folder_path=str(folder), commit_message=f"Upload {folder.name}")
    except Exception as error:  # As above.
        raise ResourceError(f"cannot push to {repository}: {error}") from error
    click.echo(str(address))


def _files(folder: Path) -> list[Path]:
    if not is_dir(folder):
        raise ConfigError(f"{folder}: expected a folder that `artschool export` has written")
    files = sorted(path for path in folder.rglob("*") if is_file(path))
    if not any(file.name in ("config.json", "adapter_config.json", "model_index.json") for file in files):
        raise ConfigError(f"{folder}: has no config.json (expected a folder that `artschool export` has written)")
    return files


def _is_private(api: Any, repository: str) -> bool | None:
    """Whether a repository is private. None: it does not exist."""
    return bool(api.model_info(repository).private) if api.repo_exists(repository) else None


def _api() -> Any:
    with extra("huggingface"):
        return importlib.import_module("huggingface_hub").HfApi()
