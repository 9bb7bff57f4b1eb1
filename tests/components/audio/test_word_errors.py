"""Error rates of texts."""

import pytest

from artschool.components.audio.word_errors import Cer, Wer


def test_errors_of_all_texts_are_divided_by_the_length_of_all() -> None:
    wer, cer = Wer(), Cer()
    for metric in (wer, cer):
        metric.update(fake=["one two three"], real=["one two three"])
        metric.update(fake=["a"], real=["b"])
    assert float(wer.compute()) == pytest.approx(1 / 4)  # not the mean of 0 and 1
    assert float(cer.compute()) == pytest.approx(1 / 14)
    wer.reset()
    wer.update(fake=["", "four five"], real=["one", "four"])
    assert float(wer.compute()) == 1.0  # one deleted, one inserted, of two
