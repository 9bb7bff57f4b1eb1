"""Lets each test of pytest have the pretended device."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.pretended_cuda.device import Factories, replace_functions

LEFT_OUT = {
    "test_offload.py": "moves the values of a parameter to another device",
    "test_profile.py": "measures memory",
    "[dpo]": "torch has a GRU of its own for CUDA",
    "[speech_ctc]": "torch has a CTC loss of its own for CUDA",
    "{type: ctc,": "torch has a CTC loss of its own for CUDA",
}
replace_functions()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Skip what a pretended device cannot do."""
    for item in items:
        for name, reason in LEFT_OUT.items():
            if name in item.nodeid:
                item.add_marker(pytest.mark.skip(reason=f"a pretended device: {reason}"))


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call() -> Generator[None, Any, Any]:
    """Let what a test creates on the device be pretended tensors."""
    with Factories():  # type: ignore[no-untyped-call]  # torch
        return (yield)


pytest_fixture_setup = pytest_pyfunc_call
