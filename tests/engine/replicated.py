"""Small GAN, VQ and diffusion recipes whose random numbers come from the data, for `test_replicated.py`.

Each trains with one process and with several.
"""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import TypedDict

import torch
from torch import Tensor

import artschool
from artschool import Context, ranks
from artschool.components.builtins import load_builtins
from artschool.components.diffusion.flow import flow_path
from artschool.registry import datasets, injectors, losses
from tests.engine import toy_run
from tests.engine.forked import in_processes

NUMBERS = (1, 2, 3)
OPTIONS: tuple[str, ...] = ()
"""Overrides of every case."""
SPOILED = 3
"""Sample whose loss overflows at iteration 2, so that only one process meets it."""
START = """
name: replicated
data: {train: {type: replicated_samples, batch_size: 8, shuffle: false}}
train: {iterations: 10, device: cpu, accumulate: 2, non_finite: skip}
checkpoint: {every: 100}
log: {every: 1}
"""
ADAMW = "{type: adamw, lr: 1e-3, eps: 1e-4}"
RECIPES = {
    "gan": f"""
networks: {{gen: {{type: toy_plain_generator, after: 1}}, critic: {{type: run_critic}}}}
steps:
  gen:
    trains: gen
    optimizer: {ADAMW}
    clip_grad_norm: 0.1
    injectors: {{up: {{type: forward, network: gen, in: low, out: fake}}}}
    losses:
      pixel: {{type: l1, in: [fake, image], weight: 1.0}}
      adversarial: {{type: generator_gan, kind: hinge, network: critic, fake: fake, weight: 0.1, after: 4}}
      spoil: {{type: replicated_spoil, in: [fake, number], weight: 1.0}}
  critic:
    trains: critic
    after: 2
    every: 2
    optimizer: {{type: sgd, lr: 1e-2, momentum: 0.9}}
    losses: {{gan: {{type: discriminator_gan, kind: hinge, network: critic, fake: fake, real: image, weight: 1.0}}}}
ema: {{decay: 0.9, networks: [gen]}}
""",
    "vq": f"""
networks:
  vq: {{type: vq_vae, in_channels: 3, width: 8, halvings: 1, blocks: 1, num_codes: 16, code_dim: 4, restart_below: 0.0}}
steps:
  vq:
    trains: vq
    optimizer: {ADAMW}
    clip_grad_norm: 1.0
    injectors: {{vq: {{type: forward, network: vq, in: image, out: [restored, commitment, _]}}}}
    losses:
      pixel: {{type: l2, in: [restored, image], weight: 10.0}}
      commitment: {{type: mean, in: commitment, weight: 0.25}}
      spoil: {{type: replicated_spoil, in: [restored, number], weight: 1.0}}
ema: {{decay: 0.9, networks: [vq]}}
""",
    "diffusion": f"""
networks: {{unet: {{type: unet, in_channels: 3, width: 8, multipliers: [1, 2], blocks: 1, attention: [2]}}}}
steps:
  unet:
    trains: unet
    optimizer: {ADAMW}
    clip_grad_norm: 1.0
    injectors:
      path: {{type: replicated_path, in: [noise, image, t], out: [noised, velocity]}}
      predict: {{type: forward, network: unet, in: [noised, t], out: predicted}}
    losses:
      velocity: {{type: l2, in: [predicted, velocity], weight: 1.0}}
      spoil: {{type: replicated_spoil, in: [predicted, number], weight: 1.0}}
ema: {{decay: 0.9, networks: [unet]}}
""",
}
HALF = (
    "train.precision=fp16",
    # With the weights of the file, one process and several skip different updates at the first loss scales.
    *(f"steps.{loss}.weight=0.01" for loss in ("gen.losses.pixel", "gen.losses.adversarial", "critic.losses.gan")),
)
CASES: dict[str, tuple[str, tuple[str, ...]]] = {
    **{name: (name, ()) for name in RECIPES},
    "gan fp16": ("gan", HALF),
}


class Sample(TypedDict):
    """A sample with the random numbers that a diffusion needs."""

    image: Tensor
    low: Tensor
    noise: Tensor
    t: Tensor
    number: Tensor


@datasets.register("replicated_samples")
class Samples:
    """Random images and noise by index."""

    def __len__(self) -> int:
        return 24

    def __getitem__(self, index: int) -> Sample:
        generator = torch.Generator().manual_seed(index)
        image = torch.rand(3, 8, 8, generator=generator)
        return {
            "image": image,
            "low": torch.nn.functional.avg_pool2d(image, 2),
            "noise": torch.randn(3, 8, 8, generator=generator),
            "t": torch.rand((), generator=generator),
            "number": torch.tensor(float(index)),
        }


@injectors.register("replicated_path")
def path(noise: Tensor, image: Tensor, t: Tensor) -> tuple[Tensor, Tensor]:
    """The point at time t between noise and image, and the velocity."""
    return flow_path(noise, image, t)


@losses.register("replicated_spoil")
def spoil(x: Tensor, number: Tensor, *, context: Context) -> Tensor:
    """0, with gradients that are infinite for one sample at iteration 2."""
    factors = torch.where((number % 8 == SPOILED) & (context.iteration == 2), float("inf"), 0.0)
    return (x.flatten(1).sum(1) * factors).mean()


def train(folder: Path, number: int, rank: int) -> None:
    """Train every case with a number of processes; rank 0 keeps what the tests compare."""
    for name, (recipe, options) in CASES.items():
        own = folder / f"{name}_{number}_{rank}"
        own.mkdir()
        plugins = f"plugins=[{Path(__file__)}, {Path(toy_run.__file__)}]"
        file = toy_run.write(own, plugins, *options, *OPTIONS, text=START + RECIPES[recipe])
        run = artschool.load(file, run_dir=folder / f"{name}_{number}")
        recorder = toy_run.recorded(run)
        run.train()
        weights = {
            name: {key: ranks.whole(value).cpu() for key, value in module.state_dict().items()}
            for name, module in run.stateful.items()
        }
        if rank == 0:
            updates = {step.graph.name: step.update for step in run.steps if step.update is not None}
            found = {
                "weights": weights,
                "skips": {name: tuple(update.skips()) for name, update in updates.items()},
                "scales": {name: update.precision.scale for name, update in updates.items()},
                "updates": recorder.updates[-1],
                "records": [{k: v for k, v in record.items() if k != "seconds"} for record in recorder.records],
            }
            torch.save(found, folder / f"{name}_{number}.pt")
        ranks.wait()
    ranks.stop()


def main(folder: Path) -> None:
    """Train with each number of processes."""
    load_builtins()  # Once, before the processes are forked.
    for number in NUMBERS:
        in_processes(number, partial(train, folder, number))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
