"""The loss of Tacotron 2."""

from unittest.mock import Mock, call

import pytest
import torch
from torch import tensor

from artschool.components.audio.tacotron2 import tacotron2, tacotron2_score
from artschool.errors import ConfigError
from artschool.registry.signature import Context


def test_it_is_two_squared_errors_and_a_cross_entropy() -> None:
    target, context = torch.zeros(1, 2, 2), Mock(spec=Context)
    gate, end = tensor([[0.0, 0.0]]), tensor([[0, 1]])
    found = tacotron2(target + 1, target + 2, gate, target, end, context=context)
    assert found.item() == pytest.approx(1 + 4 + 0.693147)
    assert context.log.mock_calls == [call("mel_loss", tensor(5.0)), call("gate_loss", tensor(0.6931471824645996))]
    assert tacotron2_score(target + 1, target + 2, gate, target, end) == found


def test_a_gate_of_another_layout_is_refused() -> None:
    mel, gate = torch.zeros(2, 3, 4), torch.zeros(2, 4)
    with pytest.raises(ConfigError, match=r"^tacotron2 compares equal shapes, but fake is \(2, 4\)"):
        tacotron2_score(mel, mel, gate, mel, gate.T)
