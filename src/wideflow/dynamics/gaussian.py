"""A Gaussian over functions at some points, and draws from it."""

from typing import NamedTuple

import numpy as np
from jaxtyping import Float


class Gaussian(NamedTuple):
    """A Gaussian over functions at n points: `mean [T, n, out]` and `cov`, the same for every output, or None.

    `cov` is `[T, n, n]` where every time stands for itself, `[T, n, T, n]` where times are joint.
    """

    mean: np.ndarray
    cov: np.ndarray | None


def draws(
    rng: np.random.Generator,
    mean: Float[np.ndarray, "m o"],
    cov: Float[np.ndarray, "m m"],
    count: int,
    negligible: float,
) -> Float[np.ndarray, "s m o"]:
    """`count` draws from the Gaussian with this mean and covariance, which may be singular; outputs are independent.

    mean + V √λ z with cov = V λ Vᵀ and z standard normal. Eigenvalues below zero are set to zero: nothing is added to
    the matrix. Raises ValueError where one lies below −`negligible`, further than rounding explains.
    """
    from scipy.linalg import eigh

    values, vectors = eigh(cov, driver="evd")
    if values[0] < -negligible:
        raise ValueError(
            f"the covariance is not positive semidefinite: its smallest eigenvalue is {values[0]:.3e}, where rounding "
            f"explains {-negligible:.1e}; compute the kernels in float64"
        )
    root = vectors * np.sqrt(np.maximum(values, 0))
    return mean + root @ rng.standard_normal((count, *mean.shape))
