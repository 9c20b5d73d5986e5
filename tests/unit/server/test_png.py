"""Pixels survive the way out."""

import base64
import io

import numpy as np
from PIL import Image

from loadsheet.server.png import png_base64


def test_round_trip(pixels):
    picture = Image.open(io.BytesIO(base64.b64decode(png_base64(pixels))))
    assert (picture.format, picture.mode, picture.size) == ("PNG", "RGB", (6, 4))
    assert np.array_equal(np.asarray(picture), pixels)
