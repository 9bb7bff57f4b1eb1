"""What a trace finds before anything starts: shapes, gradients, what never trains, and what it cannot see."""

from __future__ import annotations

import gc
import random
import weakref
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.torch import save_file
from torch import nn

from artschool.build.run import build
from artschool.engine.run import Run
from artschool.errors import ConfigError, DataError
from tests.trace.traced_parts import TEXT, traced


def said(*overrides: str, text: str = TEXT) -> str:
    """The faults of the file with some values changed."""
    with pytest.raises(ConfigError) as error:
        traced(*overrides, text=text)
    return str(error.value)


def changed(old: str, new: str) -> str:
    assert TEXT.count(old) == 1
    return TEXT.replace(old, new)


def test_keys_have_shapes_types_writers_and_gradients() -> None:
    found = traced("networks.net.width=5", "networks.other.width=2", "steps.second.losses.own.in=x")
    keys = {name: (key.kind, key.gradient, key.writer) for name, key in found.keys.items()}
    assert keys == {
        "x": ("(4, 3) float32", False, "data.train"),
        "label": ("(4,) int64", False, "data.train"),
        "y": ("(4, 5) float32", True, "steps.main.injectors.call"),
    }


def test_a_loss_is_told_which_parameters_it_reaches() -> None:
    reached = {path: {n: list(p) for n, p in reach.networks.items()} for path, reach in traced().reached.items()}
    assert reached == {
        "steps.main.losses.mean": {"net": ["0.weight", "0.bias"]},
        "steps.second.losses.own": {"other": ["0.weight", "0.bias"]},
    }


def test_a_backend_of_the_compiler_that_does_not_exist_is_a_fault() -> None:
    message = said("networks.net.compile={backend: inducter}")
    assert "networks.net.compile.backend: unknown backend 'inducter'" in message and "'inductor'?" in message


def at(code: str) -> str:
    """The line of a message that shows where the code of a component has failed."""
    parts = Path(__file__).with_name("traced_parts.py")
    return next(
        f"    at {parts}:{n}: {code}" for n, text in enumerate(parts.read_text().splitlines(), 1) if code in text
    )


def test_shapes_that_do_not_fit_are_told_with_the_module_the_lines_and_the_inputs() -> None:
    assert said("networks.net.width=5") == (
        "toy.yml:14:19: steps.second.losses.own: fails in other.0 (Linear): RuntimeError: a and b must have same "
        f"reduction dim, but got [4, 5] X [3, 3].\n{at('result: Tensor = network(x).mean()')}\n"
        "    x 'y': (4, 5) float32 on cpu"
    )


def test_a_callback_that_fails_is_told_with_its_line() -> None:
    assert said("steps.main.callbacks={own: {type: traced_failing_callback}}") == (
        "toy.yml:7:5: steps.main: fails outside of its injectors and losses: LookupError: no such layer\n"
        + at('raise LookupError("no such layer")')
    )


def test_another_number_of_outputs_is_told() -> None:
    text = changed("{type: forward, network: net, in: x, out: y}", "{type: traced_two, in: x, out: [y, z, a]}")
    assert said(text=text).startswith(
        "toy.yml:9:23: steps.main.injectors.call: wrong number of results (expected 3, got 2)\n"
    )


def test_a_list_of_one_output_is_told_how_to_be_written() -> None:
    assert "steps.main.injectors.call: one result, but `out` is a list. Fix: write `out: y`" in said(
        "steps.main.injectors.call.out=[y]"
    )


@pytest.mark.parametrize(
    ("changes", "end"),
    [
        (
            ["steps.main.injectors.call.grad=false"],
            "The gradient ends at steps.main.injectors.call (toy.yml:9:23), whose `grad: false` detaches 'y'.",
        ),
        (
            ["steps.main.injectors.call.no_grad=true"],
            "The gradient ends at steps.main.injectors.call (toy.yml:9:23), whose `no_grad: true` detaches 'y'.",
        ),
        (
            ["steps.main.injectors.call.out=z", "steps.main.injectors.cut={type: traced_whole, in: z, out: y}"],
            "The gradient ends at steps.main.injectors.cut (override 'steps.main.injectors.cut={type: traced_whole, "
            "in: z, out: y}'), which writes int64 'y' without one.",
        ),
        (
            ["steps.main.losses.mean.in=x"],
            "No key that it reads comes from net; steps.main.injectors.call writes 'y'.",
        ),
        (
            ["steps.main.injectors.call.network=other"],
            "No key that it reads comes from net.",
        ),
    ],
)
def test_a_loss_that_reaches_nothing_is_told_where_its_gradient_ends(changes: list[str], end: str) -> None:
    faults = said(*changes, "steps.second.losses.own.in=x")
    message = "toy.yml:10:20: steps.main.losses.mean: reaches no parameter of 'net', which the step trains\n    "
    assert faults == message + end


def test_a_value_of_an_earlier_step_is_told_to_carry_no_gradient() -> None:
    text = changed("trains: other", "trains: net").replace("type: traced_judged, network: other", "type: mean")
    assert said(text=text) == (
        "toy.yml:14:19: steps.second.losses.own: reaches no parameter of 'net', which the step trains\n"
        "    'y' comes from steps.main.injectors.call, and values lose their gradient when a step ends. "
        "Compute it again in this step."
    )


def test_a_complex_loss_is_told_alone() -> None:
    assert said("steps.main.losses.mean.type=traced_complex", "steps.second.losses.own.in=x") == (
        "toy.yml:10:20: steps.main.losses.mean: is a complex number (complex64), which has no gradient\n"
        "    Fix: take its magnitude or real part."
    )


def test_a_network_that_no_loss_reaches_is_told() -> None:
    assert said("steps.main.trains=[net, other]", "steps.second.losses.own.in=x") == (
        "override 'steps.main.trains=[net, other]': steps.main.trains: trains 'other', which no loss of the step "
        "reaches\n    Fix: give the step a loss that depends on it, or remove it from the list."
    )


def test_a_parameter_that_no_loss_reaches_is_told_by_name_and_may_be_frozen() -> None:
    assert said("networks.net.spare=true") == (
        "toy.yml:7:13: steps.main.trains: trains 'net', but no loss reaches 1.unused of its 3 parameters\n"
        "    Fix: freeze the unused parameters: write `frozen: [1.unused, ...]` at networks.net."
    )
    assert traced("networks.net.spare=true", "networks.net.frozen=[1.unused]")


def test_each_loss_is_told_what_a_reentrant_checkpoint_hides() -> None:
    networks = [f"networks.{name}={{type: traced_checkpointed}}" for name in ("net", "other")]
    both = "steps.main.losses.other={type: traced_judged, network: other, in: x, weight: 1.0}"
    found = traced(*networks, "steps.main.trains=[net, other]", both, "train.accumulate=2")
    reached = {path: {n: sorted(p) for n, p in reach.networks.items()} for path, reach in found.reached.items()}
    whole = ["body.0.bias", "body.0.weight", "body.2.bias", "body.2.weight"]
    assert reached == {
        "steps.main.losses.mean": {"net": whole},
        "steps.main.losses.other": {"other": whole},
        "steps.second.losses.own": {"other": whole},
    }
    assert not found.real


def test_a_hidden_loss_is_sound_beside_one_that_reaches_the_same_in_plain_sight() -> None:
    beside = "steps.main.losses.plain={type: traced_inside, network: net, in: x, weight: 1.0}"
    found = traced("networks.net={type: traced_checkpointed}", beside, "steps.second.losses.own.in=x")
    assert len(found.reached["steps.main.losses.mean"].networks["net"]) == 4


def test_what_is_frozen_inside_a_reentrant_checkpoint_is_not_reached() -> None:
    found = traced("networks.net={type: traced_checkpointed, frozen: [body.0.*]}", "steps.second.losses.own.in=x")
    assert sorted(found.reached["steps.main.losses.mean"].networks["net"]) == ["body.2.bias", "body.2.weight"]


def test_a_network_that_is_detached_inside_a_reentrant_checkpoint_is_told() -> None:
    assert said("networks.net={type: traced_checkpointed, detached: true}", "steps.second.losses.own.in=x") == (
        "toy.yml:10:20: steps.main.losses.mean: reaches no parameter of 'net', which the step trains\n"
        "    Its gradient passes through CheckpointFunction, and a backward from this loss alone reaches none."
    )


def test_what_chance_leaves_out_gets_other_chances() -> None:
    assert traced("networks.net={type: traced_dropped}")


def test_a_leak_into_a_network_that_thaws_itself_is_told() -> None:
    leaking = "steps.main.losses.leak={type: traced_judged, network: other, in: y, weight: 1.0}"
    assert said("networks.other={type: traced_thawed}", leaking) == (
        f"override {leaking!r}: steps.main.losses.leak: its gradient leaks into other.weight, which the step does not "
        "train now; it trains net\n"
        "    Fix: detach the values that come from there, or make it a network that the step trains."
    )


def test_a_mistake_in_the_code_of_a_network_is_not_one_of_the_keys() -> None:
    message = said("networks.net={type: traced_wrong_inside}")
    assert "missing 1 required positional argument: 'input'" in message
    assert "takes" not in message


def test_a_layer_that_thaws_after_the_last_iteration_is_no_fault() -> None:
    for iterations in (1, 3, 4):
        traced("networks.net={type: traced_late}", f"train.iterations={iterations}")
    never_called = "networks.net={type: traced_late, calls: false}"
    traced(never_called, "train.iterations=3")
    assert "but no loss reaches late.weight, late.bias of its 4 parameters" in said(never_called, "train.iterations=4")


def test_a_component_with_weights_of_its_own_is_told_that_nothing_trains_them() -> None:
    assert said("steps.main.losses.mean.type=traced_learned", "steps.second.losses.own.in=x").startswith(
        "toy.yml:10:20: steps.main.losses.mean: its gradient leaks into steps.main.losses.mean.scale, which the step "
        "does not train now; it trains net\n"
    )


def test_a_network_that_nothing_trains_is_told_unless_that_is_meant() -> None:
    text = changed("network: other", "network: net").replace("trains: other", "trains: net")
    extra = "steps.main.injectors.teach={type: forward, network: other, in: x, out: z}"
    used = "steps.main.losses.pull={type: l1, in: [y, z], weight: 1.0}"
    assert said(extra, used, text=text) == (
        "toy.yml:4:40: networks.other: is called by steps.main.injectors.teach, but no step trains it, so it keeps its "
        "random initial weights\n"
        "    Fix: add it to a step's `trains`, or give it `weights`. To keep it random, write `frozen: true`."
    )
    assert traced(extra, used, "networks.other.frozen=true", text=text)


def test_a_step_whose_losses_never_run_is_told() -> None:
    assert said("steps.main.losses.mean.after=50") == (
        "toy.yml:7:13: steps.main.trains: trains 'net', but none of its losses runs in its 10 iterations"
    )


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        (["data.train.batch_size=1"], ""),
        (
            ["train.accumulate=4"],
            "\n    This is a micro-batch of 1 sample: `train` splits a batch into 4 parts.",
        ),
        (
            ["data.train.drop_last=false"],
            "\n    This is the last batch of an epoch, with 1 sample; `drop_last` skips it.",
        ),
    ],
)
def test_a_part_of_a_batch_that_is_too_small_for_batch_norm_is_told(changes: list[str], reason: str) -> None:
    assert said("networks.net={type: traced_normed}", *changes) == (
        "toy.yml:9:23: steps.main.injectors.call: fails in net.1 (BatchNorm1d): ValueError: Expected more than 1 value "
        "per channel when training, got input size torch.Size([1, 3])\n    inputs 'x': (1, 3) float32 on cpu\n"
        f"    Fix: use a larger batch, or fewer micro-batches.{reason}"
    )


def test_the_only_item_of_a_list_is_told_how_to_get_at() -> None:
    number = "networks.number={type: numbers, count: 1}"
    call = "steps.second.injectors.number={type: forward, network: number, in: [], out: factor}"
    told = said(number, call, "steps.second.injectors.sum={type: add, in: [x, factor], out: _}")
    assert told.startswith("override 'steps.second.injectors.sum=")
    assert told.endswith("factor': a tuple of 1, each () float32 on cpu. For its only item, write `out: [factor]`")


SLOPE = "{type: traced_slope, network: net, in: x, out: _}"


def test_a_gradient_where_there_is_none_is_told_the_way_out() -> None:
    assert traced(f"steps.second.injectors.slope={SLOPE}")
    told = said(f"steps.second.injectors.slope={SLOPE.replace('in: x', 'in: x, no_grad: true')}")
    assert "does not require grad and does not have a grad_fn\n" in told
    assert told.endswith("\n    Fix: remove `no_grad: true`, which leaves nothing in it a gradient.")
    metrics = "{same: {type: psnr, in: [x, x]}}"
    told = said(f"evaluate={{val: {{data: train, injectors: {{slope: {SLOPE}}}, metrics: {metrics}}}}}")
    assert told.endswith(
        "\n    An evaluation runs without gradients. Fix: compute it inside of `with torch.enable_grad():`."
    )


def test_a_sampler_that_follows_gradients_is_traced_in_an_evaluation() -> None:
    descent = "{type: traced_descent, network: net, in: x, out: found}"
    metrics = "{near: {type: psnr, in: [found, x]}}"
    assert traced(f"evaluate={{val: {{data: train, injectors: {{descent: {descent}}}, metrics: {metrics}}}}}")


def test_each_regime_is_traced_once() -> None:
    found = traced("steps.main.losses.mean.every=2", "steps.second.after=3", "train.iterations=100")
    assert found.regimes == [0, 1, 3, 4]


def test_ten_thousand_million_parameters_take_no_memory() -> None:
    found = traced("networks.net={type: traced_huge}", "steps.second.losses.own.in=x")
    assert found.memory.lasting["parameters"] == pytest.approx(4 * 10e9, rel=1e-6)
    assert found.memory.lasting["optimizer state"] == pytest.approx(8 * 10e9, rel=1e-6)
    assert found.memory.peak > 16 * 10e9


def test_what_looks_at_values_runs_for_real_and_says_so() -> None:
    found = traced("networks.net={type: traced_choosy}")
    assert found.real
    assert found.notes == [
        "toy.yml:9:23: steps.main.injectors.call reads the values of tensors, so micro-batches ran with values"
    ]
    assert found.keys["y"].kind == "(4, 3) float32"


def evaluating(network: str, metric: str) -> str:
    """An override: an evaluation of what a network gives."""
    call = f"{{call: {{type: forward, network: {network}, in: x, out: z}}}}"
    return f"evaluate={{val: {{data: train, injectors: {call}, metrics: {{m: {metric}}}}}}}"


@pytest.mark.parametrize("forks", [True, False])
def test_an_evaluation_that_needs_no_values_is_traced_though_training_does(
    monkeypatch: pytest.MonkeyPatch, forks: bool
) -> None:
    """Beside the training, or before it where processes are not forked."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: not forks)
    choosy = "networks.net={type: traced_choosy}"
    found = traced(choosy, evaluating("other", "{type: psnr, in: [z, x]}"))
    assert found.real
    assert found.evaluations["val"]["z"].kind == "(4, 3) float32"
    assert len(found.notes) == 1
    assert (
        traced(choosy, evaluating("net", "{type: psnr, in: [z, x]}"))
        .notes[1]
        .endswith("evaluate.val.injectors.call reads the values of tensors, so the rest of evaluate.val was not traced")
    )
    wrong = evaluating("other", "{type: accuracy, in: [label, z]}")
    assert "evaluate.val.metrics.m: fails: IndexError: " in said(choosy, wrong)


def test_what_fails_in_training_and_in_an_evaluation_is_told_as_one() -> None:
    narrow = "steps.main.injectors.call.in=label", "steps.second.losses.own.in=x"
    evaluation = evaluating("net", "{type: psnr, in: [z, x]}").replace("in: x, out: z", "in: label, out: z")
    assert said(*narrow, evaluation).endswith(f"    The same at evaluate.val.injectors.call (override {evaluation!r}).")


def test_losses_that_one_switch_cuts_off_are_told_as_one() -> None:
    mean = "losses: {mean: {type: mean, in: y, weight: 1.0}"
    text = changed(
        mean, f"{mean}, far: {{type: l1, in: [y, x], weight: 1.0}}, last: {{type: mean, in: y, weight: 2.0}}"
    )
    assert said("steps.main.injectors.call.grad=false", "steps.second.losses.own.in=x", text=text) == (
        "toy.yml:10:20: steps.main.losses.mean: reaches no parameter of 'net', which the step trains\n"
        "    The gradient ends at steps.main.injectors.call (toy.yml:9:23), whose `grad: false` "
        "detaches 'y'.\n"
        "    The same at steps.main.losses.far (toy.yml:10:59) and steps.main.losses.last (toy.yml:10:102)."
    )


def test_what_is_wrong_for_real_is_told_as_without_values() -> None:
    found = said(
        "networks.net={type: traced_choosy}", "networks.other={type: traced_linear}", "steps.second.losses.own.in=label"
    )
    assert "steps.second.losses.own: fails in other.0 (Linear): RuntimeError: " in found


def test_examples_stand_for_data_that_is_not_there() -> None:
    data = "data.train={type: image_folder, path: nowhere, batch_size: 4"
    text = changed("in: x, out: y", "in: lq, out: y")
    with pytest.raises(DataError) as error:
        traced(data + "}", text=text)
    assert "`example:`" in "".join(error.value.__notes__)
    found = traced(data + ", example: {lq: [3], hq: {shape: [], dtype: int64}}}", text=text)
    assert {name: key.kind for name, key in found.keys.items()} == {
        "lq": "(4, 3) float32",
        "hq": "(4,) int64",
        "y": "(4, 3) float32",
    }


def test_a_key_that_a_data_set_declares_and_its_samples_lack_is_told_at_the_data_set() -> None:
    lacking = "data.train.example={x: [3]}"
    assert said(lacking, "steps.second.losses.own.in=label") == (
        "toy.yml:3:15: data.train: declares 'label', but its samples do not have it\n"
        "    Available keys: x.\n"
        "    steps.second.losses.own reads it."
    )
    assert set(traced(lacking).keys) == {"x", "y"}, "nothing reads it"


def test_random_numbers_are_as_before() -> None:
    def draws() -> tuple[float, float, float]:
        return random.random(), float(np.random.rand()), float(torch.rand(()))

    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    expected = draws()
    random.seed(1), np.random.seed(1), torch.manual_seed(1)
    traced()
    assert draws() == expected
    assert type(torch.zeros(1)) is torch.Tensor


def test_a_value_that_only_the_first_part_of_a_batch_computes_is_told() -> None:
    assert said("steps.main.injectors.call.once=true", "train.accumulate=2", "steps.second.losses.own.in=x") == (
        "toy.yml:10:20: steps.main.losses.mean: reaches no parameter of 'net', which the step trains\n"
        "    The gradient ends at steps.main.injectors.call (toy.yml:9:23), whose `once: true` detaches 'y' "
        "after the first micro-batch."
    )


@pytest.mark.parametrize("optimizer", ["adam", "lamb", "rmsprop", "adafactor"])
def test_every_optimizer_shows_its_state(optimizer: str) -> None:
    found = traced(f"steps.main.optimizer={{type: {optimizer}, lr: 0.1}}", "train.detect_anomaly=true")
    assert not found.real
    kept = {"adam": 2 * 12 + 2, "lamb": 2 * 12, "rmsprop": 12 + 2, "adafactor": 3 + 3 + 3 + 2}[optimizer]
    assert found.memory.lasting["optimizer state"] == 4 * (kept + 2 * 12 + 2)  # The other step's Adam has its own.


@pytest.mark.parametrize("network", ["traced_linear", "traced_choosy"])
def test_nothing_stays_alive(network: str, monkeypatch: pytest.MonkeyPatch) -> None:
    built: list[weakref.ref[nn.Module]] = []

    def noted(*args: Any, **options: Any) -> Run:
        run = build(*args, **options)
        built.extend(map(weakref.ref, run.networks.values()))
        return run

    monkeypatch.setattr("artschool.trace.trace.build", noted)
    traced(f"networks.net={{type: {network}}}")
    gc.collect()
    assert built
    assert [reference() for reference in built] == [None] * len(built)


@pytest.mark.parametrize("does", ["look", "save"])
def test_a_hook_that_needs_values_before_an_iteration_runs_for_real(does: str) -> None:
    override = f"networks.net={{type: traced_prepared, does: {does}}}"
    assert traced(override).notes == [
        f"override {override!r}: networks.net reads the values of tensors in update_for_step, "
        "so micro-batches ran with values"
    ]


def test_a_hook_that_fails_before_an_iteration_is_told() -> None:
    line = at('raise LookupError("no such stage")')
    assert f"networks.net: update_for_step failed: LookupError: no such stage\n{line}" in said(
        "networks.net={type: traced_prepared, does: fail}"
    )


def test_no_iteration_after_the_last_epoch_is_traced() -> None:
    epochs = "train={epochs: 2, device: cpu}"
    late = "steps.main.losses.late={type: mean, in: label, weight: 1.0, after: 4}"
    assert traced(epochs, late).regimes == [0]


def test_sparse_matrices_are_sound() -> None:
    assert not traced("networks.net={type: traced_sparse}").real


def test_a_hook_on_gradients_that_needs_values_runs_for_real() -> None:
    assert traced("networks.net={type: traced_scaled}").notes == [
        "toy.yml:7:5: steps.main reads the values of tensors in a hook or backward, so micro-batches ran with values"
    ]


def test_a_network_that_loads_safetensors_runs_for_real(tmp_path: Path) -> None:
    save_file(nn.Linear(3, 3).state_dict(), tmp_path / "weights.safetensors")
    assert traced(f"networks.net={{type: traced_safetensors, file: {tmp_path}/weights.safetensors}}").real


def test_the_last_batch_of_an_epoch_that_never_ends_is_not_traced() -> None:
    normed = ["networks.net={type: traced_normed}", "data.train.drop_last=false"]
    assert traced(*normed, "train.iterations=2")
    assert "This is the last batch of an epoch, with 1 sample" in said(*normed, "train.iterations=3")


def test_a_batch_is_no_larger_than_its_data() -> None:
    assert traced("data.train.batch_size=16", "data.train.drop_last=false").keys["x"].kind == "(9, 3) float32"


def test_processes_that_have_not_met_yet_share_a_batch(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WORLD_SIZE", "2")
    assert traced().keys["x"].kind == "(2, 3) float32"


def test_a_network_that_a_component_keeps_is_told_by_its_own_name() -> None:
    reached = traced("steps.second.losses.own.type=traced_holder").reached["steps.second.losses.own"]
    assert list(reached.networks) == ["other"]


def test_a_gradient_flows_through_a_mapping() -> None:
    assert traced("steps.main.injectors.wrap={type: traced_named, in: y, out: z}").keys["z"].gradient


def test_lazy_modules_are_refused_with_a_way_out() -> None:
    assert said("networks.net={type: traced_lazy}") == (
        "override 'networks.net={type: traced_lazy}': networks.net: cannot be traced: it has lazy modules, whose "
        "shapes depend on the first batch\n    Fix: give the modules their sizes, or train with --no-trace."
    )
