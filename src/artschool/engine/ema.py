"""Exponential moving averages of networks."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor, nn

from artschool import ranks
from artschool.config.average_sections import Buffers
from artschool.config.iterations import Iterations
from artschool.engine.matched_copy import MatchedCopy
from artschool.engine.offload import OffloadedAverages, is_large
from artschool.engine.optimizers import has_fused_sgd
from artschool.engine.real_view import can_be_non_finite, real_view
from artschool.engine.skip_counter import zeros

SMALL_DECAY = 0.5
"""Up to this decay, `lerp` rounds less than the fused kernel: with a decay of 0, the average equals the network."""


class Ema:
    """A frozen copy of a network that follows its weights: `ema = decay * ema + (1 - decay) * weights`.

    Floating-point parameters are averaged, and other parameters copied. Tensors are found by name, so the code of the
    network may assign a new tensor to a buffer. Weights that are NaN or infinite are not averaged: the average stays.

    Source: Polyak and Juditsky 1992; the exponential form as in Tarvainen and Valpola 2017, arXiv:1703.01780, eq. 1.

    Args:
        buffers: `copy`: buffers are those of the network. `average`: those with floating-point numbers are averaged.
            `own`: updates leave them alone.
        of: The name of the network.
        name: The name under which components call the average.
        due: The iterations at which it moves. None: those that change the network.

    Attributes:
        decay: The decay of the next update.
        offloaded: The averages in the memory of the CPU. None: all are on the device.

    Raises:
        ConfigError: The network cannot be copied.
    """

    def __init__(
        self,
        network: nn.Module,
        decay: float,
        buffers: Buffers = "copy",
        of: str = "",
        name: str = "",
        due: Iterations | None = None,
    ) -> None:
        self._copy = MatchedCopy(network)
        self.decay = decay
        self.buffers = buffers
        self.of = of
        self.name = name
        self.due = due
        self.offloaded: OffloadedAverages | None = None
        self._is_offloaded = False
        self._match()

    @property
    def module(self) -> nn.Module:
        """The averaged network, in eval mode. Waits until averages in the memory of the CPU have followed."""
        if self.offloaded is not None:
            self.offloaded.wait()
        return self._copy.module

    def offload(self) -> None:
        """Move the large averages to the memory of the CPU. Call it once all tensors are on the device."""
        self._is_offloaded = True
        self._match()

    def on_device(self) -> AbstractContextManager[None]:
        """The context in which the whole average is on the device, such as for an evaluation."""
        return nullcontext() if self.offloaded is None else self.offloaded.on_device()

    def join(self) -> None:
        """Let what changes the weights from now on wait, on the device, until the average has followed."""
        if self.offloaded is not None:
            self.offloaded.join()

    def follow(self, iteration: int, moved: Mapping[str, Sequence[Tensor | None]]) -> None:
        """Update the average at the end of an iteration, if it is due.

        Args:
            moved: What `update` takes, for each network that the iteration updated.
        """
        if self.due is None:
            if self.of in moved:
                self.update(moved[self.of])
        elif iteration in self.due:
            self.update(())  # Even if this iteration skipped its update: earlier ones may have moved the weights.

    def update(self, found_inf: Sequence[Tensor | None]) -> None:
        """Move the average one step towards the weights.

        Args:
            found_inf: One entry for each optimizer that updated the network. None: it moved the weights. A scalar on
                the device: 1.0 if it skipped non-finite gradients, else 0.0. If all skipped, the average is unchanged.
                Empty: none could skip.
        """
        with torch.set_grad_enabled(False):  # `no_grad` takes twice as long.
            self._match_if_changed()
            skipped = self._found_non_finite(_all_skipped(found_inf))
            self._follow(self._groups, skipped)
            if self.offloaded is not None:
                self.offloaded.update(partial(self._follow_part, skipped), skipped)
            self._copied.copy_sources()
            if self.buffers == "own":
                ranks.broadcast(self.module.buffers())

    def set_decay(self, decay: float) -> None:
        """Set the decay of the next update."""
        if (decay > SMALL_DECAY) != (self.decay > SMALL_DECAY):
            self._groups = _groups(self._averaged, decay)
        self.decay = decay

    def take_modes(self) -> None:
        """Put each module into the mode of its original. An average with buffers of its own trains along."""
        self._copy.take_modes()

    @torch.no_grad()
    def restart(self) -> None:
        """Set every value to that of the network."""
        self._match()
        self._near.copy_sources()
        if self.offloaded is not None:
            self.offloaded.update(torch._foreach_copy_, None)

    def _found_non_finite(self, skipped: Tensor | None) -> Tensor | None:
        """1.0 on the device if a weight is NaN or infinite or `skipped` is 1.0, else 0.0. None: nothing can look."""
        if not self._weights:
            return skipped
        found = next(self._zeros) if skipped is None else skipped.clone()
        for weights in self._weights.values():
            # GradScaler's kernel, with a scale of one: it sets `found` in one pass, and leaves the weights as they are.
            torch._amp_foreach_non_finite_check_and_unscale_(weights, found, self._unit)
        if self._is_sharded:
            ranks.largest_in_place(found)
        return found

    def _follow(self, groups: _Groups, skipped: Tensor | None) -> None:
        for pairs in groups.fused:
            _move(pairs, 1 - self.decay, skipped)
        if groups.others.averages:
            _lerp(groups.others, 1 - self.decay, skipped)

    def _follow_part(self, skipped: Tensor | None, averages: list[Tensor], sources: list[Tensor]) -> None:
        self._follow(_groups(_Pairs(averages, sources), self.decay), skipped)

    def _match_if_changed(self) -> None:
        # The code may also give a tensor that stays the same object another layout: `buffer.data = values`.
        if self._copy.has_changed() or _layouts(self._watched) != self._seen_layouts:
            self._match()

    def _match(self) -> None:
        """Find the tensors of the network and of the average by name, and sort them by how the average follows."""
        self._averaged, self._copied, self._near = _Pairs([], []), _Pairs([], []), _Pairs([], [])
        large = _Pairs([], [])
        found = self._copy.match(on_any_device=self._is_offloaded)
        for tensor, average in found.items():
            is_parameter = isinstance(tensor, nn.Parameter)
            may_average = is_parameter or self.buffers == "average"
            is_averaged = may_average and (tensor.is_floating_point() or tensor.is_complex())
            if is_averaged and self._is_offloaded and (ranks.is_sharded(tensor) or is_large(tensor)):
                large.add(average, tensor)
                continue
            own, source = ranks.local(average), ranks.local(tensor)
            self._near.add(own, source)
            if is_averaged or is_parameter or self.buffers != "own":
                (self._averaged if is_averaged else self._copied).add(own, source)
        self._prepare_search(found)
        self._watched = [*self._averaged.sources, *self._copied.sources, *ranks.local_of(large.sources)]
        self._seen_layouts = _layouts(self._watched)
        self._groups = _groups(self._averaged, self.decay)
        if self._is_offloaded:
            self.offloaded = OffloadedAverages(*large)

    def _prepare_search(self, tensors: Collection[Tensor]) -> None:
        """Note the weights in which `_found_non_finite` looks, by dtype."""
        self._weights: dict[torch.dtype, list[Tensor]] = {}
        for weight in [real_view(ranks.local(tensor)) for tensor in tensors if isinstance(tensor, nn.Parameter)]:
            if can_be_non_finite(weight):  # The kernel takes no others.
                self._weights.setdefault(weight.dtype, []).append(weight)
                self._unit = weight.new_ones((), dtype=torch.float32)
                self._zeros = zeros(weight.device)
        self._is_sharded = any(map(ranks.is_sharded, tensors))


def _all_skipped(found_inf: Sequence[Tensor | None]) -> Tensor | None:
    """1.0 on the device if every optimizer skipped its update, else 0.0. None: one does not, or there is none."""
    flags = [flag for flag in found_inf if flag is not None]
    if not flags or len(flags) < len(found_inf):
        return None
    return flags[0] if len(flags) == 1 else torch.stack(flags).amin()


class _Pairs(NamedTuple):
    """Averages, and what each of them follows: two lists, as the kernels take them."""

    averages: list[Tensor]
    sources: list[Tensor]

    def add(self, average: Tensor, source: Tensor) -> None:
        self.averages.append(average)
        self.sources.append(source)

    def copy_sources(self) -> None:
        """Set the averages to what they follow."""
        if self.averages:
            torch._foreach_copy_(self.averages, self.sources)


class _Groups(NamedTuple):
    """Pairs by the kernel that moves them."""

    fused: list[_Pairs]
    """Those that `_move` takes, by dtype."""
    others: _Pairs


def _groups(pairs: _Pairs, decay: float) -> _Groups:
    fused: dict[torch.dtype, _Pairs] = {}
    others = _Pairs([], [])
    for average, source in zip(*pairs, strict=True):
        # The kernel reads memory in its order.
        fits = average.stride() == source.stride() and average.device == source.device
        is_known = average.is_floating_point() and average.device.type in ("cpu", "cuda")
        has_kernel = decay > SMALL_DECAY and is_known and has_fused_sgd(average)
        group = fused.setdefault(source.dtype, _Pairs([], [])) if fits and has_kernel else others
        group.add(average, source)
    return _Groups(list(fused.values()), others)


def _move(pairs: _Pairs, rate: float, skipped: Tensor | None) -> None:
    """`average -= rate * (average - source)` in one kernel for all, unless `skipped` is 1.

    This is a step of torch's fused SGD on the averages, along the negative sources, with a weight decay of 1. Unlike
    `lerp`, it skips on the device without a kernel for each tensor, and needs no memory. For float32 on a CPU and a
    rate below 0.5, the result has the same bits.
    """
    torch._fused_sgd_(
        pairs.averages,
        pairs.sources,
        [],
        weight_decay=1.0,
        momentum=0.0,
        lr=rate,
        dampening=0.0,
        nesterov=False,
        maximize=True,
        is_first_step=False,
        found_inf=skipped,
    )


def _lerp(pairs: _Pairs, rate: float, skipped: Tensor | None) -> None:
    averages, sources = pairs
    if skipped is not None:  # A rate of 0 would not do: 0 times NaN is NaN.
        stays = skipped > 0
        sources = [torch.where(stays, average, source) for average, source in zip(averages, sources, strict=True)]
    torch._foreach_lerp_(averages, sources, rate)


def _layouts(tensors: Sequence[Tensor]) -> list[object]:
    return [*map(Tensor.numel, tensors), *map(Tensor.stride, tensors)]
