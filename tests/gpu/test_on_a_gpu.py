"""What holds on a CPU holds on a GPU: training in each precision, resume, averages, evaluation, kept memory."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch

import artschool
from artschool.engine.run import Run
from tests.engine import toy_run
from tests.gpu.marks import ON_CUDA

pytestmark = ON_CUDA
ON_GPU = ("train.device=cuda", "train.deterministic=true", "train.iterations=12")
PRECISIONS = ("fp32", "bf16", "fp16")


@pytest.fixture(autouse=True)
def deterministic_products(monkeypatch: pytest.MonkeyPatch) -> None:
    """cuBLAS is deterministic only with a workspace of a fixed size."""
    monkeypatch.setenv("CUBLAS_WORKSPACE_CONFIG", ":4096:8")


def loaded(folder: Path, *overrides: str) -> Run:
    folder.mkdir(exist_ok=True)
    return toy_run.load(folder, *ON_GPU, *overrides)


def trained(folder: Path, *overrides: str) -> Run:
    run = loaded(folder, *overrides)
    run.train()
    return run


@pytest.mark.parametrize("precision", PRECISIONS)
def test_a_resumed_run_ends_with_the_same_bits(tmp_path: Path, precision: str) -> None:
    whole = trained(tmp_path / "whole", f"train.precision={precision}")
    trained(tmp_path / "parts", f"train.precision={precision}", "train.iterations=7")
    resumed = trained(tmp_path / "parts", f"train.precision={precision}")
    assert resumed.resumed_from == 7
    assert toy_run.fingerprint(resumed) == toy_run.fingerprint(whole)


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-3), ("bf16", 0.1), ("fp16", 0.1)])
def test_losses_are_those_of_the_cpu(tmp_path: Path, precision: str, tolerance: float) -> None:
    """Without dropout, whose numbers differ between devices."""
    same = ("networks.gen.dropout=0.0", "log.every=1", "train.matmul_precision=highest")
    runs = {}
    for device in ("cpu", "cuda"):
        run = loaded(tmp_path / device, *same, f"train.device={device}", f"train.precision={precision}")
        recorder = toy_run.recorded(run)
        run.train()
        runs[device] = torch.tensor(recorder.values("gen/pixel"))
    assert len(runs["cpu"]) == 12
    assert torch.allclose(runs["cuda"], runs["cpu"], rtol=tolerance, atol=0)


def test_micro_batches_give_the_gradient_of_the_whole_batch(tmp_path: Path) -> None:
    overrides = ("networks.gen={type: toy_plain_generator}", "train.matmul_precision=highest")
    whole = trained(tmp_path / "whole", *overrides)
    parts = trained(tmp_path / "parts", *overrides, "train.accumulate=4")
    for ours, theirs in zip(whole.networks["gen"].parameters(), parts.networks["gen"].parameters(), strict=True):
        torch.testing.assert_close(ours, theirs, rtol=0, atol=1e-5)


def test_a_checkpoint_of_a_gpu_opens_on_the_cpu(tmp_path: Path) -> None:
    run = trained(tmp_path)
    on_cpu = artschool.load_trained(toy_run.write(tmp_path, *ON_GPU, "train.device=cpu"), run_dir=tmp_path / "run")
    for name, tensor in run.networks["gen"].state_dict().items():
        assert torch.equal(tensor.cpu(), on_cpu.networks["gen"].state_dict()[name])
    assert on_cpu.device.type == "cpu"
    ours, theirs = run.evaluate()["held_out/psnr"], on_cpu.evaluate()["held_out/psnr"]
    assert ours == pytest.approx(theirs, rel=1e-3)


def test_memory_does_not_grow(tmp_path: Path) -> None:
    run = loaded(tmp_path, "train.iterations=60", "evaluate={}", "checkpoint.every=1000")
    sizes: list[int] = []

    class Sizes(toy_run.Recorder):
        def advance(self, run: object) -> None:
            sizes.append(torch.cuda.memory_allocated())

    run.loggers = [Sizes()]
    run.train()
    assert max(sizes[50:]) <= max(sizes[20:30])
