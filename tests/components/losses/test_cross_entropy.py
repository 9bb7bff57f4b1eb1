"""Cross entropy of each kind, with and without a mask."""

import math

import pytest
import torch
from torch import tensor

from artschool.components.losses.cross_entropy import cross_entropy
from artschool.errors import ConfigError


def test_uniform_logits_cost_the_logarithm_of_the_classes() -> None:
    assert cross_entropy(torch.zeros(2, 5), tensor([0, 4])).item() == pytest.approx(math.log(5))


def test_two_classes_match_a_value_done_by_hand() -> None:
    logits = tensor([[math.log(3.0), 0.0]])  # probabilities 3/4 and 1/4
    assert cross_entropy(logits, tensor([0])).item() == pytest.approx(math.log(4 / 3))
    assert cross_entropy(logits, tensor([[0.5, 0.5]]), kind="soft").item() == pytest.approx(
        0.5 * math.log(4 / 3) + 0.5 * math.log(4)
    )


def test_labels_before_softmax_become_probabilities_over_the_classes() -> None:
    logits, labels = tensor([[[math.log(3.0)], [0.0]]]), tensor([[[0.0], [math.log(9.0)]]])  # 3/4, 1/4; 1/10, 9/10
    by_hand = 0.1 * math.log(4 / 3) + 0.9 * math.log(4)
    assert cross_entropy(logits, labels, kind="soft_logits").item() == pytest.approx(by_hand)
    last = cross_entropy(logits.movedim(1, 2), labels.movedim(1, 2), kind="soft_logits", class_dim=-1)
    assert last.item() == pytest.approx(by_hand)


def test_binary_questions_are_independent() -> None:
    logits, labels = tensor([[math.log(3.0), 0.0]]), tensor([[1, 0]])  # sigmoid: 3/4 and 1/2
    assert cross_entropy(logits, labels, kind="bce").item() == pytest.approx((math.log(4 / 3) + math.log(2)) / 2)


def test_classes_may_be_in_the_last_dimension() -> None:
    torch.manual_seed(0)
    logits, labels = torch.randn(2, 3, 5), torch.randint(5, (2, 3))
    assert torch.equal(cross_entropy(logits, labels, class_dim=-1), cross_entropy(logits.transpose(1, 2), labels))
    soft = torch.softmax(torch.randn(2, 3, 5), dim=-1)
    by_hand = -(soft * torch.log_softmax(logits, dim=-1)).sum(-1).mean()
    torch.testing.assert_close(cross_entropy(logits, soft, kind="soft", class_dim=-1), by_hand)


@pytest.mark.parametrize("kind", ["ce", "soft", "soft_logits", "bce"])
def test_a_mask_excludes(kind: str) -> None:
    torch.manual_seed(0)
    logits = torch.randn(4, 3, requires_grad=True)
    labels = torch.randint(3, (4,)) if kind == "ce" else torch.softmax(torch.randn(4, 3), dim=1)
    mask = tensor([1, 0, 1, 0]) if kind != "bce" else tensor([[1], [0], [1], [0]])
    masked = cross_entropy(logits, labels, mask, kind=kind)  # type: ignore[arg-type]  # plain text here
    torch.testing.assert_close(masked, cross_entropy(logits[::2], labels[::2], kind=kind))  # type: ignore[arg-type]
    torch.autograd.backward(masked)
    assert logits.grad is not None
    assert logits.grad[1::2].abs().max().item() == 0.0


def test_a_mask_that_excludes_everything_costs_nothing() -> None:
    logits = torch.randn(2, 3, requires_grad=True)
    loss = cross_entropy(logits, tensor([0, 1]), torch.zeros(2, dtype=torch.bool))
    torch.autograd.backward(loss)
    assert loss.item() == 0.0
    assert logits.grad is not None
    assert logits.grad.abs().max().item() == 0.0


def test_a_mask_of_other_dimensions_is_refused() -> None:
    with pytest.raises(ConfigError, match=r"the mask must have 2 dimensions, .* shape \(3, 3\), got shape \(3,\)$"):
        cross_entropy(torch.zeros(3, 3), torch.zeros(3, 3), torch.ones(3), kind="bce")


def test_labels_are_resized_by_nearest_neighbour() -> None:
    logits = torch.zeros(1, 70_000, 1, 4)
    logits[0, 69_999, 0, 2:] = 100.0
    labels = tensor([[[0, 69_999]]])  # (1, 1, 2), beyond what float16 can hold
    small = cross_entropy(logits[..., 2:], torch.full((1, 1, 2), 69_999))
    assert small.item() == 0.0
    halves = cross_entropy(logits, labels, resize_labels=True)
    assert halves.item() == pytest.approx(math.log(70_000) / 2)


def test_probabilities_are_not_taken_for_classes() -> None:
    with pytest.raises(
        ConfigError, match=r"labels of kind ce must be whole numbers, got torch\.float32\. Fix: use kind soft"
    ):
        cross_entropy(torch.zeros(2, 3), torch.zeros(2))


def test_small_whole_number_types_are_classes_too() -> None:
    labels = tensor([1, 2], dtype=torch.uint8)
    assert cross_entropy(torch.zeros(2, 3), labels).item() == pytest.approx(math.log(3))
    assert labels.dtype == torch.uint8


def test_gradients_match_differences() -> None:
    torch.manual_seed(0)
    logits = torch.randn(3, 4, dtype=torch.float64, requires_grad=True)
    soft = torch.softmax(torch.randn(3, 4, dtype=torch.float64), dim=1)
    labels, mask = tensor([0, 3, 1]), tensor([1, 0, 1])
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, labels, mask), (logits,))
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, soft, mask, kind="soft"), (logits,))
    assert torch.autograd.gradcheck(lambda x: cross_entropy(x, soft, kind="bce"), (logits,))
