"""A small old file, to which a test changes what it is about."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from artschool.config.structure import Config
from artschool.read.read import check_file

SMALL = """\
name: small
model: extensibletrainer
start_step: -1
datasets:
  train: {mode: imagefolder, batch_size: 2, paths: [images], target_size: 32, scale: 2}
networks:
  gen: {type: generator, which_model_G: RRDBNet, in_nc: 3, out_nc: 3, nf: 8, nb: 1, scale: 2}
steps:
  gen:
    training: gen
    optimizer_params: {lr: 1e-4}
    injectors:
      up: {type: generator, generator: gen, in: lq, out: sr}
    losses:
      pix: {type: pix, weight: 1, criterion: l1, real: hq, fake: sr}
train: {niter: 40, ema_enabled: false, mega_batch_factor: 1, default_lr_scheme: MultiStepLR, gen_lr_steps: [20]}
logger: {print_freq: 1, save_checkpoint_freq: 10}
"""


def small(*changes: tuple[str, str], more: str = "") -> str:
    """The small file with each text replaced by another, and more sections."""
    text = SMALL + more
    for old, new in changes:
        assert old in text
        text = text.replace(old, new)
    return text


def checked(folder: Path, text: str) -> Config:
    """What a file of a folder means."""
    folder.mkdir(exist_ok=True)
    (folder / "old.yml").write_text(text)
    return check_file(folder / "old.yml")


def native(config: Config) -> dict[str, Any]:
    """The file as ours."""
    plain: dict[str, Any] = config.tree.plain()
    return plain


def said(config: Config) -> str:
    """The warnings, with their hints."""
    return "\n".join(map(str, config.warnings))
