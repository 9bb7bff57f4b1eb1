"""Files that no rule objects to, and how a change of one is judged."""

from __future__ import annotations

from pathlib import Path

from artschool.lint import Finding, Subject, lint
from artschool.read.read import check_file

GAN = """\
name: gan
data:
  train: {type: photo_patches, size: 64, batch_size: 16}
  val: {type: photos, split: val}
networks:
  gen: {type: rrdb, scale: 2, width: 24, blocks: 2}
  critic: {type: patch_critic, width: 24}
steps:
  gen:
    trains: gen
    optimizer: {type: adamw, lr: 2e-3, weight_decay: 0.0}
    schedule: {type: multi_step, milestones: [400], warmup: 30}
    clip_grad_norm: 1.0
    injectors:
      upscale: {type: forward, network: gen, in: lq, out: sr}
    losses:
      pixel: {type: l1, in: [sr, hq], weight: 1.0}
      adversarial: {type: generator_gan, kind: wgan, network: critic, fake: sr, weight: 0.005, after: 600}
  critic:
    trains: critic
    after: 500
    optimizer: {type: adam, lr: 4e-4, betas: [0.0, 0.9]}
    losses:
      gan: {type: discriminator_gan, kind: wgan, network: critic, fake: sr, real: hq, weight: 1.0}
      penalty: {type: gradient_penalty, kind: r1, network: critic, real: hq, weight: 10.0, every: 4}
train: {iterations: 800, accumulate: 2, precision: bf16}
ema: {decay: 0.98, networks: [gen]}
evaluate:
  photos:
    data: val
    every: 200
    injectors:
      upscale: {type: forward, network: gen, in: lq, out: sr}
    metrics:
      psnr: {type: psnr, in: [sr, hq]}
log: {every: 10, pictures: {every: 100, keys: [hq]}}
checkpoint: {every: 200, keep_best: {metric: photos/psnr, mode: max}}
"""
DIGITS = """\
name: digits
plugins: [parts.py]
data:
  train: {type: sklearn_digits, batch_size: 8}
  val: {type: sklearn_digits, split: val, batch_size: 99}
networks:
  unet: {type: unet, in_channels: 1, out_channels: 2, width: 8, num_classes: 10}
  reader: {type: mlp, in_features: 64, hidden: [32], out_features: 10, norm: batch}
steps:
  unet:
    trains: unet
    optimizer: {type: adamw, lr: 1e-3}
    schedule: {type: cosine_annealing, period: 900}
    injectors:
      diffusion:
        type: gaussian_diffusion
        network: unet
        in: image
        conditions: {label: label}
        prediction: v
        variance: learned_range
        nothing: {label: 10}
        drop_probability: 0.1
        out: [error, bound, _, _]
    losses:
      error: {type: mean, in: error, weight: 1.0}
      bound: {type: mean, in: bound, weight: 0.01}
  reader:
    trains: reader
    optimizer: {type: adamw, lr: 1e-3}
    injectors:
      read: {type: forward, network: reader, in: image, out: logits}
      share: {type: sigmoid, in: logits, out: shares}
    losses:
      class: {type: cross_entropy, in: [logits, label], weight: 1.0}
      entropy: {type: mean, in: shares, weight: 0.1}
train: {iterations: 1000}
ema: {decay: 0.99, networks: [unet]}
evaluate:
  drawn:
    data: val
    injectors:
      draw: {type: diffusion_sample, network: unet, in: image, conditions: {label: label}, prediction: v,
        variance: learned_range, nothing: {label: 10}, guidance: 1.5, steps: 10, out: drawn}
      read: {type: forward, network: reader, in: drawn, out: read}
    metrics:
      accuracy: {type: accuracy, in: [read, label]}
"""
PARTS = """\
from torch import Tensor
from artschool import injectors, losses
from artschool.registry import ComponentRole

@injectors.register(roles=ComponentRole.SQUASHING)
def sigmoid(x: Tensor) -> Tensor:
    \"\"\"Sigmoid.\"\"\"
    return x.sigmoid()

@losses.register
def spread(x: Tensor) -> Tensor:
    \"\"\"Largest value.\"\"\"
    return x.amax()
"""


def changed(text: str, *changes: tuple[str, str]) -> str:
    """The text with each first part, which stands there once, replaced by its second."""
    for old, new in changes:
        assert text.count(old) == 1, f"{old!r} stands there {text.count(old)} times"
        text = text.replace(old, new)
    return text


def judged(text: str, *overrides: str) -> list[Finding]:
    """What is found in a file `file.yml` of the working folder."""
    Path("parts.py").write_text(PARTS)
    Path("file.yml").write_text(text)
    return lint(Subject(check_file(Path("file.yml"), overrides)))
