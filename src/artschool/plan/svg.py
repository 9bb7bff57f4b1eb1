"""A timeline as an SVG drawing: a lane for each step, then events between iterations, over a common axis."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from itertools import groupby
from xml.sax.saxutils import escape

from artschool.config.when import ALL, Cycle
from artschool.graph.lettering import text_width, wrap
from artschool.plan.rates import Group
from artschool.plan.report import Event, Loss, StepTimeline, Timeline

WIDTH, LEFT, RIGHT = 1000, 210, 970
"""The width of the drawing, and the left and right end of its axis, in pixels."""
MARGIN = 16
LEADING = 1.2
"""Distance between the lines of a text, in font sizes."""
MIN_WIDTH = 1.5
"""Width of the narrowest bar in pixels, so that one iteration of millions is visible."""
MAX_TICKS = 160
"""Maximum number of events that are drawn as ticks; more are drawn as a band."""
CURVE_POINTS = 240
"""Number of points of a learning rate's curve, without those at its changes."""
CURVE_HEIGHT = 30
"""Height of a learning rate's curve in pixels."""
COLOURS = ("#0072b2", "#c4500a", "#00805c", "#b0558a", "#946200", "#3a7fb0")
DASHES = ("", "6 3", "2 2", "9 2 2 2")
TEXT, FAINT, GRID = "#222222", "#666666", "#e4e4e4"


def draw(plan: Timeline) -> str:
    """Draw the timeline as an SVG document with a white background."""
    canvas = _Canvas(plan)
    canvas.y += canvas.text(MARGIN, 28, plan.name, size=17, weight="bold", room=RIGHT - MARGIN)
    canvas.y += canvas.text(MARGIN, canvas.y + 47, plan.summary, colour=FAINT, room=RIGHT - MARGIN - 150)
    _legend(canvas, plan)
    canvas.y += 70
    canvas.top = canvas.y - 8
    for step, colour in zip(plan.steps, _colours(), strict=False):
        _lane(canvas, step, colour)
    for event in plan.evaluations:
        _events(canvas, event, f"evaluate {event.name}")
    _events(canvas, plan.saves, "checkpoints")
    if plan.pictures:
        _events(canvas, plan.pictures, "pictures")
    return canvas.document(_axis(plan))


class _Canvas:
    """Collects elements from top to bottom. The next one starts at `y`, and the grid at `top`."""

    def __init__(self, plan: Timeline) -> None:
        self.y = 0.0
        self.top = 0.0
        self._elements: list[str] = []
        self._start = plan.start
        self._scale = (RIGHT - LEFT) / max(plan.stop - plan.start, 1)

    def x(self, iteration: int) -> float:
        """The position at which an iteration begins."""
        return LEFT + (iteration - self._start) * self._scale

    def text(
        self,
        x: float,
        y: float,
        text: str,
        *,
        size: int = 12,
        colour: str = TEXT,
        weight: str = "normal",
        anchor: str = "start",
        room: float = WIDTH,
    ) -> float:
        """Add a text, wrapped to the width `room`. Returns the distance from its first line to its last."""
        lines = wrap(text, room, size, bold=weight == "bold")
        for index, line in enumerate(lines):
            self._elements.append(
                f'<text x="{x:.1f}" y="{y + index * size * LEADING:.1f}" font-size="{size}" font-weight="{weight}"'
                f' text-anchor="{anchor}" fill="{colour}">{escape(line)}</text>'
            )
        return (len(lines) - 1) * size * LEADING

    def bar(self, first: int, last: int, height: float, fill: str, title: str, *, opacity: float = 1.0) -> float:
        """Add a bar over the iterations from first to last. Returns its width."""
        left = self.x(first)
        width = max(self.x(last + 1) - left, MIN_WIDTH)
        left = min(left, RIGHT - width)
        self._elements.append(
            f'<rect x="{left:.2f}" y="{self.y:.1f}" width="{width:.2f}" height="{height}" rx="1"'
            f' fill="{fill}" fill-opacity="{opacity}"><title>{escape(title)}</title></rect>'
        )
        return width

    def swatch(self, x: float, y: float, text: str) -> None:
        """Add a legend of the hatching."""
        self._elements.append(f'<rect x="{x}" y="{y}" width="18" height="12" fill="url(#idle)"/>')
        self.text(x + 24, y + 10, text, size=11, colour=FAINT)

    def line(self, points: Iterable[tuple[float, float]], colour: str, *, width: float = 1.0, dash: str = "") -> None:
        """Add a line through points."""
        path = " ".join(f"{x:.2f},{y:.2f}" for x, y in points)
        dashes = f' stroke-dasharray="{dash}"' if dash else ""
        self._elements.append(
            f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="{width}"{dashes}/>'
        )

    def document(self, axis: Iterable[tuple[int, str, str]]) -> str:
        """The SVG document: all elements, the axis below them and its grid behind."""
        content, self._elements = self._elements, []
        bottom = self.y + 4
        ticks = list(axis)
        for at, _, _ in ticks:
            self.line([(self.x(at), self.top), (self.x(at), bottom)], GRID)
        behind, self._elements = self._elements, []
        self.line([(LEFT, bottom), (RIGHT, bottom)], FAINT)
        self.text(LEFT - 28, bottom + 18, "iteration", size=11, colour=FAINT, anchor="end")
        if any(epoch for _, _, epoch in ticks):
            self.text(LEFT - 28, bottom + 34, "epoch", size=11, colour=FAINT, anchor="end")
        for at, iteration, epoch in ticks:
            self.line([(self.x(at), bottom), (self.x(at), bottom + 5)], FAINT)
            self.text(self.x(at), bottom + 18, iteration, size=11, anchor="middle")
            self.text(self.x(at), bottom + 34, epoch, size=11, colour=FAINT, anchor="middle")
        height = math.ceil(bottom + 46)
        lines = [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" viewBox="0 0 {WIDTH} {height}"'
            ' font-family="Helvetica, Arial, DejaVu Sans, sans-serif">',
            '<defs><pattern id="idle" width="6" height="6" patternUnits="userSpaceOnUse"'
            ' patternTransform="rotate(45)"><rect width="6" height="6" fill="#f1f1f1"/>'
            '<rect width="2" height="6" fill="#b4b4b4"/></pattern></defs>',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            *behind,
            *content,
            *self._elements,
            "</svg>",
        ]
        return "\n".join(lines) + "\n"


def _lane(canvas: _Canvas, step: StepTimeline, colour: str) -> None:
    lower = canvas.text(MARGIN, canvas.y + 13, step.name, size=13, weight="bold", room=LEFT - MARGIN - 8)
    if not step.runs:
        canvas.text(LEFT + 4, canvas.y + 12, "never runs", size=11, colour=FAINT)
    # Stretches that train are drawn last, since short ones could disappear below others.
    for first, last, every in sorted(_stretches(step), key=lambda stretch: bool(stretch[2])):
        label = _training(every)
        title = f"{step.name}: {label}, iterations {first:,} to {last:,}"
        fill, opacity = (colour, 1.0 if every == (ALL,) else 0.7) if every else ("url(#idle)", 1.0)
        width = canvas.bar(first, last, 17, fill, title, opacity=opacity)
        if every not in ((), (ALL,)) and width > text_width(label, 11) + 10:
            canvas.text(canvas.x(first) + 5, canvas.y + 12.5, label, size=11, colour="#ffffff")
    canvas.y += 24 + lower
    names = ", ".join(step.networks)
    moved = (
        f"{step.updates} update{'' if step.updates.most == 1 else 's'} of {names}"
        if step.groups
        else "without an optimizer"
    )
    canvas.y += 17 + canvas.text(MARGIN, canvas.y + 8, moved, size=11, colour=FAINT, room=LEFT - MARGIN - 12)
    for loss in step.losses:
        _loss(canvas, loss, colour)
    _rates(canvas, step, colour)
    canvas.y += 16


def _stretches(step: StepTimeline) -> Iterator[tuple[int, int, tuple[Cycle, ...]]]:
    """The first and last iteration of stretches at which a step trains at the same interval, and that interval."""
    for every, spans in groupby(step.spans, key=lambda span: span.every):
        stretch = list(spans)
        yield stretch[0].first, stretch[-1].last, every


def _loss(canvas: _Canvas, loss: Loss, colour: str) -> None:
    every = f" every {loss.every}" if loss.every.of > 1 else ""
    weight = f"{loss.weight_text}{every}"
    room = LEFT - MARGIN - 32 - text_width(weight, 11)
    lower = canvas.text(MARGIN + 10, canvas.y + 8, loss.name, size=11, room=room)
    canvas.text(LEFT - 12, canvas.y + 8, weight, size=11, colour=FAINT, anchor="end")
    first, last = loss.computed.first, loss.computed.last
    if first is None or last is None:
        canvas.text(LEFT + 4, canvas.y + 8, "never", size=11, colour=FAINT)
    else:
        title = f"{loss.name}, weight {weight}: iterations {first:,} to {last:,}"
        canvas.bar(first, last, 8, colour, title, opacity=0.5 if loss.every.of == 1 else 0.28)
    canvas.y += 16 + lower


def _rates(canvas: _Canvas, step: StepTimeline, colour: str) -> None:
    curves = [(group, points) for group in step.groups if (points := list(_curve(group, step)))]
    top = max((rate for _, points in curves for _, rate in points), default=0.0)
    if top == 0:
        return
    canvas.y += 3
    canvas.text(MARGIN + 10, canvas.y + 11, "rate", size=11)
    canvas.text(LEFT - 12, canvas.y + 8, f"{top:.3g}", size=10, colour=FAINT, anchor="end")
    canvas.text(LEFT - 12, canvas.y + CURVE_HEIGHT, "0", size=10, colour=FAINT, anchor="end")
    canvas.line([(LEFT, canvas.y + CURVE_HEIGHT), (RIGHT, canvas.y + CURVE_HEIGHT)], GRID)
    for index, (_, points) in enumerate(curves):
        path = [(canvas.x(at), canvas.y + CURVE_HEIGHT - CURVE_HEIGHT * rate / top) for at, rate in points]
        path.append((canvas.x(points[-1][0] + 1), path[-1][1]))
        canvas.line(path, colour, width=1.6, dash=DASHES[index % len(DASHES)])
    canvas.y += CURVE_HEIGHT + 2
    for index, (group, _) in enumerate(curves if len(curves) > 1 else ()):
        sample = [(MARGIN + 10, canvas.y + 4), (MARGIN + 34, canvas.y + 4)]
        canvas.line(sample, colour, width=1.6, dash=DASHES[index % len(DASHES)])
        name = group.name or "other parameters"
        canvas.y += 13 + canvas.text(MARGIN + 42, canvas.y + 8, name, size=10, room=LEFT - MARGIN - 50)


def _curve(group: Group, step: StepTimeline) -> Iterator[tuple[int, float]]:
    """Points of a learning rate, from the first to the last iteration at which the step trains."""
    first, last = step.trains.first, step.trains.last
    if first is None or last is None:
        return
    evenly = {first + (last - first) * part // CURVE_POINTS for part in range(CURVE_POINTS + 1)}
    jumps = {at + side for at in group.changes for side in (-1, 0) if first <= at + side <= last}
    for at in sorted(evenly | jumps):
        if (rate := group.rate(at)) is not None:
            yield at, rate


def _events(canvas: _Canvas, event: Event, name: str) -> None:
    lower = canvas.text(MARGIN, canvas.y + 10, name, room=LEFT - MARGIN - 70)
    canvas.text(LEFT - 12, canvas.y + 10, str(event.count), size=11, colour=FAINT, anchor="end")
    first, last = event.points.first, event.points.last
    if first is None or last is None:
        canvas.text(LEFT + 4, canvas.y + 10, "never", size=11, colour=FAINT)
    elif event.every is None or event.points.count() <= MAX_TICKS:
        for at in event.points:
            canvas.line([(canvas.x(at), canvas.y), (canvas.x(at), canvas.y + 12)], TEXT, width=1.5)
    else:
        canvas.bar(first, last - 1, 12, FAINT, f"{name}: every {event.every} iterations", opacity=0.35)
        canvas.text((LEFT + RIGHT) / 2, canvas.y + 10, f"every {event.every}", size=11, anchor="middle")
    canvas.y += 20 + lower


def _legend(canvas: _Canvas, plan: Timeline) -> None:
    if any(not span.every for step in plan.steps for span in step.spans):
        canvas.swatch(RIGHT - 136, canvas.y + 37, "runs without training")


def _axis(plan: Timeline) -> Iterator[tuple[int, str, str]]:
    """Round iterations, with their labels and the epochs until then."""
    length = max(plan.stop - plan.start, 1)
    power = 10 ** math.floor(math.log10(length))
    step = next(max(int(power * factor), 1) for factor in (0.1, 0.2, 0.5, 1, 2) if length / (power * factor) <= 10)
    first = -(-plan.start // step) * step
    for at in range(first, plan.stop + 1, step):
        epochs = plan.epochs(at)
        yield at, short(at), "" if epochs is None else f"{epochs:.3g}" if epochs < 1000 else short(round(epochs))


def short(number: int) -> str:
    """A number as the label of an axis: `2.5M`, `40k`, `1,200`."""
    for size, unit in ((1_000_000_000, "G"), (1_000_000, "M"), (10_000, "k")):
        if number >= size:
            return f"{number / (1000 if unit == 'k' else size):.4g}{unit}"
    return f"{number:,}"


def _training(every: tuple[Cycle, ...]) -> str:
    if not every:
        return "runs without training"
    return "trains" if every == (ALL,) else f"every {' or '.join(map(str, every))}"


def _colours() -> Iterator[str]:
    while True:
        yield from COLOURS
