"""An iteration is divided among its parts, and each moment belongs to one of them."""

from __future__ import annotations

from artschool.profiling.parts import BACKWARD, Part, Recorder


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = 0.0

    def mark(self) -> float:
        """The time."""
        return self.now

    def add(self, part: Part, before: float, after: float) -> None:
        """Add a time."""
        part.own_seconds += after - before


def test_a_part_has_its_own_time_and_that_of_its_parts() -> None:
    clock, recorder = Clock(), Recorder()
    with recorder.iteration(clock):
        clock.now += 1
        with recorder.part("step"):
            clock.now += 2
            for _ in range(2):
                with recorder.part("network"):
                    clock.now += 4
            clock.now += 8
        clock.now += 16
    step = recorder.root.parts["step"]
    assert (recorder.root.seconds, recorder.root.own_seconds) == (35, 17)
    assert (step.seconds, step.own_seconds) == (18, 10)
    assert step.parts["network"].seconds == 8


def test_a_backward_pass_is_divided_where_it_enters_another_part() -> None:
    clock, recorder = Clock(), Recorder()
    with recorder.iteration(clock):
        with recorder.backward():
            clock.now += 1
            recorder.enter("loss", "", None)
            clock.now += 2
            recorder.enter("network", "", None)
            clock.now += 4
            with recorder.part("exchange"):
                clock.now += 8
            recorder.enter("loss", "", None)
            clock.now += 16
        clock.now += 32
        recorder.enter("loss", "", None)  # Outside of a backward pass, as in a gradient penalty.
        clock.now += 64
    backward = recorder.root.parts[BACKWARD]
    assert recorder.root.own_seconds == 96
    assert (backward.own_seconds, backward.seconds) == (1, 31)
    assert (backward.parts["loss"].seconds, backward.parts["network"].own_seconds) == (18, 4)
    assert backward.parts["network"].parts["exchange"].seconds == 8


def test_nothing_is_measured_outside_of_an_iteration() -> None:
    clock, recorder = Clock(), Recorder()
    with recorder.part("step"):
        clock.now += 1
    with recorder.iteration(clock), recorder.part("step"):
        clock.now += 2
    with recorder.part("step"):
        clock.now += 4
    assert recorder.root.seconds == recorder.root.parts["step"].seconds == 2
