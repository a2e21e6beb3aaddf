"""Maps of kernels that no finite layer computes."""

import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..duals import Dual, Pair
from .activation import Activation
from .cov import Cov
from .hyperparameter import check_number


class KernelMap(Activation):
    """A map of kernels without a finite form: K' = κ(q11, q12, q22), Θ' = Θ ∂κ/∂q12.

    A map of your own is a subclass with `dual(q11, q12, q22) -> (κ, ∂κ/∂q12)`; it is positive definite where κ is
    a power series in the correlation with coefficients that are not negative. Any input will do, Gaussian or not.
    `apply` raises NotImplementedError.
    """

    def phi(self, z: Array) -> Array:
        """Raises NotImplementedError: there is no function of one unit behind this map."""
        raise NotImplementedError(
            f"{self!r} has no finite form: it maps kernels, and no finite layer does the same. Use the network in "
            "Kernel, or put a nonlinearity (Rbf, Relu …) in its place"
        )

    def dual(self, q11: Array, q12: Array, q22: Array) -> tuple[Array, Array]:
        """(κ, ∂κ/∂q12), elementwise over broadcasting arrays."""
        raise NotImplementedError(f"{type(self).__name__} has no rule `dual(q11, q12, q22)`")

    def cov(self, k: Cov) -> Cov:
        """K' = κ, Θ' = Θ ∂κ/∂q12."""
        return super().cov(k.replace(gaussian=True, delta=k.delta))


class ExpNormalized(KernelMap):
    """K' = √(q11 q22) exp(gamma (ρ − 1)), ρ the correlation (Shankar et al. 2020): the diagonal stays.

    Θ' = Θ gamma exp(gamma (ρ − 1)). `gamma` ≥ 0 is traced.
    """

    gamma: float | Float[Array, ""] = 1.0

    def __check_init__(self):
        check_number(self, "gamma", low=0.0)

    def moments(self, pair: Pair) -> Dual:
        """The same from 1 − ρ."""
        gamma = jnp.asarray(self.gamma, pair.delta.dtype)
        decay = jnp.exp(-gamma * pair.delta)
        return Dual(pair.scale * decay, gamma * decay, -jnp.expm1(-gamma * pair.delta))

    def dual(self, q11: Array, q12: Array, q22: Array) -> tuple[Array, Array]:
        """(√(q11 q22) exp(gamma (ρ − 1)), gamma exp(gamma (ρ − 1)))."""
        return self.moments(Pair.of(q11, q12, q22))[:2]
