"""Kernels of networks on images that end in a pool over all pixels, or are flattened, plane by plane.

Global pooling needs every pair of pixels. All pairs at one offset form a plane, and through layers of stride 1 that
keep the image's size each plane goes by itself: a network costs as much as its equal-pixels kernel for each offset,
and holds no more than one plane, or a few small ones. A network that is flattened needs the plane of equal pixels
alone.
"""

from functools import partial, singledispatch
from math import prod
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..nn import (
    Activation,
    Conv,
    Cov,
    Dense,
    Flatten,
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
    """A network in three parts: `body` keeps planes apart, `end` is what makes vectors of its outputs, `tail` is dense.

    `end`: GlobalAvgPool, GlobalSumPool, or Flatten.
    """

    body: Layer
    end: Layer
    tail: Layer

    @property
    def every(self) -> bool:
        """Whether every offset between two pixels counts, or 0 alone."""
        return not isinstance(self.end, Flatten)

    def kernels(self, x1: Array, x2: Array | None, at_once: int) -> tuple[Array, Array]:
        """NNGP kernel and NTK `[n1, n2]` between two batches of images; `x2` None means `x1` with itself.

        `at_once`: pairs of pixels that may be held at a time, at least one plane.
        """
        x2 = x1 if x2 is None else x2
        size = prod(x1.shape[1:-1])
        planes = _together(size if self.every else 1, size * len(x1) * len(x2), at_once)
        return _pooled_kernels(self, x1, x2, planes)


def pooled(net: Layer) -> Pooled | None:
    """The three parts of a network that has them, else None."""
    if not isinstance(net, Serial):
        return None
    for at, layer in enumerate(net.layers):
        if isinstance(layer, GlobalSumPool | Flatten):
            body, tail = Serial(*net.layers[:at]), Serial(*net.layers[at + 1 :])
            if keeps_planes(body) and all(isinstance(part, Dense) for part in tail.layers):
                return Pooled(fold(body), layer, tail)
    return None


@singledispatch
def keeps_planes(layer: Layer) -> bool:
    """Whether all pixel pairs at one offset make the pairs at that offset after the layer; False where not known."""
    return False


@keeps_planes.register(Activation)
def _(layer: Activation) -> bool:
    """Not by quadrature: it would expand the variances of all pixels anew for every plane."""
    return not layer.by_quadrature


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


@partial(jax.jit, static_argnums=3)
def _pooled_kernels(net: Pooled, x1: Array, x2: Array, together: int) -> tuple[Array, Array]:
    pixels = x1.shape[1:-1]
    size = prod(pixels)
    one, two = (_directions(jnp.moveaxis(x, (-1, 0), (0, -1))) for x in (x1, x2))  # [channels, *pixels, n]

    def of_plane(shift: Array) -> Array:
        k = net.body.cov(_plane(one, two, tuple(shift)))
        return jnp.stack([jnp.mean(v, axis=tuple(range(len(pixels)))) for v in (k.nngp, k.ntk)])

    def add_planes(total: Array, shifts: Array) -> tuple[Array, None]:
        planes = of_plane(shifts[0]) if together == 1 else jnp.sum(jax.vmap(of_plane)(shifts), axis=0)
        return total + planes, None

    nothing = jnp.zeros((2, len(x1), len(x2)), x1.dtype)
    shifts = jnp.asarray(np.stack(np.unravel_index(np.arange(size if net.every else 1), pixels), axis=-1))
    total = jax.lax.scan(add_planes, nothing, shifts.reshape(-1, together, len(pixels)))[0]
    if net.every:
        total = total * (1 / size if isinstance(net.end, GlobalAvgPool) else size)
    nngp, ntk = total
    zeros = jnp.zeros_like
    k = net.tail.cov(Cov(zeros(nngp[:, 0]), zeros(nngp[0]), nngp, ntk, gaussian=False))  # dense layers do not look at q
    return k.nngp, k.ntk


def _together(planes: int, entries: int, at_once: int) -> int:
    """How many planes of so many entries go through the layers together: a divisor of their number.

    Of few entries, starting an operation is what costs.
    """
    return max(n for n in range(1, planes + 1) if planes % n == 0 and (n == 1 or n * entries <= at_once))


def _directions(x: Array) -> tuple[Array, Array]:
    """Mean squares over the channels `[*pixels, n]`, and the channels scaled to length one; zero stays zero."""
    square = jnp.sum(x * x, axis=0)
    return square / len(x), x / jnp.sqrt(jnp.where(square > 0, square, 1))[None]


def _plane(one: tuple[Array, Array], two: tuple[Array, Array], shift: tuple[Array, ...]) -> Cov:
    """The covariance of every pixel p of the first batch with p + shift, around the ends, of the second."""
    (q1, u1), (q2, u2) = one, (_rolled(v, shift, first) for first, v in enumerate(two))
    u1, u2 = u1[..., :, None], u2[..., None, :]
    near, far = _squared_distances(u1, u2)
    # Equal to 1 − cos where both have length one; where one is zero both are 1/2 and its covariance is 0 anyway.
    delta = jnp.where(near <= far, near, 2 - far)
    v1, v2 = q1[..., :, None], q2[..., None, :]
    delta = jnp.where((v1 > 0) & (v2 > 0), delta, 1)
    nngp = jnp.sqrt(v1) * jnp.sqrt(v2) * (1 - delta)
    return Cov(q1, q2, nngp, jnp.zeros_like(nngp), delta, shift=shift)


def _rolled(v: Array, shift: tuple[Array, ...], first: int) -> Array:
    """`v` at p + shift in place of p, around the ends, on the axes from `first`."""
    for axis, s in enumerate(shift, start=first):
        v = jax.lax.dynamic_slice_in_dim(jnp.concatenate([v, v], axis), s, v.shape[axis], axis)
    return v


def _squared_distances(u1: Array, u2: Array) -> tuple[Array, Array]:
    """|u1 − u2|²/2 and |u1 + u2|²/2, summed over the first axis channel by channel: no array of all channels."""

    def add_channel(sums: tuple[Array, Array], channel: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        one, two = channel
        return (sums[0] + (one - two) ** 2 / 2, sums[1] + (one + two) ** 2 / 2), None

    zeros = jnp.zeros(jnp.broadcast_shapes(u1.shape[1:], u2.shape[1:]), u1.dtype)
    return jax.lax.scan(add_channel, (zeros, zeros), (u1, u2))[0]
