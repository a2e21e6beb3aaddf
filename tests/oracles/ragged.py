"""Kernels between inputs of different sizes, each in an array of its own size, by loops over pairs of them in NumPy.

A covariance is a matrix `[pixels of i, pixels of j]` for each pair of inputs i, j, and `shapes[i]` the pixels of i.
"""

from itertools import product
from math import prod
from typing import NamedTuple

import numpy as np

from oracles import pixel_maps, pixels, structures
from wideflow import nn


class State(NamedTuple):
    shapes: list
    nngp: dict
    ntk: dict


def kernels(layers, inputs):
    """Both kernels `[n, n]` of networks that leave no pixels."""
    k = through(layers, from_inputs(inputs))
    n = range(len(inputs))
    return [np.array([[kernel[i, j].item() for j in n] for i in n]) for kernel in k[1:]]


def from_inputs(inputs):
    flat = [np.asarray(x, float).reshape(-1, x.shape[-1]) for x in inputs]
    K = {(i, j): flat[i] @ flat[j].T / flat[i].shape[1] for i, j in product(range(len(flat)), repeat=2)}
    return State([x.shape[:-1] for x in inputs], K, {pair: 0 * v for pair, v in K.items()})


def through(layers, k):
    for layer in layers:
        k = propagate(layer, k)
    return k


def propagate(layer, k):
    match layer:
        case nn.Serial():
            return through(layer.layers, k)
        case nn.Repeat():
            return through([layer.layer] * layer.times, k)
        case nn.Residual():
            return _merged([k, propagate(layer.branch, k)], lambda K, T: (sum(K), sum(T)))
        case nn.Sum():
            return _merged([propagate(b, k) for b in layer.branches], lambda K, T: (sum(K), sum(T)))
        case nn.Product():
            branches = [propagate(b, k) for b in layer.branches]
            return _merged(branches, lambda K, T: (K[0] * K[1], T[0] * K[1] + K[0] * T[1]))
        case nn.Concat():
            share = np.array(layer.channels) / sum(layer.channels)
            mean = lambda values: sum(s * v for s, v in zip(share, values, strict=True))  # noqa: E731
            return _merged([propagate(b, k) for b in layer.branches], lambda K, T: (mean(K), mean(T)))
        case nn.RMSNorm():  # and nn.LayerNorm, of channels with mean zero
            mean = (lambda v: np.full_like(v, v.mean())) if layer.over == "all" else (lambda v: v)
            scaled = lambda a, K, b: _scaled(layer, mean(a), K, mean(b))  # noqa: E731
            return _mapped(k, lambda a, c, b, T: (scaled(a, c, b), scaled(a, T, b)))
        case nn.Positions():
            return _mapped_pairs(
                k, lambda i, j: _with(k, i, j, layer.w**2 * _positions(layer, k.shapes[i], k.shapes[j]))
            )
        case nn.SelfAttention():
            return _attention(layer, k)
        case nn.Dense():
            return _weights(layer, k)
        case nn.ConvLocal():
            shared = propagate(
                nn.Conv(layer.out, layer.window, layer.w, layer.b, layer.stride, layer.dilation, layer.padding), k
            )
            same = lambda i, j: _same_place(shared.shapes[i], shared.shapes[j])  # noqa: E731
            return _mapped_pairs(shared, lambda i, j: (shared.nngp[i, j] * same(i, j), shared.ntk[i, j] * same(i, j)))
        case nn.Conv():
            return _weights(layer, _tapped(layer, k))
        case nn.SumPool() | nn.GlobalSumPool() | nn.Flatten() | nn.Index() | nn.Resize() | nn.LinearMap():
            return _tapped(layer, k)
    dual = pixels.DUALS[type(layer).__name__]
    return _mapped(k, lambda a, c, b, T: (dual(layer, a, c, b)[0], dual(layer, a, c, b)[1] * T))


def _tapped(layer, k):
    """Σ over taps of T K T'ᵀ: what both inputs have at one offset, or one position."""
    taps, shapes = zip(*(_taps(layer, shape) for shape in k.shapes), strict=True)

    def total(kernel, i, j):
        terms = [taps[i][o] @ kernel[i, j] @ taps[j][o].T for o in taps[i].keys() & taps[j].keys()]
        return sum(terms, np.zeros((max(1, prod(shapes[i])), max(1, prod(shapes[j])))))

    new = _mapped_pairs(k, lambda i, j: (total(k.nngp, i, j), total(k.ntk, i, j)))
    return new._replace(shapes=list(shapes))


def _taps(layer, shape):
    """Matrices [new, old pixels] for an input of this shape by offset or position, and the pixels that leave."""
    size = prod(shape)
    match layer:
        case nn.ConvTranspose():
            maps, new = pixel_maps.taps(layer, shape)
            return {o: M / len(maps) ** 0.5 for o, M in enumerate(maps)}, new
        case nn.Conv():
            rows = pixels.patches(shape, layer.window, layer.stride, layer.dilation, layer.padding)
            window = len(next(iter(rows.values())))
            return {o: _offset(rows, o, shape) / window**0.5 for o in range(window)}, pixels._outputs(rows)
        case nn.SumPool():
            rows, weights = pixels._pooling(layer, shape)
            window = len(next(iter(rows.values())))
            M = sum(_offset(rows, o, shape) for o in range(window))
            return {0: np.array([weights[p] for p in rows])[:, None] * M}, pixels._outputs(rows)
        case nn.GlobalAvgPool():
            return {0: np.full((1, size), 1 / size)}, ()
        case nn.GlobalSumPool():
            return {0: np.ones((1, size))}, ()
        case nn.Flatten():
            places = product(*map(range, shape))
            return {p: row[None] / size**0.5 for p, row in zip(places, np.eye(size), strict=True)}, ()
    M, new = pixel_maps.matrix(layer, shape)
    return {0: M}, new


def _offset(rows, o, shape):
    M = np.zeros((len(rows), prod(shape)))
    for at, window in enumerate(rows.values()):
        if window[o] is not None:
            M[at, np.ravel_multi_index(window[o], shape)] = 1
    return M


def _weights(layer, k):
    b = 0 if layer.b is None else layer.b**2
    own = lambda K: layer.lr_w * layer.w**2 * K + layer.lr_b * b  # noqa: E731
    return _mapped(k, lambda a_, K, b_, T: (layer.w**2 * K + b, own(K) + layer.w**2 * T))


def _attention(layer, k):
    seen = k if layer.positions is None else propagate(layer.positions, k)
    strength = layer.w_query * layer.w_key
    if layer.scale == "1/d":
        p = [structures.zeta(layer.scores, strength * seen.nngp[i, i]) for i in range(len(k.shapes))]
        mean = lambda kernel, i, j: layer.w_value**2 * p[i] @ kernel[i, j] @ p[j].T  # noqa: E731
        values = _mapped_pairs(k, lambda i, j: (mean(k.nngp, i, j), mean(k.ntk, i, j) + mean(k.nngp, i, j)))
    else:  # scores are Gaussian, of the identity
        assert isinstance(layer.scores, nn.Identity)

        def gaussian(i, j):
            S, D, K, T = seen.nngp[i, j], seen.ntk[i, j], k.nngp[i, j], k.ntk[i, j]
            s2, v2 = strength**2, layer.w_value**2
            value = s2 * S * np.sum(S * K)
            ntk = value + s2 * S * np.sum(S * T) + s2 * (2 * S * np.sum(S * K) + D * np.sum(S * K) + S * np.sum(D * K))
            return v2 * value, v2 * ntk

        values = _mapped_pairs(k, gaussian)
    b = 0 if layer.b is None else layer.b**2
    return _mapped(values, lambda a_, K, b_, T: (layer.w**2 * K + b, layer.w**2 * (K + T) + b))


def _with(k, i, j, R):
    return k.nngp[i, j] + R, k.ntk[i, j] + R


def _positions(layer, one, two):
    """R between every pixel of one input and every pixel of another."""
    apart = [[np.linalg.norm(np.subtract(p, q)) for q in _places(two)] for p in _places(one)]
    return np.equal(apart, 0).astype(float) if layer.length is None else np.exp(-np.array(apart) / layer.length)


def _same_place(one, two):
    return np.array([[p == q for q in _places(two)] for p in _places(one)])


def _places(shape):
    return list(product(*map(range, shape)))


def _scaled(layer, a, K, b):
    return K / np.sqrt((a + layer.epsilon) * (b + layer.epsilon))


def _mapped(k, rule):
    """`rule(q11, K, q22, Θ)` for every pair of pixels."""
    v = [np.diagonal(k.nngp[i, i]) for i in range(len(k.shapes))]
    return _mapped_pairs(k, lambda i, j: rule(v[i][:, None], k.nngp[i, j], v[j][None], k.ntk[i, j]))


def _mapped_pairs(k, rule):
    pairs = {pair: rule(*pair) for pair in k.nngp}
    return State(k.shapes, *({pair: both[kind] for pair, both in pairs.items()} for kind in (0, 1)))


def _merged(branches, rule):
    pick = lambda kind, pair: [getattr(b, kind)[pair] for b in branches]  # noqa: E731
    return _mapped_pairs(branches[-1], lambda i, j: rule(pick("nngp", (i, j)), pick("ntk", (i, j))))
