"""The section `train`."""

from __future__ import annotations

from typing import Annotated, Literal

from artschool.config.section import Section
from artschool.registry.network_entry import CompileEntry, Parallel
from artschool.registry.signature import Count, Natural, NotNegative, Pattern, UnitInterval
from artschool.registry.units import Interval, Iterations


class AccumulateEverySection(Section):
    """A different number of parts per batch at regular iterations that need more or less memory than others.

    Attributes:
        every: Interval, in iterations, at which `parts` replaces `accumulate`: at multiples of this number.
        parts: Number of parts into which a batch is split at these iterations.
    """

    every: Interval
    parts: Count


class OffloadSection(Section):
    """What is kept in the memory of the CPU and copied to the device part by part while an update needs it.

    Attributes:
        optimizer: Where the state of all optimizers is kept. `cpu`: in the memory of the CPU. null: on the device.
        ema: Where the averages of weights are kept. `cpu`: in the memory of the CPU, so that no step can call them;
            evaluations can. null: on the device.
    """

    optimizer: Literal["cpu"] | None = None
    ema: Literal["cpu"] | None = None


class StopSection(Section):
    """The end of training by a number of the log.

    Attributes:
        metric: Number of the log that decides, such as `<evaluation>/<metric>` or `<step>/<loss>`.
        mode: Direction of improvement. `min`: smaller is better. `max`: larger is better.
        patience: Number of measurements in a row without an improvement after which training ends.
        threshold: By how much a number must differ from the best one to be an improvement.
    """

    metric: str
    mode: Literal["min", "max"]
    patience: Count
    threshold: NotNegative = 0.0


class TrainSection(Section):
    """Length and settings of the training.

    Attributes:
        iterations: Number of training iterations. Required unless `epochs` is set.
        epochs: Length of the training in passes over `data.train`. Required unless `iterations` is set.
        accumulate: Number of parts (micro-batches) into which each batch is split to save memory. Their gradients are
            averaged, weighted by their samples, or by the places that a loss is a mean over, such as those of a mask.
        accumulate_every: A different number of parts at regular iterations. null: `accumulate` at every iteration.
        precision: Precision of the computation. `bf16` and `fp16` use autocast; weights stay float32.
        non_finite: Reaction to NaN or infinite gradients. `skip`: skip the update, and end the run after `max_skips`
            skipped updates in a row. `rollback`: skip likewise, then return to an earlier checkpoint and continue with
            other batches. `rewind`: the same with a copy of the state in memory, then with checkpoints. `stop`: end the
            run at the next log point. `ignore`: update without checking.
        max_skips: Number of skipped updates in a row after which the run ends or rolls back.
        max_rollbacks: Maximum number of rollbacks. Each returns one checkpoint further back than the last.
        rewind_every: Number of iterations between two copies in memory for `non_finite: rewind`. They are taken at log
            points.
        cooling: Factor by which each rollback multiplies all learning rates, for the rest of the run.
        start_iteration: Iteration at which a new run starts counting, as if all earlier ones were done.
        start_samples: Number of samples at which a new run starts counting. null: the samples of the iterations before
            `start_iteration`.
        device: Device to train on: `auto`, `cpu`, `cuda`, `cuda:1`, ... `auto` uses a GPU if one is available.
        deterministic: Whether to use only deterministic algorithms of torch.
        cudnn_benchmark: Whether cuDNN measures which kernels are fastest. Useful if all batches have the same shape.
        detect_anomaly: Whether torch searches for the operation that produced a NaN. Slow.
        parallel: Where several processes keep the networks. `replicate`: each has all parameters. `shard`: each has a
            part of the parameters, gradients, optimizer state and averages, and gathers whole modules to compute.
            `{shard: N, replicate: M}`: M groups of N processes, each of which shards the networks.
        matmul_precision: Precision of float32 products of matrices and convolutions. `highest`: float32. `high`: may
            use TF32 on a GPU, with 10 bits of mantissa. `medium`: may use bfloat16. null: `high` on a CUDA device, and
            torch's own setting elsewhere or if `deterministic` is true.
        channels_last: Whether images and weights of 4 or 5 dimensions keep the channels next to each other in memory,
            which suits convolutions on GPUs.
        compile: Whether torch.compile compiles the calls of all networks, or a mapping with `mode`, `dynamic`,
            `fullgraph` and `backend`. A network overrides it by its own `compile`.
        offload: What is kept in the memory of the CPU, for devices that are too small.
        hang_timeout: Maximum time in seconds that training waits for a sample, a worker or another process. Then it
            prints the stacks of all threads, saves if it can, and ends with exit code 5. 0: no limit.
        on_look_error: Reaction to an error of what only looks at the result of an iteration: evaluations, images,
            numbers of callbacks and networks. `continue`: warn, train on, and end with the error after the last
            iteration. `stop`: end the run at once.
        on_out_of_memory: Reaction to a step that needs more memory than there is. `stop`: end the run with an error
            that names the batch. `split`: redo the step with its micro-batches in halves, quarters, ..., in all
            processes, and split it from then on.
        stop: Number of the log that ends training early when it no longer improves. null: train to the end.
    """

    iterations: Interval | None = None
    epochs: Count | None = None
    accumulate: Count = 1
    accumulate_every: AccumulateEverySection | None = None
    precision: Literal["fp32", "bf16", "fp16"] = "fp32"
    non_finite: Literal["skip", "stop", "rollback", "rewind", "ignore"] = "skip"
    max_skips: Count = 100
    max_rollbacks: Count = 3
    rewind_every: Count = 100
    cooling: UnitInterval = 1.0
    start_iteration: Iterations = 0
    start_samples: Natural | None = None
    device: Annotated[str, Pattern(r"^(auto|cpu|(cuda|mps|xpu)(:[0-9]+)?)$", "auto, cpu, cuda or cuda:1")] = "auto"
    deterministic: bool = False
    cudnn_benchmark: bool = False
    detect_anomaly: bool = False
    parallel: Parallel = "replicate"
    matmul_precision: Literal["highest", "high", "medium"] | None = None
    channels_last: bool = False
    compile: bool | CompileEntry = False
    offload: OffloadSection = OffloadSection()
    hang_timeout: NotNegative = 1800.0
    on_look_error: Literal["continue", "stop"] = "continue"
    on_out_of_memory: Literal["stop", "split"] = "stop"
    stop: StopSection | None = None

    def length(self, per_epoch: int) -> int:
        """The number of iterations of the run, given those of an epoch."""
        return self.iterations or (self.epochs or 0) * per_epoch

    def matmul_precision_on(self, device_type: str) -> str | None:
        """The precision of float32 products on a type of device. None: torch's own setting."""
        default = "high" if device_type == "cuda" and not self.deterministic else None
        return self.matmul_precision or default

    @property
    def max_parts(self) -> int:
        """The largest number of micro-batches into which a batch is split, as far as it is known."""
        parts = max(self.accumulate, self.accumulate_every.parts if self.accumulate_every is not None else 1)
        return 2 * parts if self.on_out_of_memory == "split" else parts

    def num_micro_batches(self, iteration: int) -> int:
        """The number of micro-batches into which the batch of an iteration is split."""
        other = self.accumulate_every
        return other.parts if other is not None and iteration % other.every == 0 else self.accumulate
