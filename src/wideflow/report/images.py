"""Training images as small PNGs."""

from collections.abc import Mapping
from io import BytesIO
from typing import Any

import numpy as np
from matplotlib.image import imsave

from .axis import values
from .picture import data_uri


def image_uris(images: Mapping[str, Any]) -> list[str]:
    """The images as PNG data URIs, one PNG pixel a pixel; `values` [min, max] become black and white."""
    low, high = images["values"]
    return [_uri(values(pixels).reshape(images["shape"]), low, high) for pixels in images["pixels"]]


def _uri(pixels: Any, low: float, high: float) -> str:
    """One image: [h, w] or [h, w, 1] in grey, [h, w, 3] in colour; a missing pixel is black."""
    brightness = np.nan_to_num(np.clip((pixels - low) / ((high - low) or 1.0), 0.0, 1.0))
    if brightness.ndim == 3 and brightness.shape[-1] == 1:
        brightness = brightness[..., 0]
    options: dict[str, Any] = {"format": "png", "metadata": {"Software": None}}
    if brightness.ndim == 2:
        options |= {"cmap": "gray", "vmin": 0.0, "vmax": 1.0}
    buffer = BytesIO()
    imsave(buffer, brightness, **options)
    return data_uri(buffer.getvalue(), "image/png")
