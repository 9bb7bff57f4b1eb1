"""Residual networks that map images to features or class logits."""

from __future__ import annotations

from typing import Literal

import torch.nn.functional as F
from torch import Tensor, nn

from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count

BLOCKS = {18: (2, 2, 2, 2), 34: (3, 4, 6, 3), 50: (3, 4, 6, 3), 101: (3, 4, 23, 3)}


@networks.register("resnet", roles={ComponentRole.STARTS_RANDOM, ComponentRole.HAS_BATCH_NORM})
class ResNet(nn.Module):
    """ResNet with torchvision's parameter names.

    torchvision's weights fit with in_channels 3, width 64 and small false. Without `classes` there is no `fc`, and
    loading them needs `strict: false`. The batch norms of each process use only its part of the batch.

    Source: He et al. 2016, arXiv:1512.03385, table 1; the stride of a bottleneck is in its 3 x 3 convolution, as in
    Goyal et al. 2017, arXiv:1706.02677, section 5.1; the stem for small images is that of Chen et al. 2020,
    arXiv:2002.05709, appendix B.9.

    Args:
        depth: Number of layers with weights. 18 and 34 have two convolutions in each block, 50 and 101 have three.
        in_channels: Number of channels of the images; 3 for colour.
        classes: Number of classes, for which a final linear layer computes logits. null: return the features.
        width: Number of channels of the first stage. The last stage has 8 times this number, or 32 times from depth 50.
        small: Whether to start with a 3 x 3 convolution of stride 1 and no pooling, for images of about 8 to 64 pixels
            a side.
    """

    def __init__(
        self,
        *,
        depth: Literal[18, 34, 50, 101] = 18,
        in_channels: Count = 3,
        classes: Count | None = None,
        width: Count = 64,
        small: bool = False,
    ) -> None:
        super().__init__()
        block = _Basic if depth < 50 else _Bottleneck
        self.small = small
        self.conv1 = nn.Conv2d(in_channels, width, *((3, 1, 1) if small else (7, 2, 3)), bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        channels, stages = width, []
        for index, count in enumerate(BLOCKS[depth]):
            blocks: list[nn.Module] = []
            for position in range(count):
                blocks.append(block(channels, width * 2**index, 2 if index and not position else 1))
                channels = width * 2**index * block.expansion
            stages.append(nn.Sequential(*blocks))
        self.layer1, self.layer2, self.layer3, self.layer4 = stages
        self.fc = nn.Identity() if classes is None else nn.Linear(channels, classes)
        self.features = channels
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")

    def forward(self, x: Tensor) -> Tensor:
        """(B, in_channels, H, W) to logits (B, classes), or to features (B, 8 * width or 32 * width)."""
        x = F.relu(self.bn1(self.conv1(x)))
        if not self.small:
            x = F.max_pool2d(x, 3, 2, 1)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            x = stage(x)
        out: Tensor = self.fc(x.mean((2, 3)))
        return out


class _Basic(nn.Module):
    expansion = 1

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.downsample = _shortcut(in_channels, width, stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        return F.relu(self.bn2(self.conv2(inner)) + self.downsample(x))


class _Bottleneck(nn.Module):
    expansion = 4

    def __init__(self, in_channels: int, width: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(in_channels, width, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(width)
        self.conv2 = nn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(width)
        self.conv3 = nn.Conv2d(width, width * self.expansion, 1, bias=False)
        self.bn3 = nn.BatchNorm2d(width * self.expansion)
        self.downsample = _shortcut(in_channels, width * self.expansion, stride)

    def forward(self, x: Tensor) -> Tensor:
        inner = F.relu(self.bn1(self.conv1(x)))
        inner = F.relu(self.bn2(self.conv2(inner)))
        return F.relu(self.bn3(self.conv3(inner)) + self.downsample(x))


def _shortcut(in_channels: int, out_channels: int, stride: int) -> nn.Module:
    if stride == 1 and in_channels == out_channels:
        return nn.Identity()
    return nn.Sequential(nn.Conv2d(in_channels, out_channels, 1, stride, bias=False), nn.BatchNorm2d(out_channels))
