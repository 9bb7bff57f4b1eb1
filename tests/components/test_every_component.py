"""What holds for every injector and loss, proven on its examples."""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.overrides import TorchFunctionMode

from artschool.components.builtins import load_builtins
from artschool.config.mean_over import mean_over
from artschool.data.collate import micro_batches
from artschool.data.seeds import seed_all
from artschool.registry import REGISTRIES
from artschool.registry.mean_over import MeanOver
from artschool.steps.call import Call, LossCall
from artschool.steps.state import State
from tests.components.examples import EXAMPLES
from tests.components.examples.example import Example

load_builtins()
CPU, META = torch.device("cpu"), torch.device("meta")
SEED = 7


def ids(example: Example) -> str:
    return f"{example.kind}-{example.entry}"


class NothingFromHost(TorchFunctionMode):
    """Refuses tensors made of Python's numbers: copying them to a GPU waits until it has done all that came before."""

    MAKERS = (torch.tensor, torch.as_tensor, torch.asarray, Tensor.new_tensor)

    def __torch_function__(
        self, function: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        assert function not in self.MAKERS or isinstance(args[-1], Tensor), f"{function.__name__}{args[-1:]}"
        return function(*args, **(kwargs or {}))


def made(example: Example, batch: int = 2) -> dict[str, Any]:
    seed_all(1)
    return example.state(batch)


def move(value: Any, to: torch.device | torch.dtype) -> Any:
    """Tensors elsewhere; those that are not floating keep their type."""
    if isinstance(value, Tensor):
        return value.to(to) if isinstance(to, torch.device) or value.is_floating_point() else value
    if isinstance(value, list):
        return [move(part, to) for part in value]
    return {key: move(part, to) for key, part in value.items()} if isinstance(value, dict) else value


def tensors(value: Any) -> Iterator[Tensor]:
    if isinstance(value, Tensor):
        yield value
    elif isinstance(value, list | tuple):
        for part in value:
            yield from tensors(part)
    elif isinstance(value, dict):
        yield from tensors(list(value.values()))


def results(call: Call, values: dict[str, Any]) -> list[Tensor]:
    """What a call returns or writes, from random numbers that are always the same."""
    seed_all(SEED)
    state = State(values, writer="example")
    returned = call(state)
    written = {key: value for key, value in state.values.items() if key not in values}
    return list(tensors(written if returned is None else returned))


def proves(name: str) -> pytest.MarkDecorator:
    """All examples but those that are exempt from a proof, whose reason is shown."""
    chosen = [example for example in EXAMPLES if name not in example.exempt]
    return pytest.mark.parametrize("example", chosen, ids=ids)


def test_every_injector_and_loss_has_an_example() -> None:
    shown = {(example.kind, example.type) for example in EXAMPLES}
    builtin = {
        (kind, name)
        for kind in ("injectors", "losses")
        for name in REGISTRIES[kind].names()
        if REGISTRIES[kind].get(name).target.__module__.startswith("artschool.")
    }
    assert builtin - shown == set()


@proves("unchanged")
def test_inputs_stay_as_they_are(example: Example) -> None:
    values = made(example)
    before = copy.deepcopy(values)
    results(example.bind(CPU), values)
    assert values.keys() == before.keys()
    for now, then in zip(tensors(values), tensors(before), strict=True):
        assert torch.equal(now, then)


@proves("seeded")
def test_the_seed_determines_what_comes_out(example: Example) -> None:
    first, second = (results(example.bind(CPU), made(example)) for _ in range(2))
    assert first
    for one, other in zip(first, second, strict=True):
        assert torch.equal(one, other)


def test_values_of_which_only_the_shape_is_read_change_nothing() -> None:
    proven = set()
    for example in EXAMPLES:
        component = example.component
        assert component.registered is not None
        of_shape = {each.name for each in component.registered.signature.parameters if each.of_shape}
        keys = {use.name for use in component.reads if use.parameter in of_shape}
        keys -= {use.name for use in component.reads if use.parameter not in of_shape}
        if not keys:
            continue
        values = made(example)
        others = {key: torch.full_like(value, -3) if key in keys else value for key, value in values.items()}
        for one, other in zip(results(example.bind(CPU), values), results(example.bind(CPU), others), strict=True):
            assert torch.equal(one, other), example
        proven.add(example.type)
    samplers = {"diffusers_sample", "diffusion_sample", "edm_sample", "flow_sample"}
    assert proven == samplers | {"constant", "noise", "style_mixing_noise"}


@proves("batch_of_one")
def test_a_batch_of_one_sample_is_taken(example: Example) -> None:
    for result in results(example.bind(CPU), made(example, 1)):
        assert not result.is_floating_point() or result.isfinite().all()


@proves("bf16")
def test_bf16_autocast_is_taken_and_losses_stay_in_float32(example: Example) -> None:
    call = example.bind(CPU)
    with torch.autocast("cpu", torch.bfloat16):
        found = results(call, made(example))
    for result in found:
        assert not result.is_floating_point() or result.isfinite().all()
    assert example.kind == "injectors" or found[0].dtype is torch.float32


@proves("meta")
def test_nothing_is_made_on_another_device_or_copied_between_devices(example: Example) -> None:
    call, values = example.bind(META), move(made(example), META)
    with NothingFromHost():
        found = results(call, values)
    for result in found:
        assert result.device == META


@proves("gradient")
def test_gradients_are_those_of_finite_differences(example: Example) -> None:
    values = move(made(example), torch.float64)
    keys = [k for k, v in values.items() if isinstance(v, Tensor) and v.is_floating_point()]
    keys = keys if example.differentiable is None else list(example.differentiable)
    if not keys:
        return
    call = example.bind(CPU, torch.float64)

    def function(*inputs: Tensor) -> tuple[Tensor, ...]:
        found = results(copy.deepcopy(call), {**values, **dict(zip(keys, inputs, strict=True))})
        return tuple(result for result in found if result.is_floating_point() and result.requires_grad)

    inputs = [values[key].requires_grad_() for key in keys]
    assert function(*inputs), "nothing that comes out depends on what goes in"
    assert torch.autograd.gradcheck(function, inputs, eps=1e-6, atol=1e-5, rtol=1e-3)


LOSSES = [example for example in EXAMPLES if example.kind == "losses"]


@pytest.mark.parametrize("example", [e for e in LOSSES if "parts" not in e.exempt], ids=ids)
def test_a_loss_is_the_mean_that_it_declares(example: Example) -> None:
    """The losses of parts, weighted by their samples or places, add up to the loss of the batch."""
    declared = mean_over(example.component)
    assert declared is not None
    if declared is MeanOver.BATCH:
        return
    call, values = example.bind(CPU), made(example, 5)
    assert isinstance(call, LossCall)
    weights, losses = [], []
    for part, size in micro_batches(values, 2):
        weights.append(float(call.count(State(part, "example"))) if call.count is not None else size)
        losses.append(results(copy.deepcopy(call), part)[0].item())
    mean = sum(weight * loss for weight, loss in zip(weights, losses, strict=True)) / sum(weights)
    assert mean == pytest.approx(results(call, values)[0].item(), rel=1e-6, abs=1e-6)


def test_only_losses_that_compare_samples_are_no_means() -> None:
    whole = {example.type for example in LOSSES if mean_over(example.component) is MeanOver.BATCH}
    assert whole == {
        "info_nce", "nt_xent", "vicreg", "mixture_of_experts", "switch_transformer_balance", "generator_gan",
        "discriminator_gan", "gradnorm",
    }  # fmt: skip
    counted = {example.type for example in LOSSES if mean_over(example.component) is MeanOver.PLACES}
    assert counted == {"cross_entropy", "detail_l2"}
