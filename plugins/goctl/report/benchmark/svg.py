"""Plots as inline SVG: rows of points, lines over nights, bars of parts.

Colours are the page's variables, so that both themes have their own; every mark says its figure when it is pointed at.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from html import escape
from typing import NamedTuple

WIDTH = 640
_LEFT, _RIGHT = 84, 28
_PLOT = WIDTH - _LEFT - _RIGHT

Words = Callable[[float], str]


class Spot(NamedTuple):
    """A figure at a place of the horizontal axis, with the interval it is likely in, and what it says when pointed at."""

    at: float
    value: float
    low: float
    high: float
    title: str
    is_bad: bool = False


class Axis(NamedTuple):
    """A linear scale from figures to pixels, with round figures to write beside it."""

    low: float
    high: float
    first: float
    last: float

    def place(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return round(self.first + share * (self.last - self.first), 1)

    def ticks(self, count: int = 5) -> list[float]:
        step = _round_step((self.high - self.low) / count)
        start = math.ceil(self.low / step - 1e-9)
        return [number * step for number in range(start, math.floor(self.high / step + 1e-9) + 1)]


def _round_step(rough: float) -> float:
    """The least of 1, 2, 2.5, 5 times a power of ten that is at least so large."""
    if rough <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(rough))
    return next(part * power for part in (1, 2, 2.5, 5, 10) if part * power >= rough * (1 - 1e-9))


def _axis(values: Sequence[float], first: float, last: float, *, zero: bool = False) -> Axis:
    low, high = (0.0 if zero else min(values)), max(values)
    room = (high - low or abs(high) or 1.0) * 0.06
    return Axis(low if zero else low - room, high + room, first, last)


def _svg(height: float, label: str, parts: Sequence[str]) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{escape(label)}" '
        f'xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def _text(x: float, y: float, text: str, anchor: str = "start", kind: str = "small") -> str:
    return f'<text x="{x:g}" y="{y:g}" text-anchor="{anchor}" class="{kind}">{escape(text)}</text>'


def _title(text: str) -> str:
    return f"<title>{escape(text)}</title>"


def strips(rows: Sequence[tuple[str, Sequence[float], float]], words: Words, label: str) -> str:
    """A row of points for each (name, values, median): every round that was measured."""
    every = [value for _, values, _ in rows for value in values]
    axis = _axis(every, _LEFT, WIDTH - _RIGHT)
    base = 26 * len(rows) + 8
    parts = [
        f'<line x1="{axis.place(tick):g}" x2="{axis.place(tick):g}" y1="4" y2="{base}" class="grid"/>'
        + _text(axis.place(tick), base + 16, words(tick), "middle")
        for tick in axis.ticks()
    ]
    for number, (name, values, median) in enumerate(rows):
        y = 26 * number + 18
        kind = "now" if number == len(rows) - 1 else "then"
        parts.append(_text(_LEFT - 10, y + 4, name, "end"))
        parts += [
            f'<circle cx="{axis.place(value):g}" cy="{y + (at % 3 - 1) * 4}" r="3.2" class="{kind}">'
            f"{_title(f'{name}, round {at + 1}: {words(value)}')}</circle>"
            for at, value in enumerate(values)
        ]
        x = axis.place(median)
        title = _title(f"median {words(median)}")
        parts.append(f'<line x1="{x:g}" x2="{x:g}" y1="{y - 10}" y2="{y + 10}" class="median">{title}</line>')
    return _svg(base + 24, label, parts)


def lines(spots: Sequence[Spot], words: Words, ends: tuple[str, str], label: str, unit: str = "") -> str:
    """A line through figures, each with its interval; the vertical axis begins at 0. `ends` are written below."""
    height = 150
    across = _axis([spot.at for spot in spots], _LEFT + 8, WIDTH - _RIGHT - 8)
    up = _axis([spot.high for spot in spots], height - 26, 8, zero=True)
    parts = [
        f'<line x1="{_LEFT}" x2="{WIDTH - _RIGHT}" y1="{up.place(tick):g}" y2="{up.place(tick):g}" class="grid"/>'
        + _text(_LEFT - 10, up.place(tick) + 4, words(tick), "end")
        for tick in up.ticks(4)
    ]
    path = " ".join(f"{across.place(spot.at):g},{up.place(spot.value):g}" for spot in spots)
    parts.append(f'<polyline points="{path}" class="line"/>')
    for spot in spots:
        x, kind = across.place(spot.at), "bad" if spot.is_bad else "now"
        parts.append(
            f'<g>{_title(spot.title)}<line x1="{x:g}" x2="{x:g}" y1="{up.place(spot.low):g}" y2="{up.place(spot.high):g}" '
            f'class="whisker"/><circle cx="{x:g}" cy="{up.place(spot.value):g}" r="3.6" class="{kind}"/></g>'
        )
    parts.append(_text(across.place(spots[0].at), height - 6, ends[0], "start" if len(spots) > 1 else "middle"))
    if len(spots) > 1:
        parts.append(_text(across.place(spots[-1].at), height - 6, ends[1], "end"))
    if unit:
        parts.append(_text(WIDTH / 2, height - 6, unit, "middle"))
    return _svg(height, label, parts)


def bars(rows: Sequence[tuple[str, Sequence[tuple[str, float]]]], words: Words, label: str) -> str:
    """A bar for each (name, parts), made of (part, figure); the figure is written where there is room for it."""
    longest = max(sum(value for _, value in parts) for _, parts in rows) or 1.0
    made = []
    for number, (name, parts) in enumerate(rows):
        y, x = 26 * number + 4, float(_LEFT)
        made.append(_text(_LEFT - 10, y + 14, name, "end"))
        for at, (part, value) in enumerate(parts):
            wide = value / longest * _PLOT
            title = _title(f"{name}, {part}: {words(value)}")
            made.append(
                f'<rect x="{x:.1f}" y="{y}" width="{max(wide, 0.0):.1f}" height="18" class="part{at}">{title}</rect>'
            )
            if wide > 64:
                made.append(_text(round(x + wide / 2, 1), y + 13, words(value), "middle", "inside"))
            x += wide
    return _svg(26 * len(rows) + 6, label, made)
