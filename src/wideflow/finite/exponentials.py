"""Sums of exponentials that stay accurate where their rates coincide."""

import numpy as np
from jaxtyping import Float

_TERMS = 26  # of the exponential series of matrices of norm up to 2: 2^26/26! is below the rounding of float64


def convolved_exponentials(rates: Float[np.ndarray, "k *l n"], t: float) -> Float[np.ndarray, "k *l"]:
    """The convolution (e^{−a_1 ·} ∗ … ∗ e^{−a_n ·})(t) = Σ_i e^{−a_i t} Π_{j≠i} 1/(a_j − a_i), for any rates a ≥ 0.

    Rates may coincide, or nearly: this is t^(n−1) times the divided difference of exp at −a_i t, whose sum above would
    cancel; equal rates give t e^{−at}. At t = ∞ exactly one rate must be zero, and the value is Π 1/a over the others.

    It is the last entry in the first row of exp(t A), A having −a_i on its diagonal and ones above it, by scaling and
    squaring of matrices without negative entries, so that nothing cancels and digits are lost to neither.
    Source: Opitz 1964; McCurdy, Ng and Parlett 1984.
    """
    if np.isinf(t):
        return 1 / np.where(rates == 0, 1.0, rates).prod(axis=-1)
    n = rates.shape[-1]
    exponents = rates * t
    halvings = max(0, int(np.ceil(np.log2(max(exponents.max(initial=0.0), 1.0)))))
    scaled = exponents / 2**halvings  # in [0, 1]
    shifted = np.zeros((*rates.shape, n))
    shifted[..., range(n), range(n)] = 1 - scaled
    shifted[..., range(n - 1), range(1, n)] = 0.5**halvings
    term = total = np.broadcast_to(np.eye(n), shifted.shape)
    for j in range(1, _TERMS):
        term = term @ shifted / j
        total = total + term
    total = total * np.exp(-1.0)
    for k in range(halvings):
        total = total @ total
        total[..., range(n), range(n)] = np.exp(-scaled * 2 ** (k + 1))
    return t ** (n - 1) * total[..., 0, -1]
