"""Two Gaussians of different widths: the mean-field equation in one dimension."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from jaxtyping import Float

_ANGLES = 2001  # of the trapezoid rule: exact to rounding for smooth activations, to 1e-6 for those with kinks
_POINTS = 3000  # of the grid on which the mean over directions is tabulated
_NORMS = 20  # quadrature nodes of |x| for each class
_FARTHEST = 8.0  # times the largest radius at the start: how far the table reaches
_TOLERANCE = 1e-6  # relative error of the integration in time


@dataclass(frozen=True)
class RadialPath:
    """The distribution of r = |w| in time, as equally weighted radii. `times [T]`, `radii [T, J]`, `risk [T]`."""

    times: Float[np.ndarray, " T"]
    radii: Float[np.ndarray, "T J"]
    risk: Float[np.ndarray, " T"]


@dataclass(frozen=True)
class TwoGaussians:
    """f(x) = 1/N Σ σ(w_i·x) tells x ~ N(0, (1 + Δ)² I_d), y = 1, from x ~ N(0, (1 − Δ)² I_d), y = −1, equally often.

    Data and the draw of the w_i do not single out a direction, so the distribution of w stays isotropic as N → ∞ and
    the mean-field equation is one for the distribution ρ of r = |w|. With H(q) = E σ(q u_1), u uniform on the unit
    sphere (the mean of σ(w·x) over directions of w, q = |w||x|),

        f(x) = ∫ H(r |x|) ρ(dr),   dr/dt = −∂_r Ψ(r) = E_x[(y − f(x)) |x| H'(r |x|)],   ∂_t ρ = ∂_r (ρ ∂_r Ψ),

    exact in every dimension d ≥ 2, nothing is assumed Gaussian but x. There is no noise, so that the equation is solved
    along its characteristics: J radii at quantiles of the initial distribution. Time and risk are those of
    `ParticleNetwork`, R = ½ E (f − y)².

    `activation`: σ, a NumPy function of an array. `dimension`: d. `delta`: Δ in [0, 1).
    Errors: ValueError for a dimension below 2 and delta outside [0, 1).
    Source: Mei, Montanari & Nguyen 2018, section 2 (their potentials, without the limit d → ∞).
    """

    activation: Callable[[np.ndarray], np.ndarray]
    dimension: int = 40
    delta: float = 0.8

    def __post_init__(self):
        if self.dimension < 2:
            raise ValueError(f"TwoGaussians: directions need a dimension of at least 2, got dimension={self.dimension}")
        if not 0 <= self.delta < 1:
            raise ValueError(f"TwoGaussians: delta must be in [0, 1), got {self.delta}")

    def initial_radii(self, std: float, count: int = 200) -> Float[np.ndarray, " J"]:
        """Quantiles (j − ½)/J of |w| for w ~ N(0, std²/d I_d)."""
        from scipy.stats import chi

        return std / self.dimension**0.5 * chi.ppf((np.arange(count) + 0.5) / count, self.dimension)

    def direction_mean(self, q: Any) -> np.ndarray:
        """H(q) = E σ(q u_1) over directions u, shaped like q; the trapezoid rule in the angle, of weight sin^{d−2}."""
        q = np.asarray(q, np.float64)
        angle = np.linspace(0, np.pi, _ANGLES)
        weight = np.sin(angle) ** (self.dimension - 2)
        weight[[0, -1]] /= 2
        mean = [self.activation(value * np.cos(angle)) @ weight for value in q.ravel()]
        return np.asarray(np.reshape(mean, q.shape) / weight.sum())

    def path(self, radii: Any, times: Any) -> RadialPath:
        """Radii and risk at ascending times from 0 on, from radii `[J]` at the start.

        Cost: 40 J evaluations of a cubic a step. Errors: ValueError for radii that are not positive, times out of
        order, and radii that grow by more than a factor of eight.
        """
        from scipy.integrate import solve_ivp

        radii, times = np.asarray(radii, np.float64), np.atleast_1d(np.asarray(times, np.float64))
        if radii.ndim != 1 or not np.isfinite(radii).all() or (radii <= 0).any():
            raise ValueError("radii: wanted positive finite numbers [J]")
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] <= 0:
            raise ValueError(f"times: wanted ascending times from 0 on, the last above 0, got {times!r}")
        farthest = _FARTHEST * radii.max()
        table = self._table(farthest)
        done = solve_ivp(
            lambda _, r: self._velocity(np.minimum(r, farthest), table),
            (0.0, times[-1]),
            radii,
            "RK45",
            times,
            rtol=_TOLERANCE,
            atol=_TOLERANCE,
        )
        seen = done.y.T
        if seen.max() >= farthest:
            raise ValueError(
                f"TwoGaussians: radii grew beyond {farthest:.3g}, {_FARTHEST:g} times the largest; "
                "start with larger ones"
            )
        return RadialPath(times, seen, np.array([self._risk(r, table) for r in seen]))

    def risk(self, radii: Any) -> float:
        """R = ½ E (f − y)² for radii `[J]` of equal weight and uniform directions."""
        radii = np.asarray(radii, np.float64)
        return self._risk(radii, self._table(radii.max()))

    @cached_property
    def _norms(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """Nodes of |x|, their weights and labels, of both classes: |x|²/(2 scale²) has a Gamma distribution."""
        from scipy.special import roots_genlaguerre

        nodes, weights = roots_genlaguerre(_NORMS, self.dimension / 2 - 1)
        norms, weights = np.sqrt(2 * nodes), weights / weights.sum() / 2
        scales = (1 + self.delta, 1 - self.delta)
        labels = np.repeat([1.0, -1.0], len(norms))
        return np.concatenate([s * norms for s in scales]), np.tile(weights, 2), labels

    def _table(self, radius: float) -> Any:
        """H as a spline up to `radius` times the largest norm."""
        from scipy.interpolate import CubicSpline

        q = np.linspace(0, radius * self._norms[0].max(), _POINTS)
        return CubicSpline(q, self.direction_mean(q))

    def _outputs(self, radii: np.ndarray, table: Any) -> np.ndarray:
        return table(radii[:, None] * self._norms[0]).mean(axis=0)

    def _risk(self, radii: np.ndarray, table: Any) -> float:
        _, weights, labels = self._norms
        return float(weights @ (self._outputs(radii, table) - labels) ** 2 / 2)

    def _velocity(self, radii: np.ndarray, table: Any) -> np.ndarray:
        norms, weights, labels = self._norms
        pull = weights * (labels - self._outputs(radii, table)) * norms
        return table(radii[:, None] * norms, 1) @ pull
