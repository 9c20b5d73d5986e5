"""A small chart on two axes as SVG whose colours come from the page, so that it turns dark too."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

WIDTH, HEIGHT = 640, 360
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 14, 12, 44


@dataclass(frozen=True, slots=True, kw_only=True)
class Axis:
    """From `low` to `high`; logarithmic, or even steps."""

    label: str
    low: float
    high: float
    is_log: bool = True

    def place(self, value: float) -> float:
        """0 at the low end, 1 at the high one."""
        if not self.is_log:
            return (value - self.low) / (self.high - self.low)
        return math.log10(value / self.low) / math.log10(self.high / self.low)

    def ticks(self) -> list[float]:
        if not self.is_log:
            step = _even_step(self.high - self.low)
            first = math.ceil(self.low / step)
            return [step * n for n in range(first, math.floor(self.high / step) + 1)]
        powers = range(math.ceil(math.log10(self.low)), math.floor(math.log10(self.high)) + 1)
        return [10.0**power for power in powers]


@dataclass(frozen=True, slots=True, kw_only=True)
class Axes:
    x: Axis
    y: Axis

    def at(self, x: float, y: float) -> tuple[float, float]:
        """In the picture's own units."""
        wide, high = WIDTH - _LEFT - _RIGHT, HEIGHT - _TOP - _BOTTOM
        return _LEFT + self.x.place(x) * wide, _TOP + (1 - self.y.place(y)) * high

    def svg(self, title: str, body: Sequence[str]) -> str:
        return (
            f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{escape(title)}">'
            f"{self._grid()}{''.join(body)}</svg>"
        )

    def line(self, points: Sequence[tuple[float, float]], name: str) -> str:
        path = " ".join("{:.1f},{:.1f}".format(*self.at(*point)) for point in points)
        return f'<polyline class="line {name}" points="{path}"/>'

    def _grid(self) -> str:
        drawn = []
        for value in self.x.ticks():
            x, _ = self.at(value, self.y.low)
            drawn.append(f'<path class="grid" d="M{x:.1f} {_TOP}V{HEIGHT - _BOTTOM}"/>')
            drawn.append(_text(x, HEIGHT - _BOTTOM + 16, "middle", _short(value)))
        for value in self.y.ticks():
            _, y = self.at(self.x.low, value)
            drawn.append(f'<path class="grid" d="M{_LEFT} {y:.1f}H{WIDTH - _RIGHT}"/>')
            drawn.append(_text(_LEFT - 6, y + 4, "end", _short(value)))
        drawn.append(_text((_LEFT + WIDTH) / 2, HEIGHT - 8, "middle", self.x.label))
        centre = (_TOP + HEIGHT - _BOTTOM) / 2
        drawn.append(
            f'<text transform="translate(14 {centre}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y.label)}</text>"
        )
        return "".join(drawn)


def _even_step(length: float) -> float:
    rough = length / 5
    power = 10.0 ** math.floor(math.log10(rough))
    return next(power * factor for factor in (1, 2, 5, 10) if power * factor >= rough)


def _text(x: float, y: float, anchor: str, words: str) -> str:
    return f'<text x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


def _short(value: float) -> str:
    for scale, unit in ((1e12, "T"), (1e9, "G"), (1e6, "M"), (1e3, "k")):
        if value >= scale:
            return f"{value / scale:g}{unit}"
    return f"{value:g}"
