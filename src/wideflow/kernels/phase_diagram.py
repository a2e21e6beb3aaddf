"""Order and chaos: what happens to signals and kernels in infinitely deep, infinitely wide networks."""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from ..nn import Activation, Dense, KernelMap, Residual, Serial
from .depths import Depths, depths
from .fixed_point import LARGEST, ROUNDING, SCAN, SMALL, correlation_limit, falling_root, variance_limit, weighted
from .moments import cross_moments, in_float64, own_moments
from .phase import Numbers, Phase, phase_names


class Critical(NamedTuple):
    """Points of the critical line, in order of the variance: arrays of q*, w and b."""

    q: Numbers
    w: Numbers
    b: Numbers


@dataclass(frozen=True)
class PhaseDiagram:
    """Signal propagation through repeated layers z' = w/√N W φ(z) + b B, or z + that in `residual` networks.

    q' = w² E φ² + b²; c' = (w² E φφ' + b²)/q; χ₁ = w² E φ̇² (residual: q, c q and 1 are added): gradients and
    distances of nearby inputs shrink where χ₁ < 1 (ordered), grow where χ₁ > 1 (chaotic), and neither where it is 1.
    w, b are standard deviations σ_w, σ_b as in `nn.Dense`; arrays broadcast. Everything is float64 NumPy.

    Two things have no such diagram: a jump at zero (χ₁ is infinite at every w) and a `KernelMap`; ValueError and
    TypeError. Moments of nonlinearities without a closed form have the accuracy of `duals.quadrature`.
    Source: Poole et al. 2016; Schoenholz et al. 2017; Yang & Schoenholz 2017 (residual); Hayou et al. 2019 (NTK).

    ```python
    diagram = PhaseDiagram(nn.Tanh())
    diagram.at(w=1.5, b=0.1).name  # "chaotic"
    diagram.critical_line(np.linspace(0.01, 2, 50))  # q*, w and b on the edge of chaos
    ```
    """

    activation: Activation
    residual: bool = False

    def __post_init__(self):
        if isinstance(self.activation, KernelMap):
            raise TypeError(f"PhaseDiagram: {self.activation!r} maps kernels and has no function of one unit")
        high, low = in_float64(self.activation.phi, np.array([SMALL, -SMALL]))
        if abs(high - low) > 1e-12:
            raise ValueError(
                f"PhaseDiagram: {self.activation!r} jumps at zero, so that nearby inputs part at an infinite rate: "
                "χ₁ is infinite whatever w and b are, and there is one phase, the chaotic one"
            )

    @property
    def _skip(self) -> float:
        return float(self.residual)

    def at(self, w: Any, b: Any, q: float = 1.0) -> Phase:
        """The phase at each (w, b), for inputs whose preactivations have variance `q` in the first layer.

        At a line of fixed points (ReLU at w² = 2, b = 0) the variance stays `q`. Where q* is 0 or inf, `chi`, `slope`
        and the correlation are those of the limit (of variances 1e-30 and 1e10); NaN where moments overflow there.
        ValueError for w or b that are negative or not finite, or q outside of 1e-10 … 1e10.
        """
        w, b = np.broadcast_arrays(np.asarray(w, float), np.asarray(b, float))
        if not (np.isfinite(w).all() and np.isfinite(b).all() and (w >= 0).all() and (b >= 0).all()):
            raise ValueError("PhaseDiagram.at: w and b are standard deviations, they must be finite and not negative")
        if not SCAN[0] <= q <= LARGEST:
            raise ValueError(f"PhaseDiagram.at: the first variance q must lie between 1e-10 and 1e10, got {q:g}")
        w2, b2 = w.ravel() ** 2, b.ravel() ** 2
        limit, attracting = variance_limit(self.activation, self._skip, w2, b2, q)
        own = own_moments(self.activation, np.clip(limit, SMALL, LARGEST))
        chi, slope = self._skip + weighted(w2, own.kdot), self._skip + weighted(w2, own.slope)
        delta, chi_c = correlation_limit(self.activation, self._skip, w2, b2, limit)
        arrays = (limit, chi, slope, 1 - delta, chi_c, attracting, phase_names(limit, chi))
        return Phase(*(v.reshape(w.shape) for v in arrays))

    def describe(self, w: float, b: float, q: float = 1.0) -> str:
        """The phase at one (w, b) in a sentence."""
        at = self.at(w, b, q)
        where = f"w = {w:g}, b = {b:g}: {at.name}"
        many = f"; the variance has {at.attracting} limits, this is the one from {q:g}" if at.attracting > 1 else ""
        if np.isinf(at.q):
            return f"{where}: the variance grows without bound, χ₁ → {at.chi:.6g}{many}"
        return f"{where}: q* = {at.q:.6g}, χ₁ = {at.chi:.6g}, c* = {at.c:.6g}, ξ_c = {at.xi_c:.4g}{many}"

    def correlation(self, c: Any, w: float, b: float, q: float | None = None) -> Numbers:
        """The correlation c' that leaves a layer, for correlations `c` and variance `q` (None: q*)."""
        variance = float(np.clip(self.at(w, b).q if q is None else q, SMALL, LARGEST))
        k, _ = cross_moments(self.activation, variance, 1 - np.asarray(c, float))
        new = self._skip * variance + w**2 * own_moments(self.activation, np.array([variance])).k[0] + b**2
        return (self._skip * variance * np.asarray(c) + w**2 * k + b**2) / new

    def critical_line(self, q: Any) -> Critical:
        """The points with χ₁ = 1 whose stable fixed point is q* = `q`: w² = 1/E φ̇², b² = q − w² E φ².

        In closed form where the moments are: erf w² = (π/4)√(1 + 4q); ReLU w² = 2, b = 0; leaky ReLU
        w² = 2/(1 + slope²), b = 0. Variances that would need b² < 0, and those that the network leaves
        (|dq'/dq| > 1), are left out. ValueError where none is left, and for residual networks, which have
        χ₁ = 1 + w² E φ̇² > 1 and no edge.
        """
        q = np.atleast_1d(np.asarray(q, float))
        self._refuse_residual()
        line = self._line(q)
        if not line.q.size:
            raise ValueError(
                f"PhaseDiagram.critical_line: {self.activation!r} has no critical point with q* in "
                f"[{q.min():g}, {q.max():g}]: b² would be negative, or the variance leaves q*; try other variances"
            )
        return line

    def _line(self, q: np.ndarray) -> Critical:
        """The critical points among these variances; none in a residual network."""
        if self.residual:
            return Critical(*np.zeros((3, 0)))
        w2, b2 = self._critical(q)
        exists = np.isfinite(w2) & (b2 >= 0)
        return Critical(q[exists], np.sqrt(w2[exists]), np.sqrt(b2[exists]))

    def critical_at(self, b: float) -> Critical:
        """All critical points with this `b`, in order of q*; q* = 0 stands for the limit of small variances.

        Where every q* will do (ReLU at b = 0) that is one point. ValueError where there is none.
        """
        self._refuse_residual()
        w2, b2 = self._critical(SCAN)
        if b == 0 and self._starts_at_zero(w2):
            return Critical(np.zeros(1), np.sqrt(w2[:1]), np.zeros(1))
        excess = b2 - b**2
        (places,) = np.nonzero(np.isfinite(w2[:-1] + w2[1:]) & ((excess[:-1] <= 0) != (excess[1:] <= 0)))
        if not places.size:
            raise ValueError(
                f"PhaseDiagram.critical_at(b={b:g}): {self.activation!r} has no critical point with this b: "
                "b² = q − E φ²/E φ̇² has this value at no variance q that the network stays at"
            )
        q = np.array([self._crossing(b, SCAN[i], SCAN[i + 1]) for i in places])
        return Critical(q, np.sqrt(self._critical(q)[0]), np.full(len(q), float(b)))

    def _starts_at_zero(self, w2: np.ndarray) -> bool:
        """Whether small variances are critical with b = 0 at the first of `w2` over the scan, and do not grow there."""
        small = SCAN[:192]
        growth = w2[0] * own_moments(self.activation, small).k / small - 1
        return bool(abs(growth[0]) <= 1e-6 and abs(w2[1] / w2[0] - 1) <= 1e-6 and growth[-1] <= 1e-12)

    def _crossing(self, b: float, low: float, high: float) -> float:
        """q* between two variances around it."""
        rises = self._critical(np.array([low]))[1][0] <= b**2
        side = -1.0 if rises else 1.0

        def excess(q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
            return side * (self._critical(q)[1] - b**2), np.full_like(q, np.nan)  # bisection

        return float(falling_root(excess, np.array([low]), np.array([high]))[0])

    def _refuse_residual(self) -> None:
        if self.residual:
            raise ValueError(
                "PhaseDiagram: a residual network has χ₁ = 1 + w² E φ̇² > 1 at every w > 0; it has no critical line"
            )

    def _critical(self, q: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """w² and b² that make q a fixed point with χ₁ = 1, w² NaN where it is not a stable one.

        b² is rounded to 0 where it is that but for rounding.
        """
        own = own_moments(self.activation, q)
        with np.errstate(divide="ignore", invalid="ignore"):
            w2 = 1 / own.kdot
            b2 = q - w2 * own.k
            stays = np.abs(w2 * own.slope) <= 1 + 10 * ROUNDING
        return np.where(stays, w2, np.nan), np.where(np.abs(b2) <= 1e-14 * q, 0, b2)

    def critical_ratio(self, q: float = 1.0) -> float:
        """Θ₁₂/Θ₁₁ of any two inputs at infinite depth on the critical line, at the point with q* = `q`.

        With 1 − c' = δ − a δ^(1+s) near c = 1: δ ~ (a s l)^(−1/s), Θ₁₁ ~ l q*, Θ₁₂/Θ₁₁ → s/(2s + 1). Smooth
        nonlinearities have s = 1 and 1/3, those with a kink s = 1/2 and 1/4. ValueError for a linear one (a = 0).
        """
        at, delta = self.critical_line(q), np.array([1e-4, 1e-3])
        w2, b2 = at.w**2, at.b**2
        k, _ = cross_moments(self.activation, q, delta)
        fall = delta - 1 + (w2 * k + b2) / q
        if np.any(fall <= 1e-13):
            raise ValueError(f"PhaseDiagram.critical_ratio: {self.activation!r} is linear at q* = {q:g}, it keeps c")
        s = float(np.round(2 * (np.log10(fall[1] / fall[0]) - 1)) / 2)
        return s / (2 * s + 1)

    def depths(self, w: float, b: float, depth: int, q: float = 1.0, c: float = 0.5) -> Depths:
        """Two inputs of variance `q` and correlation `c`, with Θ = K at first, through `depth` layers."""
        branch = (self.activation, Dense(1, float(w), float(b)))
        return depths(Residual(*branch) if self.residual else Serial(*branch), depth, q, c)

    def table(self, w2: Any, b2: Any, maps: Any = ((1.0, 0.1), (1.5, 0.1), (3.0, 0.1))) -> dict[str, Any]:
        """What `report.phase_figure` draws: χ₁ over the plane of (w², b²), the critical line, correlation maps.

        `w2`, `b2`: the values along the axes. `maps`: pairs (w², b²) whose maps c → c' are drawn.
        """
        w2, b2 = np.asarray(w2, float), np.asarray(b2, float)
        at = self.at(np.sqrt(w2)[None], np.sqrt(b2)[:, None])
        c = np.linspace(0, 1, 101)
        curves = [self.correlation(c, np.sqrt(w), np.sqrt(b)) for w, b in maps]
        line = self._line(SCAN)
        return {
            "title": repr(self.activation) + (", residual" if self.residual else ""),
            "w2": w2,
            "b2": b2,
            "chi": at.chi,
            "xi_c": at.xi_c,
            "bounded": np.isfinite(at.q),
            "line": {"w2": line.w**2, "b2": line.b**2},
            "c": c,
            "maps": [{"w2": w, "b2": b, "c": curve} for (w, b), curve in zip(maps, curves, strict=True)],
        }


def condition_number(ratio: float, points: int) -> float:
    """λ_max/λ_min of a kernel of `points` inputs with ones on the diagonal and `ratio` elsewhere.

    (1 + (D − 1) r)/(1 − r): the deep critical NTK has (D + 2)/2 for smooth nonlinearities, (D + 3)/3 for kinked ones.
    """
    return (1 + (points - 1) * ratio) / (1 - ratio)
