"""Networks as programs of torch.export and ONNX, whose sizes are dynamic where the network's are."""

from __future__ import annotations

import io
import logging
import warnings
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from artschool.errors import first_line
from artschool.export.called import CalledNetwork, calls_networks
from artschool.export.inference.with_torch import difference, seeded_outputs
from artschool.extras import extra
from artschool.storage.durable import write_file

Sizes = list[set[int]]
"""For each input, the dimensions whose size may change."""
FACTOR = 2
"""By how much sizes change when they are tried. Twice a size has all of its divisors."""


class CannotExportError(Exception):
    """torch cannot make a program of a network."""


def dynamic_sizes(called: CalledNetwork, inputs: Sequence[Tensor]) -> Sizes:
    """The dimensions of the inputs that the network takes in other sizes, found by trying.

    Dimensions at the same position and of the same size change together, such as the heights of two images.
    """
    found: Sizes = [set() for _ in inputs]
    for position, size in sorted({(at, size) for value in inputs for at, size in enumerate(value.shape)}):
        changed = [size in value.shape[position : position + 1] for value in inputs]
        larger = [_resized(each, {position} if changes else ()) for each, changes in zip(inputs, changed, strict=True)]
        try:
            with calls_networks():
                called(*larger)
        except Exception:  # Code of a network can raise anything.
            continue
        for sizes, changes in zip(found, changed, strict=True):
            sizes.update({position} if changes else ())
    return found


def program_of(called: CalledNetwork, inputs: Sequence[Tensor], sizes: Sizes) -> Any:
    """The program of a network.

    Raises:
        CannotExportError: torch cannot trace the network, or the program computes something else.
    """
    from torch.export import Dim, export

    shapes = [
        {at: Dim.AUTO if at in dynamic else Dim.STATIC for at in range(value.dim())}
        for value, dynamic in zip(inputs, sizes, strict=True)
    ]
    try:
        with calls_networks(), quiet():
            program = export(
                called,
                tuple(inputs),
                dynamic_shapes=(tuple(shapes),) if shapes else None,
                prefer_deferred_runtime_asserts_over_guards=True,
            )
            run = program.module()
            for values in (inputs, larger_inputs(inputs, sizes)):
                apart = difference(seeded_outputs(run, values), seeded_outputs(called, values))
                if apart > 1e-4:
                    raise CannotExportError(f"its program differs by {apart:.1e}")
    except CannotExportError:
        raise
    except Exception as error:  # torch.export raises many kinds of errors.
        raise CannotExportError(first_line(error)) from error
    return program


def larger_inputs(inputs: Sequence[Tensor], sizes: Sizes) -> list[Tensor]:
    """The inputs with twice the size in each dynamic dimension."""
    return [_resized(value, dynamic) for value, dynamic in zip(inputs, sizes, strict=True)]


def write_program(program: Any, file: Path) -> None:
    """Write a program of torch.export."""
    buffer = io.BytesIO()  # torch does not say why it cannot write a file.
    with quiet():
        torch.export.save(program, buffer)
    write_file(file, buffer.getvalue())


def write_onnx(program: Any, called: CalledNetwork, outputs: Sequence[str], file: Path) -> None:
    """Write a program as an ONNX model, whose inputs and outputs have their names.

    Raises:
        ResourceError: onnx or onnxscript is not installed.
        CannotExportError: An operation has no counterpart in ONNX.
    """
    with extra("onnx"):
        import onnx  # noqa: F401
        import onnxscript  # noqa: F401
    try:
        with quiet():
            model = torch.onnx.export(
                program,
                input_names=[each.name for each in called.inputs],
                output_names=list(outputs),
                dynamo=True,
                verbose=False,
            )
            assert model is not None
            model.save(file)
    except OSError:  # Of the disk.
        raise
    except Exception as error:  # torch.onnx raises many kinds of errors.
        raise CannotExportError(first_line(error)) from error


def _resized(value: Tensor, dimensions: Iterable[int]) -> Tensor:
    for at in dimensions:
        value = torch.cat([value] * FACTOR, at)
    return value


@contextmanager
def quiet() -> Iterator[None]:
    """Without the remarks of torch about what it skips, which concern nobody here."""
    before = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(before)
