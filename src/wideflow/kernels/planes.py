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

from ..duals.root import root
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
    lengths, directions = _polar(jnp.moveaxis(jnp.concatenate([x1, x2]), (-1, 0), (0, -1)))  # [*, *pixels, n1 + n2]

    def add_planes(total: Array, shifts: Array) -> tuple[Array, None]:
        k = net.body.cov(_planes(lengths, directions, len(x1), tuple(shifts)))
        means = [jnp.mean(v, axis=k.pixel_axes) for v in (k.nngp, k.ntk)]
        return total + jnp.stack([jnp.sum(mean, axis=0) for mean in means]), None

    nothing = jnp.zeros((2, len(x1), len(x2)), x1.dtype)
    shifts = np.stack(np.unravel_index(np.arange(size if net.every else 1), pixels))  # [pixel axes, planes]
    shifts = shifts.reshape(len(pixels), -1, together).swapaxes(0, 1)
    total = jax.lax.scan(add_planes, nothing, jnp.asarray(shifts, jnp.int32))[0]
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


def _polar(x: Array) -> tuple[Array, Array]:
    """Lengths over the channels in root mean squares `[*pixels, n]`, and the channels over lengths; zero stays zero."""
    length = root(jnp.sum(x * x, axis=0))
    return length / np.sqrt(len(x)), x / jnp.where(length > 0, length, 1)[None]


def _planes(lengths: Array, directions: Array, n1: int, shift: tuple[Array, ...]) -> Cov:
    """The covariances of every pixel p of the first `n1` inputs with p + shift, around the ends, of the others."""
    (s1, s2), (u1, u2) = (jnp.split(v, [n1], axis=-1) for v in (lengths, directions))
    s1 = jnp.broadcast_to(s1, (len(shift[0]), *s1.shape))
    s2, u2 = _rolled(s2, shift), _rolled(u2, shift)
    near, far = _squared_distances(u1[:, None, ..., :, None], u2[..., None, :])
    # 1 − cos, of the nearer of two ends. Their sum is 2 where both have a direction; without one, no correlation.
    delta = jnp.where(near + far > _HALFWAY, jnp.where(near <= far, near, 2 - far), 1)
    nngp = s1[..., :, None] * s2[..., None, :] * (1 - delta)
    return Cov(s1 * s1, s2 * s2, nngp, jnp.zeros_like(nngp), delta, shift=shift)


_HALFWAY = 1.5  # between the sum of two rows of length one, and of one


def _rolled(v: Array, shift: tuple[Array, ...]) -> Array:
    """`v [*, *pixels, n]` at p + shift in place of p, around the ends: `[*, planes, *pixels, n]`."""
    first = v.ndim - 1 - len(shift)
    pixels = v.shape[first:-1]
    index, stride = jnp.zeros((1,) * (1 + len(pixels)), shift[0].dtype), prod(pixels)
    for axis, (length, s) in enumerate(zip(pixels, shift, strict=True), start=1):
        stride //= length
        at = (jnp.arange(length, dtype=s.dtype)[None] + s[:, None]) % length  # [planes, p]
        index = index + stride * jnp.expand_dims(at, [a for a in range(1, 1 + len(pixels)) if a != axis])
    flat = v.reshape(*v.shape[:first], -1, v.shape[-1])
    return jnp.take(flat, index, axis=first)


def _squared_distances(u1: Array, u2: Array) -> tuple[Array, Array]:
    """|u1 − u2|²/2 and |u1 + u2|²/2, summed over the first axis channel by channel: no array of all channels."""

    def add_channel(sums: tuple[Array, Array], channel: tuple[Array, Array]) -> tuple[tuple[Array, Array], None]:
        one, two = channel
        return (sums[0] + (one - two) ** 2 / 2, sums[1] + (one + two) ** 2 / 2), None

    zeros = jnp.zeros(jnp.broadcast_shapes(u1.shape[1:], u2.shape[1:]), u1.dtype)
    return jax.lax.scan(add_channel, (zeros, zeros), (u1, u2), unroll=len(u1) <= _FEW_CHANNELS)[0]


_FEW_CHANNELS = 4  # that are summed at once
