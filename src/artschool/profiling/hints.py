"""What a profile suggests to change. Each rule yields hints, and each hint an override to try."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from artschool.config.streams import streams
from artschool.config.structure import StepConfig
from artschool.faults import Place
from artschool.profiling.parts import BACKWARD, EXCHANGE, LOG, OPTIMIZER, Part, waiting_for
from artschool.profiling.report import Hint, Profile

WAITING = 0.1
"""Share of waiting for data above which more workers are suggested."""
EXCHANGING = 0.2
LOGGING = 0.05
UPDATING = 0.05
DOMINANT = 0.4
"""Share of a loss, with its backward pass, above which it is said to dominate."""
SMALL = 2e-5
"""Mean seconds of an operation below which the time goes to starting operations rather than to computing."""
SPARE = 0.4
"""Share of the device's memory in use below which saving memory costs time for nothing."""

Rule = Callable[[Profile], Iterator[Hint]]


def hints(profile: Profile) -> list[Hint]:
    """The hints of all rules, in the order of the rules."""
    return [hint for rule in RULES for hint in rule(profile)]


def _more_workers(profile: Profile) -> Iterator[Hint]:
    for name in streams(profile.config):
        data = profile.config.data[name]
        share = profile.share(*profile.root.below(waiting_for(name)))
        workers: int = getattr(data.entry, "workers", 0)
        most = max(1, profile.machine.num_cpus // profile.num_processes)
        more = min(most, max(2, 2 * workers))
        if share <= WAITING:
            continue
        message = f"waiting for data takes {share:.0%} of an iteration with {_count(workers, 'worker')}"
        if more <= workers:
            message += ", as many as the process has CPUs; samples that are cheaper to read would help"
        yield Hint(data.node.place, data.path, message, f"{data.path}.workers={more}" if more > workers else "")


def _fused_optimizers(profile: Profile) -> Iterator[Hint]:
    for name in profile.unfused:
        step = profile.config.steps[name]
        if step.optimizer is None:
            continue
        share = profile.share(*_of_step(profile, step, OPTIMIZER))
        if profile.machine.kind == "cuda" or share > UPDATING:
            waits = ", and waits for the device at each update" if profile.machine.kind == "cuda" else ""
            message = f"the optimizer is not fused: it takes {share:.0%} of an iteration{waits}"
            yield Hint(step.optimizer.node.place, step.optimizer.path, message, f"{step.optimizer.path}.type=adamw")


def _tf32(profile: Profile) -> Iterator[Hint]:
    machine, train = profile.machine, profile.config.sections.train
    if machine.has_tf32 and not machine.uses_tf32 and train.precision == "fp32" and not train.deterministic:
        message = "products of float32 do not use TF32, which is several times as fast on this device"
        yield Hint(_place(profile, "train"), "train", message, "train.matmul_precision=high")


def _bf16(profile: Profile) -> Iterator[Hint]:
    if profile.machine.has_bf16 and profile.config.sections.train.precision == "fp32":
        message = "computes in float32 on a device that is faster in bfloat16 and then needs less memory"
        yield Hint(_place(profile, "train"), "train", message, "train.precision=bf16")


def _compile(profile: Profile) -> Iterator[Hint]:
    for name, component in profile.config.networks.items():
        path = f"networks.{name}"
        parts = profile.root.below(path)
        operations = sum(part.operations for part in parts)
        seconds = sum(part.seconds for part in parts) / profile.iterations
        is_compiled = getattr(component.entry, "compile", None) or getattr(
            profile.config.sections.train, "compile", None
        )
        if operations and seconds / operations < SMALL and profile.share(*parts) > UPDATING and not is_compiled:
            each = seconds / operations * 1e6
            message = f"{_count(operations, 'operation')} of {each:.0f} us each; compiled, fewer are started"
            yield Hint(component.node.place, path, message, f"{path}.compile=true")


def _frozen_modes(profile: Profile) -> Iterator[Hint]:
    for name in profile.in_train_mode:
        message = "nothing trains it, but it is in train mode: dropout and running statistics are active"
        yield Hint(
            profile.config.networks[name].node.place, f"networks.{name}", message, f"networks.{name}.frozen=true"
        )


def _dominant_losses(profile: Profile) -> Iterator[Hint]:
    for step in profile.config.steps.values():
        if len(step.losses) < 2:
            continue
        for name, loss in step.losses.items():
            share = profile.share(*_of_step(profile, step, f"losses.{name}"))
            networks = {use.name for use in loss.networks}.difference(step.section.trained)
            backward = [part for each in _of_step(profile, step, BACKWARD) for part in each.parts.values()]
            share += profile.share(*(part for part in backward if part.name in {f"networks.{n}" for n in networks}))
            if share > DOMINANT:
                message = f"takes {share:.0%} of an iteration, with the networks that only it calls"
                yield Hint(loss.node.place, loss.path, message, f"{loss.path}.every=2")


def _exchange(profile: Profile) -> Iterator[Hint]:
    share = profile.share(*profile.root.below(EXCHANGE))
    if share > EXCHANGING:
        message = f"exchange between processes takes {share:.0%} of an iteration; larger batches need fewer exchanges"
        data = profile.config.data["train"]
        batch_size: int = getattr(data.entry, "batch_size", 1)
        yield Hint(data.node.place, data.path, message, f"{data.path}.batch_size={2 * batch_size}")


def _rarer_logs(profile: Profile) -> Iterator[Hint]:
    share, log = profile.share(*profile.root.below(LOG)), profile.config.sections.log
    if share > LOGGING:
        message = f"logging takes {share:.0%} of an iteration"
        yield Hint(_place(profile, "log"), "log", message, f"log.every={10 * log.every}")


def _spare_memory(profile: Profile) -> Iterator[Hint]:
    used = profile.root.peak / profile.machine.memory if profile.machine.memory else 1.0
    if used >= SPARE:
        return
    reason = f"saves memory, of which {used:.0%} is in use at the peak"
    if profile.config.sections.train.accumulate > 1:
        place = _place(profile, "train", "accumulate")
        yield Hint(place, "train.accumulate", f"{reason}; fewer parts are faster", "train.accumulate=1")
    for name, component in profile.config.networks.items():
        if getattr(component.entry, "activation_checkpointing", False):
            change = f"networks.{name}.activation_checkpointing=false"
            message = f"activation checkpointing {reason}, and computes activations twice"
            yield Hint(component.node.place, f"networks.{name}", message, change)


def _cudnn_benchmark(profile: Profile) -> Iterator[Hint]:
    train = profile.config.sections.train
    if (
        profile.machine.kind == "cuda"
        and profile.has_convolutions
        and not (train.cudnn_benchmark or train.deterministic)
    ):
        message = "cuDNN does not measure which of its convolutions are fastest"
        yield Hint(_place(profile, "train"), "train", message, "train.cudnn_benchmark=true")


def _of_step(profile: Profile, step: StepConfig, name: str) -> list[Part]:
    """The parts of a step that have a name: in its forward pass, its backward pass, or beside both."""
    return [part for each in profile.root.below(f"steps.{step.name}") for part in each.below(name)]


def _place(profile: Profile, *path: str) -> Place:
    return profile.config.tree.at(path).place


def _count(number: int, noun: str) -> str:
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


RULES: tuple[Rule, ...] = (
    _more_workers,
    _fused_optimizers,
    _tf32,
    _bf16,
    _compile,
    _frozen_modes,
    _dominant_losses,
    _exchange,
    _rarer_logs,
    _spare_memory,
    _cudnn_benchmark,
)
