"""The options that every network has in the file, in addition to the options of its component."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from artschool.registry.entries import Gated
from artschool.registry.signature import Count, Fraction, Natural, NotNegative


class WeightsEntry(BaseModel):
    """Where the initial weights of a network come from, and how their names map to the network.

    Attributes:
        file: File of pretrained weights: `.safetensors`, its `.safetensors.index.json` if it is in parts, or the
            tensors of a `.pt`, `.pth` or `.ckpt` file. null: `network` or `run` is given instead.
        prefix: Prefix of the names to load, which is removed from them. Names without the prefix are ignored. Empty:
            the only one under which the whole network fits, if names have one.
        strict: Whether missing and unexpected names are errors. In either case shapes must match, and at least one
            name.
        network: Network of the config file that the weights are copied from, once it has its own initial weights. With
            `run`: the network of that run, or its moving average such as `gen.ema`; null: the one of the same name.
        run: Run folder whose checkpoint has the weights. null: `file` or `network` is given instead.
        checkpoint: Checkpoint of `run`: `last` (the newest), `best` (by `checkpoint.keep_best`) or a number of
            iterations.
        skip: Patterns of names of the network that keep their own initialization, such as `[head.*]`. Tensors of the
            source under these names are ignored, whatever their shapes.
        rename: Names of the network by names of the source, such as `{backbone.*: encoder.*}`. Each `*` of a name is
            what it is in the other. The first matching pattern applies, after `prefix` is removed.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    file: Path | None = None
    prefix: str = ""
    strict: bool = True
    network: str | None = None
    run: Path | None = None
    checkpoint: Literal["best", "last"] | Natural = "last"
    skip: list[str] = []
    rename: dict[str, str] = {}

    @property
    def copied(self) -> str | None:
        """The network of the same file whose weights are copied. None: they come from a file or a run."""
        return self.network if self.run is None else None


class ShardEntry(BaseModel):
    """Numbers of processes. Their product must be the number of all processes.

    Attributes:
        shard: Number of processes that divide the parameters of a network among themselves.
        replicate: Number of these groups. Each of them has the whole network.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    shard: Count
    replicate: Count = 1


Parallel = Literal["replicate", "shard"] | ShardEntry
CompileMode = Literal["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"]


class CompileEntry(BaseModel):
    """How torch.compile compiles the calls of a network.

    Attributes:
        mode: Mode of inductor: `default`, `reduce-overhead` (CUDA graphs), `max-autotune` (measures kernels, and uses
            CUDA graphs) or `max-autotune-no-cudagraphs`.
        dynamic: Whether graphs serve inputs of any size. false: each size gets its own. null: sizes that change once
            become dynamic.
        fullgraph: Whether a call must be one graph. If not, code that torch cannot compile runs in Python between
            several graphs.
        backend: Backend of torch.compile. `inductor` generates kernels; `aot_eager` runs graphs by eager operations.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    mode: CompileMode = "default"
    dynamic: bool | None = None
    fullgraph: bool = False
    backend: str = "inductor"

    @property
    def uses_cuda_graphs(self) -> bool:
        """Whether calls reuse the memory of their results."""
        return self.mode in ("reduce-overhead", "max-autotune")


class AdaptersEntry(BaseModel):
    """Small trained additions to layers of a network, by peft. Everything else of the network is frozen.

    Attributes:
        type: Kind of the adapters. `lora`: the product of two matrices of rank `rank`, times `alpha / rank`.
        match: Patterns of the names of the layers to adapt, such as `["*.to_q", "*.to_v"]`.
        rank: Rank of the adapters.
        alpha: Scale of the adapters, which is divided by the rank. null: the rank.
        dropout: Probability with which an element of the input of an adapter is zero in training.
        options: Further options of peft's `LoraConfig`, such as `use_dora: true` or `modules_to_save: [head]`.
    """

    model_config = ConfigDict(extra="forbid", strict=True)

    type: Literal["lora"]
    match: Annotated[list[str], Field(min_length=1)]
    rank: Count = 8
    alpha: NotNegative | None = None
    dropout: Fraction = 0.0
    options: dict[str, Any] = {}

    @property
    def summary(self) -> str:
        """Kind and size, for a summary of the network."""
        return f"{self.type} adapters of rank {self.rank}"


class NetworkEntry(Gated):
    """A network.

    Attributes:
        weights: Pretrained weights to start from: a file, or a mapping with `file` or `network`, `prefix`, `strict`,
            `skip` and `rename`. null: the network's own initialization.
        frozen: Parameters that are not trained. true: all; a list: those whose names match a pattern, such as
            `[encoder.*]`; false: none. Layers whose parameters are all frozen run in eval mode.
        activation_checkpointing: Patterns of module names, such as `[body.*]`. Matching modules recompute their
            activations in the backward pass instead of storing them, which saves memory and costs time. Gradients
            stay the same.
        parallel: Where several processes keep the network, as `train.parallel`. null: the value of `train.parallel`.
        wrap: Patterns of module names, such as `[blocks.*]`, for a sharded network. Each matching module is gathered
            for its own forward and backward pass only. null: the modules of a list or `Sequential` that have a
            million parameters or more.
        channels_last: Whether weights of 4 or 5 dimensions keep the channels next to each other in memory. null: the
            value of `train.channels_last`. A sharded network ignores it.
        compile: Whether torch.compile compiles the calls of the network, or a mapping with `mode`, `dynamic`,
            `fullgraph` and `backend`. null: the value of `train.compile`.
        saved: What checkpoints contain of the network and of its average. true: everything; `trained`: the parameters
            that steps train, and whatever else has changed since the network was built; false: nothing, for a network
            that stays as it is. A resume takes the rest from the `weights` or the seed and verifies that it is the
            same. null: `trained` with `adapters`, else true.
        adapters: Small trained additions to layers: a mapping with `type: lora`, `match`, `rank`, `alpha`, `dropout`
            and `options`. The network's own parameters stay as they are. null: none.
    """

    weights: Path | WeightsEntry | None = None
    frozen: bool | list[str] = False
    activation_checkpointing: list[str] = []
    parallel: Parallel | None = None
    wrap: list[str] | None = None
    channels_last: bool | None = None
    compile: bool | CompileEntry | None = None
    saved: bool | Literal["trained"] | None = None
    adapters: AdaptersEntry | None = None

    @property
    def saves(self) -> bool | Literal["trained"]:
        """What checkpoints contain of the network."""
        if self.saved is None:
            return True if self.adapters is None else "trained"
        return self.saved
