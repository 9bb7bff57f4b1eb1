"""Training from a file is what a hand-written loop does, and every gate, hook and rate acts when it should."""

from __future__ import annotations

import copy
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, l1_loss, relu

from artschool.data.collate import micro_batches
from artschool.data.seeds import Seeds, derive
from artschool.engine.optimizers import parameter_groups
from artschool.errors import ConfigError, ResourceError, StateError
from artschool.registry import networks
from tests.engine import toy_run
from tests.engine.toy_parts import SEEN, Snapshots, load, same, seen


@pytest.fixture(autouse=True)
def forget_what_was_seen() -> None:
    SEEN.clear()


def batches_by_hand(pictures: Tensor, seed: int, batch_size: int, iterations: int) -> list[tuple[Tensor, Tensor]]:
    """(lq, hq) of each iteration: every epoch shuffled anew, and every sample's noise drawn anew."""
    per_epoch = len(pictures) // batch_size
    sample_seeds = Seeds(seed, "samples", "data.train")
    batches = []
    for iteration in range(iterations):
        epoch, batch = divmod(iteration, per_epoch)
        shuffled = torch.Generator().manual_seed(derive(derive(seed, "order", "data.train"), epoch))
        order = torch.randperm(len(pictures), generator=shuffled).tolist()
        hq = []
        for index in order[batch * batch_size : (batch + 1) * batch_size]:
            torch.manual_seed(sample_seeds(epoch, index))
            hq.append((pictures[index] + 0.1 * torch.rand(3, 1, 1)).clamp(0, 1))
        batches.append((torch.stack([avg_pool2d(picture, 2) for picture in hq]), torch.stack(hq)))
    return batches


def train_gan_by_hand(gen: nn.Module, critic: nn.Module, iterations: int) -> tuple[nn.Module, list[float]]:
    """The file of `toy_run` as anybody would write it. Returns the average of `gen`, and the pixel losses."""
    adamw = torch.optim.AdamW(gen.parameters(), lr=2e-3, betas=(0.9, 0.99), weight_decay=0.01, fused=True)
    sgd = torch.optim.SGD(critic.parameters(), lr=1e-2, momentum=0.9, fused=True)
    average = copy.deepcopy(gen)
    pixel_losses = []
    pictures = torch.rand(40, 3, 8, 8, generator=torch.Generator().manual_seed(40))
    for iteration, (lq, hq) in enumerate(batches_by_hand(pictures, 7, 8, iterations)):
        torch.manual_seed(Seeds(7, "iteration")(iteration, 0))
        fake = gen(lq)
        pixel = l1_loss(fake, hq)
        pixel_losses.append(float(pixel.detach()))
        loss = pixel if iteration < 6 else pixel + 0.1 * -critic(fake).mean()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(gen.parameters(), 0.3)
        adamw.param_groups[0]["lr"] = 2e-3 * (0.5 if iteration >= 12 else 1.0) * (min(iteration + 1, 4) / 4)
        adamw.step()
        adamw.zero_grad()
        critic.zero_grad()
        if iteration >= 4 and iteration % 2 == 0:
            told_apart = relu(1 - critic(hq)).mean() + relu(1 + critic(fake.detach())).mean()
            torch.autograd.backward(told_apart)
            sgd.step()
            sgd.zero_grad()
        with torch.no_grad():
            for mean, weight in zip(average.parameters(), gen.parameters(), strict=True):
                mean.lerp_(weight, 1 - 0.9)
            for copied, buffer in zip(average.buffers(), gen.buffers(), strict=True):
                copied.copy_(buffer)
    return average, pixel_losses


def test_a_file_trains_as_a_hand_written_loop_does_to_the_last_bit(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path, "train.iterations=15", "log.every=1", "steps.gen.clip_grad_norm=0.3")
    recorder = toy_run.recorded(run)
    gen, critic = copy.deepcopy(run.networks["gen"]), copy.deepcopy(run.networks["critic"])
    before = copy.deepcopy(gen.state_dict())
    average, pixel_losses = train_gan_by_hand(gen.train(), critic.train(), 15)
    run.train()
    assert same(run.networks["gen"].state_dict(), gen.state_dict())
    assert same(run.networks["critic"].state_dict(), critic.state_dict())
    assert same(run.emas["gen"].module.state_dict(), average.state_dict())
    assert recorder.values("gen/pixel") == pixel_losses
    assert max(recorder.values("gen/grad_norm")) > 0.3
    assert not same(before, gen.state_dict())


FIVE = ("data.train={type: run_pairs, length: 5, batch_size: 5}", "train.iterations=1", "evaluate={}")
ONE_STEP_OF_SGD = (
    *FIVE,
    "networks={gen: {type: toy_plain_generator}}",
    "steps={gen: {trains: gen, optimizer: {type: sgd, lr: 1.0}, clip_grad_norm: 1e-2, "
    "injectors: {up: {type: forward, network: gen, in: lq, out: sr}}, "
    "losses: {pixel: {type: l1, in: [sr, hq], weight: 1.0}}}}",
)


@pytest.mark.parametrize("accumulate", [2, 3, 4, 5, 8])
def test_micro_batches_of_any_size_give_the_gradient_of_the_batch(tmp_path: Path, accumulate: int) -> None:
    losses = []
    for count in (1, accumulate):
        run = toy_run.load(tmp_path, *ONE_STEP_OF_SGD, f"train.accumulate={count}", resume="never")
        recorder = toy_run.recorded(run)
        before = copy.deepcopy(run.networks["gen"].state_dict())
        run.train()
        run.folder.rename(tmp_path / f"run{count}")
        after = run.networks["gen"].state_dict()
        # lr is 1 and the norm is clipped to 1e-2, so this is the gradient, of that norm.
        losses.append(({name: before[name] - after[name] for name in after}, recorder.records[-1]))
    (whole, first), (parts, second) = losses
    for name in whole:
        torch.testing.assert_close(parts[name], whole[name], atol=1e-6, rtol=0)
    assert torch.cat([part.flatten() for part in parts.values()]).norm() == pytest.approx(1e-2, rel=1e-3)
    for number in ("gen/pixel", "gen/total", "gen/grad_norm"):
        assert second[number] == pytest.approx(first[number], rel=1e-5)


def test_the_gradient_of_a_smaller_last_batch_is_that_of_its_own_mean(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "data.train.length=3", "data.train.drop_last=false", "train.iterations=3")
    run.train()
    assert snapshots.weights() == [0, -0.5, -1, -1.5]  # Batches of 2, 1 and 2.


def test_micro_batches_differ_by_one_sample_at_most_and_cut_lists_and_text() -> None:
    batch = {"x": torch.arange(5), "name": list("abcde"), "rate": torch.tensor(0.5), "kind": "fixed", "pair": [1, 2]}
    parts = list(micro_batches(batch, 4))
    assert [size for _, size in parts] == [1, 1, 1, 2]
    assert [part["x"].tolist() for part, _ in parts] == [[0], [1], [2], [3, 4]]
    assert [part["name"] for part, _ in parts] == [["a"], ["b"], ["c"], ["d", "e"]]
    assert all(part["rate"] == 0.5 and part["kind"] == "fixed" and part["pair"] == [1, 2] for part, _ in parts)


WATCH = "steps.main.injectors.watch={type: part_witness, in: x, name: x, out: _}"
NAMES = "steps.main.injectors.names={type: part_witness, in: name, name: names, out: _}"


def test_text_is_cut_with_its_tensors(tmp_path: Path) -> None:
    data = "data.train={type: part_samples, length: 5, batch_size: 5, shuffle: false}"
    run, _ = load(tmp_path, data, WATCH, NAMES, "train={iterations: 1, device: cpu, accumulate: 3}")
    run.train()
    assert [value.flatten().tolist() for _, value in seen("x")] == [[0], [1, 2], [3, 4]]
    assert [value for _, value in seen("names")] == [["sample 0"], ["sample 1", "sample 2"], ["sample 3", "sample 4"]]


def test_some_iterations_go_through_in_another_number_of_parts(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, WATCH, "train={iterations: 4, device: cpu, accumulate_every: {every: 3, parts: 2}}")
    run.train()
    assert [(iteration, len(value)) for iteration, value in seen("x")] == [
        (0, 1),
        (0, 1),
        (1, 2),
        (2, 2),
        (3, 1),
        (3, 1),
    ]
    assert snapshots.weights() == [0, -0.5, -1, -1.5, -2]


def test_every_runs_the_injectors_without_training(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, WATCH, "steps.main.every=2")
    run.train()
    assert snapshots.weights() == [0, -0.5, -0.5, -1, -1]
    assert [iteration for iteration, _ in seen("x")] == [0, 1, 2, 3]


def test_after_and_before_run_nothing(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, WATCH, "steps.main.after=1", "steps.main.before=2")
    run.train()
    assert snapshots.weights() == [0, 0, -0.5, -1, -1]
    assert [iteration for iteration, _ in seen("x")] == [1, 2]
    assert [record["iteration"] for record in snapshots.records if "main/lr" in record] == [1, 2]


def test_an_optimizer_and_a_network_have_gates_of_their_own(tmp_path: Path) -> None:
    both = (
        "networks={net: {type: part_shift, every: 3}, other: {type: part_shift}}",
        "steps.main.trains=[net, other]",
        "steps.main.injectors.more={type: forward, network: other, in: y, out: z}",
        "steps.main.losses={mean: {type: mean, in: z, weight: 1.0}}",
        "steps.main.optimizer.before=1",
    )
    run, snapshots = load(tmp_path, *both)
    run.train()
    assert snapshots.weights("net") == [0, -0.5, -0.5, -0.5, -0.5]
    assert snapshots.weights("other") == [0, -0.5, -1, -1, -1]


@pytest.mark.parametrize(("clip", "change"), [(2.0, 0.5), (0.5, 0.25)])
def test_clipping_makes_no_gradient_longer(tmp_path: Path, clip: float, change: float) -> None:
    run, snapshots = load(tmp_path, f"steps.main.clip_grad_norm={clip}", "train.iterations=1")
    run.train()
    assert snapshots.weights()[1] == pytest.approx(-change, rel=1e-5)  # Of a gradient of 1, at a rate of 1/2.


def test_a_loss_and_an_injector_have_gates_of_their_own(tmp_path: Path) -> None:
    more = "steps.main.losses.more={type: mean, in: y, weight: 2.0, after: 1, every: 2}"
    run, snapshots = load(tmp_path, more, WATCH.replace("out: _", "out: _, before: 1"))
    run.train()
    assert snapshots.weights() == [0, -0.5, -1, -2.5, -3]
    assert [iteration for iteration, _ in seen("x")] == [0, 1]
    assert snapshots.values("main/more") == [4.5 - 1]  # Iteration 2: samples 4 and 5, the weight -1.
    assert snapshots.values("main/total") == [0.5, 2, 10.5, -2]  # The third is 3.5 + 2 * 3.5.


@pytest.mark.parametrize("gate", ["steps.main.every=2", "steps.main.optimizer.every=2", "networks.net.every=2"])
def test_a_loss_and_the_total_are_means_over_all_iterations_that_compute_them(tmp_path: Path, gate: str) -> None:
    run, snapshots = load(tmp_path, gate, "steps.main.losses.mean.weight=2.0", "log.every=4")
    run.train()
    assert snapshots.weights() == [0, -1, -1, -2, -2]
    # Means of the batches 0.5, 2.5, 4.5, 0.5 plus the weights: 0.5, 1.5, 3.5, -1.5. Those that train have a mean of 2.
    assert snapshots.values("main/mean") == [1.0]
    assert snapshots.values("main/total") == [2.0]


def test_a_step_that_updates_nothing_has_a_total_too(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "steps.main.optimizer=none", "steps.main.losses.mean.weight=2.0")
    run.train()
    assert snapshots.values("main/mean") == [0.5, 2.5, 4.5, 0.5]
    assert snapshots.values("main/total") == [1, 5, 9, 1]


def test_an_average_moves_only_when_its_network_does(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, "steps.main.every=2", "ema={decay: 0.5, networks: [net]}")
    run.train()
    assert snapshots.weights("net.ema") == [0, -0.25, -0.25, -0.625, -0.625]


def test_a_network_that_no_active_loss_reaches_does_not_move_its_average(tmp_path: Path) -> None:
    late = "steps.main.losses={mean: {type: mean, in: y, weight: 1.0, before: 0}}"
    run, snapshots = load(tmp_path, late, "ema={decay: 0.5, networks: [net]}", "steps.main.optimizer.momentum=0.9")
    run.train()
    assert snapshots.weights() == [0, -0.5, -0.5, -0.5, -0.5]
    assert snapshots.weights("net.ema") == [0, -0.25, -0.25, -0.25, -0.25]


def test_a_loss_that_does_not_reach_what_its_step_trains_is_named(tmp_path: Path) -> None:
    run, _ = load(tmp_path, "steps.main.injectors.shift.grad=false")
    text = (
        r"^steps\.main: no active loss depends on net at iteration 0\. "
        r"Fix: remove a `grad: false` or a detach between the network and the losses\n"
    )
    with pytest.raises(StateError, match=text):
        run.train()


@pytest.mark.parametrize(
    ("kind", "what"),
    [
        (torch.int64, r"an integer \(int64\)"),
        (torch.bool, r"an integer \(bool\)"),
        (torch.complex64, r"a complex number \(complex64\)"),
    ],
)
@pytest.mark.filterwarnings("ignore:Casting complex values")
def test_a_loss_that_changes_its_type_is_named(tmp_path: Path, kind: torch.dtype, what: str) -> None:
    run, _ = load(tmp_path, "steps.main.losses.mean.weight=0.5")
    [loss] = run.steps[0].graph.losses
    mean = loss.function
    loss.function = lambda **values: mean(**values).to(kind if run.iteration == 1 else torch.float32)
    text = rf"toy\.yml:\d+:\d+: steps\.main\.losses\.mean: is {what}, which has no gradient, at iteration 1\. Fix: "
    with pytest.raises(StateError, match=text):
        run.train()


LINEAR = "networks.net={type: part_layers}"


@networks.register("part_layers")
class Layers(nn.Module):
    """A parameter of each kind, none of them 0."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(2, 1)
        self.linear = nn.Linear(1, 1)
        self.norm = nn.GroupNorm(1, 1)
        for index, parameter in enumerate(self.parameters()):
            nn.init.constant_(parameter, float(index + 1))

    def forward(self, x: Tensor) -> Tensor:
        """(B, 1) to (B, 1), every parameter with a gradient."""
        return self.norm(self.linear(x) + self.embed.weight.sum(0))  # type: ignore[no-any-return]  # torch


STARTS = {"embed.weight": 1.0, "linear.weight": 2.0, "linear.bias": 3.0, "norm.weight": 4.0, "norm.bias": 5.0}


def shrinkage(snapshots: Snapshots) -> dict[str, float]:
    """What one step with a loss of weight 0 does: `1 - lr * weight_decay` of each parameter remains."""
    after = snapshots.taken[1]["net"]
    return {name: float(after[name].flatten()[0]) / start for name, start in STARTS.items()}


@pytest.mark.parametrize(
    ("options", "kept"),
    [
        ("no_decay: []", [0.8, 0.8, 0.8, 0.8, 0.8]),
        ("no_decay: [norm, bias, embedding]", [1, 0.8, 1, 1, 1]),
        ("no_decay: [weight]", [0.8, 1, 0.8, 0.8, 0.8]),
        ("param_groups: [{match: net.linear.*, lr: 0.25}]", [0.8, 0.9, 0.9, 0.8, 0.8]),
        ("param_groups: [{match: '*.bias', weight_decay: 0.2}]", [0.8, 0.8, 0.9, 0.8, 0.9]),
        ("param_groups: [{kinds: [norm], lr: 0.25}, {weight_decay: 0.2}]", [0.9, 0.9, 0.9, 0.9, 0.9]),
        ("param_groups: [{match: '*.bias', lr: 0.25}, {kinds: [norm], lr: 1.0}]", [0.8, 0.8, 0.9, 0.6, 0.9]),
        ("no_decay: [bias], param_groups: [{match: net.linear.*, lr: 0.25}]", [0.8, 0.9, 1, 0.8, 0.8]),
    ],
)
def test_groups_and_exemptions_reach_every_parameter(tmp_path: Path, options: str, kept: list[float]) -> None:
    optimizer = f"steps.main.optimizer={{type: sgd, lr: 0.5, weight_decay: 0.4, {options}}}"
    run, snapshots = load(tmp_path, LINEAR, optimizer, "steps.main.losses.mean.weight=0.0", "train.iterations=1")
    run.train()
    assert shrinkage(snapshots) == pytest.approx(dict(zip(STARTS, kept, strict=True)), rel=1e-6)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ("param_groups: [{match: 'net.lienar.*'}]", "param_groups.0: 'net.lienar.*' matches no parameter of net"),
        ("param_groups: [{marked: head}]", "param_groups.0: '*' marked 'head' matches no parameter of net"),
    ],
)
def test_a_wrong_group_is_told(tmp_path: Path, options: str, text: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, LINEAR, f"steps.main.optimizer={{type: sgd, lr: 0.5, {options}}}")
    assert text in str(error.value)


def test_frozen_patterns_stay_and_flags_come_back(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, LINEAR, "networks.net.frozen=['embed.*', '*.bias']")
    flags = {name: p.requires_grad for name, p in run.networks["net"].named_parameters()}
    assert [name for name, flag in flags.items() if flag] == ["linear.weight", "norm.weight"]
    run.networks["net"].get_parameter("norm.weight").requires_grad = True
    run.train()
    moved = {name for name in STARTS if not same(snapshots.taken[0]["net"][name], snapshots.taken[-1]["net"][name])}
    assert moved <= {"linear.weight", "norm.weight"}
    assert {name: p.requires_grad for name, p in run.networks["net"].named_parameters()} == flags
    assert all(p.grad is None for p in run.networks["net"].parameters())


def test_flags_come_back_after_an_error(tmp_path: Path) -> None:
    run, _ = load(tmp_path, "steps.main.injectors.shift.grad=false")
    with pytest.raises(StateError):
        run.train()
    assert all(p.requires_grad for p in run.networks["net"].parameters())


def test_a_pattern_that_freezes_nothing_is_told(tmp_path: Path) -> None:
    with pytest.raises(
        ConfigError, match=r"networks\.net\.frozen: 'emb' matches no parameter\. Available parameters: embed\.weight"
    ):
        load(tmp_path, LINEAR, "networks.net.frozen=[emb]")


def test_a_step_whose_parameters_are_all_frozen_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="nothing to train: every parameter of net is frozen"):
        load(tmp_path, "networks.net.frozen=['*']")


def test_a_network_whose_modules_nothing_registers_is_told(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match=r"nothing to train: net has no parameters\. Fix: .* nn\.ModuleList"):
        load(tmp_path, "networks.net={type: part_in_a_list}")


def test_a_network_that_no_step_trains_is_in_eval_mode(tmp_path: Path) -> None:
    run, _ = load(tmp_path, "networks={net: {type: part_shift}, other: {type: part_shift}}")
    assert (run.networks["net"].training, run.networks["other"].training) == (True, False)


SCHEDULE = (
    "steps.main.schedule=[{type: constant, warmup: 2}, {type: step, step_size: 1, gamma: 0.5, from: 3, scale: 2}]"
)


def test_a_schedule_reaches_the_weights_and_the_log(tmp_path: Path) -> None:
    run, snapshots = load(tmp_path, SCHEDULE, "train.iterations=6")
    run.train()
    rates = [0.25, 0.5, 0.5, 1, 0.5, 0.25]
    assert snapshots.values("main/lr") == rates
    assert snapshots.weights() == [0, *(-sum(rates[: i + 1]) for i in range(6))]


def test_groups_of_different_rates_are_logged_by_number(tmp_path: Path) -> None:
    groups = "steps.main.optimizer.param_groups=[{match: net.linear.*, lr: 0.25}]"
    run, snapshots = load(tmp_path, LINEAR, groups, "steps.main.schedule={type: constant, warmup: 2}")
    run.train()
    assert snapshots.values("main/lr/0") == [0.25, 0.5, 0.5, 0.5]
    assert snapshots.values("main/lr/1") == [0.125, 0.25, 0.25, 0.25]


@pytest.mark.parametrize(
    ("length", "last", "samples"),
    [
        ("{iterations: 1, device: cpu}", 1, 2),
        ("{iterations: 5, device: cpu}", 5, 10),
        ("{epochs: 1, device: cpu}", 3, 6),
        ("{epochs: 3, device: cpu}", 9, 18),
    ],
)
def test_training_stops_exactly_at_the_last_iteration(tmp_path: Path, length: str, last: int, samples: int) -> None:
    run, snapshots = load(tmp_path, f"train={length}", WATCH)
    run.train()
    assert (run.iteration, run.samples, len(seen("x"))) == (last, samples, last)
    assert snapshots.weights()[-1] == -0.5 * last
    assert snapshots.records[-1]["iteration"] == last - 1


def test_a_smaller_last_batch_counts_its_samples(tmp_path: Path) -> None:
    run, snapshots = load(
        tmp_path,
        "data.train={type: part_samples, length: 5, batch_size: 2, drop_last: false}",
        "train.epochs=2",
        "train={epochs: 2, device: cpu}",
    )
    run.train()
    assert (run.iteration, run.samples) == (6, 10)
    assert snapshots.values("samples") == [2, 4, 5, 7, 9, 10]


CALLS: list[tuple[Any, ...]] = []


@networks.register("part_hooked")
class Hooked(nn.Module):
    """Writes down every call of the trainer."""

    def __init__(self) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.tensor(3.0))

    def forward(self, x: Tensor) -> Tensor:
        CALLS.append(("forward",))
        return x * self.weight

    def network_loaded(self) -> None:
        CALLS.append(("network_loaded", float(self.weight.detach())))

    def provide_ema(self, module: nn.Module) -> None:
        CALLS.append(("provide_ema", type(module), module is self))

    def update_for_step(self, step: int, folder: Path) -> None:
        CALLS.append(("update_for_step", step, folder.name))

    def before_step(self, step: int) -> None:
        CALLS.append(("before_step", step))

    def after_backward(self, step: int) -> None:
        CALLS.append(("after_backward", step, float(self.weight.grad) if self.weight.grad is not None else None))

    def after_step(self, step: int) -> None:
        CALLS.append(("after_step", step, self.weight.grad))

    def get_debug_values(self, step: int, name: str) -> dict[str, float | Tensor]:
        CALLS.append(("get_debug_values", step, name))
        return {"plain": 4.0, "tensor": self.weight.detach()}

    def get_grad_norm_parameter_groups(self) -> dict[str, list[nn.Parameter]]:
        CALLS.append(("get_grad_norm_parameter_groups",))
        return {"all": [self.weight], "none": []}

    def visual_dbg(self, step: int, folder: Path) -> None:
        CALLS.append(("visual_dbg", step, folder.name))


def test_a_network_s_hooks_are_called_in_order_with_their_arguments(tmp_path: Path) -> None:
    CALLS.clear()
    torch.save({"weight": torch.tensor(2.0)}, tmp_path / "hooked.pt")
    run, snapshots = load(
        tmp_path,
        f"networks.net={{type: part_hooked, weights: {tmp_path / 'hooked.pt'}}}",
        "ema={decay: 0.5, networks: [net]}",
        "steps.main.every=2",
        "steps.main.clip_grad_norm=0.25",
        "train={iterations: 2, device: cpu, accumulate: 2}",
        "log={every: 2, pictures: {every: 2, keys: [x]}}",
    )
    run.train()
    # Samples 0 and 1: the gradient of mean(w * x) is 1/2 before it is clipped.
    calls = list(CALLS)
    assert calls == [
        ("network_loaded", 2.0),
        ("provide_ema", Hooked, False),
        ("update_for_step", 0, "run"),
        ("before_step", 0),
        ("forward",),
        ("forward",),
        ("after_backward", 0, 0.5),
        ("get_grad_norm_parameter_groups",),
        ("after_step", 0, None),
        ("update_for_step", 1, "run"),
        ("before_step", 1),
        ("forward",),
        ("forward",),
        ("visual_dbg", 1, "run"),
        ("get_debug_values", 1, "net"),
    ]
    record = snapshots.records[-1]
    assert (record["net/plain"], record["main/grad_norm/net.all"], record["main/grad_norm"]) == (4.0, 0.5, 0.5)
    assert record["net/tensor"] == pytest.approx(2 - 0.5 * 0.25, rel=1e-5)
    assert "main/grad_norm/net.none" not in record


TWO_STEPS = """
name: parts
plugins: [PLUGIN]
data: {train: {type: part_samples, length: 6, batch_size: 2}}
networks: {net: {type: part_shift}, other: {type: part_shift}}
steps:
  first:
    trains: net
    optimizer: {type: sgd, lr: 0.5}
    injectors:
      shift: {type: forward, network: net, in: x, out: y}
      kept: {type: part_weak, in: x, name: kept, out: kept}
      dropped: {type: part_weak, in: x, name: dropped, out: dropped}
      own: {type: part_witness, in: y, name: own, out: _}
    losses: {mean: {type: mean, in: y, weight: 1.0}}
  second:
    trains: other
    optimizer: {type: sgd, lr: 0.5}
    injectors:
      shift: {type: forward, network: other, in: y, out: z}
      later: {type: part_witness, in: y, name: later, out: _}
      alive: {type: part_alive, in: kept, out: _}
    losses: {mean: {type: mean, in: z, weight: 1.0}}
train: {iterations: 1, device: cpu}
"""


def test_what_leaves_a_step_has_no_history_and_what_nobody_reads_is_dropped(tmp_path: Path) -> None:
    run, _ = load(tmp_path, text=TWO_STEPS)
    run.train()
    (_, own), (_, later) = seen("own")[0], seen("later")[0]
    assert (own.requires_grad, later.requires_grad) == (True, False)
    assert own.data_ptr() == later.data_ptr()
    assert seen("alive") == [(0, {"kept": True, "dropped": False})]


def test_an_average_follows_only_what_moved(tmp_path: Path) -> None:
    run, _ = load(
        tmp_path,
        "networks.other={type: part_shift}",
        "steps.main.trains=[net, other]",
        "steps.main.injectors.again={type: forward, network: other, in: x, out: z}",
        "steps.main.losses.other={type: mean, in: z, weight: 1.0, every: 2}",
        "ema={decay: 0.5, networks: [net, other]}",
        "train.iterations=3",
    )
    run.train()
    # net moves to -0.5, -1, -1.5; other to -0.5 and, at iteration 2, to -1.
    weights = {name: network.state_dict()["weight"].item() for name, network in run.networks.items()}
    averages = {name: ema.module.state_dict()["weight"].item() for name, ema in run.emas.items()}
    assert weights == {"net": -1.5, "other": -1.0}
    assert averages == {"net": ((0 - 0.5) / 2 - 1.0) / 2 / 2 - 1.5 / 2, "other": -0.5 / 2 / 2 - 1.0 / 2}


def test_a_parameter_that_two_networks_share_has_one_place() -> None:
    first, second = nn.Linear(2, 2, bias=False), nn.Linear(2, 2)
    second.weight = first.weight
    groups = parameter_groups({"a": first, "b": second}, no_decay=["bias"], groups=[], path="steps.s.optimizer")
    assert [[id(p) for p in group["params"]] for group in groups] == [[id(first.weight)], [id(second.bias)]]


def test_the_schedule_counts_from_the_start_of_a_group(tmp_path: Path) -> None:
    late = "steps.main.optimizer.param_groups=[{match: 'late.*', lr: 1.0, schedule_from: 3}]"
    both = (
        "networks={net: {type: part_shift}, late: {type: part_shift}}",
        "steps.main.trains=[net, late]",
        "steps.main.injectors.more={type: forward, network: late, in: y, out: z}",
        "steps.main.losses={mean: {type: mean, in: z, weight: 1.0}}",
        "steps.main.schedule={type: multi_step, milestones: [2], gamma: 0.5}",
        "train.iterations=7",
    )
    run, snapshots = load(tmp_path, late, *both)
    run.train()
    rates = {name: [a - b for a, b in pairwise(snapshots.weights(name))] for name in ("net", "late")}
    assert rates == {"net": [0.5, 0.5, 0.25, 0.25, 0.25, 0.25, 0.25], "late": [1, 1, 1, 1, 1, 0.5, 0.5]}


def test_a_folder_that_cannot_be_made_is_told_with_the_way_out(tmp_path: Path) -> None:
    run = toy_run.load(tmp_path)
    (tmp_path / "run").write_text("")
    with pytest.raises(
        ResourceError, match=r"/run: cannot create the folder: File exists\. Fix: choose another folder with --run-dir"
    ):
        run.train()
