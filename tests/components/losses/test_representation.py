"""Contrastive losses and VICReg."""

from __future__ import annotations

import math
from unittest.mock import Mock

import pytest
import torch
from torch import tensor

from artschool.components.losses.contrastive import info_nce, nt_xent
from artschool.components.losses.vicreg import vicreg
from artschool.errors import ConfigError
from artschool.registry.signature import Context

X = tensor([[2.0, 0.0], [0.0, 5.0]])


def test_info_nce_by_hand() -> None:
    # Partners point the same way, the others at right angles: log(1 + e^(-1 / 0.5)).
    assert info_nce(X, 3 * X, temperature=0.5).item() == pytest.approx(math.log1p(math.exp(-2)))
    assert info_nce(X, X.flip(0), temperature=0.5).item() == pytest.approx(math.log1p(math.exp(2)))


def test_info_nce_looks_among_y_or_both_ways() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(4, 3), torch.randn(4, 3)
    one, other = info_nce(x, y), info_nce(y, x)
    assert abs(one - other) > 1e-3
    torch.testing.assert_close(info_nce(x, y, symmetric=True), (one + other) / 2)


def test_nt_xent_has_negatives_on_both_sides_and_never_itself() -> None:
    # Each view has its partner at similarity 1 and two negatives at 0.
    assert nt_xent(X, 3 * X, temperature=0.5).item() == pytest.approx(math.log1p(2 * math.exp(-2)))
    assert nt_xent(X[:1], X[:1]).item() == 0.0  # nothing to confuse it with


def test_nt_xent_matches_the_formula_written_out() -> None:
    torch.manual_seed(0)
    x, y = torch.randn(3, 4), torch.randn(3, 4)
    views = [*torch.cat([x, y])]
    total = 0.0
    for i, view in enumerate(views):
        terms = {
            j: math.exp(float(torch.cosine_similarity(view, other, 0)) / 0.5) for j, other in enumerate(views) if j != i
        }
        total -= math.log(terms[(i + 3) % 6] / sum(terms.values()))
    assert nt_xent(x, y).item() == pytest.approx(total / 6, rel=1e-5)


def test_vicreg_by_hand() -> None:
    context = Mock(spec=Context)
    # Features of variance 2 need no more. Covariance of the two features: 2, on two places of the matrix.
    x = tensor([[0.0, 0.0], [2.0, 2.0]])
    value = vicreg(x, x + 1, context=context)
    logged = {call.args[0]: call.args[1].item() for call in context.log.call_args_list}
    assert logged == {"invariance": 1.0, "variance": 0.0, "covariance": 8.0}  # (4 + 4) / 2, for x and for y
    assert value.item() == 25 * 1 + 25 * 0 + 8
    value = vicreg(x, x + 1, invariance=0.0, variance=2.0, covariance=0.5, context=context)
    assert value.item() == 4.0


def test_vicreg_wants_features_to_vary() -> None:
    constant = torch.zeros(4, 3)
    value = vicreg(constant, constant, invariance=0.0, variance=1.0, covariance=0.0, context=Mock(spec=Context))
    assert value.item() == pytest.approx(1 - 0.01)  # sqrt(1e-4)


def test_vicreg_of_one_sample_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"which one sample does not have; raise `batch_size`$"):
        vicreg(torch.zeros(1, 3), torch.zeros(1, 3), context=Mock(spec=Context))
