"""Compiled networks train as eager ones, whatever is frozen; what a compiler gets wrong is found and runs eagerly."""

from __future__ import annotations

import copy
import inspect
import json
import pickle
import random
import re
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
import torch._dynamo as dynamo
from torch import Tensor, nn
from torch.nn.utils.stateless import _reparametrize_module

from artschool.engine.compile_proof import difference
from artschool.engine.compiled import CompiledMethod, CudaGraphs
from artschool.engine.meters import Meters
from artschool.engine.run import Run
from artschool.engine.train_context import TrainContext
from artschool.errors import ConfigError
from artschool.registry import losses, networks
from artschool.registry.network_entry import CompileEntry
from artschool.registry.signature import Network
from tests.engine import toy_parts, toy_run
from tests.engine.forked import run_script

Graph = Callable[..., Sequence[Tensor]]
GRAPHS_ONLY = "train.compile={backend: eager}"
EAGER_GRAPHS = "train.compile={backend: aot_eager}"
THAWS = """
name: thaws
plugins: [PLUGIN]
data: {train: {type: part_samples, length: 6, width: 4, batch_size: 2, shuffle: false}}
networks: {net: {type: compiled_thawing}}
steps:
  whole:
    trains: net
    optimizer: {type: sgd, lr: 0.1}
    injectors: {call: {type: forward, network: net, in: x, out: y}}
    losses: {mean: {type: l2, in: [y, x], weight: 1.0}}
  method:
    trains: net
    after: 4
    optimizer: {type: sgd, lr: 0.1}
    injectors: {call: {type: forward, network: net, method: begin, in: x, out: z}}
    losses: {mean: {type: l2, in: [z, x], weight: 1.0}}
train: {iterations: 6, device: cpu}
"""


@networks.register("compiled_thawing")
class Thawing(nn.Module):
    """Two layers; the first trains from iteration 3."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(4, 4)
        self.second = nn.Linear(4, 4)
        for parameter in self.first.parameters():
            parameter.DO_NOT_TRAIN_UNTIL = 3  # type: ignore[attr-defined]  # as artschool documents

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4) to (B, 4)."""
        y: Tensor = self.second(self.first(x).tanh())
        return y

    def begin(self, x: Tensor) -> Tensor:
        """(B, 4) to (B, 4)."""
        y: Tensor = self.first(x).tanh()
        return y


@losses.register("compiled_steep")
def steep(x: Tensor, network: Network) -> Tensor:
    """The squared gradient of a network, which nothing declares."""
    x = (x * 1.0).requires_grad_().clone()
    (gradient,) = torch.autograd.grad(network(x).sum(), x, create_graph=True)
    return gradient.square().mean()


def _registered(name: str, change: Callable[[Graph], Graph]) -> None:
    def backend(graph: Graph, inputs: Sequence[Tensor]) -> Graph:
        return change(graph)

    dynamo.register_backend(backend, name=name)  # type: ignore[arg-type]  # torch types graphs as modules


def _raising(graph: Graph) -> Graph:
    raise RuntimeError("no compiler here\nand more")


def _losing(graph: Graph) -> Graph:
    """Loses the gradient of one parameter."""

    def call(*inputs: Tensor) -> Sequence[Tensor]:
        last = [i for i, value in enumerate(inputs) if isinstance(value, nn.Parameter)][-1]
        return graph(*[value.detach() if i == last else value for i, value in enumerate(inputs)])

    return call


_registered("compiled_wrong", lambda graph: lambda *inputs: [value * 1.01 for value in graph(*inputs)])
_registered("compiled_raises", _raising)
_registered("compiled_loses", _losing)


def trained(folder: Path, *overrides: str, text: str = toy_run.TEXT) -> tuple[Run, toy_run.Recorder]:
    folder.mkdir(exist_ok=True)
    run = toy_run.load(folder, *overrides, text=text.replace("PLUGIN", str(Path(__file__).resolve()), 1))
    recorder = toy_run.recorded(run)
    return run.train(), recorder


def trained_thawing(folder: Path, *overrides: str) -> list[dict[str, Any]]:
    """What training moved, after each iteration."""
    folder.mkdir()
    plugins = [str(Path(module.__file__ or "").resolve()) for module in (toy_parts,)] + [str(Path(__file__).resolve())]
    run = toy_run.load(folder, *overrides, text=THAWS.replace("PLUGIN", ", ".join(plugins)))
    run.loggers = [snapshots := toy_parts.Snapshots()]
    run.train()
    return snapshots.taken


def close(one: Any, other: Any) -> bool:
    """Whether two states hold the same names, and the same numbers except for their last bits."""
    if isinstance(one, Tensor):
        return torch.allclose(one, other, rtol=1e-5, atol=1e-7)
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(close(one[key], other[key]) for key in one)
    return bool(one == other)


@pytest.mark.soak
def test_a_gan_trains_as_without_it_and_its_average_is_compiled_too(tmp_path: Path) -> None:
    """In `make soak`, as those below: it takes seconds to compile five kinds of calls."""
    eager, _ = trained(tmp_path / "eager")
    compiled, recorder = trained(tmp_path / "compiled", EAGER_GRAPHS)
    assert close(toy_parts.snapshot(compiled), toy_parts.snapshot(eager))
    assert compiled.last_evaluation == pytest.approx(eager.last_evaluation, rel=1e-5)
    said = [note.split(" compiled and proven in ")[0] for note in recorder.notes]
    assert set(said) == {"note: networks.gen:", "note: networks.critic:", "note: networks.gen.ema:"}
    trained_parts = {note.split("(")[1].split(";")[0] for note in recorder.notes if "critic" in note}
    assert trained_parts == {"0 of 6 parameters trained", "6 of 6 parameters trained"}
    assert all(note.endswith("; 1 graph)") for note in recorder.notes)


def test_a_layer_that_thaws_trains_in_every_method(tmp_path: Path) -> None:
    expected = trained_thawing(tmp_path / "eager")
    found = trained_thawing(tmp_path / "compiled", EAGER_GRAPHS)
    assert close(dict(enumerate(found)), dict(enumerate(expected)))
    first = [taken["net"]["first.weight"] for taken in found]
    assert torch.equal(first[0], first[3]) and not torch.equal(first[3], first[4])


def test_variants_hold_where_the_compiler_never_looks_at_frozen_parameters_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As torch 2.9 did in some networks: what was frozen when a function was compiled stays frozen in its graph."""

    def unguarded(function: Any, **options: Any) -> Callable[..., Any]:
        network = inspect.getclosurevars(function).nonlocals["function"].__self__
        flags: dict[str, bool] = {}
        options["backend"].graphs += 1

        def call(*inputs: Tensor) -> Any:
            if not flags:
                flags.update((name, parameter.requires_grad) for name, parameter in network.named_parameters())
            values = {name: p if flags[name] else p.detach() for name, p in network.named_parameters()}
            with _reparametrize_module(network, values):
                return function(*inputs)

        return call

    expected = trained_thawing(tmp_path / "eager")
    monkeypatch.setattr(torch, "compile", unguarded)
    found = trained_thawing(tmp_path / "compiled", EAGER_GRAPHS)
    assert close(dict(enumerate(found)), dict(enumerate(expected)))


@pytest.mark.parametrize(
    ("backend", "reason"),
    [
        ("compiled_wrong", "output 0 of the compiled call differs by 0.01 of its norm (tolerance 0.001)"),
        ("compiled_raises", "RuntimeError: no compiler here"),
        ("compiled_loses", "the compiled call gives 4.bias no gradient, unlike the eager one"),
    ],
)
def test_what_a_compiler_gets_wrong_runs_eagerly(tmp_path: Path, backend: str, reason: str) -> None:
    short = "train.iterations=3"
    eager, _ = trained(tmp_path / "eager", short)
    compiled, recorder = trained(tmp_path / "compiled", short, f"networks.gen.compile={{backend: {backend}}}")
    assert toy_parts.same(toy_parts.snapshot(compiled), toy_parts.snapshot(eager))
    assert f"warning: networks.gen: runs uncompiled: {reason}" in recorder.notes
    assert len(recorder.notes) == len(set(recorder.notes))


@pytest.mark.soak
def test_a_resume_compiles_again_and_gives_the_same_bits(tmp_path: Path) -> None:
    """In `make soak`, since three runs compile."""
    whole, _ = trained(tmp_path / "whole", EAGER_GRAPHS)
    trained(tmp_path / "parts", EAGER_GRAPHS, "train.iterations=10")
    resumed, recorder = trained(tmp_path / "parts", EAGER_GRAPHS)
    assert resumed.resumed_from == 10
    assert any("networks.gen: compiled" in note for note in recorder.notes)
    assert toy_parts.same(toy_parts.snapshot(resumed), toy_parts.snapshot(whole))


@pytest.mark.soak
def test_a_gradient_that_a_loss_differentiates_is_computed_eagerly(tmp_path: Path) -> None:
    """In `make soak`, since it compiles a whole GAN."""
    penalty = "steps.critic.losses.r1={type: gradient_penalty, network: critic, real: hq, kind: r1, weight: 1.0}"
    short = "train.iterations=7"
    eager, _ = trained(tmp_path / "eager", short, penalty)
    compiled, recorder = trained(tmp_path / "compiled", short, penalty, EAGER_GRAPHS)
    assert close(toy_parts.snapshot(compiled), toy_parts.snapshot(eager))
    assert not any(note.startswith("warning") for note in recorder.notes)


def test_a_loss_that_differentiates_a_gradient_in_secret_ends_the_run_with_advice(tmp_path: Path) -> None:
    overrides = ("steps.critic.losses.steep={type: compiled_steep, network: critic, x: hq, weight: 1.0}", GRAPHS_ONLY)
    with pytest.raises(ConfigError, match=r"networks\.critic: a loss differentiates its gradient again") as error:
        trained(tmp_path / "run", *overrides, text=toy_run.TEXT.replace("[PLUGIN]", "[PLUGIN, PLUGIN]"))
    assert "Fix: write `compile: false` for this network" in str(error.value)


class Busy(nn.Module):
    """Everything that a call can change: buffers in place and by assignment, an attribute, random generators."""

    def __init__(self) -> None:
        super().__init__()
        self.norm, self.scale, self.calls = nn.BatchNorm1d(4), nn.Parameter(torch.ones(4)), 0
        self.mean: Tensor
        self.register_buffer("mean", torch.zeros(4))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 4) to (B, 4)."""
        self.calls += 1
        self.mean = self.mean + x.mean(0)
        y: Tensor = self.norm(nn.functional.dropout(x, 0.5)) * self.scale
        return y * (1 + random.random())


def test_the_proof_changes_nothing() -> None:
    network, x = Busy(), torch.randn(8, 4, requires_grad=True)
    state, mean = copy.deepcopy(network.state_dict()), network.mean
    drawn = random.getstate(), torch.get_rng_state()
    assert difference(network, network, network, (x,), {}, "cpu") == ""
    assert toy_parts.same(network.state_dict(), state) and network.mean is mean and network.calls == 0
    assert drawn[0] == random.getstate() and torch.equal(drawn[1], torch.get_rng_state())
    assert network.scale.grad is None and x.grad is None


@pytest.mark.parametrize(
    ("change", "reason"),
    [
        (lambda network, x: network(x) * 1.01, "output 0 of the compiled call differs by 0.01 of its norm"),
        (lambda network, x: network(x).double(), "output 0 of the compiled call is torch.float64 (8, 4), expected"),
        (lambda network, x: network(x) * torch.nan, "output 0 of the compiled call is not finite in the same places"),
        (lambda network, x: network(x.detach()), "the compiled call gives input 0 no gradient"),
        (lambda network, x: network.norm.eval() and network(x), "of the compiled call differs"),
        (lambda network, x: (network(x), x), "expected 5 outputs and buffers, got 6"),
        (lambda network, x: network(x) + 1e-3 * network.scale.sin().square().sum() * 0, ""),
    ],
)
def test_the_proof_finds(change: Callable[[Any, Tensor], Any], reason: str) -> None:
    network, x = Busy(), torch.randn(8, 4, requires_grad=True)
    found = difference(network, network, lambda x: change(network, x), (x,), {}, "cpu")
    assert reason in found and bool(reason) == bool(found)


def test_a_mask_hides_no_difference_from_the_proof() -> None:
    network, x = nn.Linear(4, 4), torch.randn(2, 4)
    network.register_buffer("mask", torch.full((8, 8), -1e9))
    with torch.no_grad():
        found = difference(network, network, lambda x: network(x) * 3, (x,), {}, "cpu")
    assert found == "output 0 of the compiled call differs by 2 of its norm (tolerance 0.001)"


def test_an_input_that_a_loss_differentiates_is_a_variant_of_its_own() -> None:
    notes: list[str] = []
    network, x = compiled_thawing(notes), torch.randn(2, 4, requires_grad=True)
    network(x * 1)
    (gradient,) = torch.autograd.grad(network(x).square().sum(), x, create_graph=True)
    gradient.square().sum().backward()  # type: ignore[no-untyped-call]  # torch
    assert network.first.weight.grad is not None
    assert len(notes) == 1


def test_a_graph_is_differentiated_twice() -> None:
    """As by `gradient_ratio`, which weighs a loss by gradients that the step computes again."""
    notes: list[str] = []
    network = compiled_thawing(notes)
    plain, x = copy.deepcopy(network), torch.randn(2, 4)
    for called in (network, plain):
        loss = called(x).square().sum()
        torch.autograd.grad(loss, called.second.weight, retain_graph=True)
        loss.backward()
    assert [note.split(" compiled and proven in ")[0] for note in notes] == ["note: networks.net:"]
    for own, expected in zip(network.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None and expected.grad is not None and torch.allclose(own.grad, expected.grad, atol=1e-6)


def test_an_eager_call_of_a_batch_norm_is_differentiated_after_compiled_ones() -> None:
    """As in a critic with a gradient penalty: an eager norm writes its statistics without a new version."""
    notes: list[str] = []
    network = nn.Sequential(nn.Linear(3, 4), nn.BatchNorm1d(4))
    plain = copy.deepcopy(network)
    cuda_graphs = CudaGraphs(TrainContext(torch.device("cpu"), Meters()))
    entry = CompileEntry(backend="aot_eager")
    CompiledMethod("networks.net", network, None, entry, notes.append, cuda_graphs).install()
    for called in (network, plain):
        leaf, other = torch.ones(5, 3).tril().requires_grad_(), torch.ones(5, 3).triu()
        penalized, judged = called(leaf), called(other)
        with torch.no_grad():
            called(other)
        (penalized.square().mean() + judged.exp().mean()).backward()
    assert [note.split(" compiled and proven in ")[0] for note in notes] == ["note: networks.net:"] * 2
    assert close(network.state_dict(), plain.state_dict())
    for own, expected in zip(network.parameters(), plain.parameters(), strict=True):
        assert own.grad is not None and expected.grad is not None and torch.allclose(own.grad, expected.grad, atol=1e-6)


def test_the_proof_refuses_outputs_of_different_parameters() -> None:
    """A loss of one output would give the parameters of the other zeros, which AdamW does not skip."""
    network = nn.ModuleList([nn.Linear(2, 2), nn.Linear(2, 2)])

    def both(x: Tensor) -> tuple[Tensor, Tensor]:
        return network[0](x), network[1](x)

    message = "its outputs depend on different parameters, and no output on all of them"
    assert difference(network, both, both, (torch.ones(1, 2),), {}, "cpu") == message
    with torch.no_grad():
        assert difference(network, both, both, (torch.ones(1, 2),), {}, "cpu") == ""


def compiled_thawing(notes: list[str], **options: Any) -> Thawing:
    network = Thawing()
    cuda_graphs = CudaGraphs(TrainContext(torch.device("cpu"), Meters()))
    for method in (None, "begin"):
        entry = CompileEntry(**{"backend": "aot_eager", **options})
        CompiledMethod("networks.net", network, method, entry, notes.append, cuda_graphs).install()
    return network


def test_a_copy_of_a_compiled_network_is_a_plain_one() -> None:
    network, x = compiled_thawing([]), torch.randn(2, 4)
    expected = network(x), network.begin(x)
    for copied in (copy.deepcopy(network), pickle.loads(pickle.dumps(network))):
        assert copied._compiled_call_impl is None
        assert copied.begin.__self__ is copied  # type: ignore[union-attr]  # a bound method
        assert torch.allclose(copied(x), expected[0]) and torch.allclose(copied.begin(x), expected[1])
    assert list(network.state_dict()) == list(Thawing().state_dict())


@pytest.mark.soak
def test_each_kind_of_call_is_a_variant_with_a_graph_of_its_own() -> None:
    """In `make soak`, since it compiles 18 graphs."""
    notes: list[str] = []
    network, x = compiled_thawing(notes), torch.randn(2, 4)
    for trains in ((True, True), (True, False), (False, True), (False, False)):
        network.first.requires_grad_(trains[0])
        network.second.requires_grad_(trains[1])
        for training in (True, False):
            for context in (torch.enable_grad(), torch.no_grad(), torch.autocast("cpu", torch.bfloat16)):
                with context:
                    network.train(training)(x)
                    network(x)
    # Without gradients it does not matter what is frozen.
    assert len(notes) == len(set(notes)) or all("compiled" in note for note in notes)
    call = network._compiled_call_impl
    assert isinstance(call, CompiledMethod) and len(call._variants) == 4 * 2 * 2 + 2
    assert not any(note.startswith("warning") for note in notes)


@pytest.mark.filterwarnings("ignore:The .grad attribute:UserWarning")  # torch reads it where a graph breaks.
def test_a_graph_break_is_reported_and_refused_where_the_file_asks_for_one_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def broken(self: Thawing, x: Tensor) -> Tensor:
        y: Tensor = self.first(x)
        dynamo.graph_break()
        return y * 2

    monkeypatch.setattr(Thawing, "forward", broken)
    notes: list[str] = []
    compiled_thawing(notes)(torch.ones(2, 4))
    assert "2 graphs, broken by: Call to `torch._dynamo.graph_break()`" in notes[0]
    notes.clear()
    network = compiled_thawing(notes, fullgraph=True)
    assert torch.equal(network(torch.ones(2, 4)), broken(network, torch.ones(2, 4)))
    assert notes[0].startswith("warning: networks.net: runs uncompiled: Unsupported: ")


def test_a_call_without_a_graph_is_not_reported_as_compiled(monkeypatch: pytest.MonkeyPatch) -> None:
    lstm = nn.LSTM(4, 4)
    monkeypatch.setattr(Thawing, "forward", lambda self, x: lstm(x)[0])
    notes: list[str] = []
    network = compiled_thawing(notes)
    for _ in range(2):
        assert torch.equal(network(torch.ones(2, 4)), lstm(torch.ones(2, 4))[0])
    (note,) = notes
    assert note.startswith("warning: networks.net: runs uncompiled: no part of it is a graph, broken by: ")


def test_graphs_after_the_proof_are_reported_until_there_are_too_many(monkeypatch: pytest.MonkeyPatch) -> None:
    def counting(self: Thawing, x: Tensor) -> Tensor:
        self.first.out_features += 1  # Nothing else reads it.
        y: Tensor = self.first(x) * self.first.out_features
        return y

    monkeypatch.setattr(Thawing, "forward", counting)
    monkeypatch.setattr("artschool.engine.compiled.GRAPHS_OF_ONE_FUNCTION", 4)
    notes: list[str] = []
    network = compiled_thawing(notes)
    x = torch.ones(2, 4)
    with dynamo.config.patch(recompile_limit=4):
        found = [(network(x) / network.first(x)).mean().item() for _ in range(6)]
    assert found == pytest.approx([5, 6, 7, 8, 9, 10])
    assert [re.sub(r"[0-9.]+ s\b", "S", note) for note in notes[1:]] == [
        "note: networks.net: compiled again 1 time in S, since sizes or attributes differ. `TORCH_LOGS=recompiles` "
        "shows which",
        "note: networks.net: compiled again 2 times in S, since sizes or attributes differ. `TORCH_LOGS=recompiles` "
        "shows which",
        "warning: networks.net: runs uncompiled: after 4 graphs, wherever none of them fits: sizes or attributes "
        "differ. `TORCH_LOGS=recompiles` shows which",
    ]


def test_networks_share_one_mark_of_an_iteration(monkeypatch: pytest.MonkeyPatch) -> None:
    marks: list[int] = []
    context = TrainContext(torch.device("cpu"), Meters())
    monkeypatch.setattr(torch.compiler, "cudagraph_mark_step_begin", lambda: marks.append(context.iteration))
    cuda_graphs = CudaGraphs(context)
    for context.iteration in (0, 0, 1, 1):
        cuda_graphs.mark()
    assert marks == [0, 1]


def test_an_unknown_backend_is_refused_when_the_run_is_built(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"train\.compile\.backend: unknown backend 'inducter'") as error:
        trained(tmp_path / "run", "train.compile={backend: inducter}")
    hint = str(error.value).rpartition("\n")[2]
    assert hint.startswith("    Backends that torch lists: ") and hint.endswith("tvm. Did you mean 'inductor'?")
    assert "cudagraphs, inductor, " in hint and "TESTING_ONLY" not in hint and "eager" not in hint
    with pytest.raises(ConfigError, match=r"unknown backend 'aot_eagr'\n.* Did you mean 'aot_eager'\?$"):
        trained(tmp_path / "run", "train.compile={backend: aot_eagr}")


def test_a_network_overrides_the_default(tmp_path: Path) -> None:
    _, recorder = trained(tmp_path / "run", GRAPHS_ONLY, "networks.gen.compile=false", "train.iterations=6")
    assert {note.split(":")[1] for note in recorder.notes} == {" networks.critic"}


@pytest.mark.soak
def test_units_of_sharded_networks_are_compiled_and_train_as_without_it(tmp_path: Path) -> None:
    """Half a minute: two groups of two processes, in which a unit thaws."""
    run_script("tests.engine.compiled_shards", tmp_path, "eager", "aot_eager")
    found = {path.stem: json.loads(path.read_text()) for path in tmp_path.glob("*.json")}
    for rank in (0, 1):
        eager, compiled = found[f"eager{rank}"], found[f"aot_eager{rank}"]
        assert compiled["psnr"] == pytest.approx(eager["psnr"], abs=1e-5)
        for name, weight in eager["weights"].items():
            torch.testing.assert_close(torch.tensor(compiled["weights"][name]), torch.tensor(weight), rtol=0, atol=1e-6)
    notes = found["aot_eager0"]["notes"]
    assert not [note for note in notes if "uncompiled" in note]
    for unit, trained in (("gen.0", 2), ("gen.4", 0), ("gen.4", 2), ("critic", 6), ("critic", 0)):
        said = f"note: networks.{unit}.forward: compiled and proven in "
        assert [note for note in notes if note.startswith(said) and f"({trained} of " in note], (unit, trained, notes)
