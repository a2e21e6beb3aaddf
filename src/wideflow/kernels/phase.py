"""The phase of infinitely deep networks: order, chaos, and the edge between them."""

from typing import Any, NamedTuple

import numpy as np
from jaxtyping import Float

# |χ₁ − 1| below this is critical.
CRITICAL = 1e-9

Numbers = Float[np.ndarray, "..."]


class Phase(NamedTuple):
    """What an infinitely deep network tends to, arrays of the shape of (w, b).

    `q`: variance q* of the preactivations, 0 and inf included. `chi`: χ₁ = w² E φ̇² at q* (plus 1 in residual
    networks), the factor by which gradients grow a layer. `slope`: dq'/dq at q*. `c`, `chi_c`: correlation c* that
    two inputs tend to, and the slope of the correlation map there. `attracting`: the number of limits of the
    variance, with 0 and inf; above 1, q* depends on where it starts. `name`: "ordered", "chaotic", "critical", or
    "unbounded" where the variance diverges. (It cannot oscillate: √q E φ² rises with q, so that dq'/dq ≥ −½ at q*.)
    """

    q: Numbers
    chi: Numbers
    slope: Numbers
    c: Numbers
    chi_c: Numbers
    attracting: np.ndarray
    name: np.ndarray

    @property
    def xi_q(self) -> Numbers:
        """Depth scale of the variance: −1/ln |dq'/dq|, inf where the approach is not exponential."""
        return _depth_scale(np.abs(self.slope))

    @property
    def xi_c(self) -> Numbers:
        """Depth scale of the correlation: −1/ln χ_{c*} (Schoenholz et al. 2017), inf where it is not exponential."""
        return _depth_scale(self.chi_c)

    @property
    def ntk(self) -> Numbers:
        """The NTK of an input with itself at infinite depth: q*/(1 − χ₁); inf where χ₁ ≥ 1."""
        return _geometric(self.q, self.chi)

    @property
    def ntk12(self) -> Numbers:
        """The NTK of two different inputs at infinite depth: c* q*/(1 − χ_{c*}); inf where the slope is 1 or more."""
        return _geometric(self.c * self.q, self.chi_c)


def phase_names(q: np.ndarray, chi: np.ndarray) -> np.ndarray:
    """The phase for each q* and χ₁."""
    kinds = [np.isinf(q), np.abs(chi - 1) <= CRITICAL, chi < 1]
    return np.select(kinds, ["unbounded", "critical", "ordered"], "chaotic")


def _depth_scale(slope: Any) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(slope < 1 - CRITICAL, -1 / np.log(slope), np.where(np.isnan(slope), np.nan, np.inf))


def _geometric(first: Any, ratio: Any) -> np.ndarray:
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(ratio < 1 - CRITICAL, first / (1 - ratio), np.where(np.isnan(ratio), np.nan, np.inf))
