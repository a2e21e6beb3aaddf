"""The base of every nonlinearity: one scalar function and its Gaussian expectations."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from ..duals import Dual, Pair, quadrature
from ..duals.quadrature import quadrature_with_variances
from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape


class Activation(Layer):
    """An elementwise nonlinearity.

    A nonlinearity of your own is a subclass with `phi`. It may also give `dual` in closed form; without it both
    expectations come by quadrature, from `phi` alone. Broadcasting over batches and pixels is done here, once.

    K' = E[φ(u) φ(v)], Θ' = Θ · E[φ'(u) φ'(v)], with (u, v) ~ N(0, [[q11, q12], [q12, q22]]).
    """

    def phi(self, z: Array) -> Array:
        """The nonlinearity, elementwise."""
        raise NotImplementedError(f"{type(self).__name__} has no function `phi(z)`")

    def dual(self, q11: Array, q12: Array, q22: Array) -> tuple[Array, Array]:
        """(E[φ(u) φ(v)], E[φ'(u) φ'(v)]), elementwise over broadcasting arrays; by quadrature unless given."""
        return quadrature(self.phi, Pair.of(q11, q12, q22))[:2]

    def moments(self, pair: Pair) -> Dual:
        """The same from a pair that carries 1 − correlation; override it where that keeps digits."""
        if self.by_quadrature:
            return quadrature(self.phi, pair)
        return Dual(*self.dual(pair.q11, pair.q12, pair.q22))

    @property
    def by_quadrature(self) -> bool:
        """Whether its expectations come from `phi` alone: no closed form is given."""
        own = type(self)
        return own.dual is Activation.dual and own.moments is Activation.moments

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Any, Shape]:
        """No parameters; the shape stays."""
        return (), shape

    def apply(self, params: Any, x: Array) -> Array:
        """φ(x)."""
        return self.phi(x)

    def cov(self, k: Cov) -> Cov:
        """K' = E[φφ'], Θ' = Θ E[φ̇φ̇']; refused where the input is not Gaussian."""
        if not k.gaussian:
            raise ValueError(
                f"{self!r}: its input must be Gaussian, that is come from a layer with weights (Dense, Conv …); "
                "put such a layer before it. Two nonlinearities in a row can be written as one Elementwise(fn)."
            )
        return _transformed(self, k)

    def demand(self, need: Demand) -> Demand:
        """Elementwise: what the output needs."""
        return need


@jax.jit  # one layer is one compilation: many layers in one would take XLA minutes, and equal layers share it
def _transformed(layer: Activation, k: Cov) -> Cov:
    pair = k.pair()
    if layer.by_quadrature and k.q1.ndim - 1 == k.pixels:  # one variance a pixel, as the expansions of `pair` know
        cross, q1, q2 = quadrature_with_variances(layer.phi, pair)
        q1, q2 = q1.reshape(k.q1.shape), q2.reshape(k.q2.shape)
    else:
        cross, (q1, q2) = layer.moments(pair), _own_moments(layer, k)
    new = k.replace(
        q1=q1,
        q2=q2,
        nngp=cross.k,
        ntk=cross.kdot * k.ntk,
        delta=cross.delta,
        gaussian=False,
        fresh=False,
    )
    if cross.delta is not None or k.delta is None:
        return new
    return new.replace(delta=_delta_by_subtraction(pair, new.pair()))


def _own_moments(layer: Activation, k: Cov) -> list[Array]:
    """What becomes of `q1` and `q2`."""
    axis = -1 if k.on_planes else 0
    own = layer.moments(k.own_pair(jnp.concatenate([k.q1, k.q2], axis))).k  # n1 + n2 along `axis`
    return jnp.split(own, [k.q1.shape[axis]], axis)


def _delta_by_subtraction(before: Pair, after: Pair) -> Array:
    """1 − correlation from the rounded moments, but 0 between equal inputs: a kink further on sees its root.

    Layers between equal inputs and here may leave the square of their rounding in place of 0.
    """
    tolerance = 8 * jnp.finfo(before.q12.dtype).eps
    is_equal = (before.delta <= tolerance**2) & (jnp.abs(before.q11 - before.q22) <= tolerance * before.q11)
    return jnp.where(is_equal, 0, after.delta)


class ClosedForm(Activation):
    """A nonlinearity whose `moments` are a closed form; `dual` follows from it."""

    def moments(self, pair: Pair) -> Dual:
        """The closed form."""
        raise NotImplementedError

    def dual(self, q11: Float[Array, "..."], q12: Float[Array, "..."], q22: Float[Array, "..."]):
        """(E[φ(u) φ(v)], E[φ'(u) φ'(v)]) in closed form."""
        return self.moments(Pair.of(q11, q12, q22))[:2]
