"""The nonlinearities."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from .. import duals
from ..duals import Dual, Pair
from .activation import Activation, ClosedForm
from .cov import Cov


class Identity(ClosedForm):
    """φ(z) = z. K and Θ stay; any input will do."""

    def phi(self, z: Array) -> Array:
        """z."""
        return z

    def moments(self, pair: Pair) -> Dual:
        """(q12, 1)."""
        return Dual(pair.q12, jnp.ones_like(pair.q12), pair.delta)

    def cov(self, k: Cov) -> Cov:
        """Unchanged."""
        return k


class Relu(ClosedForm):
    """φ(z) = max(z, 0) (Cho & Saul 2009)."""

    def phi(self, z: Array) -> Array:
        """max(z, 0)."""
        return jax.nn.relu(z)

    def moments(self, pair: Pair) -> Dual:
        """Arc-cosine kernels of order 1 and 0."""
        return duals.relu(pair)


class LeakyRelu(ClosedForm):
    """φ(z) = z for z > 0, `slope` · z below."""

    slope: float | Float[Array, ""] = 0.01

    def phi(self, z: Array) -> Array:
        """Max(z, 0) + slope · min(z, 0)."""
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


class Erf(ClosedForm):
    """φ(z) = erf(z) (Williams 1997)."""

    def phi(self, z: Array) -> Array:
        """erf(z)."""
        return jax.lax.erf(z)

    def moments(self, pair: Pair) -> Dual:
        """(2/π) arcsin(2 q12 / √((1 + 2 q11)(1 + 2 q22))) and its derivative."""
        return duals.erf(pair)


class Gelu(ClosedForm):
    """φ(z) = z Φ(z), Φ the normal distribution function (the exact GELU, not its tanh approximation)."""

    def phi(self, z: Array) -> Array:
        """Z Φ(z)."""
        return jax.nn.gelu(z, approximate=False)

    def moments(self, pair: Pair) -> Dual:
        """Closed form, THEORY: see `duals.gelu`."""
        return duals.gelu(pair)


class Sin(ClosedForm):
    """φ(z) = a sin(w z + s)."""

    a: float | Float[Array, ""] = 1.0
    w: float | Float[Array, ""] = 1.0
    s: float | Float[Array, ""] = 0.0

    def phi(self, z: Array) -> Array:
        """A sin(w z + s)."""
        a, w, s = (jnp.asarray(v, z.dtype) for v in (self.a, self.w, self.s))
        return a * jnp.sin(w * z + s)

    def moments(self, pair: Pair) -> Dual:
        """Differences of Gaussians of the pair."""
        return duals.sin(pair, self.a, self.w, self.s)


class Tanh(Activation):
    """φ(z) = tanh(z); by quadrature."""

    def phi(self, z: Array) -> Array:
        """tanh(z)."""
        return jnp.tanh(z)


class Elementwise(Activation):
    """φ(z) = fn(z) for any scalar JAX function; by quadrature from `fn` alone (see `duals.quadrature`).

    `fn` is called on arrays and must act elementwise. Accuracy: functions that are smooth, or have a kink at zero.
    """

    fn: Callable[[Any], Any] = eqx.field(static=True)

    def __check_init__(self):
        if not callable(self.fn):
            raise TypeError(f"Elementwise: wanted a function of one array, got {self.fn!r}")

    def phi(self, z: Array) -> Array:
        """fn(z)."""
        return self.fn(z)
