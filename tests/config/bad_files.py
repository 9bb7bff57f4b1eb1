"""Wrong files as small changes of a sound one, and what is said about each: reads `bad_files.txt`.

A case starts with `== title`. Lines after `- ` are a part of the sound file, which stands there once, and lines after
`+ ` replace it; `$ ` is an override. The rest is what the check says, every fault or warning in full.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

TABLE = Path(__file__).with_suffix(".txt")
SOUND = """\
name: gan
seed: 0
data:
  train: {type: photo_patches, size: 64, batch_size: 16}
  val: {type: photos, split: val}
networks:
  gen: {type: rrdb, scale: 2, width: 24, blocks: 2}
  critic: {type: patch_critic, width: 24}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 2e-3, betas: [0.9, 0.99], weight_decay: 0.0}
    schedule: {type: multi_step, milestones: [400], gamma: 0.5, warmup: 30}
    clip_grad_norm: 1.0
    injectors:
      noisy: {type: add_noise, in: lq, scale: 0.05, out: lq_noisy}
      upscale: {type: forward, network: gen, in: lq_noisy, out: sr}
    losses:
      pixel: {type: l1, in: [sr, hq], weight: 1.0}
      adversarial: {type: generator_gan, kind: hinge, network: critic, fake: sr, weight: 0.005, after: 600}
  critic:
    trains: critic
    after: 600
    optimizer: {type: adamw, lr: 4e-4}
    losses:
      gan: {type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0}
train: {iterations: 800}
ema: {decay: 0.98, networks: [gen]}
evaluate:
  photos:
    data: val
    every: 200
    injectors:
      upscale: {type: forward, network: gen, in: lq, out: sr}
    metrics:
      psnr: {type: psnr, in: [sr, hq]}
log: {every: 20, pictures: {every: 200, keys: [lq, sr, hq]}}
checkpoint: {every: 200, keep_last: 5, keep_best: {metric: photos/psnr, mode: max}}
"""
KNOWN = {
    "injectors": "add_noise alias concatenate denormalize forward grey interpolate normalize pad squeeze",
    "losses": "cross_entropy discriminator_gan distillation generator_gan l1 l2 mean",
    "networks": "patch_critic rrdb",
    "datasets": "image_folder photo_patches photos",
    "metrics": "psnr ssim",
    "optimizers": "adadelta adafactor adagrad adam adamax adamw asgd lamb lars nadam radam rmsprop rprop sgd",
    "schedules": "constant cosine_annealing cosine_annealing_warm_restarts exponential linear multi_step polynomial "
    "step",
    "loggers": "",
}
"""The components that the table knows, so that a new one changes no line of it."""


@dataclass
class Case:
    """A change of the sound file, and what is said about it."""

    title: str
    changes: list[tuple[str, str]] = field(default_factory=list)
    overrides: list[str] = field(default_factory=list)
    says: str = ""

    def text(self) -> str:
        """The changed file."""
        text = SOUND
        for old, new in self.changes:
            assert text.count(old) == 1, f"{self.title}: {old!r} stands {text.count(old)} times in the sound file"
            text = text.replace(old, new)
        return text


def read_cases() -> list[Case]:
    """All cases of the table."""
    cases: list[Case] = []
    blocks = TABLE.read_text().split("\n== ")[1:]
    for block in blocks:
        title, *lines = block.split("\n# ")[0].splitlines()
        case, before = Case(title), ""
        for line in lines:
            mark, rest = line[:2].ljust(2), line[2:]
            if mark == "- ":
                case.changes = case.changes if before == "- " else [*case.changes, ("", "")]
            if mark in ("- ", "+ "):
                old, new = case.changes[-1]
                joint = "\n" if mark == before else ""
                case.changes[-1] = (old + joint + rest, new) if mark == "- " else (old, new + joint + rest)
            elif mark == "$ ":
                case.overrides.append(rest)
            else:
                case.says += line + "\n"
            before = mark
        case.says = case.says.rstrip("\n")
        cases.append(case)
    return cases
