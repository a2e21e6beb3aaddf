"""Nonlinearities that rise from one level to another."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .. import duals
from ..duals import Dual, Pair
from .activation import Activation, ClosedForm
from .hyperparameter import check_number

# Makes erf(z / LOGISTIC_WIDTH) / 2 + 1/2 fit the logistic function best: they differ by less than 0.0097.
LOGISTIC_WIDTH = 2.4020563531719796


class Erf(ClosedForm):
    """φ(z) = a erf(b z) + c (Williams 1997)."""

    a: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] = 1.0
    c: float | Float[Array, ""] = 0.0

    def __check_init__(self):
        for name in ("a", "b", "c"):
            check_number(self, name)

    def phi(self, z: Array) -> Array:
        """a erf(b z) + c."""
        a, b, c = (jnp.asarray(v, z.dtype) for v in (self.a, self.b, self.c))
        return a * jax.lax.erf(b * z) + c

    def moments(self, pair: Pair) -> Dual:
        """a² (2/π) arcsin(2 b² q12 / √((1 + 2 b² q11)(1 + 2 b² q22))) + c² and its derivative."""
        return duals.erf(pair, self.a, self.b, self.c)


class NormalCdf(ClosedForm):
    """φ(z) = Φ(z), the standard normal distribution function: (1 + erf(z/√2))/2."""

    def phi(self, z: Array) -> Array:
        """Φ(z)."""
        return jax.scipy.special.ndtr(z)

    def moments(self, pair: Pair) -> Dual:
        """An arcsine: P[u > n1, v > n2] for independent standard normal n1, n2."""
        return duals.normal_cdf(pair)


class SigmoidLikeErf(ClosedForm):
    """φ(z) = (1 + erf(z/2.402…))/2: the error function nearest to the logistic function, in closed form.

    The two differ by less than 0.0097; `Sigmoid` is the logistic function itself, by quadrature.
    """

    def phi(self, z: Array) -> Array:
        """(1 + erf(z/2.402…))/2."""
        return (1 + jax.lax.erf(z / LOGISTIC_WIDTH)) / 2

    def moments(self, pair: Pair) -> Dual:
        """`Erf` with a = c = 1/2 and b = 1/2.402…"""
        return duals.sigmoid_like(pair)


class Tanh(Activation):
    """φ(z) = tanh(z); by quadrature."""

    def phi(self, z: Array) -> Array:
        """tanh(z)."""
        return jnp.tanh(z)


class Sigmoid(Activation):
    """φ(z) = 1/(1 + exp(−z)), the logistic function; by quadrature."""

    def phi(self, z: Array) -> Array:
        """1/(1 + exp(−z))."""
        return jax.nn.sigmoid(z)
