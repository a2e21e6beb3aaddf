"""Nonlinearities that are straight on each side of zero, and powers of the rectifier."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .. import duals
from ..duals import Dual, Pair
from .activation import ClosedForm
from .hyperparameter import check_degree, check_number


class Relu(ClosedForm):
    """φ(z) = max(z, 0) (Cho & Saul 2009)."""

    def phi(self, z: Array) -> Array:
        """max(z, 0)."""
        return jax.nn.relu(z)

    def moments(self, pair: Pair) -> Dual:
        """Arc-cosine kernels of order 1 and 0."""
        return duals.relu(pair)


class LeakyRelu(ClosedForm):
    """φ(z) = z for z > 0, `slope` · z below (Maas, Hannun & Ng 2013)."""

    slope: float | Float[Array, ""] = 0.01

    def __check_init__(self):
        check_number(self, "slope")

    def phi(self, z: Array) -> Array:
        """max(z, 0) + slope · min(z, 0)."""
        return jnp.where(z > 0, z, jnp.asarray(self.slope, z.dtype) * z)

    def moments(self, pair: Pair) -> Dual:
        """ABReLU with slopes `slope` and 1."""
        return duals.leaky_relu(pair, self.slope)


class Abs(ClosedForm):
    """φ(z) = |z|."""

    def phi(self, z: Array) -> Array:
        """|z|."""
        return jnp.abs(z)

    def moments(self, pair: Pair) -> Dual:
        """ABReLU with slopes −1 and 1."""
        return duals.abs_(pair)


class ABRelu(ClosedForm):
    """φ(z) = b max(z, 0) + a min(z, 0): slope `a` below zero, `b` above (Tsuchida et al. 2018).

    K' = a b q12 + (b − a)² K_relu, the same for Θ. Raises ValueError where both slopes are zero.
    """

    a: float | Float[Array, ""]
    b: float | Float[Array, ""]

    def __check_init__(self):
        check_number(self, "a")
        check_number(self, "b")
        if isinstance(self.a, int | float) and isinstance(self.b, int | float) and self.a == self.b == 0:
            raise ValueError(f"{self!r}: one of the slopes a and b must differ from zero, or the layer gives nothing")

    def phi(self, z: Array) -> Array:
        """a z for z < 0, b z above."""
        return jnp.where(z > 0, jnp.asarray(self.b, z.dtype), jnp.asarray(self.a, z.dtype)) * z

    def moments(self, pair: Pair) -> Dual:
        """A share of the identity and a share of ReLU."""
        return duals.ab_relu(pair, self.a, self.b)


class Step(ClosedForm):
    """φ(z) = 1 for z > 0, else 0 (the arc-cosine kernel of order 0, Cho & Saul 2009).

    Its derivative is zero almost everywhere, in the finite network too: Θ' = 0, only the layers above it learn.
    """

    def phi(self, z: Array) -> Array:
        """1 for z > 0, else 0."""
        return jnp.where(z > 0, jnp.ones_like(z), jnp.zeros_like(z))

    def moments(self, pair: Pair) -> Dual:
        """((π − θ)/2π, 0)."""
        return _zero_at_zero(duals.step(pair), pair)


class Sign(ClosedForm):
    """φ(z) = sign(z).

    Its derivative is zero almost everywhere, in the finite network too: Θ' = 0, only the layers above it learn.
    """

    def phi(self, z: Array) -> Array:
        """sign(z), 0 at zero."""
        return jnp.sign(z)

    def moments(self, pair: Pair) -> Dual:
        """(1 − 2θ/π, 0)."""
        return _zero_at_zero(duals.sign(pair), pair)


class RectifiedMonomial(ClosedForm):
    """φ(z) = max(z, 0)^degree (Cho & Saul 2009): degree 0 is `Step`, 1 is `Relu`, 2 the rectified quadratic.

    K' = √(q11 q22)^n J_n(θ), with J_n the arc-cosine kernel of order n = degree. Degrees from 0 to 16.
    """

    degree: int = eqx.field(static=True)

    def __check_init__(self):
        check_degree(self, largest=16)

    def phi(self, z: Array) -> Array:
        """max(z, 0)^degree."""
        return Step().phi(z) if self.degree == 0 else jax.nn.relu(z) ** self.degree

    def moments(self, pair: Pair) -> Dual:
        """Arc-cosine kernels of orders `degree` and `degree − 1`."""
        dual = duals.rectified_monomial(pair, self.degree)
        return _zero_at_zero(dual, pair) if self.degree == 0 else dual


def _zero_at_zero(dual: Dual, pair: Pair) -> Dual:
    """A jump at zero, with φ(0) = 0 as in the finite network: nothing comes out where a variance is zero."""
    return dual._replace(k=jnp.where((pair.q11 > 0) & (pair.q22 > 0), dual.k, 0))
