"""The plane of the two-scalar model: where it goes from each point, and where training ends."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from .two_scalar import limiting_final_curvature, scaled_step

_PHASES = 32  # starts over one period of ln n that the range of final curvatures is taken over


@dataclass(frozen=True, eq=False)
class PhasePortrait:
    """The plane of b = η|f|/√n and a = ηλ, all that gradient descent of the two scalars depends on.

    `b [i]`, `a [j]`: a grid; `step_b`, `step_a` `[j, i]`: by how much one step changes |b| and a there, NaN where
    a < 2b, which no weights have. `trajectories`: pairs of `a [T]`, `b [T]`, one for each of `starts [k]` = c,
    from a small b.
    `c [m]`, `low [m]`, `high [m]`: the range of ηλ at the end of training at infinite width, 2 < c < 4.
    """

    b: Float[np.ndarray, " i"]
    a: Float[np.ndarray, " j"]
    step_b: Float[np.ndarray, "j i"]
    step_a: Float[np.ndarray, "j i"]
    starts: tuple[float, ...]
    trajectories: tuple[tuple[np.ndarray, np.ndarray], ...]
    c: Float[np.ndarray, " m"]
    low: Float[np.ndarray, " m"]
    high: Float[np.ndarray, " m"]


def phase_portrait(starts: Sequence[float] = (1.5, 2.5, 3.0, 3.5), b0: float = 1e-2, steps: int = 60) -> PhasePortrait:
    """The portrait on a grid over 0 ≤ b ≤ 2, 0 ≤ a ≤ 4.5, with trajectories of `steps` steps from a = c, b = `b0`."""
    b, a = np.linspace(0, 2, 21), np.linspace(0, 4.5, 19)
    grid_a, grid_b = np.meshgrid(a, b, indexing="ij")
    next_a, next_b = scaled_step(grid_a, grid_b)
    there = grid_a >= 2 * grid_b
    c = np.linspace(2.05, 3.98, 40)
    ends = np.array([limiting_final_curvature(float(one), np.arange(_PHASES) / _PHASES) for one in c])
    return PhasePortrait(
        b,
        a,
        np.where(there, np.abs(next_b) - grid_b, np.nan),
        np.where(there, next_a - grid_a, np.nan),
        tuple(float(start) for start in starts),
        tuple(_trajectory(start, b0, steps) for start in starts),
        c,
        ends.min(axis=1),
        ends.max(axis=1),
    )


def _trajectory(a: float, b: float, steps: int) -> tuple[np.ndarray, np.ndarray]:
    path = [(a, b)]
    with np.errstate(over="ignore", invalid="ignore"):
        for _ in range(steps):
            path.append(scaled_step(*path[-1]))
    kept = [(a, abs(b)) for a, b in path if np.isfinite(a) and np.isfinite(b)]
    return np.array([a for a, _ in kept]), np.array([b for _, b in kept])
