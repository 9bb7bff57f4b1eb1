"""What is wrong with a network or a schedule is said before the first iteration, not after the last."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.reports.small import SUPER_RESOLUTION, artschool, write_images

pytestmark = pytest.mark.usefixtures("registries")

PARTS = '''
from typing import Any

import torch
from torch import Tensor, nn

from artschool import networks


class Enlarger(nn.Module):
    """Twice as large, in its own way."""

    def __init__(self) -> None:
        super().__init__()
        self.last = nn.Conv2d(3, 3, 1)

    def forward(self, x: Tensor) -> Tensor:
        return self.last(nn.functional.interpolate(x, scale_factor=2))


@networks.register
class Counting(Enlarger):
    """Counts its calls in its extra state."""

    seen = 0

    def forward(self, x: Tensor) -> Tensor:
        self.seen += 1
        return super().forward(x)

    def get_extra_state(self) -> Any:
        return {"seen": self.seen}

    def set_extra_state(self, state: Any) -> None:
        self.seen = state["seen"]


@networks.register
class Counted(Counting):
    """Counts its calls in a tensor."""

    def get_extra_state(self) -> Any:
        return torch.tensor(self.seen)

    def set_extra_state(self, state: Any) -> None:
        self.seen = int(state)


@networks.register
class Listed(Enlarger):
    """Keeps its layers in a plain list."""

    def __init__(self) -> None:
        super().__init__()
        self.blocks = [nn.Conv2d(3, 3, 3, padding=1) for _ in range(3)]

    def forward(self, x: Tensor) -> Tensor:
        for block in self.blocks:
            x = block(x)
        return super().forward(x)


@networks.register
class Hasty(Enlarger):
    """Spares memory at the cost of its input."""

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x.sub_(0.5))
'''
LATE = """
  critic:
    trains: critic
    after: 2
    optimizer: {type: adam, lr: 1e-4}
    schedule: {type: cosine_annealing, period: 1}
    losses: {gan: {type: discriminator_gan, kind: hinge, network: critic, fake: sr, real: hq, weight: 1.0}}
train: {iterations: 4"""


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path / "pics", 4)
    write_images(tmp_path / "held", 2)
    (tmp_path / "parts.py").write_text(PARTS)
    return tmp_path


def checked(network: str) -> tuple[int, list[str]]:
    """The exit code of a check with another network, and what it says."""
    text = "plugins: [parts.py]\n" + SUPER_RESOLUTION.replace(
        "type: edsr, scale: 2, width: 8, blocks: 1", f"type: {network}"
    )
    Path("sr.yml").write_text(text)
    code, printed = artschool("check", "sr.yml", "--trace")
    return code, printed.splitlines()


REFUSED = [
    "sr.yml:8:8: networks.gen: cannot save '_extra_state' "
    "(expected a dense tensor with data, got a value of type dict)",
    "    Fix: keep it in a tensor, such as a buffer, or let get_extra_state return one.",
]


def test_an_extra_state_that_is_no_tensor_is_refused_before_training() -> None:
    code, lines = checked("counting")
    assert (code, lines[1:]) == (2, [*REFUSED, "1 fault; nothing was started."])


def test_an_extra_state_that_is_no_tensor_is_refused_without_a_trace() -> None:
    checked("counting")
    code, printed = artschool("train", "sr.yml", "--no-trace")
    assert (code, printed.splitlines()[-3:]) == (2, [*REFUSED, "1 fault; nothing was started."])
    assert not list(Path().rglob("metrics.jsonl"))


def test_an_extra_state_that_is_a_tensor_is_saved() -> None:
    assert checked("counted")[0] == 0
    assert artschool("train", "sr.yml", "--no-trace")[0] == 0
    assert list(Path("runs/sr/checkpoints").iterdir())


def test_layers_in_a_plain_list_are_named() -> None:
    code, lines = checked("listed")
    assert (code, lines[1]) == (
        2,
        "sr.yml:8:8: networks.gen: holds parameters that it does not register, so nothing trains or saves them: "
        "blocks[0].bias, blocks[0].weight, blocks[1].bias, blocks[1].weight and 2 more",
    )


def test_a_network_that_changes_its_input_is_named_with_its_line() -> None:
    code, lines = checked("hasty")
    where = next(n for n, line in enumerate(PARTS.splitlines(), 1) if "sub_" in line)
    assert (code, lines[1:4]) == (
        2,
        [
            "sr.yml:13:21: steps.gen.injectors.up: changes 'lq' in place in gen (Hasty), so whatever else reads the "
            "key gets another value",
            f"    at {Path('parts.py').resolve()}:{where}: return super().forward(x.sub_(0.5))",
            "    Fix: let it change a copy.",
        ],
    )


def test_a_critic_that_starts_after_its_schedule_is_warned_about() -> None:
    text = SUPER_RESOLUTION.replace("\ntrain: {iterations: 4", LATE)
    text = text.replace("steps:\n", "  critic: {type: patch_critic, width: 8, layers: 1}\nsteps:\n", 1)
    Path("late.yml").write_text(text)
    says = (
        "late.yml:19:5: steps.critic.schedule: has brought the learning rate to almost 0 when the step first trains, "
        "at iteration 2, and it stays there (idle-schedule)\n"
        "    A schedule counts from iteration 0 of the run. Fix: write `from: 2`.\n"
    )
    assert says in artschool("lint", "late.yml")[1]
    code, printed = artschool("check", "late.yml")
    assert code == 0 and f"warning: {says}" in printed
