"""Turn an Iconify JSON icon set into SVG documents and RGB images.

An Iconify icon is only an SVG *body*. Its viewBox comes from the icon's own left/top/width/height,
else from the set's, else from the format's defaults (0, 0, 16, 16); an alias names a parent and may
flip it.
"""

import io
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import resvg_py
from PIL import Image

from loadsheet.errors import AssetError

FORMAT_DEFAULTS = {"left": 0.0, "top": 0.0, "width": 16.0, "height": 16.0}
MAX_ALIAS_DEPTH = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ViewBox:
    """The rectangle of the drawing that fills the image, in drawing units."""

    left: float
    top: float
    width: float
    height: float

    def moved(self, shift_x: float, shift_y: float, zoom: float) -> "ViewBox":
        """Shift the drawing by a fraction of its size and enlarge it by `zoom` about the centre."""
        width, height = self.width / zoom, self.height / zoom
        return ViewBox(
            left=self.left + (self.width - width) / 2 - shift_x * width,
            top=self.top + (self.height - height) / 2 - shift_y * height,
            width=width,
            height=height,
        )

    def square(self) -> "ViewBox":
        """The smallest square around the box, same centre."""
        side = max(self.width, self.height)
        return ViewBox(
            left=self.left + (self.width - side) / 2,
            top=self.top + (self.height - side) / 2,
            width=side,
            height=side,
        )

    def __str__(self) -> str:
        return f"{self.left:g} {self.top:g} {self.width:g} {self.height:g}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Icon:
    """One resolved icon."""

    body: str
    view_box: ViewBox
    is_flipped: bool = False

    def svg(self, view_box: ViewBox | None = None, *, color: str = "#222222") -> str:
        """A whole SVG document; `color` is what `currentColor` glyphs are drawn in."""
        body = f'<g transform="{self._flip()}">{self.body}</g>' if self.is_flipped else self.body
        return (
            '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" '
            f'viewBox="{view_box or self.view_box}" color="{color}">{body}</svg>'
        )

    def _flip(self) -> str:
        return f"translate({2 * self.view_box.left + self.view_box.width:g} 0) scale(-1 1)"


@dataclass(frozen=True, slots=True)
class IconSet:
    """An Iconify set; `data` is the parsed `icons.json`."""

    data: Mapping[str, Any] = field(repr=False)

    def __contains__(self, name: str) -> bool:
        return name in self.data["icons"] or name in self.data.get("aliases", {})

    def icon(self, name: str) -> Icon:
        """The icon called `name`, aliases resolved; AssetError if there is none."""
        is_flipped = False
        overrides: dict[str, float] = {}
        for _ in range(MAX_ALIAS_DEPTH):
            if name in self.data["icons"]:
                return self._resolved(self.data["icons"][name] | overrides, is_flipped)
            alias = self.data.get("aliases", {}).get(name)
            if alias is None:
                break
            is_flipped ^= bool(alias.get("hFlip", False))
            overrides = {key: alias[key] for key in FORMAT_DEFAULTS if key in alias} | overrides
            name = alias["parent"]
        raise AssetError(f"the icon set {self.data.get('prefix')!r} has no icon {name!r}")

    def _resolved(self, entry: Mapping[str, Any], is_flipped: bool) -> Icon:
        box = {
            key: float(entry.get(key, self.data.get(key, default)))
            for key, default in FORMAT_DEFAULTS.items()
        }
        return Icon(body=entry["body"], view_box=ViewBox(**box), is_flipped=is_flipped)


def render(icon: Icon, size: int, view_box: ViewBox | None = None) -> npt.NDArray[np.uint8]:
    """Rasterise on white: uint8 array [size, size, 3]."""
    box = (view_box or icon.view_box).square()
    png = resvg_py.svg_to_bytes(
        svg_string=icon.svg(box),
        width=size,
        height=size,
        background="#ffffff",
        skip_system_fonts=True,
    )
    return np.asarray(Image.open(io.BytesIO(png)).convert("RGB"), dtype=np.uint8)
