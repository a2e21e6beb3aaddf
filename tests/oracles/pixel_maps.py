"""Fixed maps over the pixels of one image as matrices [new pixels, old pixels], pixels row-major, in float64 NumPy."""

from itertools import product

import numpy as np

from wideflow import nn


def matrix(layer, pixels):
    """The matrix of a layer that maps every channel alike, and the pixels that leave it."""
    match layer:
        case nn.LinearMap() if isinstance(layer.matrix, tuple):
            return separable([np.eye(n) if m is None else m for m, n in zip(layer.matrix, pixels, strict=True)])
        case nn.LinearMap():
            return np.asarray(layer.matrix), layer.shape or (len(layer.matrix),)
        case nn.Resize():
            given = layer.shape if layer.factor is None else layer.factor
            new = given if isinstance(given, tuple) else (given,) * len(pixels)
            if layer.factor is not None:  # to the nearest number of pixels, halves up
                new = tuple(max(1, int(factor * n + 0.5)) for factor, n in zip(new, pixels, strict=True))
            return separable(
                [interpolation(m, n, layer.method, layer.antialias) for m, n in zip(pixels, new, strict=True)]
            )
        case nn.Index():
            entries = tuple(slice(*entry) if isinstance(entry, tuple) else entry for entry in layer.at)
            kept = np.arange(np.prod(pixels)).reshape(pixels)[entries]
            return np.eye(np.prod(pixels, dtype=int))[kept.ravel()], kept.shape
    raise TypeError(f"{layer!r} is no fixed map of pixels")


def separable(matrices):
    """The product of one matrix for each pixel axis, entry by entry, and the new pixels."""
    new, old = ([m.shape[end] for m in matrices] for end in (0, 1))
    rows = [
        [np.prod([m[i, j] for m, i, j in zip(matrices, p, q, strict=True)]) for q in product(*map(range, old))]
        for p in product(*map(range, new))
    ]
    return np.array(rows), tuple(new)


def interpolation(old, new, method, antialias):
    """Weights of the old pixels in each new one, by the centres of both."""
    if old == new:
        return np.eye(old)
    M = np.zeros((new, old))
    wide = max(old / new, 1.0) if antialias else 1.0
    for i, j in product(range(new), range(old)):
        centre = (i + 0.5) * old / new  # in units of old pixels, of which j covers j to j + 1
        if method == "nearest":
            M[i, j] = j <= centre < j + 1
        else:
            M[i, j] = BUMPS[method](abs(centre - (j + 0.5)) / wide)
    return M / M.sum(1, keepdims=True)


def _cubic(x):
    if x < 1:
        return 1 - 2.5 * x**2 + 1.5 * x**3
    return 2 - 4 * x + 2.5 * x**2 - 0.5 * x**3 if x < 2 else 0.0


BUMPS = {
    "linear": lambda x: max(1 - x, 0.0),
    "cubic": _cubic,
    "lanczos3": lambda x: np.sinc(x) * np.sinc(x / 3) if x < 3 else 0.0,
    "lanczos5": lambda x: np.sinc(x) * np.sinc(x / 5) if x < 5 else 0.0,
}


def taps(layer, pixels):
    """What each offset of a transposed convolution's window does: one matrix per offset, and the new pixels.

    Input pixel i puts its value, weighted by offset o, on output pixel stride · i − dilation · o + low.
    """
    options = (layer.window, layer.stride, layer.dilation, layer.padding)
    each = [v if isinstance(v, tuple) else (v,) * len(pixels) for v in options]
    axes = [_axis_taps(*axis) for axis in zip(pixels, *each, strict=True)]
    maps = [separable(offset) for offset in product(*axes)]
    return [M for M, _ in maps], maps[0][1]


def _axis_taps(length, size, stride, dilation, padding):
    reach = dilation * (size - 1)
    new = length * stride + (max(reach + 1 - stride, 0) if padding == "valid" else 0)
    low = reach if padding == "valid" or stride > reach else (reach + stride) // 2
    result = [np.zeros((new, length)) for _ in range(size)]
    for i, o in product(range(length), range(size)):
        p = stride * i - dilation * o + low
        p = p % new if padding == "circular" else p
        if 0 <= p < new:
            result[o][p, i] = 1
    return result
