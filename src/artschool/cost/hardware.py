"""What GPUs offer, from the data sheets of their vendor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

from artschool.errors import ConfigError
from artschool.wording.names import allowed

GB, TFLOPS = 10**9, 10**12


@dataclass(frozen=True)
class Gpu:
    """A GPU and the machine around it. Rates are peaks without sparsity.

    Attributes:
        memory: Bytes of memory.
        bandwidth: Bytes per second between memory and processor.
        fp32: FLOP/s of float32 arithmetic.
        tf32: FLOP/s of float32 matrix products in TF32. Without TF32: that of `fp32`.
        bf16: FLOP/s of matrix products in bfloat16, with sums in float32. Without bfloat16: that of `fp32`.
        fp16: FLOP/s of matrix products in float16, with sums in float32.
        link: Bytes per second that a GPU sends to others of its node.
        host: Bytes per second that a GPU sends to the memory of the CPU, or receives from there.
        network: Bytes per second that a node sends to others. An assumption about the machine.
        per_node: Number of GPUs in a node. An assumption about the machine.
    """

    name: str
    memory: float
    bandwidth: float
    fp32: float
    tf32: float
    bf16: float
    fp16: float
    link: float
    host: float
    network: float
    per_node: int

    def without_tf32(self) -> Gpu:
        """The GPU as `train.matmul_precision: highest` uses it."""
        return replace(self, tf32=self.fp32)

    def rate(self, dtype: str) -> float:
        """FLOP/s of matrix products of a type, such as `bfloat16`. float32 uses TF32."""
        return {"float32": self.tf32, "bfloat16": self.bf16, "float16": self.fp16}.get(dtype, self.fp32)

    def link_of(self, ranks: int, stride: int) -> float:
        """Bytes per second that each process of a group sends around a ring.

        The rings of a group use all network cards of a node that belong to its GPUs.
        """
        within = min(ranks, -(-self.per_node // stride))
        return self.link if within == ranks else min(self.link, self.network / self.per_node * within)


def _gpu(
    name: str,
    memory: float,
    bandwidth: float,
    rates: tuple[float, float, float, float],
    link: float,
    host: float,
    network: float,
    per_node: int = 8,
) -> Gpu:
    fp32, tf32, bf16, fp16 = (rate * TFLOPS for rate in rates)
    memory, bandwidth, link, host, network = (size * GB for size in (memory, bandwidth, link, host, network))
    return Gpu(name, memory, bandwidth, fp32, tf32, bf16, fp16, link, host, network, per_node)


# Memory in GB; bandwidth in GB/s; TFLOP/s of fp32, tf32, bf16, fp16; GB/s of link, host and network, in one direction.
# 16 lanes of PCIe 3.0, 4.0 and 5.0 have 16, 32 and 64 GB/s. A rate that data sheets give with sparsity only is halved,
# and that of GeForce cards is the one with sums in float32, half of the one with sums in float16.
# Networks are those of DGX and HGX machines (one card of 100, 200 or 400 Gb/s per GPU; two GPUs share one beside V100),
# and 100 Gb/s per node for GPUs with PCIe, 400 Gb/s for L40S.
GPUS: Mapping[str, Gpu] = {
    gpu.name: gpu
    for gpu in (
        # NVIDIA DGX B200 data sheet (2024): eight GPUs together have 1440 GB, 64 TB/s; NVLink 5 has 1.8 TB/s.
        _gpu("b200", 180, 8000, (75, 1125, 2250, 2250), 900, 64, 400),
        # NVIDIA H200 data sheet (2024), SXM.
        _gpu("h200", 141, 4800, (67, 494.5, 989.5, 989.5), 450, 64, 400),
        # NVIDIA H100 data sheet (2023), SXM; rates with sparsity, halved.
        _gpu("h100", 80, 3350, (67, 494.5, 989.5, 989.5), 450, 64, 400),
        # NVIDIA A100 data sheet (2022), SXM.
        _gpu("a100-80", 80, 2039, (19.5, 156, 312, 312), 300, 32, 200),
        _gpu("a100-40", 40, 1555, (19.5, 156, 312, 312), 300, 32, 200),
        # NVIDIA L40S data sheet (2023); rates with sparsity, halved; PCIe 4.0 x16.
        _gpu("l40s", 48, 864, (91.6, 183, 362, 362), 32, 32, 50),
        # NVIDIA L4 data sheet (2023); rates with sparsity, halved; PCIe 4.0 x16.
        _gpu("l4", 24, 300, (30.3, 60, 121, 121), 32, 32, 12.5),
        # NVIDIA RTX Blackwell architecture white paper (2025), appendix A; PCIe 5.0 x16.
        _gpu("rtx5090", 32, 1792, (104.8, 104.8, 209.5, 209.5), 64, 64, 12.5, 4),
        # NVIDIA Ada architecture white paper (2023), appendix A; PCIe 4.0 x16.
        _gpu("rtx4090", 24, 1008, (82.6, 82.6, 165.2, 165.2), 32, 32, 12.5, 4),
        # NVIDIA Ampere GA102 architecture white paper (2021), appendix A; PCIe 4.0 x16.
        _gpu("rtx3090", 24, 936, (35.6, 35.6, 71, 71), 32, 32, 12.5, 4),
        # NVIDIA V100 data sheet (2020), SXM2 with 32 GB; it has neither TF32 nor bfloat16.
        _gpu("v100", 32, 900, (15.7, 15.7, 15.7, 125), 150, 16, 50),
        # NVIDIA T4 data sheet (2019); it has neither TF32 nor bfloat16; PCIe 3.0 x16.
        _gpu("t4", 16, 320, (8.1, 8.1, 8.1, 65), 16, 16, 12.5, 4),
    )
}


def find_gpu(name: str) -> Gpu:
    """The GPU of a name, in upper or lower case.

    Raises:
        ConfigError: The name is unknown.
    """
    if name.lower() not in GPUS:
        raise ConfigError(f"--gpu {name!r}: unknown GPU. {allowed('Known GPUs', name.lower(), GPUS)}")
    return GPUS[name.lower()]
