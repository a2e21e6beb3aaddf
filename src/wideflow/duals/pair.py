"""Two jointly Gaussian variables of mean zero, described so that nothing is lost near correlation one."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .angle import angle
from .root import root


class Pair(eqx.Module):
    """Covariance [[q11, q12], [q12, q22]] of Gaussian pairs (u, v), with delta = 1 - corr(u, v).

    The four arrays broadcast against each other (same rank, e.g. q11 [n1, 1], q12 [n1, n2],
    q22 [1, n2]) and share one float dtype. `delta` in [0, 2] is carried besides q12: the rounding of
    q12 alone hides every delta below the machine epsilon. Derivatives in q12 are complete only where
    `delta` is derived from q12, as `Pair.of` does.

    Example:
        >>> import jax.numpy as jnp
        >>> pair = Pair.of(jnp.array([1.0]), jnp.array([0.5]), jnp.array([1.0]))
        >>> pair.delta
        Array([0.5], dtype=float32)
    """

    q11: Float[Array, "..."]
    q12: Float[Array, "..."]
    q22: Float[Array, "..."]
    delta: Float[Array, "..."]

    @staticmethod
    def of(
        q11: Float[Array, "..."],
        q12: Float[Array, "..."],
        q22: Float[Array, "..."],
        delta: Float[Array, "..."] | None = None,
    ) -> "Pair":
        """Pair with delta = 1 - q12 / sqrt(q11 q22) by subtraction where it is not given.

        Clipped to [0, 2]; 1 (no correlation) where a variance is zero.
        """
        return Pair(q11, q12, q22, decorrelation(q11, q12, q22) if delta is None else delta)

    @property
    def scale(self) -> Float[Array, "..."]:
        """Geometric mean of the variances: sqrt(q11 q22). Its gradient at a zero variance is 0; of one array, 1."""
        return self.q11 if self.q11 is self.q22 else root(self.q11) * root(self.q22)

    @property
    def det(self) -> Float[Array, "..."]:
        """Determinant of the covariance: q11 q22 - q12^2 = q11 q22 delta (2 - delta) >= 0."""
        return self.q11 * self.q22 * (self.delta * (2 - self.delta))

    @property
    def sine(self) -> Float[Array, "..."]:
        """Sine of the angle between u and v: sqrt(delta (2 - delta))."""
        return root(self.delta * (2 - self.delta))

    @property
    def angle(self) -> Float[Array, "..."]:
        """Angle between u and v in [0, pi]: acos(1 - delta)."""
        return angle(self.delta)

    @property
    def gap(self) -> Float[Array, "..."]:
        """Variance of u - v: (sqrt(q11) - sqrt(q22))^2 + 2 sqrt(q11 q22) delta."""
        return self._spread(-2 * self.q12, self.delta)

    @property
    def total(self) -> Float[Array, "..."]:
        """Variance of u + v: (sqrt(q11) - sqrt(q22))^2 + 2 sqrt(q11 q22) (2 - delta)."""
        return self._spread(2 * self.q12, 2 - self.delta)

    def _spread(self, cross: Float[Array, "..."], delta: Float[Array, "..."]) -> Float[Array, "..."]:
        # The plain sum keeps the gradient right where a variance is zero and the stable form has none.
        is_flat = (self.q11 == 0) | (self.q22 == 0)
        stable = (root(self.q11) - root(self.q22)) ** 2 + 2 * self.scale * delta
        return jnp.where(is_flat, self.q11 + self.q22 + cross, stable)


def decorrelation(q11: Float[Array, "..."], q12: Float[Array, "..."], q22: Float[Array, "..."]) -> Float[Array, "..."]:
    """One minus the correlation, by subtraction: (sqrt(q11 q22) - q12) / sqrt(q11 q22).

    Clipped to [0, 2]; 1 where a variance is zero. Exactly 0 where q11 = q12 = q22, and free of
    underflow and overflow in the product of the variances.
    """
    low, high = jnp.minimum(q11, q22), jnp.maximum(q11, q22)
    is_flat = low == 0
    safe_high = jnp.where(is_flat, 1.0, high)
    scale = safe_high * jnp.sqrt(jnp.where(is_flat, 1.0, low) / safe_high)
    delta = (scale - q12) / scale
    # Added under stop_gradient: a clip would cut the gradient at the ends, where identical inputs are.
    delta = delta + jax.lax.stop_gradient(jnp.clip(delta, 0.0, 2.0) - delta)
    return jnp.where(is_flat, 1.0, delta)
