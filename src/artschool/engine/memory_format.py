"""The memory format of the weights of a network."""

from __future__ import annotations

from torch import nn

from artschool.data.to_device import in_channels_last


def use_channels_last(network: nn.Module) -> None:
    """Keep the channels of all weights of 4 or 5 dimensions next to each other in memory. Values stay the same.

    Convolutions then compute in this format, and their results have it. Copies of the network follow.
    """
    for parameter in network.parameters():
        parameter.data = in_channels_last(parameter.data)
