"""Fixed points of the variance and of the correlation that an infinitely deep network tends to, for many (w, b)."""

from collections.abc import Callable

import numpy as np

from ..nn import Activation
from .moments import cross_moments, own_moments

# Variances that are looked at for fixed points: 48 a decade. Beyond the last one a variance counts as infinite.
SCAN = np.logspace(-10, 10, 961)
LARGEST = SCAN[-1]
SMALL = 1e-30  # the least positive variance a fixed point is looked for at
# Relative size of q' − q that rounding explains.
ROUNDING = 1e-13
STEPS = 200

Evaluate = Callable[[np.ndarray], tuple[np.ndarray, np.ndarray]]


def weighted(w2: np.ndarray, moment: np.ndarray) -> np.ndarray:
    """w² times a moment that may be infinite; 0 at w = 0."""
    return np.where(w2 > 0, w2 * np.where(w2 > 0, moment, 0), 0)


def variance_limit(activation: Activation, skip: float, w2: np.ndarray, b2: np.ndarray, start: float):
    """Where the variance q' = skip q + w² E φ² + b² tends to from `start`, and how many limits there are.

    Flat arrays `[n]` of q* (0 and inf included) and of the number of attracting values, 0 and inf included. The map is
    followed in the direction of q' − q until that changes sign, which is right for maps that do not overshoot.
    """
    sign = _signs(activation, skip, w2, b2)  # [n, scan]
    first = int(np.searchsorted(SCAN, start))
    up = _first(sign[:, first:] < 0, first, len(SCAN))  # where a rising variance has stopped
    down = first - _first(sign[:, first::-1] > 0, 0, first + 1)  # where a falling one has; −1: below the scan
    rises = sign[:, first] > 0
    low = np.where(rises, SCAN[np.clip(up - 1, 0, None)], np.where(down < 0, SMALL, SCAN[np.clip(down, 0, None)]))
    high = np.where(rises, SCAN[np.clip(up, None, len(SCAN) - 1)], SCAN[np.clip(down + 1, 0, len(SCAN) - 1)])

    def excess(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        own = own_moments(activation, q)
        return weighted(w2, own.k) + b2 - (1 - skip) * q, weighted(w2, own.slope) - (1 - skip)

    q = falling_root(excess, low, high)
    q = np.where((down < 0) & ~rises & (excess(np.full_like(q, SMALL))[0] <= ROUNDING * SMALL), 0.0, q)
    q = np.where(rises & (up >= len(SCAN)), np.inf, q)
    q = np.where(sign[:, first] == 0, start, q)
    attracting = np.sum((sign[:, :-1] > 0) & (sign[:, 1:] <= 0), axis=1) + (sign[:, 0] < 0) + (sign[:, -1] > 0)
    return q, attracting


def _signs(activation: Activation, skip: float, w2: np.ndarray, b2: np.ndarray) -> np.ndarray:
    """Signs of q' − q over the scan, `[n, scan]`; 0 where rounding explains the difference."""
    grown = weighted(w2[:, None], own_moments(activation, SCAN).k) + b2[:, None]
    excess = grown - (1 - skip) * SCAN
    is_rounding = np.isfinite(grown) & (np.abs(excess) <= ROUNDING * (grown + SCAN))
    return np.where(is_rounding, 0, np.sign(excess))


def _first(found: np.ndarray, offset: int, none: int) -> np.ndarray:
    """The first true place of every row, plus `offset`; `none` where there is none."""
    return np.where(found.any(axis=1), found.argmax(axis=1) + offset, none)


def falling_root(evaluate: Evaluate, low: np.ndarray, high: np.ndarray) -> np.ndarray:
    """The root between `low` > 0, where a function is not negative, and `high`, where it is not positive.

    Newton's method, or the geometric mean of the bracket where that leaves it. `evaluate(q)`: value and slope.
    """
    low, high = low.astype(float), high.astype(float)
    q = np.sqrt(low * high)
    for _ in range(STEPS):
        value, slope = evaluate(q)
        low, high = np.where(value >= 0, q, low), np.where(value <= 0, q, high)
        with np.errstate(all="ignore"):
            new = q - value / slope
        new = np.where((new >= low) & (new <= high), new, np.sqrt(low * high))
        done, q = np.abs(new - q) <= 4e-16 * q, new
        if done.all():
            break
    return q


def correlation_limit(
    activation: Activation, skip: float, w2: np.ndarray, b2: np.ndarray, q: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """1 − c* and the slope of the correlation map there, at the variances `q` (0 and inf as their limits).

    c' = (skip q c + w² E φφ' + b²)/q' is a power series in c with coefficients that are not negative (Mehler), so
    convex on [0, 1]: c* = 1 where its slope at 1 is at most 1; otherwise the one root below, which Newton's method
    reaches from 0 without leaving its side.
    """
    q = np.clip(q, SMALL, LARGEST)
    own = own_moments(activation, q)
    new = skip * q + weighted(w2, own.k) + b2  # q', which is q but at the limits 0 and inf
    with np.errstate(invalid="ignore", over="ignore"):
        at_one = np.where(new > 0, q * (skip + weighted(w2, own.kdot)) / np.where(new > 0, new, 1), 0)
    apart = np.isfinite(at_one) & (at_one > 1 + 1e-11)
    delta, slope = np.where(apart, 1.0, 0.0), at_one
    for _ in range(STEPS if apart.any() else 0):
        k, kdot = cross_moments(activation, q, delta)
        with np.errstate(invalid="ignore", over="ignore"):
            value = (skip * q * (1 - delta) + w2 * k + b2) / new - (1 - delta)
            slope = np.where(apart, q * (skip + w2 * kdot) / new, at_one)
        step = np.where(apart & (slope < 1), value / np.where(slope < 1, 1 - slope, 1), 0)
        delta = np.where(apart, np.clip(delta - step, 0, 1), delta)
        if np.all(np.abs(step) <= 1e-15):
            break
    return np.where(np.isfinite(at_one), delta, np.nan), np.where(np.isfinite(at_one), slope, np.nan)
