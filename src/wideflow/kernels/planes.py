"""Kernels of networks that pool over all pixels, one plane of pixel pairs at a time.

Global pooling needs every pair of pixels. All pairs at one offset form a plane, and through layers of stride 1 that
keep the image's size each plane goes by itself: a network costs as much as its equal-pixels kernel for each offset,
and holds no more than one plane.
"""

from functools import partial, singledispatch
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import Array

from ..nn import (
    Activation,
    Conv,
    Cov,
    Dense,
    GlobalAvgPool,
    GlobalSumPool,
    Layer,
    Parallel,
    Repeat,
    Residual,
    RMSNorm,
    Serial,
)
from ..nn.fold import Run, fold


class Pooled(NamedTuple):
    """A network in three parts: `body` keeps planes apart, its outputs are pooled over all pixels, `tail` is dense."""

    body: Layer
    averages: bool
    tail: Layer

    def kernels(self, x1: Array, x2: Array | None) -> tuple[Array, Array]:
        """NNGP kernel and NTK `[n1, n2]` between two batches of images; `x2` None means `x1` with itself."""
        return _pooled_kernels(self.body, self.averages, self.tail, x1, x1 if x2 is None else x2)


def pooled(net: Layer) -> Pooled | None:
    """The three parts of a network that has them, else None."""
    if not isinstance(net, Serial):
        return None
    for at, layer in enumerate(net.layers):
        if isinstance(layer, GlobalSumPool):
            body, tail = Serial(*net.layers[:at]), Serial(*net.layers[at + 1 :])
            if keeps_planes(body) and all(isinstance(part, Dense) for part in tail.layers):
                return Pooled(fold(body), isinstance(layer, GlobalAvgPool), tail)
    return None


@singledispatch
def keeps_planes(layer: Layer) -> bool:
    """Whether all pixel pairs at one offset make the pairs at that offset after the layer; False where not known."""
    return False


@keeps_planes.register(Activation)
@keeps_planes.register(Dense)
@keeps_planes.register(RMSNorm)
def _(layer: Layer) -> bool:
    return True


@keeps_planes.register(Conv)
def _(layer: Conv) -> bool:
    strides = (layer.stride,) if isinstance(layer.stride, int) else layer.stride
    return type(layer) is Conv and layer.padding in ("same", "circular") and all(s == 1 for s in strides)


@keeps_planes.register(Serial)
def _(layer: Serial) -> bool:
    return all(map(keeps_planes, layer.layers))


@keeps_planes.register(Run)
def _(layer: Run) -> bool:
    return all(map(keeps_planes, layer.blocks))


@keeps_planes.register(Residual)
def _(layer: Residual) -> bool:
    return keeps_planes(layer.branch)


@keeps_planes.register(Parallel)
def _(layer: Parallel) -> bool:
    return all(map(keeps_planes, layer.branches))


@keeps_planes.register(Repeat)
def _(layer: Repeat) -> bool:
    return keeps_planes(layer.layer)


@partial(jax.jit, static_argnums=1)
def _pooled_kernels(body: Layer, averages: bool, tail: Layer, x1: Array, x2: Array) -> tuple[Array, Array]:
    pixels = x1.shape[1:-1]
    size = prod(pixels)
    inputs = _directions(x1), _directions(x2)

    def add_plane(total: Array, plane: Array) -> tuple[Array, None]:
        k = body.cov(_plane(*inputs, jnp.unravel_index(plane, pixels)))
        means = [jnp.mean(v.reshape(*v.shape[:2], size), axis=2) for v in (k.nngp, k.ntk)]
        return total + jnp.stack(means), None

    nothing = jnp.zeros((2, len(x1), len(x2)), x1.dtype)
    total = jax.lax.scan(add_plane, nothing, jnp.arange(size))[0]
    nngp, ntk = total * (1 / size if averages else size)
    zeros = jnp.zeros_like
    k = tail.cov(Cov(zeros(nngp[:, 0]), zeros(nngp[0]), nngp, ntk, gaussian=False))  # dense layers do not look at q
    return k.nngp, k.ntk


def _directions(x: Array) -> tuple[Array, Array]:
    """Mean squares over the channels `[n, *pixels]`, and the channels scaled to length one; zero stays zero."""
    square = jnp.sum(x * x, axis=-1)
    return square / x.shape[-1], x / jnp.sqrt(jnp.where(square > 0, square, 1))[..., None]


def _plane(one: tuple[Array, Array], two: tuple[Array, Array], shift: tuple[Array, ...]) -> Cov:
    """The covariance of every pixel p of the first batch with p + shift, around the ends, of the second."""
    (q1, u1), (q2, u2) = one, two
    axes = tuple(range(1, q2.ndim))
    q2, u2 = (jnp.roll(v, jnp.stack([-s for s in shift]), axes) for v in (q2, u2))
    u1, u2 = u1[:, None], u2[None]
    near, far = jnp.sum((u1 - u2) ** 2, axis=-1) / 2, jnp.sum((u1 + u2) ** 2, axis=-1) / 2
    # Equal to 1 − cos where both have length one; where one is zero both are 1/2 and its covariance is 0 anyway.
    delta = jnp.where(near <= far, near, 2 - far)
    delta = jnp.where((q1[:, None] > 0) & (q2[None] > 0), delta, 1)
    nngp = jnp.sqrt(q1)[:, None] * jnp.sqrt(q2)[None] * (1 - delta)
    return Cov(q1, q2, nngp, jnp.zeros_like(nngp), delta, shift=shift)
