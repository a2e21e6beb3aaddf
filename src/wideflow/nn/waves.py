"""Waves, bumps, and waves under a bump."""

import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import Float

from .. import duals
from ..duals import Dual, Pair
from .activation import ClosedForm
from .hyperparameter import check_number


class Sin(ClosedForm):
    """φ(z) = a sin(w z + s)."""

    a: float | Float[Array, ""] = 1.0
    w: float | Float[Array, ""] = 1.0
    s: float | Float[Array, ""] = 0.0

    def __check_init__(self):
        for name in ("a", "w", "s"):
            check_number(self, name)

    def phi(self, z: Array) -> Array:
        """a sin(w z + s)."""
        a, w, s = (jnp.asarray(v, z.dtype) for v in (self.a, self.w, self.s))
        return a * jnp.sin(w * z + s)

    def moments(self, pair: Pair) -> Dual:
        """Differences of Gaussians of the pair."""
        return duals.sin(pair, self.a, self.w, self.s)


class Cos(ClosedForm):
    """φ(z) = a cos(w z + s)."""

    a: float | Float[Array, ""] = 1.0
    w: float | Float[Array, ""] = 1.0
    s: float | Float[Array, ""] = 0.0

    def __check_init__(self):
        for name in ("a", "w", "s"):
            check_number(self, name)

    def phi(self, z: Array) -> Array:
        """a cos(w z + s)."""
        a, w, s = (jnp.asarray(v, z.dtype) for v in (self.a, self.w, self.s))
        return a * jnp.cos(w * z + s)

    def moments(self, pair: Pair) -> Dual:
        """Sums of Gaussians of the pair."""
        return duals.cos(pair, self.a, self.w, self.s)


class Rbf(ClosedForm):
    """φ(z) = √2 sin(√(2 gamma) z + π/4), whose K' = exp(−gamma (q11 + q22 − 2 q12)) is the Gaussian (RBF) kernel.

    A random Fourier feature (Rahimi & Recht 2007).
    """

    gamma: float | Float[Array, ""] = 1.0

    def __check_init__(self):
        check_number(self, "gamma", low=0.0)

    def phi(self, z: Array) -> Array:
        """√2 sin(√(2 gamma) z + π/4)."""
        return np.sqrt(2).item() * jnp.sin(jnp.sqrt(2 * jnp.asarray(self.gamma, z.dtype)) * z + np.pi / 4)

    def moments(self, pair: Pair) -> Dual:
        """The Gaussian kernel, and 2 gamma times it."""
        return duals.rbf(pair, self.gamma)


class Gaussian(ClosedForm):
    """φ(z) = a exp(−b z²), b ≥ 0 (Williams 1997)."""

    a: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] = 1.0

    def __check_init__(self):
        check_number(self, "a")
        check_number(self, "b", low=0.0)

    def phi(self, z: Array) -> Array:
        """a exp(−b z²)."""
        a, b = (jnp.asarray(v, z.dtype) for v in (self.a, self.b))
        return a * jnp.exp(-b * z**2)

    def moments(self, pair: Pair) -> Dual:
        """a²/√D and 4 a² b² q12/√D³, with D = (1 + 2 b q11)(1 + 2 b q22) − 4 b² q12²."""
        return duals.gaussian(pair, self.a, self.b)


class Gabor(ClosedForm):
    """φ(z) = a exp(−b z²) sin(w z + s), b ≥ 0: a wave under a Gaussian envelope."""

    a: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] = 1.0
    w: float | Float[Array, ""] = 1.0
    s: float | Float[Array, ""] = 0.0

    def __check_init__(self):
        for name in ("a", "w", "s"):
            check_number(self, name)
        check_number(self, "b", low=0.0)

    def phi(self, z: Array) -> Array:
        """a exp(−b z²) sin(w z + s)."""
        a, b, w, s = (jnp.asarray(v, z.dtype) for v in (self.a, self.b, self.w, self.s))
        return a * jnp.exp(-b * z**2) * jnp.sin(w * z + s)

    def moments(self, pair: Pair) -> Dual:
        """The moments of `Sin` under the law tilted by the envelope: see `duals.gabor`."""
        return duals.gabor(pair, self.a, self.b, self.w, self.s)
