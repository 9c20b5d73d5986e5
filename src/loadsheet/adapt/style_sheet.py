"""A strip of pictures for each model, one below the other: what numbers do not show."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw

LABEL_WIDTH, HEADER_HEIGHT = 150, 14


@dataclass(frozen=True, slots=True)
class Strip:
    """`images`: uint8 [N, S, S, 3], one for each column of the sheet."""

    label: str
    images: npt.NDArray[np.uint8]


def style_sheet(columns: Sequence[str], strips: Sequence[Strip], side: int = 64) -> Image.Image:
    """Column names above, a label left of each strip; pictures shrunk to `side` pixels."""
    width = LABEL_WIDTH + side * len(columns)
    sheet = Image.new("RGB", (width, HEADER_HEIGHT + side * len(strips)), "white")
    pen = ImageDraw.Draw(sheet)
    for column, name in enumerate(columns):
        pen.text((LABEL_WIDTH + column * side + 2, 1), _fitted(name, side), fill="black")
    for row, strip in enumerate(strips):
        top = HEADER_HEIGHT + row * side
        pen.text((2, top + side // 2 - 6), _fitted(strip.label, LABEL_WIDTH), fill="black")
        for column, image in enumerate(strip.images):
            small = Image.fromarray(np.asarray(image)).resize((side, side), Image.Resampling.BOX)
            sheet.paste(small, (LABEL_WIDTH + column * side, top))
    return sheet


def _fitted(text: str, width: int) -> str:
    """At some 6 pixels a letter."""
    limit = width // 6
    return text if len(text) <= limit else text[: limit - 1] + "."
