"""Every injector and loss on a CUDA device, on its example."""

from __future__ import annotations

import pytest
import torch

from artschool.components.builtins import load_builtins
from tests.components.examples import EXAMPLES
from tests.components.examples.example import Example
from tests.components.test_every_component import ids, made, results, tensors
from tests.gpu.marks import WATCHED

load_builtins()
CUDA = torch.device("cuda", 0)
WAITS = {
    "ctc": "reads the lengths",
    "ctc_decode": "makes text",
    "diffusers_sample": "copies the timesteps",
    "diffusion_sample": "draws `noise: fixed` on the CPU",
    "kornia": "draws on the CPU",
}

pytestmark = WATCHED


@pytest.mark.parametrize("example", EXAMPLES, ids=ids)
def test_nothing_waits_for_the_device(example: Example) -> None:
    call = example.bind(CUDA)
    with CUDA:
        values = made(example)
    inputs = [value for value in tensors(values) if value.is_floating_point() and "gradient" not in example.exempt]
    for value in inputs:
        value.requires_grad_()
    results(call, dict(values))  # What happens once may wait.
    torch.cuda.set_sync_debug_mode("default" if example.type in WAITS else "error")
    try:
        found = results(call, dict(values))
        for result in found:
            if inputs and result.requires_grad:
                torch.autograd.grad(result.float().sum(), inputs, allow_unused=True, retain_graph=True)
    finally:
        torch.cuda.set_sync_debug_mode("default")
    assert {result.device for result in found} <= {CUDA}
