"""Training images as PNG."""

import base64
from io import BytesIO

import numpy as np
import pytest
from matplotlib.image import imread

from wideflow.report.images import image_uris


def _decoded(uri):
    kind, content = uri.split(",", 1)
    assert kind == "data:image/png;base64"
    return imread(BytesIO(base64.b64decode(content)), format="png")


@pytest.mark.parametrize("shape", [[4, 5], [4, 5, 1], [4, 5, 3]])
@pytest.mark.parametrize("nested", [True, False])
def test_image_keeps_its_pixels(shape, nested):
    pixels = np.random.default_rng(0).integers(0, 17, (2, *shape)) / 1.0
    rows = pixels.tolist() if nested else pixels.reshape(2, -1).tolist()
    first, second = image_uris({"shape": shape, "pixels": rows, "values": [0, 16]})
    for uri, expected in zip((first, second), pixels / 16, strict=True):
        colours = np.broadcast_to(expected.reshape(*shape[:2], -1), (*shape[:2], 3))
        np.testing.assert_allclose(_decoded(uri)[..., :3], colours, atol=1 / 255)


def test_image_of_one_brightness_and_missing_pixels_is_drawn():
    flat, missing = image_uris({"shape": [2, 2], "pixels": [[3, 3, 3, 3], [None, 9, -9, 3]], "values": [3, 3]})
    assert _decoded(flat).shape[:2] == (2, 2)
    np.testing.assert_array_equal(_decoded(missing)[..., 0], [[0, 1], [0, 0]])
