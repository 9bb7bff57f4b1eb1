"""What goes over frames: the recurrent generator, its losses, and the progressive zoom."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.losses.gan import generator_gan
from artschool.components.video.ping_pong import ping_pong
from artschool.components.video.progressive_zoom import progressive_zoom
from artschool.components.video.recurrent_generate import recurrent_generate
from artschool.components.video.temporal_gan import temporal_gan
from artschool.errors import ConfigError


class Moves(nn.Module):
    """A flow network that always finds the same motion to the right, and counts its calls."""

    def __init__(self, right: float = 0.0) -> None:
        super().__init__()
        self.right = nn.Parameter(torch.tensor(right))
        self.batches: list[int] = []

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        self.batches.append(len(first))
        return torch.stack([self.right.expand(first[:, 0].shape), torch.zeros_like(first[:, 0])], dim=1)


class Adds(nn.Module):
    """The frame, repeated to twice its size, and what came before."""

    def forward(self, x: Tensor, before: Tensor | None = None) -> Tensor:
        if before is None:
            x, before = x[:, :1], F.pixel_shuffle(x[:, 1:], 2)
        return F.interpolate(x, scale_factor=2.0) + before


def frames(count: int = 4) -> Tensor:
    """Uniform frames of value 1, 2, 4, 8: each sum of some of them tells which. (2, count, 1, 3, 3)."""
    return (2.0 ** torch.arange(count)).view(1, count, 1, 1, 1).expand(2, count, 1, 3, 3)


def values(sequence: Tensor) -> list[float]:
    assert (sequence - sequence[:1, :, :1, :1, :1]).abs().max() < 1e-4
    return sequence[0, :, 0, 0, 0].round(decimals=4).tolist()


def test_each_frame_sees_the_output_before_it() -> None:
    out = recurrent_generate(Adds(), Moves(), frames(), scale=2)
    assert out.shape == (2, 4, 1, 6, 6)
    assert values(out) == [1, 3, 7, 15]


def test_the_output_before_may_be_a_second_argument_and_start_at_the_first_frame() -> None:
    out = recurrent_generate(Adds(), Moves(), frames(), scale=2, previous="argument", start="bicubic")
    assert values(out) == [2, 4, 8, 16]


def test_ping_pong_goes_back_to_the_first_frame_and_the_flow_is_found_once() -> None:
    flow = Moves()
    out = recurrent_generate(Adds(), flow, frames(3), scale=2, ping_pong=True)
    assert values(out) == [1, 3, 7, 9, 10]
    assert flow.batches == [2 * 4]


def test_the_output_before_moves_with_the_frames_and_twice_as_far() -> None:
    class Keep(nn.Module):
        def forward(self, frame: Tensor, before: Tensor) -> Tensor:
            return F.interpolate(frame, scale_factor=2.0) if frame.sum() > 0 else before

    sequence = torch.zeros(1, 2, 1, 2, 4)
    sequence[0, 0, 0, :, 2] = 1.0
    out = recurrent_generate(Keep(), Moves(1.0), sequence, scale=2, previous="argument")
    torch.testing.assert_close(out[0, 1, 0, 0], torch.tensor([0.0, 0, 1, 1, 0, 0, 0, 0]), atol=1e-5, rtol=0)


def test_gradients_reach_the_first_frame_and_the_flow_network() -> None:
    flow, sequence = Moves(0.3), torch.rand(1, 3, 1, 4, 4, requires_grad=True)
    out = recurrent_generate(Adds(), flow, sequence, scale=2)
    torch.autograd.backward(out[:, -1].square().sum())
    assert sequence.grad is not None and sequence.grad[:, 0].abs().sum() > 0
    assert flow.right.grad is not None and flow.right.grad.abs() > 0


def test_the_flow_can_be_found_elsewhere() -> None:
    class Shape(Moves):
        def forward(self, first: Tensor, second: Tensor) -> Tensor:
            assert first.shape[1:] == (3, 5, 5)
            return super().forward(first, second)

    guide = torch.rand(2, 4, 3, 5, 5)
    assert values(recurrent_generate(Adds(), Shape(), frames(), guide, scale=2)) == [1, 3, 7, 15]


def test_a_single_frame_needs_no_flow() -> None:
    flow = Moves()
    assert values(recurrent_generate(Adds(), flow, frames(1), scale=2, ping_pong=True)) == [1]
    assert flow.batches == []


def test_what_is_no_sequence_or_no_image_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"\(B, T, C, H, W\) of equal B and T, got frames \(2, 1, 3, 3\)$"):
        recurrent_generate(Adds(), Moves(), frames()[:, 0], scale=2)
    with pytest.raises(ConfigError, match=r" and guide \(2, 3, 1, 3, 3\)$"):
        recurrent_generate(Adds(), Moves(), frames(), frames(3), scale=2)
    with pytest.raises(ConfigError, match=r"with scale 3, expected an output of \(2, 1, 9, 9\), got \(2, 1, 6, 6\)$"):
        recurrent_generate(Twice(), Moves(), frames(), scale=3, previous="argument")


class Twice(nn.Module):
    def forward(self, frame: Tensor, before: Tensor) -> Tensor:
        return F.interpolate(frame, scale_factor=2.0)


def test_ping_pong_is_the_sum_over_pairs() -> None:
    sequence = torch.tensor([1.0, 5.0, 9.0, 4.0, 3.0]).view(1, 5, 1, 1, 1).expand(2, 5, 3, 2, 2)
    assert ping_pong(sequence).item() == 2 + 1
    assert ping_pong(sequence, criterion="l2").item() == 4 + 1


def test_ping_pong_of_a_symmetric_sequence_is_zero() -> None:
    half = torch.rand(2, 3, 1, 4, 4)
    assert ping_pong(torch.cat([half, torch.flip(half[:, :-1], (1,))], dim=1)).item() == 0
    with pytest.raises(ConfigError, match=r"expected an odd number of frames, 3 or more, got 4\. Fix: "):
        ping_pong(torch.rand(1, 4, 1, 2, 2))


class Records(nn.Module):
    """A critic that keeps what it saw."""

    def forward(self, x: Tensor) -> Tensor:
        self.seen = x
        return x.flatten(1).mean(1)


def test_the_critic_sees_each_triplet_as_it_is_and_warped() -> None:
    critic, guide = Records(), torch.zeros(2, 4, 3, 5, 5)
    fake = torch.rand(2, 6, 1, 10, 10)
    value = temporal_gan(
        Moves(1.0), fake, guide, margin=2, loss=lambda **given: generator_gan(critic, **given, kind="hinge")
    )
    assert critic.seen.shape == (4, 6, 6, 6)  # B (T - 2), of 4 frames with a guide; the others are left out
    left, middle, right = fake[1, 1, 0], fake[1, 2, 0], fake[1, 3, 0]
    inner = slice(2, -2)
    expected = [left, middle, right, left.roll(-2, 1), middle, right.roll(-2, 1)]
    for channel, image in enumerate(expected):
        # The last columns come from beyond the border.
        torch.testing.assert_close(critic.seen[3, channel], image[inner, inner], atol=1e-5, rtol=0)
    torch.testing.assert_close(value, -critic.seen.mean())


def test_the_critic_learns_from_both_and_the_flow_network_from_neither() -> None:
    flow, fake, real = Moves(0.5), torch.rand(1, 3, 1, 4, 4, requires_grad=True), torch.rand(1, 3, 1, 4, 4)
    given: dict[str, Tensor] = {}

    def loss(**values: Tensor) -> Tensor:
        given.update(values)
        return values["fake"].sum()

    torch.autograd.backward(temporal_gan(flow, fake, real, real, loss=loss))
    assert given.keys() == {"fake", "real"}
    assert fake.grad is not None and flow.right.grad is None


def test_temporal_gan_refuses_short_takes_and_wide_margins() -> None:
    take = torch.rand(1, 3, 1, 4, 4)
    with pytest.raises(ConfigError, match="expected 3 frames or more"):
        temporal_gan(Moves(), take, take[:, :2], loss=lambda **_: take.sum())
    with pytest.raises(ConfigError, match=r"guide \(1, 3, .* real \(1, 2, "):
        temporal_gan(Moves(), take, take, take[:, :2], loss=lambda **_: take.sum())
    with pytest.raises(ConfigError, match=r"margin: expected less than half of .* frames 4 x 4, got 2$"):
        temporal_gan(Moves(), take, take, loss=lambda **_: take.sum(), margin=2)


class Exact(nn.Module):
    """Doubles a picture that grows linearly, exactly: each pixel becomes four whose mean it is."""

    def forward(self, x: Tensor) -> Tensor:
        down = (x[..., 1:2, :1] - x[..., :1, :1]) / 4
        right = (x[..., :1, 1:2] - x[..., :1, :1]) / 4
        sign = torch.tensor([-1.0, 1.0]).repeat(x.shape[-1])
        return F.interpolate(x, scale_factor=2.0) + down * sign[:, None] + right * sign


def test_a_zoom_cuts_the_same_windows_from_the_original() -> None:
    torch.manual_seed(0)
    full = (torch.arange(32.0)[:, None] + 100 * torch.arange(32.0)).expand(3, 1, 32, 32)
    out, target = progressive_zoom(Exact(), F.avg_pool2d(full, 8), full, depth=3)
    assert out.shape == (9, 1, 8, 8)
    torch.testing.assert_close(out, target, atol=0.01, rtol=0)
    torch.testing.assert_close(target[:3], F.avg_pool2d(full, 4))
    assert len(set(target[6:].flatten(1).mean(1).tolist())) == 3  # windows differ from sample to sample


def test_a_zoom_refuses_other_sizes() -> None:
    x = torch.rand(1, 1, 4, 4)
    with pytest.raises(ConfigError, match=r"hq 2\*\*2 times as large as lq \(1, 1, 4, 4\), got \(1, 1, 8, 8\)$"):
        progressive_zoom(nn.Identity(), x, torch.rand(1, 1, 8, 8), depth=2)
    with pytest.raises(
        ConfigError, match=r"expected \(1, 1, 8, 8\) for an input of \(1, 1, 4, 4\), got \(1, 1, 4, 4\)$"
    ):
        progressive_zoom(nn.Identity(), x, torch.rand(1, 1, 8, 8), depth=1)
