"""Hermite polynomials."""

import math

import numpy as np

from .dual import Dual
from .pair import Pair
from .poly import polynomial


def hermite(pair: Pair, degree: int) -> Dual:
    """Dual of the probabilists' Hermite polynomial he_n, normalised under the standard normal law.

    At unit variances k = rho^n and kdot = n rho^(n-1); other variances are exact too (he_n is expanded in
    powers, so accuracy in float32 is lost slowly from degree 10 on).
    """
    if degree < 0:
        raise ValueError(f"hermite(degree={degree}): the degree must be 0 or more. Use 1 for the identity.")
    powers = np.polynomial.hermite_e.herme2poly([0.0] * degree + [1.0]) / math.sqrt(math.factorial(degree))
    return polynomial(pair, tuple(powers.tolist()))
