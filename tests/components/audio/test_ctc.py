"""CTC: the loss and greedy decoding."""

import math

import torch
from torch import tensor

from artschool.components.audio.ctc import CtcDecode, ctc


def test_the_loss_sums_over_all_alignments() -> None:
    torch.manual_seed(0)
    logits = torch.randn(1, 3, 3, dtype=torch.float64)
    p = logits[0].softmax(-1)
    # [1] over three frames: 1 in a row of any length, blanks around it.
    paths = ["111", "110", "011", "100", "010", "001"]
    likelihood = sum(math.prod(float(p[t, int(c)]) for t, c in enumerate(path)) for path in paths)
    torch.testing.assert_close(ctc(logits, tensor([[1]])).item(), -math.log(likelihood))


def test_lengths_cut_frames_and_tokens() -> None:
    torch.manual_seed(0)
    logits, tokens = torch.randn(2, 6, 4), tensor([[1, 2, 3], [3, 0, 0]])
    both = ctc(logits, tokens, tensor([6, 4]), tensor([3, 1]))
    # Per token, then the mean over samples.
    alone = [ctc(logits[:1], tokens[:1]), ctc(logits[1:, :4], tokens[1:, :1])]
    torch.testing.assert_close(both, torch.stack(alone).mean())


def test_too_few_frames_are_infinite_or_nothing() -> None:
    logits, tokens = torch.zeros(1, 2, 3), tensor([[1, 1]])  # two equal tokens need a blank between them
    assert ctc(logits, tokens).item() == math.inf
    assert ctc(logits, tokens, zero_infinity=True).item() == 0.0


def test_decoding_removes_repetitions_then_blanks() -> None:
    classes = tensor([[0, 1, 1, 0, 1, 2, 2, 0], [3, 3, 3, 0, 3, 1, 1, 1]])
    logits = torch.nn.functional.one_hot(classes, 4).float()
    decode = CtcDecode(alphabet="ab ")
    assert decode(logits) == ["aab", "  a"]
    assert decode(logits, tensor([2, 4])) == ["a", " "]
