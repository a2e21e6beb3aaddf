"""How long each mode of the kernel takes to be learned."""

from math import ceil, inf

import numpy as np
from jaxtyping import Float

from .first_time import FINEST, NEVER, clock
from .rule import Rule
from .schedule import Schedule


def learning_times(rule: Rule, rates: Float[np.ndarray, " K"], fraction: float = 0.5) -> Float[np.ndarray, " K"]:
    """The times from which on a `fraction` of each mode is learned: |p_t(λ)| ≤ 1 − fraction.

    `rates`: eigenvalues λ of (Θ + rI)/D. For the gradient flow −ln(1 − fraction)/(lr λ). Infinite for λ ≤ 0 and for
    modes that diverge. Found on times one per cent apart (whole steps of discrete rules; rules that oscillate are
    looked at there only), up to 10¹⁸ steps. Raises ValueError for a fraction outside (0, 1).
    """
    if not 0 < fraction < 1:
        raise ValueError(f"fraction={fraction}: must lie between 0 and 1")
    times, moving = np.full(rates.shape, inf), rates > 0
    if moving.any():
        with np.errstate(over="ignore", invalid="ignore"):  # modes that diverge
            times[moving] = _settled(rule, rates[moving], 1 - fraction)
    return times


def _settled(rule: Rule, rates: np.ndarray, left: float) -> np.ndarray:
    """The first of the times after which no |p_t| is above `left`; infinite where the last one is."""
    times = _looked_at(rule, rates, left)
    settled = np.full(rates.shape, times[0])
    for now, following in zip(times, [*times[1:], inf], strict=True):
        above = ~(np.abs(rule.residual(rates, now)) <= left)
        settled[above] = following
    return settled


def _looked_at(rule: Rule, rates: np.ndarray, left: float) -> list[float]:
    """Times one per cent apart until long after the slowest mode is learned; every step of a schedule."""
    if isinstance(rule, Schedule):
        return list(rule.times[1:])
    time, _ = clock(rule, float(rates.max()))
    end = 1.0
    while (np.abs(rule.residual(rates, time(end))) > left).any() and end < NEVER:
        end *= 4
    counts = np.unique(np.ceil(np.geomspace(1, 4 * end, ceil(np.log(4 * end) / np.log(FINEST)) + 1)))
    return [time(count) for count in counts]
