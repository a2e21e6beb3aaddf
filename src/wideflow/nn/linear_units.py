"""Rectifiers with a soft or curved lower side: the linear units and softplus."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .. import duals
from ..duals import Dual, Pair
from .activation import Activation, ClosedForm
from .hyperparameter import check_number


class Gelu(ClosedForm):
    """φ(z) = z Φ(z), Φ the normal distribution function (Hendrycks & Gimpel 2016; exact, see also `TanhGelu`)."""

    def phi(self, z: Array) -> Array:
        """z Φ(z)."""
        return jax.nn.gelu(z, approximate=False)

    def moments(self, pair: Pair) -> Dual:
        """Arcsines and square roots: see `duals.gelu`."""
        return duals.gelu(pair)


class TanhGelu(Activation):
    """φ(z) = z (1 + tanh(√(2/π)(z + 0.044715 z³)))/2, the usual approximation of `Gelu`; by quadrature."""

    def phi(self, z: Array) -> Array:
        """z (1 + tanh(√(2/π)(z + 0.044715 z³)))/2."""
        return jax.nn.gelu(z, approximate=True)


class Silu(Activation):
    """φ(z) = z/(1 + exp(−z)), also called swish (Elfwing et al. 2017); by quadrature."""

    def phi(self, z: Array) -> Array:
        """z/(1 + exp(−z))."""
        return jax.nn.silu(z)


class Softplus(Activation):
    """φ(z) = log(1 + exp(z)); by quadrature."""

    def phi(self, z: Array) -> Array:
        """log(1 + exp(z))."""
        return jax.nn.softplus(z)


class Elu(Activation):
    """φ(z) = z for z > 0, alpha (exp(z) − 1) below (Clevert et al. 2015); by quadrature."""

    alpha: float | Float[Array, ""] = 1.0

    def __check_init__(self):
        check_number(self, "alpha")

    def phi(self, z: Array) -> Array:
        """z for z > 0, alpha (exp(z) − 1) below."""
        return jax.nn.elu(z, jnp.asarray(self.alpha, z.dtype))


class Selu(Activation):
    """φ(z) = 1.0507 · z for z > 0, 1.0507 · 1.6733 (exp(z) − 1) below (Klambauer et al. 2017); by quadrature.

    The constants keep mean 0 and variance 1: E[φ] = 0 and E[φ²] = 1 at unit variance.
    """

    def phi(self, z: Array) -> Array:
        """The scaled exponential linear unit."""
        return jax.nn.selu(z)
