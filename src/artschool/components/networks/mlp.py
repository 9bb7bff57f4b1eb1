"""Linear layers for projections, predictions and probes."""

from __future__ import annotations

from typing import Literal

from torch import Tensor, nn

from artschool.registry import ComponentRole, networks
from artschool.registry.signature import Count


@networks.register("mlp", roles=ComponentRole.STARTS_RANDOM)
class MLP(nn.Module):
    """Linear layers with a norm and a ReLU between them. Without `hidden`, a single linear layer, such as a probe.

    The projections and predictions of BYOL have one hidden layer with batch norm (Grill et al. 2020,
    arXiv:2006.07733, section 3.3).

    Args:
        in_features: Number of elements of a flattened sample.
        out_features: Number of outputs for a sample.
        hidden: Numbers of features of the hidden layers, in order. `[]`: a single linear layer.
        norm: Norm after each hidden layer: `batch`, `layer` or `none`.
    """

    def __init__(
        self,
        *,
        in_features: Count,
        out_features: Count,
        hidden: list[Count] = [],  # noqa: B006  # never changed
        norm: Literal["none", "batch", "layer"] = "none",
    ) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for features in hidden:
            layers += [nn.Linear(in_features, features), *_norm(norm, features), nn.ReLU()]
            in_features = features
        self.layers = nn.Sequential(*layers, nn.Linear(in_features, out_features))

    def forward(self, x: Tensor) -> Tensor:
        """(B, ...), flattened to (B, in_features), to (B, out_features)."""
        out: Tensor = self.layers(x.flatten(1))
        return out


def _norm(norm: str, features: int) -> list[nn.Module]:
    if norm == "none":
        return []
    return [nn.BatchNorm1d(features) if norm == "batch" else nn.LayerNorm(features)]
