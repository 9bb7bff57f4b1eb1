"""Seconds of operations and messages by hand."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from artschool.cost.hardware import GPUS, find_gpu
from artschool.cost.model import (
    EXCHANGE,
    LAUNCHES,
    MATMULS,
    MEMORY,
    OF_BANDWIDTH,
    OF_LINK,
    OF_PEAK,
    OFFLOAD,
    SECONDS_PER_MESSAGE,
    SECONDS_PER_OPERATION,
    seconds_of,
)
from artschool.errors import ConfigError
from artschool.trace.work import Message, Operation, Work

GPU = replace(GPUS["h100"], bandwidth=1e12, tf32=1e14, bf16=2e14, link=1e11, network=8e10, per_node=4)


def test_an_operation_takes_the_longer_of_two_times() -> None:
    product = Operation(flops=10**12, nbytes=10**9, dtype="float32", backward=False)
    sum_ = Operation(flops=0, nbytes=10**9, dtype="float32", backward=True)
    found = seconds_of(Work(Counter({product: 2, sum_: 3})), GPU)
    assert found.parts == {
        MATMULS: pytest.approx(2 * 0.01 / OF_PEAK),
        MEMORY: pytest.approx(3 * 0.001 / OF_BANDWIDTH),
        LAUNCHES: 0,
        EXCHANGE: 0,
    }
    assert found.utilization == pytest.approx(2 * 0.01 / found.total)
    assert found.bottleneck == MATMULS


def test_types_have_their_own_rates() -> None:
    work = {kind: Work(Counter({Operation(10**12, 0, kind, False): 1})) for kind in ("float32", "bfloat16", "float64")}
    seconds = {kind: seconds_of(each, GPU).total for kind, each in work.items()}
    assert seconds == {
        "float32": pytest.approx(0.01 / OF_PEAK),
        "bfloat16": pytest.approx(0.005 / OF_PEAK),
        "float64": pytest.approx(1e12 / GPU.fp32 / OF_PEAK),
    }


def test_small_operations_wait_for_the_host() -> None:
    found = seconds_of(Work(Counter({Operation(0, 10**3, "float32", False): 1000})), GPU)
    assert found.total == pytest.approx(1000 * SECONDS_PER_OPERATION)
    assert found.bottleneck == LAUNCHES


@pytest.mark.parametrize(
    ("ranks", "stride", "link"),
    [
        (4, 1, 1e11),  # Within a node.
        (8, 1, 8e10),  # Two nodes; a ring for each network card.
        (2, 4, 2e10),  # One GPU of each node, with one network card.
        (4, 2, 4e10),
    ],
)
def test_the_slowest_link_of_a_group_counts(ranks: int, stride: int, link: float) -> None:
    assert GPU.link_of(ranks, stride) == pytest.approx(link)


def test_messages_hide_behind_the_operations_of_their_pass_but_for_one() -> None:
    compute = Operation(int(1e12), 0, "float32", backward=True)  # 0.01 s at the peak.
    gradient = Message("all-reduce", 10**9, 4, 1, backward=True)
    each = 1.5e9 / (1e11 * OF_LINK) + SECONDS_PER_MESSAGE
    short = seconds_of(Work(Counter({compute: 10}), Counter({gradient: 4})), GPU)
    assert [short.hidden, short.parts[EXCHANGE]] == pytest.approx([3 * each, each])
    long = seconds_of(Work(Counter({compute: 1}), Counter({gradient: 4})), GPU)
    assert [long.hidden, long.parts[EXCHANGE]] == pytest.approx([0.01 / OF_PEAK, 4 * each - 0.01 / OF_PEAK])


def test_messages_after_backward_hide_behind_nothing() -> None:
    compute = Operation(int(1e13), 0, "float32", backward=False)
    found = seconds_of(Work(Counter({compute: 1}), Counter({Message("all-reduce", 10**9, 4, 1, False): 2})), GPU)
    assert found.hidden == 0
    assert found.parts[EXCHANGE] == pytest.approx(2 * (1.5e9 / (1e11 * OF_LINK) + SECONDS_PER_MESSAGE))


def test_gathered_parameters_hide_behind_forward() -> None:
    compute = Operation(int(1e13), 0, "float32", backward=False)
    found = seconds_of(Work(Counter({compute: 1}), Counter({Message("all-gather", 10**9, 4, 1, False): 2})), GPU)
    assert found.hidden == pytest.approx(found.parts[EXCHANGE])


def test_nothing_hides_copies_of_offloaded_state() -> None:
    found = seconds_of(Work(Counter({Operation(int(1e13), 0, "float32", False): 1}), offloaded=3 * 10**9), GPU)
    assert found.parts[OFFLOAD] == pytest.approx(3e9 / (GPU.host * OF_LINK))
    assert found.total == pytest.approx(found.parts[OFFLOAD] + found.parts[MATMULS])


def test_a_gpu_is_found_by_name() -> None:
    assert find_gpu("H100").memory == 80e9
    with pytest.raises(ConfigError, match=r"--gpu 'h10': unknown GPU. Known GPUs: .*\. Did you mean 'h100'\?"):
        find_gpu("h10")


def test_rates_of_the_table_are_plausible() -> None:
    for gpu in GPUS.values():
        assert gpu.fp32 <= gpu.tf32 <= gpu.fp16 and gpu.bf16 in (gpu.fp16, gpu.fp32)
        assert gpu.link < gpu.bandwidth and gpu.network / gpu.per_node < gpu.link
