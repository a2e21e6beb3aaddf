"""Networks over pixels, finite layers and infinite kernels, by loops over pixels and offsets in float64 NumPy.

A covariance is `[n, n, *pixels, *pixels]`, every pair of pixels, whatever is needed. Layers are read by their fields.
"""

from itertools import product
from typing import NamedTuple

import numpy as np

from oracles import pixel_maps
from wideflow import nn


class State(NamedTuple):
    nngp: np.ndarray
    ntk: np.ndarray


def places(length, size, stride, dilation, padding):
    """For every output pixel of one axis, the input pixel at every offset of the window; None outside."""
    reach = dilation * (size - 1)
    if padding == "valid":
        return [[start + dilation * o for o in range(size)] for start in range(0, length - reach, stride)]
    starts = range(0, length, stride)
    before = max(starts[-1] + reach - (length - 1), 0) // 2
    table = [[start - before + dilation * o for o in range(size)] for start in starts]
    if padding == "circular":
        return [[p % length for p in row] for row in table]
    return [[p if 0 <= p < length else None for p in row] for row in table]


def patches(pixels, size, stride, dilation, padding):
    """For every output pixel (a tuple) the list of its input pixels, None outside, offsets in row-major order."""
    each = [v if isinstance(v, tuple) else (v,) * len(pixels) for v in (size, stride, dilation, padding)]
    tables = [places(*axis) for axis in zip(pixels, *each, strict=True)]
    rows = {}
    for out in product(*(range(len(t)) for t in tables)):
        window = product(*(table[i] for table, i in zip(tables, out, strict=True)))
        rows[out] = [None if None in pixel else pixel for pixel in window]
    return rows


def conv(x, W, stride, dilation, padding):
    """Σ over window and channels of x [n, *pixels, c] with W [*window, c, out], without any scaling."""
    rows = patches(x.shape[1:-1], W.shape[:-2], stride, dilation, padding)
    z = np.zeros((len(x), *_outputs(rows), W.shape[-1]))
    taps = W.reshape(-1, *W.shape[-2:])
    for out, window in rows.items():
        for pixel, tap in zip(window, taps, strict=True):
            if pixel is not None:
                z[(slice(None), *out)] += x[(slice(None), *pixel)] @ tap
    return z


def pool(layer, x):
    """The finite pooling layer."""
    rows, weights = _pooling(layer, x.shape[1:-1])
    z = np.zeros((len(x), *_outputs(rows), x.shape[-1]))
    for out, window in rows.items():
        z[(slice(None), *out)] = weights[out] * sum(x[(slice(None), *pixel)] for pixel in window if pixel is not None)
    return z


def kernels(net, x):
    """Both kernels of all inputs with each other; where pixels are left, at equal pixels."""
    flat = x.reshape(len(x), -1, x.shape[-1])
    K = np.einsum("apc,bqc->abpq", flat, flat) / x.shape[-1]
    pixels = x.shape[1:-1]
    K = K.reshape(len(x), len(x), *pixels, *pixels)
    return State(*(_equal(v) for v in propagate(net, State(K, np.zeros_like(K)))))


def propagate(net, k):
    match net:
        case nn.Serial():
            for layer in net.layers:
                k = propagate(layer, k)
            return k
        case nn.Residual():
            return _sum([k, propagate(net.branch, k)])
        case nn.Sum():
            return _sum([propagate(branch, k) for branch in net.branches])
        case nn.Product():
            return _product([propagate(branch, k) for branch in net.branches])
        case nn.Concat():
            shares = np.array(net.channels) / sum(net.channels)
            parts = [propagate(branch, k) for branch in net.branches]
            return _sum([State(*(share * v for v in part)) for share, part in zip(shares, parts, strict=True)])
        case nn.Repeat():
            return propagate(nn.Serial(*[net.layer] * net.times), k)
        case nn.RMSNorm():  # and nn.LayerNorm, of channels with mean zero
            a, K, b = _moments(k.nngp)
            size = np.sqrt((a + net.epsilon) * (b + net.epsilon))
            return State(K / size, k.ntk / size)
        case nn.LinearMap() | nn.Resize() | nn.Index():
            M, new = pixel_maps.matrix(net, _pixels(k.nngp))
            return State(*(_mapped(v, M, M, new) for v in k))
        case nn.ConvTranspose():
            taps, new = pixel_maps.taps(net, _pixels(k.nngp))
            return _weights(net, State(*(sum(_mapped(v, T, T, new) for T in taps) / len(taps) for v in k)))
        case nn.ConvLocal():
            shared = propagate(nn.Conv(net.out, net.window, net.w, net.b, net.stride, net.dilation, net.padding), k)
            return State(*map(_uncorrelated, shared))
        case nn.Conv():
            rows = patches(_pixels(k.nngp), net.window, net.stride, net.dilation, net.padding)
            return _weights(net, State(*(_joint_mean(v, rows) for v in k)))
        case nn.Dense():
            return _weights(net, k)
        case nn.SumPool():
            rows, weights = _pooling(net, _pixels(k.nngp))
            return State(*(_each_sum(v, rows, weights) for v in k))
        case nn.GlobalAvgPool():
            return State(*(v.mean(axis=tuple(range(2, v.ndim))) for v in k))
        case nn.GlobalSumPool():
            return State(*(v.sum(axis=tuple(range(2, v.ndim))) for v in k))
        case nn.Flatten():
            return State(*(_equal(v).reshape(*v.shape[:2], -1).mean(-1) for v in k))
    K, slope = DUALS[type(net).__name__](net, *_moments(k.nngp))
    return State(K, slope * k.ntk)


def _weights(layer, k):
    bias = 0 if layer.b is None else layer.b**2
    own = layer.lr_w * layer.w**2 * k.nngp + layer.lr_b * bias
    return State(layer.w**2 * k.nngp + bias, own + layer.w**2 * k.ntk)


def _sum(states):
    return State(*(sum(parts) for parts in zip(*states, strict=True)))


def _product(states):
    K, T = states[0]
    for other in states[1:]:
        K, T = K * other.nngp, T * other.nngp + K * other.ntk
    return State(K, T)


def _mapped(K, M, N, new):
    """M K Nᵀ over flattened pixels."""
    square = K.reshape(*K.shape[:2], M.shape[1], N.shape[1])
    return np.einsum("pi,abij,qj->abpq", M, square, N).reshape(*K.shape[:2], *new, *new)


def _uncorrelated(K):
    """Zero where the two pixels differ."""
    pixels = _pixels(K)
    return K * np.eye(int(np.prod(pixels))).reshape(*pixels, *pixels)


def _joint_mean(K, rows):
    """Mean over offsets of K at the same offset from both pixels."""
    new = np.zeros((*K.shape[:2], *_outputs(rows), *_outputs(rows)))
    for (p, window), (q, other) in product(rows.items(), rows.items()):
        terms = [K[(..., *a, *b)] for a, b in zip(window, other, strict=True) if a is not None and b is not None]
        new[(..., *p, *q)] = sum(terms) / len(window) if terms else 0
    return new


def _each_sum(K, rows, weights):
    """Weighted sum of K over every pair of pixels of two windows."""
    new = np.zeros((*K.shape[:2], *_outputs(rows), *_outputs(rows)))
    for (p, window), (q, other) in product(rows.items(), rows.items()):
        terms = [K[(..., *a, *b)] for a in window for b in other if a is not None and b is not None]
        new[(..., *p, *q)] = weights[p] * weights[q] * sum(terms)
    return new


def _pooling(layer, pixels):
    stride = layer.window if layer.stride is None else layer.stride
    rows = patches(pixels, layer.window, stride, 1, layer.padding)
    inside = {p: sum(pixel is not None for pixel in window) for p, window in rows.items()}
    if not isinstance(layer, nn.AvgPool):
        return rows, dict.fromkeys(rows, 1.0)
    return rows, {p: 1 / (inside[p] if layer.normalise_edges else len(rows[p])) for p in rows}


def _outputs(rows):
    return tuple(i + 1 for i in max(rows))


def _pixels(K):
    return K.shape[2 : 2 + (K.ndim - 2) // 2]


def _equal(K):
    pixels = _pixels(K)
    size = int(np.prod(pixels))
    if not pixels:
        return K
    return np.einsum("abpp->abp", K.reshape(*K.shape[:2], size, size)).reshape(*K.shape[:2], *pixels)


def _moments(K):
    """q11, q12, q22 of every entry."""
    n, pixels = len(K), _pixels(K)
    v = _equal(K)[np.arange(n), np.arange(n)]  # [n, *pixels]
    ones = (1,) * len(pixels)
    return v.reshape(n, 1, *pixels, *ones), K, v.reshape(1, n, *ones, *pixels)


def _relu(_, a, c, b):
    scale = np.sqrt(a * b)
    cosine = np.where(scale > 0, c / np.where(scale > 0, scale, 1), 0)
    # Images and pixels of the tests are equal, opposite, or clearly apart: nothing lies this close to ±1 otherwise.
    cosine = np.where(np.abs(cosine) > 1 - 1e-13, np.sign(cosine), cosine)
    angle = np.arccos(cosine)
    return scale * (np.sin(angle) + (np.pi - angle) * cosine) / (2 * np.pi), (np.pi - angle) / (2 * np.pi)


def _two_relus(below, a, c, b):
    """relu(z) + below · relu(−z)."""
    (same, slope), (opposite, slope_of_opposite) = _relu(None, a, c, b), _relu(None, a, -c, b)
    K = (1 + below**2) * same + 2 * below * opposite
    return K, (1 + below**2) * slope - 2 * below * slope_of_opposite


def _sin(layer, a, c, b):
    both, w = layer.a**2 * np.exp(-(layer.w**2) * (a + b) / 2) / 2, layer.w**2
    plus, minus = np.exp(w * c), np.cos(2 * layer.s) * np.exp(-w * c)
    return both * (plus - minus), both * w * (plus + minus)


def _erf(_, a, c, b):
    n = (1 + 2 * a) * (1 + 2 * b)
    return 2 / np.pi * np.arcsin(2 * c / np.sqrt(n)), 4 / np.pi / np.sqrt(n - 4 * c**2)


DUALS = {
    "Relu": _relu,
    "LeakyRelu": lambda layer, *pair: _two_relus(-layer.slope, *pair),
    "Abs": lambda _, *pair: _two_relus(1.0, *pair),
    "Identity": lambda _, a, c, b: (c, np.ones_like(c)),
    "Sin": _sin,
    "Erf": _erf,
}
