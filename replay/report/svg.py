"""Charts as SVG text: lines, stacked columns and stacked bars, with axes and hover titles.

Place in the flow: below the report's charts; knows numbers and labels and nothing of a run. Every
text goes through markupsafe, so a hostile name is shown, never run. Colours are classes of the
page's style sheet.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from markupsafe import Markup

__all__ = ["NARROW", "WIDE", "Layer", "Size", "bars", "columns", "diverging", "lines", "ticks"]


@dataclass(frozen=True, slots=True)
class Size:
    """A drawing's size, shown about one unit to a pixel so that text keeps its size."""

    width: int
    height: int
    x_labels: int
    """At most so many."""
    names: int
    """Room for names at the left of bars."""


WIDE = Size(width=920, height=320, x_labels=8, names=190)
NARROW = Size(width=350, height=260, x_labels=4, names=118)
_LEFT, _RIGHT, _TOP, _BOTTOM = 52, 10, 12, 26
_BAR = 26
_GLYPH = 6.6
_LABEL = 66


@dataclass(frozen=True, slots=True)
class Layer:
    """One line, or one part of each stack. style: its class; None in values: a gap."""

    name: str
    style: str
    values: tuple[float | None, ...]


Format = Callable[[float], str]


def ticks(low: float, high: float, count: int = 5, *, whole: bool = False) -> tuple[float, ...]:
    """About count round numbers that span low to high; their ends are at or beyond both.

    whole: only whole numbers, for an axis that counts.
    """
    span = max(high - low, abs(high) * 1e-9, 1e-12)
    raw = span / max(count - 1, 1)
    unit = 10.0 ** math.floor(math.log10(raw))
    sizes = (1, 2, 3, 4, 5, 10) if whole else (1, 2, 2.5, 5, 10)
    step = next(unit * size for size in sizes if unit * size >= raw * 0.999)
    step = max(step, 1.0) if whole else step
    first, last = math.floor(low / step + 1e-9), math.ceil(high / step - 1e-9)
    return tuple(index * step for index in range(first, max(last, first + 1) + 1))


@dataclass(frozen=True, slots=True)
class _Plot:
    """The area inside the axes, and how values become coordinates."""

    size: Size
    marks: tuple[float, ...]
    count: int

    def x(self, index: float) -> float:
        """Left to right over count - 1 steps."""
        room = self.size.width - _LEFT - _RIGHT
        return _LEFT + room * (index / max(self.count - 1, 1))

    def y(self, value: float) -> float:
        """Bottom to top over the axis."""
        low, high = self.marks[0], self.marks[-1]
        room = self.size.height - _TOP - _BOTTOM
        return _TOP + room * (1 - (value - low) / (high - low))


def lines(
    layers: Sequence[Layer], labels: Sequence[str], form: Format, size: Size, about: str
) -> Markup:
    """Lines over time. labels: one per value; form: spells a value; about: what it shows."""
    values = [value for layer in layers for value in layer.values if value is not None]
    plot = _Plot(size, ticks(min(values, default=0), max(values, default=1)), len(labels))
    body = [_grid(plot, form), _x_axis(plot, labels, plot.x)]
    body += [_line(plot, layer) for layer in layers]
    if size is WIDE:
        body += _slots(plot, layers, labels, form)
    return _svg(size, size.height, about, body)


def columns(
    layers: Sequence[Layer], labels: Sequence[str], form: Format, size: Size, about: str
) -> Markup:
    """Stacked columns of counts, one per label."""
    totals = [sum(layer.values[i] or 0 for layer in layers) for i in range(len(labels))]
    plot = _Plot(size, ticks(0, max(totals, default=1) or 1, whole=True), len(labels))
    room = (size.width - _LEFT - _RIGHT) / max(len(labels), 1)

    def middle(index: float) -> float:
        return _LEFT + room * (index + 0.5)

    body = [_grid(plot, form), _x_axis(plot, labels, middle)]
    for index, label in enumerate(labels):
        base = 0.0
        for layer in layers:
            value = layer.values[index] or 0
            if value > 0:
                top, bottom = plot.y(base + value), plot.y(base)
                left, width = middle(index) - room * 0.4, room * 0.8
                title = f"{label}: {layer.name} {form(value)}"
                body.append(_rect(left, top, width, bottom - top, layer.style, title))
            base += value
    return _svg(size, size.height, about, body)


def bars(
    names: Sequence[str], layers: Sequence[Layer], form: Format, size: Size, about: str
) -> Markup:
    """Stacked horizontal bars, one per name, to one scale; the total stands at the right."""
    totals = [sum(layer.values[i] or 0 for layer in layers) for i in range(len(names))]
    scale = (size.width - size.names - 44) / max([*totals, 1e-12])
    body = []
    for index, name in enumerate(names):
        top, left = 4 + index * _BAR, float(size.names)
        body.append(_name(name, top, size))
        for layer in layers:
            value = layer.values[index] or 0
            if value > 0:
                title = f"{name}: {layer.name} {form(value)}"
                body.append(_rect(left, top, value * scale, _BAR - 7, layer.style, title))
                left += value * scale
        body.append(_text(left + 6, top + 14, form(totals[index]), "tick"))
    return _svg(size, len(names) * _BAR + 8, about, body)


def diverging(
    names: Sequence[str], values: Sequence[float], form: Format, size: Size, about: str
) -> Markup:
    """One bar per name from a common zero, to the right above it; the last one stands apart."""
    low, high = min(0.0, *values), max(0.0, *values)
    left_room, right_room = _LABEL * (low < 0), _LABEL * (high > 0)
    scale = (size.width - size.names - 8 - left_room - right_room) / ((high - low) or 1.0)
    zero, height = size.names + 4 + left_room - low * scale, len(names) * _BAR + 14
    axis = Markup('<line class="zero" x1="{0:.1f}" x2="{0:.1f}" y1="0" y2="{1}"/>')
    body = []
    for index, (name, value) in enumerate(zip(names, values, strict=True)):
        last = index == len(names) - 1
        top, width = 4 + index * _BAR + 8 * last, abs(value) * scale
        style = f"{'up' if value >= 0 else 'down'}{' whole' if last else ''}"
        body.append(_name(name, top, size))
        left = zero if value >= 0 else zero - width
        body.append(_rect(left, top, max(width, 1), _BAR - 7, style, f"{name}: {form(value)}"))
        end, anchor = (zero + width + 5, "start") if value >= 0 else (zero - width - 5, "end")
        body.append(_text(end, top + 14, form(value), "tick", anchor))
    return _svg(size, height, about, [*body, axis.format(zero, height)])


def _svg(size: Size, height: int, about: str, body: Sequence[Markup]) -> Markup:
    head = Markup('<svg class="{}" viewBox="0 0 {} {}" role="img" aria-label="{}">')
    kind = "wide" if size is WIDE else "narrow"
    return head.format(kind, size.width, height, about) + Markup("").join(body) + Markup("</svg>")


def _text(x: float, y: float, text: str, style: str, anchor: str = "start") -> Markup:
    form = Markup('<text class="{}" x="{:.1f}" y="{:.1f}" text-anchor="{}">{}</text>')
    return form.format(style, x, y, anchor, text)


def _name(name: str, top: float, size: Size) -> Markup:
    """A bar's name, cut to its room; the whole of it on hover."""
    room = int((size.names - 10) / _GLYPH)
    short = name if len(name) <= room else name[: room - 1] + "\u2026"
    form = Markup('<text class="name" x="{}" y="{}" text-anchor="end">{}<title>{}</title></text>')
    return form.format(size.names - 8, top + 14, short, name)


def _rect(x: float, y: float, width: float, height: float, style: str, title: str) -> Markup:
    form = Markup(
        '<rect class="{}" x="{:.1f}" y="{:.1f}" width="{:.1f}" height="{:.1f}">'
        "<title>{}</title></rect>"
    )
    return form.format(style, x, y, width, height, title)


def _grid(plot: _Plot, form: Format) -> Markup:
    parts = []
    for mark in plot.marks:
        y = plot.y(mark)
        style = "zero" if abs(mark) < 1e-12 else "grid"  # noqa: PLR2004 - zero but for rounding
        line = Markup('<line class="{}" x1="{}" x2="{}" y1="{:.1f}" y2="{:.1f}"/>')
        parts.append(line.format(style, _LEFT, plot.size.width - _RIGHT, y, y))
        parts.append(_text(_LEFT - 7, y + 4, form(mark), "tick", "end"))
    return Markup("").join(parts)


def _x_axis(plot: _Plot, labels: Sequence[str], place: Callable[[float], float]) -> Markup:
    """Evenly chosen labels, the first and the last among them."""
    count = min(plot.size.x_labels, len(labels))
    chosen = sorted({round(i * (len(labels) - 1) / max(count - 1, 1)) for i in range(count)})
    parts = []
    for index in chosen:
        anchor = "start" if index == 0 else "end" if index == len(labels) - 1 else "middle"
        anchor = "middle" if len(labels) == 1 else anchor
        parts.append(_text(place(index), plot.size.height - 8, labels[index], "tick", anchor))
    return Markup("").join(parts)


def _line(plot: _Plot, layer: Layer) -> Markup:
    """The line, broken at gaps."""
    path, pen = [], "M"
    for index, value in enumerate(layer.values):
        if value is None:
            pen = "M"
            continue
        path.append(f"{pen}{plot.x(index):.1f} {plot.y(value):.1f}")
        pen = "L"
    form = Markup('<path class="line {}" d="{}"><title>{}</title></path>')
    return form.format(layer.style, "".join(path), layer.name)


def _slots(
    plot: _Plot, layers: Sequence[Layer], labels: Sequence[str], form: Format
) -> Iterator[Markup]:
    """Invisible strips that tell all values of one moment on hover."""
    half = (plot.x(1) - plot.x(0)) / 2 if plot.count > 1 else 1.0
    height = plot.size.height - _TOP - _BOTTOM
    for index, label in enumerate(labels):
        told = [
            f"{layer.name} {form(value)}"
            for layer in layers
            if (value := layer.values[index]) is not None
        ]
        title = "\n".join([label, *told])
        yield _rect(plot.x(index) - half, _TOP, half * 2, height, "slot", title)
