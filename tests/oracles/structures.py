"""Attention, positions, graphs, embeddings and dropout at infinite width, by loops over inputs and pixels in NumPy.

All other layers are those of `oracles.pixels`; a covariance is `[n, n, *pixels, *pixels]` here as there.
"""

from itertools import product

import numpy as np

from oracles import pixels
from oracles.pixels import State
from wideflow import nn


def kernels(net, x):
    """Both kernels of all inputs with each other; where pixels are left, at equal pixels."""
    return State(*(pixels._equal(v) for v in from_inputs(net, x)))


def from_inputs(net, x):
    match net:
        case nn.Serial():
            return through(net.layers[1:], from_inputs(net.layers[0], x))
        case nn.Embedding():
            t = x[..., 0].reshape(len(x), -1)
            K = net.w**2 * (t[:, None, :, None] == t[None, :, None, :])
            K = K.reshape(len(x), len(x), *x.shape[1:-1] * 2)
            return State(K, net.lr_w * K)
        case nn.GraphNetwork():
            nodes = x.shape[1]
            return through(net.net.layers, from_inputs(nn.Identity(), x[..., nodes:]), x[..., :nodes])
    flat = x.reshape(len(x), -1, x.shape[-1])
    K = np.einsum("apc,bqc->abpq", flat, flat) / x.shape[-1]
    K = K.reshape(len(x), len(x), *x.shape[1:-1] * 2)
    k = State(K, np.zeros_like(K))
    return k if isinstance(net, nn.Identity) else propagate(net, k)


def through(layers, k, graphs=None):
    for layer in layers:
        k = propagate(layer, k, graphs)
    return k


def propagate(net, k, graphs=None):
    match net:
        case nn.Serial():
            return through(net.layers, k, graphs)
        case nn.Repeat():
            return through([net.layer] * net.times, k, graphs)
        case nn.Residual():
            return State(*(a + b for a, b in zip(k, propagate(net.branch, k, graphs), strict=True)))
        case nn.SelfAttention():
            shape, (k, seen) = k.nngp.shape, (_flat(s) for s in (k, _seen(net, k)))
            rule = _sure if net.scale == "1/d" else _gaussian
            return State(*(v.reshape(shape) for v in rule(net, k, seen)))
        case nn.Positions():
            R = net.w**2 * _positions(net, pixels._pixels(k.nngp))
            if net.channels is None:
                return State(k.nngp + R, k.ntk + net.lr_w * R)
            n, m = net.channels
            return State((n * k.nngp + m * R) / (n + m), (n * k.ntk + m * net.lr_w * R) / (n + m))
        case nn.Aggregate():
            return _aggregated(net, k, graphs)
        case nn.Dropout():
            return _dropped(net, k)
    return pixels.propagate(net, k)


def _seen(layer, k):
    return k if layer.positions is None else propagate(layer.positions, k)


def _flat(k):
    size = int(np.prod(pixels._pixels(k.nngp)))
    return State(*(v.reshape(*v.shape[:2], size, size) for v in k))


def _positions(layer, shape):
    """R over every pair of pixels."""
    R = np.zeros((*shape, *shape))
    for p, q in product(product(*map(range, shape)), repeat=2):
        apart = np.linalg.norm(np.subtract(p, q))
        R[(*p, *q)] = float(apart == 0) if layer.length is None else np.exp(-apart / layer.length)
    return R


def zeta(scores, G):
    """The attention of scores `[…, pixels]`."""
    if scores is None:
        e = np.exp(G - G.max(-1, keepdims=True))
        return e / e.sum(-1, keepdims=True)
    return {"Identity": lambda g: g, "Relu": lambda g: np.maximum(g, 0), "Abs": np.abs}[type(scores).__name__](G)


def _outputs(layer, middle):
    """From the covariances of all heads' values to those of the outputs."""
    bias = 0 if layer.b is None else layer.b**2
    own = layer.lr_w * layer.w**2 * middle.nngp + layer.lr_b * bias
    return State(layer.w**2 * middle.nngp + bias, own + layer.w**2 * middle.ntk)


def _sure(layer, k, seen):
    n, size = len(k.nngp), k.nngp.shape[-1]
    p = [zeta(layer.scores, layer.w_query * layer.w_key * seen.nngp[x, x]) for x in range(n)]
    K, T = np.zeros_like(k.nngp), np.zeros_like(k.ntk)
    for x, y, a, b in product(range(n), range(n), range(size), range(size)):
        K[x, y, a, b] = layer.w_value**2 * sum(p[x][a, i] * (k.nngp[x, y, i] @ p[y][b]) for i in range(size))
        T[x, y, a, b] = layer.w_value**2 * sum(p[x][a, i] * (k.ntk[x, y, i] @ p[y][b]) for i in range(size))
    return _outputs(layer, State(K, layer.lr_value * K + T))


def _gaussian(layer, k, seen):
    n, size, s2 = len(k.nngp), k.nngp.shape[-1], (layer.w_query * layer.w_key) ** 2
    K, T = np.zeros_like(k.nngp), np.zeros_like(k.ntk)
    for x, y, a, b in product(range(n), range(n), range(size), range(size)):
        S, D = seen.nngp[x, y], seen.ntk[x, y]
        one, two = seen.nngp[x, x], seen.nngp[y, y]
        value, slope = _dual(
            layer.scores,
            s2 * one[a, a] * np.diagonal(one)[:, None],
            s2 * S[a, b] * S,
            s2 * two[b, b] * np.diagonal(two)[None],
        )
        ntk_of_scores = s2 * ((layer.lr_query + layer.lr_key) * S[a, b] * S + D[a, b] * S + S[a, b] * D)
        K[x, y, a, b] = np.sum(value * k.nngp[x, y])
        T[x, y, a, b] = np.sum(value * k.ntk[x, y] + slope * ntk_of_scores * k.nngp[x, y])
    v2 = layer.w_value**2
    return _outputs(layer, State(v2 * K, v2 * (layer.lr_value * K + T)))


def _dual(scores, a, c, b):
    if isinstance(scores, nn.Identity):
        return c, np.ones_like(c)
    value, slope = pixels.DUALS["Relu"](scores, a, c, b)
    if isinstance(scores, nn.Relu):
        return value, slope
    assert isinstance(scores, nn.Abs)  # |u| = 2 max(u, 0) − u, whose parts are odd and even
    return 4 * value - c, 4 * slope - 1


def _aggregated(layer, k, graphs):
    n = len(k.nngp)
    A = layer.adjacency
    if A is None:
        graphs = list(graphs)
    elif hasattr(A, "rows"):
        dense = np.zeros(A.shape)
        np.add.at(dense, (A.rows, A.columns), A.values)
        graphs = [dense] * n
    else:
        graphs = [np.asarray(A)] * n
    if layer.normalise == "mean":
        graphs = [A / np.where(A.sum(1) == 0, 1, A.sum(1))[:, None] for A in graphs]
    new = State(np.zeros_like(k.nngp), np.zeros_like(k.ntk))
    for x, y in product(range(n), repeat=2):
        for old, sums in zip(k, new, strict=True):
            sums[x, y] = graphs[x] @ old[x, y] @ graphs[y].T
    return new


def _dropped(layer, k):
    """Inputs count as equal where their features are."""
    new, shape = State(k.nngp.copy(), k.ntk.copy()), pixels._pixels(k.nngp)
    flat = _flat(k).nngp
    for x, y in product(range(len(flat)), repeat=2):
        apart = flat[x, x] + flat[y, y] - 2 * flat[x, y]  # of the features at equal pixels
        if np.all(np.abs(np.diagonal(apart)) <= 1e-12 * (1 + np.diagonal(flat[x, x]))):
            for pixel in product(*map(range, shape)):
                for kernel in new:
                    kernel[(x, y, *pixel, *pixel)] /= 1 - layer.rate
    return new
