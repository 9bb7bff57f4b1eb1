"""Warping by a flow, and the losses and combinations made of it."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from artschool.components.video.combine_frames import combine_frames
from artschool.components.video.flow_to_image import FlowToImage
from artschool.components.video.spynet import SpyNet
from artschool.components.video.temporal_metrics import end_point_error, temporal_difference, tof
from artschool.components.video.warp import align_by_flow, resize_flow, warp
from artschool.components.video.warp_loss import warp_loss
from artschool.errors import ConfigError


class Constant(nn.Module):
    """A flow network that always finds the same motion, and remembers what it was shown."""

    def __init__(self, right: float, down: float) -> None:
        super().__init__()
        self.flow = nn.Parameter(torch.tensor([float(right), float(down)])[None, :, None, None])
        self.seen: list[tuple[Tensor, Tensor]] = []

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        self.seen.append((first, second))
        return self.flow * torch.ones_like(first[:, :1])


def constant(right: float, down: float, x: Tensor) -> Tensor:
    return torch.tensor([float(right), float(down)])[None, :, None, None].expand(x.shape[0], 2, *x.shape[2:])


def close(one: Tensor, other: Tensor) -> None:
    torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_a_flow_of_whole_pixels_rolls_the_image() -> None:
    x = torch.rand(2, 3, 5, 7)
    warped = warp(x, constant(2, -1, x), padding="zeros")
    close(warped[:, :, 1:, :-2], torch.roll(x, (1, -2), (2, 3))[:, :, 1:, :-2])
    assert warped[:, :, 0].abs().max() < 1e-5 and warped[:, :, :, -2:].abs().max() < 1e-5


def test_between_pixels_it_interpolates_and_beyond_the_border_it_repeats_or_mirrors() -> None:
    x = torch.tensor([[[[0.0, 1.0, 4.0]]]])
    close(warp(x, torch.full((1, 1, 1, 3), 0.5)), torch.tensor([[[[0.5, 2.5, 4.0]]]]))
    close(warp(x, torch.full((1, 1, 1, 3), 2.0)), torch.tensor([[[[4.0, 4.0, 4.0]]]]))
    close(warp(x, torch.full((1, 1, 1, 3), 2.0), padding="reflection"), torch.tensor([[[[4.0, 4.0, 1.0]]]]))


def test_a_disparity_moves_along_rows_alone() -> None:
    x = torch.rand(1, 2, 4, 4)
    torch.testing.assert_close(warp(x, constant(1, 0, x)[:, :1]), warp(x, constant(1, 0, x)))


def test_a_flow_of_another_size_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"expected a flow \(1, 2, 4, 4\) or .* got \(1, 2, 2, 2\)$"):
        warp(torch.rand(1, 3, 4, 4), torch.zeros(1, 2, 2, 2))


def test_a_resized_flow_is_longer_by_each_side() -> None:
    flow = constant(1, 1, torch.zeros(1, 1, 4, 4))
    close(resize_flow(flow, 8, 12), constant(3, 2, torch.zeros(1, 1, 8, 12)))
    assert resize_flow(flow, 4, 4) is flow


def test_half_precision_images_come_back_so() -> None:
    x = torch.rand(1, 1, 4, 4).bfloat16()
    assert warp(x, constant(1, 0, x)).dtype == torch.bfloat16


@pytest.mark.parametrize("grad", [False, True])
def test_align_warps_a_large_image_onto_a_small_one(grad: bool) -> None:
    flow, x = Constant(1, 0), torch.rand(1, 1, 8, 8)
    found = align_by_flow(flow, x, torch.rand(1, 1, 4, 4), grad=grad)
    close(found[..., :-2], x[..., 2:])  # one small pixel is two large ones
    assert flow.seen[0][1].shape == (1, 1, 4, 4)
    assert found.requires_grad is grad


def test_colours_are_those_of_the_wheel() -> None:
    motions = [(1, 0), (-1, 0), (0, 0), (3, 0), (-0.5, 0)]
    flow = torch.tensor(motions, dtype=torch.float).view(5, 2, 1, 1)
    cyan = [0.0, 9 / 11, 1.0]  # Step 27 of 54: two of eleven steps from cyan to blue.
    expected = [[1, 0, 0], cyan, [1, 1, 1], [0.75, 0, 0], [0.5, 10 / 11, 1]]
    close(FlowToImage(most=1.0)(flow).view(5, 3), torch.tensor(expected, dtype=torch.float))
    down = FlowToImage()(torch.tensor([0.0, 1.0]).view(1, 2, 1, 1)).flatten()
    close(down, torch.tensor([1.0, 0.9, 0.0]))  # Step 13.5 of the fifteen from red to yellow.


def test_a_constant_flow_has_one_colour_and_the_longest_of_a_sample_is_full() -> None:
    flow = constant(3, 4, torch.zeros(2, 1, 4, 4)) * torch.tensor([1.0, 7.0]).view(2, 1, 1, 1)
    image = FlowToImage()(flow)
    assert image.flatten(2).std(-1).max() < 1e-6
    close(image[0], image[1])
    with pytest.raises(ConfigError, match=r"expected a flow \(B, 2, H, W\), got \(2, 1, 4, 4\)$"):
        FlowToImage()(flow[:, :1])


def moving(count: int = 4) -> Tensor:
    """A picture that moves one pixel to the left with each frame: (1, count, 1, 6, 8)."""
    wide = torch.rand(1, 1, 6, 8 + count)
    return torch.stack([wide[..., index : index + 8] for index in range(count)], dim=1)


class Truth(nn.Module):
    """Knows how `moving` moves, there and back."""

    def forward(self, first: Tensor, second: Tensor) -> Tensor:
        later = (first[..., 1:] - second[..., :-1]).abs().mean((1, 2, 3)) < 1e-6
        right = torch.where(later, -1.0, 1.0)[:, None, None, None]
        return torch.cat([right, torch.zeros_like(right)], 1).expand(-1, 2, *first.shape[2:])


def test_the_warp_loss_of_the_true_motion_is_that_of_the_border() -> None:
    frames = moving()
    still = warp_loss(Constant(0, 0), frames)
    close(still, (frames[:, 1:] - frames[:, :-1]).abs().mean())
    wrong, right = warp_loss(Constant(2, 0), frames), warp_loss(Truth(), frames)
    assert right < 0.25 * still < wrong
    with pytest.raises(ConfigError, match="of 2 frames or more, got"):
        warp_loss(Truth(), frames[:, :1])


def test_an_l2_warp_loss_squares() -> None:
    frames = moving()
    squared = warp_loss(Constant(0, 0), frames, criterion="l2")
    close(squared, (frames[:, 1:] - frames[:, :-1]).square().mean())


def test_combined_frames_show_what_the_middle_one_shows() -> None:
    frames = moving(3)
    combined, centre = combine_frames(Truth(), frames, frames + 1)
    assert combined.shape == (1, 3, 6, 8)
    close(combined[:, :1], frames[:, 1])
    close(centre, frames[:, 1] + 1)
    for channel in (1, 2):
        close(combined[:, channel, :, 1:-1], frames[:, 1, 0, :, 1:-1])
    assert torch.equal(combine_frames(Truth(), frames[:, :1])[0], frames[:, 0])
    with pytest.raises(ConfigError, match="hq with the same B and T, got"):
        combine_frames(Truth(), frames, frames[:, :2])


def test_the_flow_network_learns_nothing_from_combined_frames() -> None:
    assert not combine_frames(Constant(1, 0), moving(3))[0].requires_grad


def test_metrics_of_motion_match_numbers_done_by_hand() -> None:
    frames = moving(3)
    assert tof(Truth(), frames, frames).tolist() == [0.0]
    # Played backwards the motion is two pixels off in one of two components.
    close(tof(Truth(), torch.flip(frames, (1,)), frames), torch.tensor([1.0]))
    assert temporal_difference(frames + 0.1, frames).item() == pytest.approx(0, abs=1e-6)
    flicker = frames + 0.1 * torch.tensor([0.0, 1.0, 0.0]).view(1, 3, 1, 1, 1)
    assert temporal_difference(flicker, frames).item() == pytest.approx(0.1)
    close(end_point_error(constant(3, 4, frames[:, 0]), constant(0, 0, frames[:, 0])), torch.tensor([5.0]))


@pytest.mark.parametrize("size", [(16, 16), (13, 22), (1, 3)])
def test_spynet_takes_any_size_and_starts_at_no_motion(size: tuple[int, int]) -> None:
    flow = SpyNet(levels=3, width=4, kernel=3)(torch.rand(2, 3, *size), torch.rand(2, 3, *size))
    assert flow.shape == (2, 2, *size)
    assert not flow.any()


def test_a_flow_of_the_coarsest_level_grows_on_its_way_up() -> None:
    network = SpyNet(levels=3, width=4, kernel=3)
    bias = network.levels[0][-1].bias  # type: ignore[index]  # the last convolution of a Sequential
    nn.init.constant_(bias, 1.0)
    close(network(torch.rand(1, 3, 8, 8), torch.rand(1, 3, 8, 8)), torch.full((1, 2, 8, 8), 4.0))


def test_spynet_learns_a_motion() -> None:
    torch.manual_seed(0)
    network = SpyNet(in_channels=1, levels=2, width=8, kernel=3)
    optimizer = torch.optim.Adam(network.parameters(), lr=1e-2)
    wide = F.interpolate(torch.rand(4, 1, 4, 5), size=(12, 17), mode="bicubic")
    frames = torch.stack([wide[..., :-1], wide[..., 1:]], dim=1)
    first = warp_loss(network, frames).item()
    for _ in range(40):
        optimizer.zero_grad()
        loss = warp_loss(network, frames)
        torch.autograd.backward(loss)
        optimizer.step()
    assert loss.item() < 0.5 * first
    assert network(frames[:, 0], frames[:, 1])[:, 0].mean().item() == pytest.approx(-1, abs=0.4)


def test_an_even_kernel_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"^spynet: kernel: expected an odd number, .*, got 4$"):
        SpyNet(kernel=4)
