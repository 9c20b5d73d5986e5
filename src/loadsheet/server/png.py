"""Pixels to PNG, in base64 as the image endpoints carry them."""

import base64
import io

import numpy as np
import numpy.typing as npt
from PIL import Image


def png_base64(pixels_HWC: npt.NDArray[np.uint8]) -> str:
    """Tens of milliseconds for a large image: call it off the event loop."""
    png = io.BytesIO()
    Image.fromarray(pixels_HWC, mode="RGB").save(png, format="PNG", compress_level=3)
    return base64.b64encode(png.getvalue()).decode("ascii")
