"""How far means and variances over networks are from a limit, over what chance and the width allow.

Chance: four standard errors, because the largest of some hundred numbers is judged. Width: errors of order 1/width are
measured without the theory, as a third of the difference to networks of a quarter of the width. A theory that is wrong
by more than both fails, since an error that does not fall with the width adds nothing to that difference.
"""

import numpy as np
from jaxtyping import Float

SIGMAS = 4.0


def mean_error(wide: Float[np.ndarray, "S *n"], narrow: Float[np.ndarray, "S2 *n"], limit: np.ndarray) -> float:
    """The largest distance of the wide networks' mean from the limit over what is allowed; 1 or less agrees."""
    chance, other = (SIGMAS * one.std(axis=0, ddof=1) / len(one) ** 0.5 for one in (wide, narrow))
    own = np.abs(wide.mean(axis=0) - narrow.mean(axis=0)) / 3
    allowed = np.maximum(chance + own + other / 3, 1e-5 * np.abs(limit).max())  # single precision
    return float(np.max(np.abs(wide.mean(axis=0) - limit) / allowed))


def variance_ratio(
    wide: Float[np.ndarray, "S n"], narrow: Float[np.ndarray, "S2 n"], variance: Float[np.ndarray, " n"]
) -> tuple[float, float]:
    """The variance over networks, summed over points, over the limit's, and how far off 1 chance and width allow it."""
    ratios, errors = [], []
    for f in (wide, narrow):
        squares = ((f - f.mean(axis=0)) ** 2).sum(axis=1) / variance.sum()  # one a network
        ratios.append(squares.sum() / (len(f) - 1))
        errors.append(SIGMAS * squares.std(ddof=1) / len(f) ** 0.5)
    return float(ratios[0]), float(errors[0] + (abs(ratios[0] - ratios[1]) + errors[1]) / 3)
