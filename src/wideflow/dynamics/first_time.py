"""The first time at which something has happened along training."""

from collections.abc import Callable
from math import ceil, inf

from .rule import Rule
from .schedule import Schedule

FINEST = 1.01  # ratio of neighbouring times that are looked at
NEVER = 1e18  # steps, or times over the fastest mode's, after which nothing more is expected
_PRECISION = 1e-12  # of a continuous time


def first_time(rule: Rule, is_reached: Callable[[float], bool], fastest: float) -> float:
    """The first time of `rule` at which `is_reached(t)` holds; infinity where it never does.

    Looked at on times one per cent apart and at infinity; between the last time before and the first time after, by
    bisection: exact for what stays reached. `fastest`: the largest eigenvalue of (Θ + rI)/D.
    """
    if is_reached(0.0):
        return 0.0
    if isinstance(rule, Schedule):
        return next((float(t) for t in rule.times if is_reached(t)), inf)
    time, whole = clock(rule, fastest)
    before, after = 0.0, 1.0
    while not is_reached(time(after)):
        before, after = after, ceil(FINEST * after) if whole else FINEST * after
        if after > NEVER or (after > _SETTLED and not is_reached(inf)):
            return inf
    while after - before > (1 if whole else _PRECISION * after):
        middle = (before + after) // 2 if whole else (before + after) / 2
        before, after = (before, middle) if is_reached(time(middle)) else (middle, after)
    return time(after)


_SETTLED = 1e4  # from here on it is asked whether infinity is reached before going on


def clock(rule: Rule, fastest: float) -> tuple[Callable[[float], float], bool]:
    """From a count to a time, and whether counts are whole numbers.

    Counts are steps of a discrete rule, and thousandths of the fastest mode's time of a continuous one.
    """
    try:
        rule.check_time(rule.lr / 2)
    except ValueError:
        return lambda count: rule.lr * count, True
    return lambda count: count * 1e-3 / (rule.lr * fastest), False
