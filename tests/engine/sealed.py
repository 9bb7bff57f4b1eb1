"""Changes checkpoints and seals them again: their manifests then say that nothing is damaged."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

from artschool.engine.run import Run
from artschool.storage.checkpoint_files import MANIFEST, STATE, FileRecord, Manifest, encode_manifest, verify
from tests.engine import toy_run

RICH = (
    "train.iterations=5",
    "steps.gen.schedule={type: reduce_on_plateau, metric: gen/pixel, factor: 0.5}",
    "steps.critic.after=1",
    "steps.critic.every=1",
    "train.stop={metric: held_out/psnr, mode: max, patience: 9}",
    "evaluate.held_out.every=2",
    "log.every=2",
    "checkpoint={every: 3, keep_last: 3, keep_best: {metric: held_out/psnr, mode: max}}",
    "networks.critic={type: run_critic, saved: trained, frozen: ['1.*']}",
)
"""Overrides of the toy with which no part of a state is empty that takes no time to fill."""


def rich_run(folder: Path) -> Run:
    """A run whose checkpoint after 3 iterations has something of everything, in `folder`/run."""
    toy_run.load(folder, *RICH).train()
    return toy_run.load(folder, *RICH)


def seal(folder: Path, **changes: Any) -> Manifest:
    """Give the checkpoint in a folder a manifest of the files that it has now.

    Args:
        changes: Other values of the manifest.
    """
    old = json.loads((folder / MANIFEST).read_bytes())
    del old["sha256"]
    files = {
        path.name: FileRecord(path.stat().st_size, hashlib.sha256(path.read_bytes()).hexdigest())
        for path in sorted(folder.iterdir())
        if path.name != MANIFEST
    }
    manifest = replace(Manifest(**{**old, "files": files}), **changes)
    (folder / MANIFEST).write_bytes(encode_manifest(manifest))
    return manifest


def with_state(folder: Path, change: Callable[[dict[str, Any]], None]) -> None:
    """Change the state of the checkpoint in a folder, and seal it."""
    state = json.loads((folder / STATE).read_bytes())
    change(state)
    (folder / STATE).write_text(json.dumps(state))
    seal(folder)
    verify(folder)
