"""A run of DL-Art-School goes on here."""

from __future__ import annotations

import io
from pathlib import Path

import pytest
import torch
from rich.console import Console
from torch import Tensor, nn

from artschool.errors import CheckpointError
from artschool.registry import networks
from tests.engine import toy_run

STEP = 7


class OldNet(nn.Module):
    """Its parameters are not in the order of their names, and of all kinds."""

    def __init__(self) -> None:
        super().__init__()
        self.out = nn.Conv2d(4, 3, 1)
        self.norm = nn.GroupNorm(2, 4)
        self.body = nn.Conv2d(3, 4, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, 3, H, W) to (B, 3, 2H, 2W)."""
        out: Tensor = self.out(self.norm(self.body(nn.functional.interpolate(x, scale_factor=2.0))))
        return out


def old_optimizer(net: OldNet) -> torch.optim.AdamW:
    """As the reference built it: weights by name, then the rest by name."""
    named = dict(net.named_parameters())
    groups = [
        {"params": [named["body.weight"], named["out.weight"]], "weight_decay": 0.1},
        {"params": [named[n] for n in ("body.bias", "norm.bias", "norm.weight", "out.bias")], "weight_decay": 0.0},
    ]
    return torch.optim.AdamW(groups, lr=0.01, betas=(0.9, 0.99))


def gradients(net: OldNet, seed: int) -> None:
    for index, parameter in enumerate(net.parameters()):
        generator = torch.Generator().manual_seed(seed + index)
        parameter.grad = torch.randn(parameter.shape, generator=generator)


@pytest.fixture
def old(tmp_path: Path) -> tuple[Path, OldNet, torch.optim.AdamW]:
    """A state file in the reference's folders, and what goes on from it."""
    torch.manual_seed(0)
    net = OldNet()
    optimizer = old_optimizer(net)
    for seed in range(3):
        gradients(net, seed)
        optimizer.step()
    for folder in ("models", "training_state"):
        (tmp_path / "experiment" / folder).mkdir(parents=True)
    torch.save(net.state_dict(), tmp_path / "experiment" / "models" / f"{STEP}_gen.pth")
    averaged = {name: value + 1 for name, value in net.state_dict().items()}
    torch.save(averaged, tmp_path / "experiment" / "models" / f"{STEP}_gen_ema.pth")
    file = tmp_path / "experiment" / "training_state" / f"{STEP}.state"
    state = {"epoch": 0, "iter": STEP, "schedulers": [], "optimizers": [optimizer.state_dict()]}
    torch.save(state, file)
    return file, net, optimizer


def overrides(*more: str) -> list[str]:
    networks.register("old_net", OldNet)
    return [
        "networks={gen: {type: old_net}}",
        "steps={gen: {trains: gen, losses: {pixel: {type: l1, in: [sr, hq], weight: 1.0}}}}",
        "steps.gen.optimizer={type: adamw, lr: 0.01, betas: [0.9, 0.99], weight_decay: 0.1}",
        "steps.gen.optimizer.no_decay=[bias, norm]",
        "steps.gen.injectors={up: {type: forward, network: gen, in: lq, out: sr}}",
        *more,
    ]


def test_networks_averages_optimizers_and_the_iteration_go_on(
    tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW]
) -> None:
    file, net, optimizer = old
    run = toy_run.load(tmp_path, *overrides(), resume=str(file))
    assert run.iteration == STEP + 1
    gen = run.networks["gen"]
    for name, value in net.state_dict().items():
        assert torch.equal(gen.state_dict()[name], value)
        assert torch.equal(run.emas["gen"].module.state_dict()[name], value + 1)
    assert isinstance(gen, OldNet) and run.steps[0].update is not None
    gradients(net, 9)
    gradients(gen, 9)
    optimizer.step()
    run.steps[0].update.prepare(run.iteration)
    run.steps[0].update(run.meters)
    for name, parameter in net.named_parameters():
        assert torch.allclose(gen.get_parameter(name), parameter, rtol=1e-6, atol=1e-7), name


def test_what_does_not_fit_or_is_not_there_is_told(tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW]) -> None:
    file, _, _ = old
    with pytest.raises(CheckpointError, match=r"none\.state: checkpoint does not exist$"):
        toy_run.load(tmp_path, *overrides(), resume=str(file.with_name("none.state")))
    more = "steps.more={trains: gen, optimizer: {type: sgd, lr: 1.0}, losses: {p: {type: l1, in: [sr, hq], weight: 1}}}"
    with pytest.raises(CheckpointError, match=r"state: optimizer of step 'more': missing: the file has 1 optimizer$"):
        toy_run.load(tmp_path, *overrides(more), resume=str(file))
    state = torch.load(file, weights_only=True)
    state["optimizers"][0]["state"][0]["exp_avg"] = torch.zeros(2, 2)
    torch.save(state, file)
    with pytest.raises(
        CheckpointError, match=r"optimizer of step 'gen': wrong shape of exp_avg \(expected .*, got \(2, 2\)\)$"
    ):
        toy_run.load(tmp_path, *overrides(), resume=str(file))
    file.write_text("nothing")
    with pytest.raises(CheckpointError, match="cannot be read without running code"):
        toy_run.load(tmp_path, *overrides(), resume=str(file))


def test_an_optimizer_that_needs_other_state_starts_without_it(
    tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW]
) -> None:
    console = Console(record=True, width=200, file=io.StringIO())
    amsgrad = "steps.gen.optimizer.amsgrad=true"
    run = toy_run.load(tmp_path, *overrides(amsgrad), resume=str(old[0]), console=console)
    assert (
        "  new: optimizer of steps.gen: starts without state: it needs 'max_exp_avg_sq', which the checkpoint does not "
        "have\n"
    ) in console.export_text()
    assert run.steps[0].update is not None and not run.steps[0].update.optimizer.state


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"iter": "../../models/7"}, "iter: "),
        ({"iter": -1}, "iter: "),
        ({"iter": torch.zeros(2)}, "iter: "),
        ({"optimizers": {}}, "optimizers: "),
        ({"optimizers": [{"state": {}}]}, r"optimizers\.0\.param_groups: Field required"),
        ({"optimizers": [{"state": {0: 1}, "param_groups": []}]}, r"optimizers\.0\.state\.0: "),
        (
            {"optimizers": [{"state": {}, "param_groups": [{"params": "abc"}]}]},
            r"optimizers\.0\.param_groups\.0\.params",
        ),
    ],
)
def test_a_state_of_another_kind_is_refused_by_name(
    tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW], change: dict[str, object], text: str
) -> None:
    file, _, _ = old
    torch.save({**torch.load(file, weights_only=True), **change}, file)
    with pytest.raises(CheckpointError, match=rf"{STEP}\.state: {text}"):
        toy_run.load(tmp_path, *overrides(), resume=str(file))


def quantized(moment: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Codes, their table and the scale of each block of 64, as bitsandbytes keeps a large tensor."""
    table = torch.linspace(-1, 1, 256)
    blocks = nn.functional.pad(moment.flatten(), (0, -moment.numel() % 64)).view(-1, 64)
    scales = blocks.abs().amax(1)
    codes = ((blocks / scales[:, None] + 1) * 127.5).round().to(torch.uint8)
    return codes.flatten()[: moment.numel()].view_as(moment), table, scales


def test_an_8_bit_state_is_read_in_32_bits(tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW]) -> None:
    file, _, _ = old
    state = torch.load(file, weights_only=True)
    slots = state["optimizers"][0]["state"]
    moments = {number: {**values} for number, values in slots.items()}
    wide = torch.linspace(-2, 3, 12).view(4, 3, 1, 1)  # The weight of `body`, in a block that is not full.
    for number, values in moments.items():
        if number:  # Small tensors are not quantized.
            slots[number] = {"step": 3, "state1": values["exp_avg"], "state2": values["exp_avg_sq"]}
            continue
        (codes1, table, scales1), (codes2, _, scales2) = quantized(wide), quantized(wide.square())
        slots[number] = {"step": 3, "state1": codes1, "qmap1": table, "absmax1": scales1}
        slots[number] |= {"state2": codes2, "qmap2": table, "absmax2": scales2}
    torch.save(state, file)
    run = toy_run.load(tmp_path, *overrides(), resume=str(file))
    gen = run.networks["gen"]
    assert run.steps[0].update is not None and isinstance(gen, OldNet)
    found = run.steps[0].update.optimizer.state
    assert found[gen.body.weight]["step"] == 3
    torch.testing.assert_close(found[gen.body.weight]["exp_avg"], wide, atol=3 / 255, rtol=0)
    torch.testing.assert_close(found[gen.body.weight]["exp_avg_sq"], wide.square(), atol=9 / 255, rtol=0)
    torch.testing.assert_close(found[gen.out.weight]["exp_avg"], moments[1]["exp_avg"])


def test_an_8_bit_state_without_its_scales_starts_anew(
    tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW]
) -> None:
    file, _, _ = old
    state = torch.load(file, weights_only=True)
    for number, values in state["optimizers"][0]["state"].items():
        codes = torch.zeros_like(values["exp_avg"], dtype=torch.uint8)
        state["optimizers"][0]["state"][number] = {"step": 3, "state1": codes, "state2": codes}
    torch.save(state, file)
    console = Console(record=True, width=200, file=io.StringIO())
    run = toy_run.load(tmp_path, *overrides(), resume=str(file), console=console)
    assert "  new: optimizer of steps.gen: starts without state: it needs 'exp_avg'" in console.export_text()
    assert run.steps[0].update is not None and not run.steps[0].update.optimizer.state


def test_a_state_without_a_count_of_steps_starts_anew(
    tmp_path: Path, old: tuple[Path, OldNet, torch.optim.AdamW]
) -> None:
    file, _, _ = old
    state = torch.load(file, weights_only=True)
    state["optimizers"][0]["state"][0]["step"] = None
    torch.save(state, file)
    console = Console(record=True, width=200, file=io.StringIO())
    toy_run.load(tmp_path, *overrides(), resume=str(file), console=console)
    assert "starts without state: it needs 'step'" in console.export_text()
