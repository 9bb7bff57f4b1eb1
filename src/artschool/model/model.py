"""A trained run, ready for use."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from artschool.apply.applied import Applied
from artschool.apply.objects import apply_to_object
from artschool.apply.opened import applied_from
from artschool.apply.tiles import Tiling
from artschool.config.structure import Config
from artschool.data.collate import size_of
from artschool.engine.data_examples import DataExamples, Example, NetworkCall
from artschool.errors import ConfigError, DataError
from artschool.model.absent import with_absent
from artschool.model.computation import Computation
from artschool.model.cut import Cut, cut
from artschool.model.flows import Flow, data_key, default_keys, flows_of
from artschool.model.inputs import applied_inputs, can_be_sampled, required, sampled_inputs
from artschool.model.modules import Modules, Networks
from artschool.model.value_ranges import range_of, range_of_data
from artschool.registry.ranges import Range
from artschool.show.notebook import NetworkRow, as_html
from artschool.wording.names import allowed


class Model:
    """A trained run, ready for use: its networks, and whatever its evaluations and steps compute with them.

    Networks are in eval mode, on one device, without gradients. They are built when they are first used. No data set
    is built, and no file of data is read.

    Attributes:
        folder: The run folder.
        config: The checked file.
        iteration: Number of iterations after which the networks were saved.
        device: The device of the networks.
        networks: The networks by name. Where there is a moving average, it takes the place of its network.
        averaged: The networks whose moving average is used.
    """

    def __init__(
        self,
        config: Config,
        folder: Path,
        iteration: int,
        modules: Modules,
        known: DataExamples,
        *,
        average: bool = True,
    ) -> None:
        self.config, self.folder, self.iteration = config, folder, iteration
        self.device = modules.context.device
        averages = {each.of: each.name for each in reversed(config.averages.values())} if average else {}
        self.averaged = list(averages)
        self.networks: Mapping[str, nn.Module] = Networks(
            modules, {name: averages.get(name, name) for name in config.networks}
        )
        self._modules, self._known = modules, known
        self._images: dict[tuple[str, int], Applied] = {}
        self._flows = flows_of(config, max(iteration - 1, 0), average=average)

    def __getitem__(self, name: str) -> nn.Module:
        """A network, or a moving average by a name such as `gen.ema`."""
        return self.networks[name]

    @property
    def calls(self) -> Mapping[str, NetworkCall]:
        """How training and evaluations call each network, such as `gen`, and each of its methods, such as `vq.encode`.

        Empty for a run that an earlier version has trained.
        """
        return self._known.calls

    @property
    def outputs(self) -> list[str]:
        """The keys that can be computed, those that a user probably wants first."""
        keys = default_keys(self.config, self._flows)
        return list(dict.fromkeys([*keys, *(key for flow in self._flows for key in flow.writers)]))

    @property
    def default_outputs(self) -> list[str]:
        """The keys that are computed if none is named.

        Raises:
            ConfigError: Nothing of the file computes with a network outside of training.
        """
        keys = default_keys(self.config, self._flows)
        if not keys:
            raise ConfigError(
                f"{self.folder}: no injector computes a result with a network. "
                "Fix: add an evaluation whose injectors do, such as `diffusion_sample`"
            )
        return keys

    def inputs(self, *keys: str) -> list[str]:
        """The keys of data whose values are needed to compute some keys. None named: the default ones."""
        return required(self.cut(keys))

    @property
    def examples(self) -> dict[str, Example]:
        """What is known of the values of the keys of data."""
        streams = {key for flow in self._flows for key in cut(flow, [*flow.writers]).needs}
        found = {key: self._example(flow, key) for flow in reversed(self._flows) for key in sorted(streams)}
        return {key: example for key, example in found.items() if example is not None}

    def cut(self, keys: Sequence[str] = (), given: Sequence[str] = ()) -> Cut:
        """What computes some keys: a part of the first evaluation that does, or of the steps.

        Args:
            keys: The keys. Empty: the default ones.
            given: Keys whose values are given.

        Raises:
            ConfigError: A key is unknown, or no evaluation or step computes all keys.
        """
        return self._cuts(keys, given)[0]

    def _cuts(self, keys: Sequence[str], given: Collection[str]) -> list[Cut]:
        """All ways to compute some keys: a part of each evaluation that does, and of the steps."""
        keys = list(keys) or self.default_outputs
        if found := [cut(flow, keys, given) for flow in self._flows if all(key in flow.writers for key in keys)]:
            return found
        unknown = next((key for key in keys if key not in self.outputs), None)
        if unknown is not None:
            raise ConfigError(f"unknown key {unknown!r}. {allowed('Available keys', unknown, self.outputs)}")
        raise ConfigError(
            f"no evaluation and no step computes all of {', '.join(map(repr, keys))}. Fix: ask for them one by one"
        )

    def range_of(self, key: str) -> Range | None:
        """The smallest and the largest value of a key, as far as components declare them. None: not known."""
        if any(key in flow.writers for flow in self._flows):
            return range_of(self.config, self.cut([key]), self._known)
        return range_of_data(self.config, *data_key(self._flows[0], key, self.config), self._known)

    def sample(
        self, *keys: str, count: int = 64, seed: int = 0, batch_size: int | None = None, **inputs: Any
    ) -> dict[str, Any]:
        """Compute keys from inputs that are given or can be made: labels cycle over their classes.

        Args:
            keys: The keys. None: the default ones that can be computed so.
            count: Number of samples.
            seed: Seed of the random numbers.
            batch_size: Number of samples that are computed at once. None: up to 64.
            inputs: A value for each key of data: one for all samples, or one for each, repeated if they are fewer.

        Returns:
            The values by key, on the CPU: tensors (count, ...).

        Raises:
            ConfigError: A key is unknown.
            DataError: A key is computed from values that cannot be made.
        """
        return self.sampling(*keys, count=count, seed=seed, batch_size=batch_size, **inputs).joined()

    def sampling(
        self, *keys: str, count: int = 64, seed: int = 0, batch_size: int | None = None, **inputs: Any
    ) -> Computation:
        """What `sample` computes, a batch at a time. See there."""
        chosen = self._fitting(keys or self._made_outputs(inputs), inputs, partial(self._can_be_made, inputs))
        values = sampled_inputs(chosen, inputs, max(count, 1), partial(self._example, chosen.flow), self.folder)
        return self._computation(chosen, values, count=count, seed=seed, batch_size=batch_size)

    def apply(
        self,
        inputs: Any,
        *keys: str,
        seed: int = 0,
        batch_size: int | None = None,
        tile: int | None = None,
        overlap: int = 16,
    ) -> Any:
        """Compute keys from data.

        Args:
            inputs: Batches (B, ...) by key, in the range that they have in training. If one key is needed, a tensor, or
                an image of any size: a path, an image of Pillow, or an array (H, W, C) or (H, W) of uint8 or uint16.
            keys: The keys. None: the default ones.
            seed: Seed of the random numbers, if there are any.
            batch_size: Number of samples that are computed at once. None: up to 64.
            tile: Size of the tiles into which a larger image is divided. None: it is not divided.
            overlap: What a tile sees beyond its own area, on each side.

        Returns:
            The values by key, on the device of the inputs. For a tensor, the value of the only key. For an image, an
            image of the same kind; for a path, one of Pillow.

        Raises:
            ConfigError: A key is unknown.
            DataError: An input is missing.
        """
        if not isinstance(inputs, Mapping | Tensor):
            return apply_to_object(self._applied(keys, seed, Tiling(tile, overlap, batch_size or 1)), inputs)
        if isinstance(inputs, Tensor):
            return self._apply_tensor(inputs, keys, seed, batch_size)
        chosen = self._fitting(keys, inputs, lambda each: set(required(each)) == inputs.keys())
        values = applied_inputs(chosen, inputs, partial(self._example, chosen.flow))
        device = next((value.device for value in inputs.values() if isinstance(value, Tensor)), torch.device("cpu"))
        count = size_of(inputs)
        computed = self._computation(chosen, values, count=count, seed=seed, batch_size=batch_size, device=device)
        return computed.joined()

    def _applied(self, keys: Sequence[str], seed: int, tiling: Tiling) -> Applied:
        """What computes one key from images. Which sizes it accepts is found once."""
        if len(keys) > 1:
            raise ConfigError(f"expected one key to compute from an image, got {', '.join(map(repr, keys))}")
        key = keys[0] if keys else self.default_outputs[0]
        if (key, seed) not in self._images:
            self._images[key, seed] = applied_from(self, key, seed=seed)
        return replace(self._images[key, seed], tiling=tiling)

    def _apply_tensor(self, value: Tensor, keys: Sequence[str], seed: int, batch_size: int | None) -> Tensor:
        cuts = self._cuts(keys, ())
        chosen = next((each for each in cuts if self._takes(each, value)), cuts[0])
        needs = required(chosen)
        if len(needs) != 1 or len(chosen.keys) != 1:
            raise DataError(
                f"{', '.join(map(repr, chosen.keys))} of {chosen.flow.path} needs {', '.join(map(repr, needs))}. "
                "Fix: give a mapping from key to tensor, and name the keys to compute"
            )
        example = self._example(chosen.flow, needs[0])
        is_single = example is not None and value.dim() == len(example.shape)
        batch = value.unsqueeze(0) if is_single else value
        result: Tensor = self.apply({needs[0]: batch}, *chosen.keys, seed=seed, batch_size=batch_size)[chosen.keys[0]]
        return result[0] if is_single else result

    def _made_outputs(self, given: Mapping[str, Any]) -> list[str]:
        """The default keys that need no other values of data, or all of them if there is none."""
        keys = self.default_outputs
        made = [key for key in keys if any(self._can_be_made(given, each) for each in self._cuts([key], given))]
        return made or keys

    def _can_be_made(self, given: Mapping[str, Any], each: Cut) -> bool:
        return can_be_sampled(each, given, partial(self._example, each.flow))

    def _fitting(self, keys: Sequence[str], given: Mapping[str, Any], fits: Callable[[Cut], bool]) -> Cut:
        """The first way to compute some keys that uses all given inputs and fits, or just uses them."""
        cuts = self._cuts(keys, list(given))
        using = [each for each in cuts if given.keys() <= set(each.needs)]
        if not using:
            key = next((key for key in given if key not in cuts[0].needs), next(iter(given)))
            known = dict.fromkeys(key for each in self._cuts(keys, ()) for key in each.needs)
            raise ConfigError(f"unknown input {key!r}. {allowed('Available inputs', key, known)}")
        return next((each for each in using if fits(each)), using[0])

    def _takes(self, chosen: Cut, value: Tensor) -> bool:
        """Whether a cut computes one key from one, and a tensor has as many dimensions as a sample or batch of that."""
        needs = required(chosen)
        example = self._example(chosen.flow, needs[0]) if len(needs) == len(chosen.keys) == 1 else None
        return example is not None and value.dim() - len(example.shape) in (0, 1)

    def _computation(
        self,
        chosen: Cut,
        values: Mapping[str, Any],
        *,
        count: int,
        seed: int,
        batch_size: int | None,
        device: torch.device | None = None,
    ) -> Computation:
        for name, value, least in (("count", count, 1), ("batch_size", batch_size, 1), ("seed", seed, 0)):
            if value is not None and value < least:
                raise ConfigError(f"{name}: expected {least} or more, got {value}")
        return Computation(
            chosen,
            values,
            self._modules,
            count=count,
            seed=seed,
            batch_size=batch_size,
            device=device or torch.device("cpu"),
        )

    def _example(self, flow: Flow, key: str) -> Example | None:
        name, own = data_key(flow, key, self.config)
        return with_absent(self._known.example([name, "train"], own), self.config, key)

    def __repr__(self) -> str:
        networks = ", ".join(f"{name} (average)" if name in self.averaged else name for name in self.networks)
        return f"<{self.config.sections.name} after {self.iteration:,} iterations on {self.device}: {networks}>"

    def _repr_html_(self) -> str:
        """What a notebook shows: the networks, which are built for this, and images and a curve of the run folder."""
        title = f"{self.config.sections.name} after {self.iteration:,} iterations on {self.device}"
        rows = [
            NetworkRow(
                name,
                type(network).__name__,
                sum(parameter.numel() for parameter in network.parameters()),
                "average" if name in self.averaged else "",
            )
            for name, network in self.networks.items()
        ]
        return as_html(title, rows, self.folder)
