"""The ends of a kernel matrix's spectrum, from products alone."""

from typing import NamedTuple

import numpy as np

from .krylov import KrylovSpace, Ritz
from .operator import Operator

_BLOCK = 4  # vectors multiplied at a time; a pass through the matrix costs little more than with one


class Extremes(NamedTuple):
    """The largest eigenvalue within `error`: λ_max lies in [largest, largest + error].

    `smallest`: an upper bound of the smallest eigenvalue, within `smallest_error` of some eigenvalue.
    """

    largest: float
    error: float
    smallest: float
    smallest_error: float


def extremes(operator: Operator, tolerance: float = 1e-10, steps: int = 60) -> Extremes:
    """The largest eigenvalue to relative error `tolerance`, and a bound of the smallest, by block Lanczos.

    Ritz values lie inside the spectrum, and an eigenvalue lies within the residual of each; that it is the largest one
    holds with probability one for the random start. Stops after `steps` products with 4 vectors; `error` says what was
    reached. Source: Kuczyński and Woźniakowski 1992; Golub and Van Loan, section 10.1.
    """
    start = np.random.default_rng(0).standard_normal((len(operator), min(_BLOCK, len(operator))))
    space = KrylovSpace(operator, start)
    ritz = _grown(space)
    for _ in range(steps - 1):
        if space.exhausted or ritz.tails[-1] <= tolerance * ritz.values[-1]:
            break
        ritz = _grown(space)
    return Extremes(*(float(one) for one in (ritz.values[-1], ritz.tails[-1], ritz.values[0], ritz.tails[0])))


def _grown(space: KrylovSpace) -> Ritz:
    space.step()
    return space.ritz()
