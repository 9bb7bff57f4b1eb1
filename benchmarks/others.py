"""The toy GAN of `overhead.py` in other trainers, as their documentation has it.

    pip install -c constraints.txt lightning accelerate pytorch-ignite mmengine

Each function trains for a number of iterations and calls `advance(iteration)` after each. Lightning and MMEngine log
the losses; none has an EMA or the critic's means here, so that they do less than the loop they are compared with.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Callable
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.utils.data import DataLoader

Advance = Callable[[int], None]


def generator_loss(critic: nn.Module, sr: Tensor, hq: Tensor) -> Tensor:
    """Pixels and hinge."""
    return F.l1_loss(sr, hq) - 0.1 * critic(sr).mean()


def critic_loss(critic: nn.Module, sr: Tensor, hq: Tensor) -> Tensor:
    """Hinge."""
    return F.relu(1 - critic(hq)).mean() + F.relu(1 + critic(sr.detach())).mean()


def adamw(network: nn.Module) -> torch.optim.Optimizer:
    """What the loop takes."""
    return torch.optim.AdamW(network.parameters(), lr=1e-3, fused=True)


def endless(data: Any) -> Any:
    """Batches without an end."""
    loader = DataLoader(data, 8, shuffle=True, drop_last=True)
    while True:
        yield from loader


def accelerate(gen: nn.Module, critic: nn.Module, data: Any, iterations: int, advance: Advance) -> None:
    """Hugging Face Accelerate."""
    from accelerate import Accelerator

    accelerator = Accelerator(cpu=True)
    gen, critic, gen_optimizer, critic_optimizer = accelerator.prepare(gen, critic, adamw(gen), adamw(critic))
    loader = accelerator.prepare(DataLoader(data, 8, shuffle=True, drop_last=True))
    iteration = 0
    while True:
        for batch in loader:
            critic.requires_grad_(False)
            sr = gen(batch["lq"])
            accelerator.backward(generator_loss(critic, sr, batch["hq"]))
            gen_optimizer.step()
            gen_optimizer.zero_grad()
            critic.requires_grad_(True)
            accelerator.backward(critic_loss(critic, sr, batch["hq"]))
            critic_optimizer.step()
            critic_optimizer.zero_grad()
            iteration += 1
            advance(iteration)
            if iteration == iterations:
                return


def ignite(gen: nn.Module, critic: nn.Module, data: Any, iterations: int, advance: Advance) -> None:
    """PyTorch-Ignite."""
    from ignite.engine import Engine, Events

    gen_optimizer, critic_optimizer = adamw(gen), adamw(critic)

    def update(engine: Any, batch: Any) -> None:
        critic.requires_grad_(False)
        sr = gen(batch["lq"])
        generator_loss(critic, sr, batch["hq"]).backward()
        gen_optimizer.step()
        gen_optimizer.zero_grad()
        critic.requires_grad_(True)
        critic_loss(critic, sr, batch["hq"]).backward()
        critic_optimizer.step()
        critic_optimizer.zero_grad()

    engine = Engine(update)
    engine.add_event_handler(Events.ITERATION_COMPLETED, lambda e: advance(e.state.iteration))
    engine.run(endless(data), max_epochs=1, epoch_length=iterations)


def lightning(gen: nn.Module, critic: nn.Module, data: Any, iterations: int, advance: Advance) -> None:
    """Lightning with manual optimisation, as its GAN example."""
    import lightning.pytorch as pl

    class Gan(pl.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.automatic_optimization = False
            self.gen, self.critic, self.iteration = gen, critic, 0

        def configure_optimizers(self) -> Any:
            return [adamw(self.gen), adamw(self.critic)]

        def training_step(self, batch: Any, index: int) -> None:
            gen_optimizer, critic_optimizer = self.optimizers()
            self.toggle_optimizer(gen_optimizer)
            sr = self.gen(batch["lq"])
            loss = generator_loss(self.critic, sr, batch["hq"])
            self.log("gen", loss)
            self.manual_backward(loss)
            gen_optimizer.step()
            gen_optimizer.zero_grad()
            self.untoggle_optimizer(gen_optimizer)
            self.toggle_optimizer(critic_optimizer)
            loss = critic_loss(self.critic, sr, batch["hq"])
            self.log("critic", loss)
            self.manual_backward(loss)
            critic_optimizer.step()
            critic_optimizer.zero_grad()
            self.untoggle_optimizer(critic_optimizer)
            self.iteration += 1
            advance(self.iteration)

    logging.getLogger("lightning.pytorch").setLevel(logging.ERROR)
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = pl.Trainer(
            accelerator="cpu", max_steps=2 * iterations, logger=pl.loggers.CSVLogger(folder), log_every_n_steps=10,
            enable_checkpointing=False, enable_progress_bar=False, enable_model_summary=False,
        )  # fmt: skip
        trainer.fit(Gan(), DataLoader(data, 8, shuffle=True, drop_last=True))


def mmengine(gen: nn.Module, critic: nn.Module, data: Any, iterations: int, advance: Advance) -> None:
    """MMEngine with a model that has its own `train_step`, as MMagic's."""
    from mmengine.hooks import Hook
    from mmengine.model import BaseModel
    from mmengine.optim import OptimWrapper, OptimWrapperDict
    from mmengine.runner import Runner

    class Gan(BaseModel):  # type: ignore[misc]  # untyped library
        def __init__(self) -> None:
            super().__init__()
            self.gen, self.critic = gen, critic

        def forward(self, *inputs: Any, **options: Any) -> None:
            """Unused."""

        def train_step(self, batch: Any, optim_wrapper: Any) -> dict[str, Tensor]:
            self.critic.requires_grad_(False)
            sr = self.gen(batch["lq"])
            first = generator_loss(self.critic, sr, batch["hq"])
            optim_wrapper["gen"].update_params(first)
            self.critic.requires_grad_(True)
            second = critic_loss(self.critic, sr, batch["hq"])
            optim_wrapper["critic"].update_params(second)
            return {"gen": first.detach(), "critic": second.detach()}

    class Turns(Hook):  # type: ignore[misc]  # untyped library
        def after_train_iter(self, runner: Any, **options: Any) -> None:
            advance(runner.iter + 1)

    with tempfile.TemporaryDirectory() as folder:
        runner = Runner(
            model=Gan(), work_dir=folder, train_dataloader=DataLoader(data, 8, shuffle=True, drop_last=True),
            train_cfg={"by_epoch": False, "max_iters": iterations}, log_level="ERROR",
            optim_wrapper=OptimWrapperDict(gen=OptimWrapper(adamw(gen)), critic=OptimWrapper(adamw(critic))),
            default_hooks={"checkpoint": None}, custom_hooks=[Turns()], default_scope="mmengine",
        )  # fmt: skip
        runner.train()


OTHERS = {"ignite": ignite, "mmengine": mmengine, "accelerate": accelerate, "lightning": lightning}
