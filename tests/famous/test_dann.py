"""Ganin et al. 2016, arXiv:1505.07818."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn
from torch.nn.functional import binary_cross_entropy_with_logits

from tests.famous.compare import ITERATIONS, Batches, check_against
from tests.famous.test_gan import cross_entropy


def published(networks: Mapping[str, nn.Module], batches: Batches) -> Iterator[Mapping[str, Tensor]]:
    """Algorithm 1, by gradients: those of the domain loss are subtracted from those of the features."""
    features, label, domain = (networks[name] for name in ("features", "label", "domain"))
    weights = {name: list(network.parameters()) for name, network in networks.items()}
    optimizer = torch.optim.SGD([p for own in weights.values() for p in own], lr=0.05, momentum=0.9)
    for iteration, batch in enumerate(batches):
        factor = 2 / (1 + math.exp(-10 * iteration / ITERATIONS)) - 1  # Lambda of section 5.2.2.
        of_source, of_target = features(batch["source"]), features(batch["target"])
        label_loss = binary_cross_entropy_with_logits(label(of_source), batch["is_inside"])
        source_loss, target_loss = cross_entropy(domain(of_source), 0.0), cross_entropy(domain(of_target), 1.0)
        domain_loss = source_loss + target_loss
        of_label = torch.autograd.grad(label_loss, [*weights["features"], *weights["label"]], retain_graph=True)
        of_domain = torch.autograd.grad(domain_loss, [*weights["features"], *weights["domain"]])
        number = len(weights["features"])
        for parameter, up, down in zip(weights["features"], of_label, of_domain, strict=False):
            parameter.grad = up - factor * down
        for name, gradients in (("label", of_label), ("domain", of_domain)):
            for parameter, gradient in zip(weights[name], gradients[number:], strict=True):
                parameter.grad = gradient
        optimizer.step()
        yield {"all/label": label_loss, "all/source": source_loss, "all/target": target_loss}


@pytest.mark.usefixtures("registries")
def test_domain_adversarial_training_trains_as_published(tmp_path: Path) -> None:
    check_against(published, "dann", tmp_path)
