"""Line and scatter charts on logarithmic axes, as a self-contained SVG text."""

import math
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from loadsheet.errors import ConfigError

Points = list[tuple[float, float]]
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 440, 78, 40, 52
_LEGEND, _LETTER = 44, 7  # room of a name: marker and margins, and each letter
_DASH = ' stroke-dasharray="6 4"'
_COLOURS = ("#0b5cad", "#c2410c", "#15803d", "#7e22ce", "#a16207", "#be123c", "#0f766e")


@dataclass(frozen=True, slots=True, kw_only=True)
class Chart:
    """`lines` join their points, `dashed` too, in the same order of colours; `marks` are lone,
    labelled points."""

    title: str
    x_label: str
    y_label: str
    lines: dict[str, Points]
    marks: dict[str, tuple[float, float]]
    dashed: dict[str, Points] = field(default_factory=dict)

    def svg(self) -> str:
        points = [*_flat(self.lines), *_flat(self.dashed), *self.marks.values()]
        names = [*self.lines, *self.dashed, *self.marks]
        scale = _Scale.over(points, _LEGEND + max(map(len, names)) * _LETTER)
        body = [_axis(scale), *self._lines(scale), *self._marks(scale), self._labels(scale)]
        return (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {_WIDTH} {_HEIGHT}" '
            f'font-family="system-ui, sans-serif" font-size="12" fill="#1f2937">\n'
            f'<rect width="{_WIDTH}" height="{_HEIGHT}" fill="#ffffff"/>\n'
            + "\n".join(body)
            + "\n</svg>\n"
        )

    def save(self, path: str | Path) -> None:
        """As an SVG file. Raises ConfigError for another ending or a folder that is not there."""
        if Path(path).suffix != ".svg":
            raise ConfigError(f"plots are written as SVG; name {path} with the ending .svg")
        try:
            Path(path).write_text(self.svg(), encoding="utf-8")
        except OSError as error:
            raise ConfigError(f"{path}: cannot be written ({error})") from error

    def _repr_svg_(self) -> str:
        """How notebooks show it."""
        return self.svg()

    def _lines(self, scale: "_Scale") -> list[str]:
        drawn = []
        styles = [(lines, dash) for lines, dash in ((self.lines, ""), (self.dashed, _DASH))]
        row = 0
        for lines, dash in styles:
            for index, (name, points) in enumerate(lines.items()):
                colour = _COLOURS[index % len(_COLOURS)]
                path = " ".join(f"{scale.x(x):.1f},{scale.y(y):.1f}" for x, y in points)
                drawn.append(
                    f'<polyline points="{path}" fill="none" stroke="{colour}" '
                    f'stroke-width="2"{dash}/>'
                )
                drawn.append(_legend(scale, row, name, colour))
                row += 1
        return drawn

    def _marks(self, scale: "_Scale") -> list[str]:
        drawn = []
        first = len(self.lines) + len(self.dashed)
        for index, (name, (x, y)) in enumerate(self.marks.items(), start=first):
            colour = _COLOURS[index % len(_COLOURS)]
            drawn.append(
                f'<circle cx="{scale.x(x):.1f}" cy="{scale.y(y):.1f}" r="5" fill="{colour}"/>'
            )
            drawn.append(_legend(scale, index, name, colour))
        return drawn

    def _labels(self, scale: "_Scale") -> str:
        middle = (_LEFT + scale.right) / 2
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
    right: float  # edge of the plot; names stand beyond it

    @classmethod
    def over(cls, points: Points, legend: float) -> "_Scale":
        if not points or min(min(x, y) for x, y in points) <= 0:
            raise ConfigError("a logarithmic chart needs points above zero")
        return cls(
            _decades([x for x, _ in points]), _decades([y for _, y in points]), _WIDTH - legend
        )

    def x(self, value: float) -> float:
        low, high = self.x_range
        share = (math.log10(value) - low) / (high - low)
        return _LEFT + share * (self.right - _LEFT)

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
        drawn.append(_grid(f"M{_LEFT} {at:.1f}H{scale.right:.1f}"))
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{_power(power)}</text>'
        )
    return "\n".join(drawn)


def _grid(path: str) -> str:
    return f'<path d="{path}" stroke="#e5e7eb"/>'


def _power(power: int) -> str:
    return f'10<tspan dy="-5" font-size="9">{power}</tspan>'


def _legend(scale: _Scale, index: int, name: str, colour: str) -> str:
    x, y = round(scale.right) + 14, _TOP + 10 + 20 * index
    return (
        f'<rect x="{x}" y="{y - 9}" width="10" height="10" fill="{colour}"/>'
        f'<text x="{x + 16}" y="{y}">{escape(name)}</text>'
    )
