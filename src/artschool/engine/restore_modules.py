"""Restores networks, moving averages and components by name."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

from torch import nn

from artschool.engine.changed_settings import HasSettings, changes_at
from artschool.engine.ema import Ema
from artschool.engine.module_state import Kind, adapt_buffers, first_misfit, load_tensors
from artschool.engine.resume_report import ResumeReport, value_at
from artschool.engine.unsaved import first_other
from artschool.errors import CheckpointError
from artschool.storage.checkpoint_store import Checkpoint
from artschool.storage.shards import Saved

# The dot prevents collisions with the names of networks, which cannot contain one.
OPTIMIZERS = "state.optimizers"
MODULES = "state.components"


class HasModules(HasSettings, Protocol):
    """What is restored: a run, or some of its parts. See `RunState`."""

    networks: dict[str, nn.Module]
    emas: dict[str, Ema]
    modules: dict[str, nn.Module]
    built_buffers: dict[str, dict[str, Kind | None]]


class ModuleRestorer:
    """Restores the modules of a run from a checkpoint.

    Args:
        report: Records what is kept, new and dropped.
    """

    def __init__(self, run: HasModules, checkpoint: Checkpoint, report: ResumeReport) -> None:
        self._run = run
        self._path = checkpoint.path
        self._location = f"checkpoint {checkpoint.path}"
        self._tensors = {stem: checkpoint.saved(stem) for stem in checkpoint.tensors}
        self._state = checkpoint.state
        self._built = checkpoint.state["built_buffers"]
        self._left_out = checkpoint.state["left_out"]
        self._report = report
        names = {name for name in checkpoint.tensors if name not in (OPTIMIZERS, MODULES)} | self._left_out.keys()
        self._averages = {name for name in names if "." in name}
        self._networks = names - self._averages

    def all_or_error(self) -> None:
        """Restore networks and averages. All of them must be in the checkpoint.

        Raises:
            CheckpointError: A network or average is missing or does not fit.
        """
        for name in [*self._run.networks, *(ema.name for ema in self._run.emas.values())]:
            self._require(name)
        self.networks()
        self.averages()

    def module(self, module: nn.Module, owner: str) -> None:
        """Restore one network or average.

        Args:
            owner: Its name, such as `gen` or `gen.ema`.

        Raises:
            CheckpointError: It is missing or does not fit.
        """
        self._require(owner)
        self._load(module, owner, f"networks.{owner.partition('.')[0]}")

    def _require(self, owner: str) -> None:
        if owner not in self._tensors and owner not in self._left_out:
            raise CheckpointError(
                f"{self._location}: no weights for {owner!r}, which the config file has. "
                "Fix: train further with this file, or use the file that saved the checkpoint"
            )

    def networks(self) -> None:
        """Restore the networks. Those that the checkpoint does not have keep their initial values.

        Raises:
            CheckpointError: A network does not fit, may have been renamed, or is missing although the file that saved
                the checkpoint has it.
        """
        run = self._run
        if not self._networks & run.networks.keys():
            self._refuse_damage("networks", next(iter(run.networks)))
            raise CheckpointError(
                f"{self._location}: has no network of the config file (expected {', '.join(run.networks)}, got "
                f"{', '.join(sorted(self._networks))}). Fix: choose another checkpoint with --resume, or another "
                "folder with --run-dir"
            )
        for name, network in run.networks.items():
            if name in self._networks:
                self._load(network, name, f"networks.{name}")
                self._report.keep(f"network {name}")
            else:
                self._refuse_damage("networks", name)
                self._start_network(name, network)
        for name in sorted(self._networks - run.networks.keys()):
            self._report.drop(f"network {name}")

    def averages(self) -> None:
        """Restore the moving averages. Those that the checkpoint does not have start from their networks.

        Raises:
            CheckpointError: An average does not fit, or is missing although the file that saved the checkpoint has it.
        """
        run = self._run
        for entry, ema in run.emas.items():
            if ema.name in self._averages:
                self._load(ema.module, ema.name, f"networks.{ema.of}")
                self._report.keep(_title(ema.name))
            else:
                then = value_at(self._state["config"], "ema", "networks")
                if isinstance(then, Sequence | Mapping) and entry in then:
                    raise self._damage(ema.name)
                ema.restart()
                self._report.start(_title(ema.name), "starts from the network")
        for name in sorted(self._averages - {ema.name for ema in run.emas.values()}):
            self._report.drop(_title(name))

    def components(self) -> None:
        """Restore losses, injectors and other components that are modules."""
        saved: dict[str, dict[str, Saved]] = {}
        for name, value in self._tensors.get(MODULES, {}).items():
            path, _, tensor = name.partition("/")
            saved.setdefault(path, {})[tensor] = value
        for path, module in self._run.modules.items():
            tensors = saved.pop(path, {})
            self._adapt(module, tensors, path)
            misfit = first_misfit(module, tensors)
            if misfit is None and tensors:
                load_tensors(module, tensors)
                self._report.keep(f"state of {path}")
            elif misfit is not None:
                name, expected, found = misfit
                why = f"{name}: expected {expected}, the checkpoint has {found}" if tensors else "not in the checkpoint"
                self._report.start(f"state of {path}", f"starts as in a new run ({why})")
        for path in saved:
            self._report.drop(f"state of {path}")

    def _start_network(self, name: str, network: nn.Module) -> None:
        """Report a network that is not in the checkpoint.

        Raises:
            CheckpointError: The weights of a network that is no longer in the file fit it.
        """
        if value_at(self._run.config, "networks", name, "weights"):
            self._report.start(f"network {name}", "starts from its `weights`")
            return
        for gone in sorted(self._networks - self._run.networks.keys()):
            if first_misfit(network, self._with_left_out(network, gone)) is None:
                raise CheckpointError(
                    f"{self._location}: network {name!r} is not in the checkpoint, but the weights of {gone!r} fit it, "
                    f"which is no longer in the config file. Fix: name it {gone!r} again, write "
                    f"`networks.{name}.weights: {self._path / f'{gone}.safetensors'}`, or start a new run in another "
                    "folder with --run-dir"
                )
        self._report.start(f"network {name}", "starts from scratch; the checkpoint does not have it")

    def _refuse_damage(self, section: str, name: str) -> None:
        if value_at(self._state["config"], section, name) is not None:
            raise self._damage(name)

    def _damage(self, name: str) -> CheckpointError:
        return CheckpointError(
            f"{self._location}: no weights for {name!r}, which the config file had when it was saved: the "
            "checkpoint is damaged. Fix: resume from another one with --resume"
        )

    def _adapt(self, module: nn.Module, saved: Mapping[str, Saved], owner: str) -> None:
        adapt_buffers(module, saved, self._built.get(owner, {}), self._run.built_buffers[owner])

    def _with_left_out(self, module: nn.Module, owner: str) -> dict[str, Saved]:
        """The tensors of an owner in the checkpoint. Those that it has left out are those of the module."""
        own, left_out = module.state_dict(), self._left_out.get(owner, {})
        return {**self._tensors.get(owner, {}), **{name: own[name] for name in left_out if name in own}}

    def _verify_left_out(self, module: nn.Module, owner: str, path: str) -> None:
        """Refuse a network whose tensors are not those that the checkpoint has left out."""
        name = first_other(module, self._left_out.get(owner, {}))
        if name is None:
            return
        changed = changes_at(self._run, self._state, "seed", path)
        raise CheckpointError(
            f"{self._location}: {owner}.{name}: left out of the checkpoint because of `{path}.saved`, and not the same "
            f"as in the run that saved it{changed}. Fix: give {path} the weights or the seed that it had, or start a "
            "new run in another folder with --run-dir"
        )

    def _load(self, module: nn.Module, owner: str, path: str) -> None:
        saved = self._with_left_out(module, owner)
        self._adapt(module, saved, owner)
        misfit = first_misfit(module, saved)
        if misfit is not None:
            name, expected, found = misfit
            changed = changes_at(self._run, self._state, path)
            raise CheckpointError(
                f"{self._location}: {owner}.{name}: does not fit the config file "
                f"(expected {expected}, the checkpoint has {found}){changed}. {self._fix(owner, path, expected, found)}"
            )
        self._verify_left_out(module, owner, path)
        load_tensors(module, self._tensors.get(owner, {}))

    def _fix(self, owner: str, path: str, expected: str, found: str) -> str:
        folder = f"Fix: undo the change of {path} or of its code, or start a new run in another folder with --run-dir"
        if "no tensor" not in (expected, found):
            return folder
        weights = f"{{file: {self._path / f'{owner}.safetensors'}, strict: false}}"
        return f"{folder}; there, `{path}.weights: {weights}` loads what fits"


def _title(average: str) -> str:
    """What a report calls a moving average: `moving average of gen`, or `moving average gen.slow`."""
    return (
        f"moving average of {average.removesuffix('.ema')}" if average.endswith(".ema") else f"moving average {average}"
    )
