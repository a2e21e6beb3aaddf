"""The state that flows through an infinite network: covariances of one layer's channels."""

import dataclasses

import equinox as eqx
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int

from ..duals import Pair
from ..duals.root import root, settled
from .demand import Demand


class Cov(eqx.Module):
    """Covariances of a layer's channels, for two batches of inputs.

    Shapes: `S` is `()` for inputs without pixels, `*pixels` for `Demand.EQUAL`, `*pixels, *pixels` for
    `Demand.EVERY`. Everything is a mean over channels (second moments, not centred).

    - `q1 [n1, *S]`, `q2 [n2, *S]`: each input of a batch with itself.
    - `nngp [n1, n2, *S]`, `ntk [n1, n2, *S]`: the two kernels across the batches.
    - `delta [n1, n2, *S]` or None: 1 − correlation, carried where rounding of `nngp` would lose it. A layer that
      changes `nngp` and cannot update it sets it to None; it is then recomputed by subtraction.
    - `gaussian`: the channels are jointly Gaussian with mean zero, as every nonlinearity needs.
    - `fresh`: the channels are weighted by fresh zero-mean weights, so they are uncorrelated with every other
      branch of the network, as a sum of branches needs. With `gaussian` they are independent of every other branch
      and of one law, as a product of branches needs.
    - `shift`: None, or for each pixel axis the whole numbers `[planes]` by which the second inputs are rolled: pixel p
      stands for p + shift there, around the ends. The state then holds *planes* of pixel pairs, which come first in all
      its arrays, and the pixel axes second, `q1 [planes, *pixels, n1]`, `nngp [planes, *pixels, n1, n2]`, so that a
      shift along them moves whole blocks of memory. See `kernels/planes.py`.
    """

    q1: Float[Array, "..."]
    q2: Float[Array, "..."]
    nngp: Float[Array, "..."]
    ntk: Float[Array, "..."]
    delta: Float[Array, "..."] | None = None
    demand: Demand = eqx.field(static=True, default=Demand.EQUAL)
    gaussian: bool = eqx.field(static=True, default=False)
    fresh: bool = eqx.field(static=True, default=False)
    shift: tuple[Int[Array, " planes"], ...] | None = None

    @property
    def pixels(self) -> int:
        """The number of pixel axes of one input: 0 for vectors, 2 for images."""
        if self.shift is not None:
            return len(self.shift)
        axes = self.q1.ndim - 1
        return axes // 2 if self.demand is Demand.EVERY else axes

    @property
    def pixel_shape(self) -> tuple[int, ...]:
        """The pixels of one input: `()` for vectors, `(height, width)` for images."""
        return self.q1.shape[1 : 1 + self.pixels]

    @property
    def pixel_axes(self) -> tuple[int, ...]:
        """The pixel axes of `nngp`."""
        first = 1 if self.on_planes else 2
        return tuple(range(first, first + self.nngp.ndim - 2 - self.on_planes))

    @property
    def on_planes(self) -> bool:
        """Whether these are planes of pixel pairs, the inputs last."""
        return self.shift is not None

    def replace(
        self,
        *,
        q1: Array | None = None,
        q2: Array | None = None,
        nngp: Array | None = None,
        ntk: Array | None = None,
        delta: Array | None = None,
        gaussian: bool | None = None,
        fresh: bool | None = None,
    ) -> "Cov":
        """The same state with the given fields changed. `delta` is dropped unless it is given."""
        new = dict(q1=q1, q2=q2, nngp=nngp, ntk=ntk, gaussian=gaussian, fresh=fresh)
        given = {name: value for name, value in new.items() if value is not None}
        return dataclasses.replace(self, **given, delta=delta)

    def pair(self) -> Pair:
        """The Gaussian pair behind every entry of `nngp`: variances broadcast over the batches and pixels."""
        first, second = self.variances()
        return Pair.of(first, self.nngp, second, self.delta)

    def variances(self) -> tuple[Array, Array]:
        """Both batches' variances at every pixel, with axes of length one so that they broadcast to `nngp`."""
        if self.on_planes:
            return self.q1[..., :, None], self.q2[..., None, :]
        v1, v2 = self._variance(self.q1), self._variance(self.q2)  # [n, *pixels]
        return _face(v1, v2, self.pixels if self.demand is Demand.EVERY else 0)

    def own_pair(self, q: Float[Array, "n *s"]) -> Pair:
        """The Gaussian pair behind every entry of `q1` or `q2`: pixels of an input with its own pixels."""
        if self.demand is Demand.EQUAL or self.pixels == 0:
            return Pair.of(q, q, q, jnp.zeros_like(q))
        v = self._variance(q)
        ones = (1,) * self.pixels
        n, pixels = v.shape[0], v.shape[1:]
        return Pair.of(v.reshape(n, *pixels, *ones), q, v.reshape(n, *ones, *pixels))

    def narrow(self, need: Demand) -> "Cov":
        """The part of this state that `need` asks for: of every pair of pixels, the equal ones."""
        if need is Demand.EVERY or self.demand is Demand.EQUAL:
            return self
        return dataclasses.replace(
            self,
            q1=self._variance(self.q1),
            q2=self._variance(self.q2),
            nngp=self.equal(self.nngp),
            ntk=self.equal(self.ntk),
            delta=None if self.delta is None else self.equal(self.delta),
            demand=need,
        )

    def equal(self, x: Float[Array, "n1 n2 *s"]) -> Float[Array, "n1 n2 *pixels"]:
        """The entries of `nngp`, or of an array like it, at equal pixels."""
        if self.demand is Demand.EQUAL or self.pixels == 0:
            return x
        size = _size(self.pixel_shape)
        square = x.reshape(*x.shape[:2], size, size)
        return jnp.diagonal(square, axis1=2, axis2=3).reshape(*x.shape[:2], *self.pixel_shape)

    def affine(self, weight: Array, bias: Array | None) -> "Cov":
        """Both kernels of `√weight · (this) + √bias · (one constant feature)`; the NTK is only scaled."""
        scaled = dict(q1=weight * self.q1, q2=weight * self.q2, nngp=weight * self.nngp, ntk=weight * self.ntk)
        if bias is None:
            return dataclasses.replace(self, **scaled)
        delta = None if self.delta is None else _delta_after_bias(_scale(self.pair(), weight), bias)
        shifted = {name: scaled[name] + bias for name in ("q1", "q2", "nngp")}
        return dataclasses.replace(self, **shifted, ntk=scaled["ntk"], delta=delta)

    def __add__(self, other: "Cov") -> "Cov":
        """Covariances of the sum of two uncorrelated branches."""
        need = min(self.demand, other.demand)
        self, other = self.narrow(need), other.narrow(need)
        delta = None
        if self.delta is not None and other.delta is not None:
            delta = _delta_of_sum(self.pair(), other.pair())
        return dataclasses.replace(
            self,
            q1=self.q1 + other.q1,
            q2=self.q2 + other.q2,
            nngp=self.nngp + other.nngp,
            ntk=self.ntk + other.ntk,
            delta=delta,
            gaussian=self.gaussian and other.gaussian,
            fresh=self.fresh and other.fresh,
        )

    def _variance(self, q: Float[Array, "n *s"]) -> Float[Array, "n *pixels"]:
        if self.demand is Demand.EQUAL or self.pixels == 0:
            return q
        size = _size(self.pixel_shape)
        square = q.reshape(q.shape[0], size, size)
        return jnp.diagonal(square, axis1=1, axis2=2).reshape(q.shape[0], *self.pixel_shape)


def _size(shape: tuple[int, ...]) -> int:
    size = 1
    for length in shape:
        size *= length
    return size


def _face(v1: Array, v2: Array, faced: int) -> tuple[Array, Array]:
    """Give two batches of variances axes so that they broadcast to `[n1, n2, *S]`."""
    ones = (1,) * faced
    first = v1.reshape(v1.shape[0], 1, *v1.shape[1:], *ones)
    second = v2.reshape(1, v2.shape[0], *ones, *v2.shape[1:])
    return first, second


def _scale(pair: Pair, weight: Array) -> Pair:
    return Pair(weight * pair.q11, weight * pair.q12, weight * pair.q22, pair.delta)


def _delta_after_bias(pair: Pair, bias: Array) -> Array:
    """1 − correlation after adding `bias` to all three moments."""
    return _delta_of_parts(pair.q11, pair.q22, bias, bias, pair.delta)


def _delta_of_sum(one: Pair, two: Pair) -> Array:
    """1 − correlation of the sum of two uncorrelated pairs."""
    return _delta_of_parts(one.q11, one.q22, two.q11, two.q22, one.delta, two.delta)


def _delta_of_parts(p1: Array, p2: Array, r1: Array, r2: Array, delta_p: Array, delta_r: Array | None = None) -> Array:
    """1 − correlation of sums of parts of variances p and r, 1 where a variance is zero; no term is ever negative.

    `delta_p`, `delta_r`: those of the parts, None: zero everywhere.

    In units of the sums' standard deviations, of which each row has one (products of variances of 1e-20 or 1e20 would
    vanish or overflow in float32), the parts' deviations a, b are points of the unit circle, and
    1 − a1 a2 (1 − δp) − b1 b2 (1 − δr) = ((a1 − a2)² + (b1 − b2)²)/2 + a1 a2 δp + b1 b2 δr.
    """
    v1, v2 = _inverse_root(p1 + r1), _inverse_root(p2 + r2)
    a1, a2, b1, b2 = root(p1) * v1, root(p2) * v2, root(r1) * v1, root(r2) * v2
    apart = settled((a1 - a2) ** 2 + (b1 - b2) ** 2)
    total = apart / 2 + (a1 * a2) * delta_p
    if delta_r is not None:
        total = total + (b1 * b2) * delta_r
    return jnp.where(v1 * v2 > 0, total, 1)


def _inverse_root(x: Array) -> Array:
    """1/√x, and 0 at x = 0."""
    is_zero = x == 0
    return jnp.where(is_zero, 0, 1 / jnp.sqrt(jnp.where(is_zero, 1, x)))
