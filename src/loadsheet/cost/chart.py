"""Line and scatter charts on logarithmic axes, as a self-contained SVG text."""

import math
from dataclasses import dataclass
from html import escape

from loadsheet.errors import ConfigError

Points = list[tuple[float, float]]
_WIDTH, _HEIGHT, _LEFT, _RIGHT, _TOP, _BOTTOM = 760, 440, 78, 170, 40, 52
_COLOURS = ("#0b5cad", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c", "#0f766e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`lines` join their points; `marks` are lone, labelled points."""

    title: str
    x_label: str
    y_label: str
    lines: dict[str, Points]
    marks: dict[str, tuple[float, float]]

    def svg(self) -> str:
        scale = _Scale.over([*_flat(self.lines), *self.marks.values()])
        body = [_axis(scale), *self._lines(scale), *self._marks(scale), self._labels()]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">\n'
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>\n'
            + "\n".join(body)
            + "\n</svg>\n"
        )

    def _lines(self, scale: "_Scale") -> list[str]:
        drawn = []
        for index, (name, points) in enumerate(self.lines.items()):
            colour = _COLOURS[index % len(_COLOURS)]
            path = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in points)
            drawn.append(
                f'<polyline points="{path}" fill="none" stroke="{colour}" stroke-width="2"/>'
            )
            drawn.append(_legend(index, name, colour))
        return drawn

    def _marks(self, scale: "_Scale") -> list[str]:
        drawn = []
        for index, (name, (x, y)) in enumerate(self.marks.items(), start=len(self.lines)):
            colour = _COLOURS[index % len(_COLOURS)]
            drawn.append(
                f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="5" fill="{colour}"/>'
            )
            drawn.append(_legend(index, name, colour))
        return drawn

    def _labels(self) -> str:
        middle = (_LEFT + _WIDTH - _RIGHT) / 2
        centre = (_TOP + _HEIGHT - _BOTTOM) / 2
        return (
            f'<text x="{_LEFT}" y="22" font-size="15" font-weight="600">{escape(self.title)}</text>'
            f'\n<text x="{middle}" y="{_HEIGHT - 12}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>"
            f'\n<text transform="translate(16 {centre}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text>"
        )


@dataclass(frozen=True, slots=True)
class _Scale:
    """Powers of ten that enclose the data."""

    x_range: tuple[int, int]
    y_range: tuple[int, int]

    @classmethod
    def over(cls, points: Points) -> "_Scale":
        if not points or min(min(x, y) for x, y in points) <= 0:
            raise ConfigError("a logarithmic chart needs points above zero")
        return cls(_decades([x for x, _ in points]), _decades([y for _, y in points]))

    def x(self, value: float) -> float:
        low, high = self.x_range
        share = (math.log10(value) - low) / (high - low)
        return _LEFT + share * (_WIDTH - _LEFT - _RIGHT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (math.log10(value) - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _decades(values: list[float]) -> tuple[int, int]:
    low, high = math.floor(math.log10(min(values))), math.ceil(math.log10(max(values)))
    return low, max(high, low + 1)


def _flat(lines: dict[str, Points]) -> Points:
    return [point for points in lines.values() for point in points]


def _axis(scale: _Scale) -> str:
    drawn = []
    for power in range(scale.x_range[0], scale.x_range[1] + 1):
        at = scale.x(10.0**power)
        drawn.append(_grid(f"M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"))
        drawn.append(
            f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
            f"{_power(power)}</text>"
        )
    for power in range(scale.y_range[0], scale.y_range[1] + 1):
        at = scale.y(10.0**power)
        drawn.append(_grid(f"M{_LEFT} {at:.1f}H{_WIDTH - _RIGHT}"))
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_power(power)}</text>'
        )
    return "\n".join(drawn)


def _grid(path: str) -> str:
    return f'<path d="{path}" stroke="#e5e7eb"/>'


def _power(power: int) -> str:
    return f'10<tspan dy="-5" font-size="9">{power}</tspan>'


def _legend(index: int, name: str, colour: str) -> str:
    x, y = _WIDTH - _RIGHT + 14, _TOP + 10 + 20 * index
    return (
        f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{x + 16}" y="{y}">{escape(name)}</text>'
    )
