"""Small charts as SVG text: the same figures give the same bytes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from html import escape
from math import floor, log10

_COLOURS = ("#1b5e8c", "#e08a1e", "#4f8f4a", "#8c4a8f", "#b03a48", "#5f6b73", "#2a9d8f", "#a07c2c")
_WIDTH, _LEFT, _RIGHT, _TOP = 760, 170, 70, 58
_BAR, _GAP = 14, 12
_HEIGHT = 240  # of the plane of a line chart
_INK = "#222"

Point = tuple[float, float]


def bars(title: str, groups: Mapping[str, Mapping[str, float]], *, stacked: bool = False) -> str:
    """Groups of bars from the left: beside each other, or each at the end of the one before."""
    names = list(dict.fromkeys(name for group in groups.values() for name in group))
    most = max(sum(group.values()) if stacked else max(group.values()) for group in groups.values())
    scale = (_WIDTH - _LEFT - _RIGHT) / most
    drawn, y = [], float(_TOP)
    for label, group in groups.items():
        height = _BAR * (1 if stacked else len(group))
        drawn.append(_text(_LEFT - 8, y + height / 2 + 4, label, anchor="end"))
        x = float(_LEFT)
        for name, value in group.items():
            drawn.append(_box(x, y, value * scale, _BAR - 1, _COLOURS[names.index(name) % len(_COLOURS)]))
            if stacked:
                x += value * scale
            else:
                drawn.append(_text(x + value * scale + 4, y + _BAR - 3, short(value)))
                y += _BAR
        if stacked:
            drawn.append(_text(x + 4, y + _BAR - 3, short(sum(group.values()))))
            y += _BAR
        y += _GAP
    return _svg(title, y, [*_legend(names), *drawn])


def lines(title: str, series: Mapping[str, Sequence[Point]], across: str) -> str:
    """Series of points over a common scale, both axes from zero; ``across`` is what the horizontal one counts."""
    right = max(x for points in series.values() for x, _ in points)
    above = _round_above(max(y for points in series.values() for _, y in points))
    wide, bottom = _WIDTH - _LEFT - _RIGHT, _TOP + _HEIGHT
    drawn = []
    for share in (0, 0.25, 0.5, 0.75, 1):
        y = bottom - share * _HEIGHT
        drawn.append(f'<path d="M{_LEFT} {y:.1f}h{wide}" stroke="#ddd"/>')
        drawn.append(_text(_LEFT - 8, y + 4, short(above * share), anchor="end"))
        drawn.append(_text(_LEFT + share * wide, bottom + 18, short(right * share), anchor="middle"))
    for index, points in enumerate(series.values()):
        placed = " ".join(f"{_LEFT + x / right * wide:.1f},{bottom - y / above * _HEIGHT:.1f}" for x, y in points)
        drawn.append(f'<polyline points="{placed}" fill="none" stroke="{_COLOURS[index]}" stroke-width="2"/>')
    drawn.append(_text(_LEFT + wide / 2, bottom + 36, across, anchor="middle"))
    return _svg(title, bottom + 44, [*_legend(list(series)), *drawn])


def short(value: float) -> str:
    """A number with three figures that count."""
    if value == 0:
        return "0"
    for digits in (3, 2, 1):
        if abs(value) < 10 ** (3 - digits):
            return f"{value:.{digits}f}"
    return f"{value:,.0f}"


def _round_above(value: float) -> float:
    """The next round number whose quarters are round too."""
    unit = 10.0 ** floor(log10(value))
    return next(step * unit for step in (1, 2, 4, 6, 8, 10) if step * unit >= value)


def _legend(names: Sequence[str]) -> Iterator[str]:
    x = 16.0
    for index, name in enumerate(names):
        yield _box(x, 32, 10, 10, _COLOURS[index % len(_COLOURS)])
        yield _text(x + 14, 41, name)
        x += 30 + 6.5 * len(name)


def _box(x: float, y: float, width: float, height: float, colour: str) -> str:
    return f'<rect x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}" fill="{colour}"/>'


def _text(x: float, y: float, text: str, *, anchor: str = "start") -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _svg(title: str, height: float, drawn: Sequence[str]) -> str:
    frame = f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {height:.0f}" role="img"'
    style = f'font-family="sans-serif" font-size="12" fill="{_INK}"'
    heading = f'<text x="16" y="20" font-size="14" font-weight="bold">{escape(title)}</text>'
    plane = f'<rect width="{_WIDTH}" height="{height:.0f}" fill="#fff"/>'
    return "\n".join([f'{frame} aria-label="{escape(title)}" {style}>', plane, heading, *drawn, "</svg>", ""])
