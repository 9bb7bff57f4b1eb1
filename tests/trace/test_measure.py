"""What one of several processes takes, measured without values, is what the engine takes."""

from __future__ import annotations

from pathlib import Path
from typing import cast

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.config.compose import apply_overrides, finish
from artschool.config.source import read_text
from artschool.config.structure import Config
from artschool.engine.skip_counter import MOST_FLAGS
from artschool.errors import ConfigError, DataError
from artschool.read.check import check_tree
from artschool.registry import losses, networks
from artschool.registry.signature import Network
from artschool.trace.cuda_autocast import cuda_autocast
from artschool.trace.measure import AVERAGES_UPDATE, FIX_OF_UNITS, Measured, measure
from artschool.trace.memory import LiveBytes
from artschool.trace.trace import trace
from tests.trace.traced_parts import TEXT, TOKENS

FORWARD = 2 * 4 * 3 * 3
"""FLOPs of a network of the file on a batch."""


LARGE = """
name: large
data: {train: {type: traced_tokens, batch_size: 512}}
networks: {net: {type: traced_blocks, width: 8192, blocks: 13}}
steps:
  main:
    trains: net
    optimizer: {type: adamw, lr: 0.1}
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
train: {iterations: 1, device: cpu, parallel: shard}
"""


def config_of(*overrides: str, text: str = TEXT) -> Config:
    tree = finish(read_text(text, "toy.yml"), Path("toy.yml"))
    return check_tree(apply_overrides(tree, overrides))


def flops(found: Measured) -> dict[int, dict[str, int]]:
    return {first: {step: work.flops for step, work in steps.items()} for first, steps in found.work.items()}


def test_offloaded_state_is_in_the_memory_of_the_cpu() -> None:
    """Of the matrices of a block, 12 times 256 x 256 numbers: two moments and the average. Vectors are too small."""
    text = LARGE.replace("width: 8192, blocks: 13", "width: 256, blocks: 1").replace(
        "traced_tokens", "traced_tokens, width: 256"
    )
    plain = measure(config_of("ema={networks: [net]}", text=text), 1)
    found = measure(config_of("ema={networks: [net]}", "train.offload={optimizer: cpu, ema: cpu}", text=text), 1)
    weight = 12 * 256 * 256 * 4
    assert plain.memory.offloaded == 0 and found.memory.offloaded == 3 * weight
    assert plain.memory.lasting.total() - found.memory.lasting.total() == 3 * weight
    assert plain.memory.lasting["averages"] - found.memory.lasting["averages"] == weight
    assert (plain.work[0]["main"].offloaded, found.work[0]["main"].offloaded) == (0, 2 * weight)
    assert found.checkpoint == plain.checkpoint


def test_sharded_matrices_are_gathered_in_16_bits_and_freed() -> None:
    """Four processes, four blocks; a batch of one sentence, so that memory is that of weights."""
    text = LARGE.replace("width: 8192, blocks: 13", "width: 256, blocks: 4, wrap: [blocks.*]")
    text = text.replace("traced_tokens, batch_size: 512", "traced_tokens, width: 256, batch_size: 4")
    found = {p: measure(config_of(f"train.precision={p}", text=text), 4, cuda=True) for p in ("fp32", "bf16")}
    sent = {precision: measured.work[0]["main"].sent for precision, measured in found.items()}
    matrices, vectors = 4 * 12 * 256 * 256, 4 * 13 * 256
    # Forward and backward gather; backward scatters in float32. Vectors are not divided: their gradients are summed.
    assert sent["fp32"]["all-gather"] == 2 * 4 * (matrices + vectors) * 3 / 4
    assert sent["bf16"]["all-gather"] == 2 * 2 * matrices * 3 / 4
    assert sent["bf16"]["reduce-scatter"] == 4 * matrices * 3 / 4
    assert sent["bf16"]["all-reduce"] >= 4 * vectors * 2 * 3 / 4
    peak = {precision: measured.memory.steps["main"].total() for precision, measured in found.items()}
    assert peak["bf16"] < peak["fp32"]


def test_the_work_of_every_regime_by_step() -> None:
    found = measure(config_of("steps.second.after=4", "train.iterations=10", "ema={networks: [net]}"), 1)
    # The step `main` has a gradient of its weight only, since data has none; so has `second`, since `y` comes from it.
    assert flops(found) == {
        0: {"main": 2 * FORWARD, AVERAGES_UPDATE: 0},
        4: {"main": 2 * FORWARD, "second": 2 * FORWARD, AVERAGES_UPDATE: 0},
    }
    assert found.regimes == {0: 4, 4: 6}
    averaged = found.work[0][AVERAGES_UPDATE].operations
    assert sum(o.nbytes * n for o, n in averaged.items()) >= 3 * 4 * 12  # Reads both, writes the average.


def test_an_average_with_an_interval_takes_time_only_there() -> None:
    found = measure(config_of("ema={networks: {net: {every: {of: 3, at: 1}}}}", "steps.second=null"), 1)
    assert found.regimes == {0: 7, 1: 3}
    assert not found.work[0][AVERAGES_UPDATE].operations and found.work[1][AVERAGES_UPDATE].operations


def test_each_of_two_processes_has_half_of_the_batch_and_exchanges_its_gradients() -> None:
    found = measure(config_of(), 2)
    assert (found.samples, found.parts) == (2, 1)
    assert flops(found)[0]["main"] == FORWARD
    # Two tensors of gradients, each in 16 elements.
    assert found.work[0]["main"].sent == {"all-reduce": 2 * 1 / 2 * 4 * (2 * 16)}
    assert all(message.backward for message in found.work[0]["main"].messages)


def test_every_micro_batch_is_counted_and_gradients_are_exchanged_once() -> None:
    whole, parts = measure(config_of(), 2), measure(config_of("train.accumulate=2"), 2)
    assert (parts.samples, parts.parts) == (1, 2)
    assert flops(parts) == flops(whole)
    assert parts.work[0]["main"].messages == whole.work[0]["main"].messages


def test_memory_is_that_of_the_trace() -> None:
    config = config_of("ema={networks: [net]}")
    found, traced = measure(config, 1), trace(config)
    assert found.memory.lasting - traced.memory.lasting == {"batch": 4 * (3 * 4 + 8)}
    of_trace = {name: kinds.total() for name, kinds in traced.memory.steps.items()}
    # Only one of them creates the flags of skipped updates and their counters within the peak of a step.
    of_measure = {name: kinds.total() for name, kinds in found.memory.steps.items()}
    assert of_measure == pytest.approx(of_trace, abs=4 * MOST_FLAGS + 128)
    assert (found.checkpoint, found.kept) == (traced.checkpoint, traced.kept)


def test_sizes_on_cuda_are_rounded_up_to_blocks() -> None:
    found = measure(config_of(), 1, cuda=True)
    assert found.memory.lasting["parameters"] == 4 * 512  # Two weights and two biases.


def test_a_peak_in_the_update_has_the_gradients_and_not_the_new_state() -> None:
    """Optimizers make their state in the first update, which is counted as theirs."""
    memory = measure(config_of("networks.net={type: traced_huge}", "steps.second.losses.own.in=x"), 1).memory
    assert memory.steps["main"]["gradients"] == 4 * 10**10
    assert memory.peak == pytest.approx(16 * 10**10, rel=1e-3)


def test_a_batch_with_too_few_samples_is_refused() -> None:
    with pytest.raises(DataError, match="a batch of 4 samples is too small for 5 processes"):
        measure(config_of(), 5)


def test_memory_that_is_freed_by_resizing_is_not_in_use() -> None:
    live = LiveBytes()
    with live:
        tensor = torch.ones(1000)
        tensor.untyped_storage().resize_(0)
        assert live.live.total() == 0
        live.start()
        tensor.untyped_storage().resize_(800)
        assert live.live.total() == live.peaks[0].total == 800
    assert "resize_and_count" not in torch.UntypedStorage.resize_.__qualname__


def test_a_process_that_shards_has_its_part() -> None:
    """The first of two processes has two of three rows of the weight, and two of three biases."""
    found = measure(config_of("networks.net.parallel=shard"), 2)
    own = 4 * (2 * 3 + 2)
    assert found.memory.lasting["parameters"] == own + 4 * 12  # The other network is replicated.
    assert found.memory.lasting["optimizer state"] == 2 * own + 2 * 4 * 12 + 4 * 4  # And a count of each tensor.
    assert found.checkpoint == 2 * 3 * 4 * 12 + 4 * 4
    # Parameters are gathered in forward and backward, with padding; gradients are scattered.
    sent = found.work[0]["main"].sent
    assert (sent["all-gather"], sent["reduce-scatter"]) == (2 * own, own)
    assert sent["all-reduce"] == 4  # Whether a gradient is not finite.


def test_a_unit_that_trains_parameters_of_two_types_is_refused() -> None:
    with pytest.raises(ConfigError, match="it trains parameters of the types float32 and float64"):
        measure(config_of("networks.net={type: traced_two_types, parallel: shard}"), 2)
    for change in ("wrap: [second]", "frozen: [first.*]"):
        measure(config_of(f"networks.net={{type: traced_two_types, parallel: shard, {change}}}"), 2)


@networks.register("measured_reader")
class Reader(nn.Module):
    """(B, T, 8) to the same shape, with the weight of a module that it does not call."""

    def __init__(self) -> None:
        super().__init__()
        self.inner = nn.Linear(8, 8)

    def forward(self, x: Tensor) -> Tensor:
        return F.linear(x, self.inner.weight)


def test_a_unit_that_is_not_called_is_a_fault() -> None:
    text = LARGE.replace(
        "traced_blocks, width: 8192, blocks: 13", "measured_reader, wrap: [inner], frozen: [inner.bias]"
    )
    config = config_of(text=text.replace("traced_tokens", "traced_tokens, width: 8"))
    with pytest.raises(ConfigError) as raised:
        measure(config, 2)
    message = str(raised.value)
    line = Reader.forward.__code__.co_firstlineno + 1
    assert message == (
        "toy.yml:4:47: networks.net.wrap: parameters of a unit are read while it is not called\n"
        f"    at {__file__}:{line}: return F.linear(x, self.inner.weight)\n"
        "    Fix: in `wrap`, name only modules that are called themselves, or write `parallel: replicate`."
    )
    assert any("steps.main.injectors.call" in note for note in raised.value.__notes__)


@losses.register("measured_decay")
def decay(network: Network, x: Tensor) -> Tensor:
    """The mean square of parameters, read outside of the network."""
    return x.mean() + cast("nn.Linear", network.get_submodule("inner")).weight.matmul(x[0].mT).square().mean()


def test_a_loss_that_reads_a_part_of_a_parameter_is_a_fault() -> None:
    text = LARGE.replace("traced_blocks, width: 8192, blocks: 13", "measured_reader, frozen: [inner.bias]")
    text = text.replace("traced_tokens", "traced_tokens, width: 8")
    config = config_of(text=text.replace("type: mean, in: y", "type: measured_decay, network: net, x: y"))
    with pytest.raises(ConfigError) as raised:
        measure(config, 2)
    message = str(raised.value)
    assert message.startswith("toy.yml:7:5: steps.main: fails as one of 2 processes: RuntimeError: aten.")
    assert "got mixed torch.Tensor and DTensor" in message and "steps.main.losses.mean" in message
    assert message.endswith(FIX_OF_UNITS)


@pytest.mark.soak  # Longer than five seconds: it runs thousands of operations without values.
def test_ten_thousand_million_parameters_on_256_processes() -> None:
    """A stack of transformer blocks, as in the issue of a model that no card holds."""
    found = measure(config_of(text=LARGE), 256, cuda=True)
    parameters = 13 * (12 * 8192**2 + 13 * 8192)
    assert parameters > 10**10
    assert found.memory.lasting["parameters"] == pytest.approx(4 * parameters / 256, rel=1e-3)
    assert found.memory.lasting["optimizer state"] == pytest.approx(8 * parameters / 256, rel=1e-3)
    # Every parameter is gathered in forward and in backward, and its gradient is scattered.
    sent = found.work[0]["main"].sent
    assert sent["all-gather"] == pytest.approx(2 * 4 * parameters * 255 / 256, rel=1e-2)
    assert sent["reduce-scatter"] == pytest.approx(4 * parameters * 255 / 256, rel=1e-2)
    tokens = 2 * TOKENS
    assert found.work[0]["main"].flops == pytest.approx(6 * tokens * parameters, rel=0.05)
    # At least the gradients of one block as a whole, and far less than those of the network.
    assert 4 * parameters / 13 < found.memory.steps["main"].total() < 4 * parameters / 2


def types_in_bfloat16() -> list[torch.dtype]:
    with torch.autocast("cpu", torch.bfloat16):
        x = F.conv2d(torch.ones(2, 4, 8, 8), torch.ones(4, 4, 1, 1))
        kept = [x, F.silu(x), x.sum(1, dtype=x.dtype), x.softmax(1, x.dtype)]
        widened = [F.group_norm(x, 2), F.layer_norm(x, [8]), x.softmax(1), F.log_softmax(x, 1), x.sum(), x.sum(1), x**2]
        return [value.dtype for value in (*kept, *widened, x.long().sum())]


def test_autocast_as_on_cuda() -> None:
    """The types as in torch's documentation of autocast; the CPU has others."""
    narrow = [torch.bfloat16] * 11 + [torch.int64]
    assert types_in_bfloat16() == narrow
    for _ in range(2):
        with cuda_autocast():
            assert types_in_bfloat16() == [torch.bfloat16] * 4 + [torch.float32] * 7 + [torch.int64]
    assert types_in_bfloat16() == narrow
