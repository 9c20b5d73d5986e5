"""Line and scatter charts on logarithmic axes, as a self-contained SVG text."""

import math
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from loadsheet.errors import ConfigError

Points = list[tuple[float, float]]
_WIDTH, _HEIGHT, _LEFT, _TOP, _BOTTOM = 760, 440, 78, 40, 52
_LEGEND, _LETTER = 50, 7  # room of a name: marker and margins, and each letter
_MARGIN, _LEAST = 0.05, 0.5  # of the range beyond the data; the least range in decades
_FEW, _PLAIN = 3, 4  # least ticks of an axis; most zeros of a plain number
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
                drawn.append(_legend(scale, row, name, _sample(colour, dash)))
                row += 1
        return drawn

    def _marks(self, scale: "_Scale") -> list[str]:
        drawn = []
        first = len(self.lines) + len(self.dashed)
        for index, (name, (x, y)) in enumerate(self.marks.items(), start=first):
            colour = _COLOURS[index % len(_COLOURS)]
            drawn.append(_point(colour, scale.x(x), scale.y(y)))
            drawn.append(_legend(scale, index, name, _point(colour)))
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
    """Logarithms of the least and the largest value, with a margin."""

    x_range: tuple[float, float]
    y_range: tuple[float, float]
    right: float  # edge of the plot; names stand beyond it

    @classmethod
    def over(cls, points: Points, legend: float) -> "_Scale":
        if not points or min(min(x, y) for x, y in points) <= 0:
            raise ConfigError("a logarithmic chart needs points above zero")
        return cls(_range([x for x, _ in points]), _range([y for _, y in points]), _WIDTH - legend)

    def x(self, value: float) -> float:
        low, high = self.x_range
        share = (math.log10(value) - low) / (high - low)
        return _LEFT + share * (self.right - _LEFT)

    def y(self, value: float) -> float:
        low, high = self.y_range
        share = (math.log10(value) - low) / (high - low)
        return _HEIGHT - _BOTTOM - share * (_HEIGHT - _TOP - _BOTTOM)


def _range(values: list[float]) -> tuple[float, float]:
    low, high = math.log10(min(values)), math.log10(max(values))
    margin = max(_MARGIN * (high - low), _LEAST / 2 - (high - low) / 2, _MARGIN)
    return low - margin, high + margin


def _flat(lines: dict[str, Points]) -> Points:
    return [point for points in lines.values() for point in points]


def _ticks(bounds: tuple[float, float]) -> list[tuple[int, int]]:
    """(multiple, power) pairs: powers of ten, with 2 and 5 between them where those are few."""
    low, high = bounds
    powers = range(math.floor(low), math.ceil(high) + 1)
    for multiples in ((1,), (1, 2, 5)):
        ticks = [(m, p) for p in powers for m in multiples if low <= p + math.log10(m) <= high]
        if len(ticks) >= _FEW:
            break
    return ticks


def _axis(scale: _Scale) -> str:
    drawn = []
    for multiple, power in _ticks(scale.x_range):
        at = scale.x(multiple * 10.0**power)
        drawn.append(_grid(f"M{at:.1f} {_TOP}V{_HEIGHT - _BOTTOM}"))
        drawn.append(
            f'<text x="{at:.1f}" y="{_HEIGHT - _BOTTOM + 18}" text-anchor="middle">'
            f"{_number(multiple, power)}</text>"
        )
    for multiple, power in _ticks(scale.y_range):
        at = scale.y(multiple * 10.0**power)
        drawn.append(_grid(f"M{_LEFT} {at:.1f}H{scale.right:.1f}"))
        drawn.append(
            f'<text x="{_LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">'
            f"{_number(multiple, power)}</text>"
        )
    return "\n".join(drawn)


def _grid(path: str) -> str:
    return f'<path d="{path}" stroke="#e5e7eb"/>'


def _number(multiple: int, power: int) -> str:
    """Plain up to four digits, a power of ten beyond."""
    if 0 <= power <= _PLAIN:
        return f"{multiple * 10**power}"
    times = "" if multiple == 1 else f"{multiple}·"
    return f'{times}10<tspan dy="-5" font-size="9">{power}</tspan>'


def _legend(scale: _Scale, index: int, name: str, key: str) -> str:
    """`key` is drawn around (0, 0): a piece of the line or a point."""
    x, y = round(scale.right) + 14, _TOP + 10 + 20 * index
    return (
        f'<g transform="translate({x + 8} {y - 4})">{key}</g>'
        f'<text x="{x + 22}" y="{y}">{escape(name)}</text>'
    )


def _sample(colour: str, dash: str) -> str:
    return f'<path d="M-8 0H8" stroke="{colour}" stroke-width="2"{dash}/>'


def _point(colour: str, x: float = 0, y: float = 0) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="5" fill="{colour}"/>'
