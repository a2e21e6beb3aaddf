"""Gradient descent of two scalars: a linear network with one hidden layer on one example."""

from dataclasses import dataclass
from math import isfinite
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float
from numpy.typing import ArrayLike

Phase = Literal["lazy", "catapult", "divergent"]
LAZY_BOUNDARY = 2.0  # c = ηλ₀ at which the loss stops falling monotonically
UPPER_BOUNDARY = 4.0  # … and at which training diverges

_SETTLED = 1e-8  # what a may still lose, when the geometric series of its losses is summed
_MOST_STEPS = 200_000
_INFINITESIMAL = 1e-6  # |b_0| that stands for infinite width: the curvature moves by b², below rounding


class FixedPoint(NamedTuple):
    """A point (f, λ) to which the map returns after `period` steps, and the moduli of its multipliers.

    Multipliers are the eigenvalues of the Jacobian of `period` steps, the larger modulus first. On the line f = 0
    the second one, along the line, is 1.
    """

    f: float
    lam: float
    period: int
    multipliers: tuple[float, float]

    @property
    def is_stable(self) -> bool:
        """Whether nearby points do not leave: no multiplier is above 1 in modulus."""
        return self.multipliers[0] <= 1


@dataclass(frozen=True)
class TwoScalarRun:
    """Outputs `f [T + 1]` and curvatures `lam [T + 1]` before training and after every step, at the rate `lr`.

    What overflowed is infinite.
    """

    f: Float[np.ndarray, " T1"]
    lam: Float[np.ndarray, " T1"]
    lr: float

    @property
    def loss(self) -> Float[np.ndarray, " T1"]:
        """f²/2; infinite where it overflows."""
        with np.errstate(over="ignore"):
            return self.f**2 / 2

    @property
    def diverged(self) -> bool:
        """Whether anything overflowed."""
        return not bool(np.isfinite(self.loss).all())

    @property
    def peak_step(self) -> int:
        """The step after which |f| is largest."""
        return int(np.argmax(np.abs(self.f)))


@dataclass(frozen=True)
class TwoScalarModel:
    """f = v·u/√n on one example with input 1 and target 0, under L = f²/2: the smallest model of the catapult.

    The output and the NTK λ = (|u|² + |v|²)/n obey, exactly and at any width,

        f' = (1 − ηλ + η²f²/n) f,    λ' = λ + (ηf²/n)(ηλ − 4).

    With a = ηλ and b = ηf/√n they are a' = a + b²(a − 4), b' = (1 − a + b²) b, without n or η; in p± = a ± 2b =
    η|u ± v|²/n they are p±' = (1 ∓ b)² p±, so that the constraint λ ≥ 2|f|/√n is kept. Hence the phases of c = ηλ_0
    are exact at any width, up to starts of measure zero:

    - c < 2, lazy: the loss falls in every step. c < 4: λ falls in every step (a' − a = b²(a − 4) < 0) and tends to a
      limit with ηλ ≤ 2, so that f → 0. Between them, catapult: where ηf²/n < λ_0 − 2/η the loss first rises.
    - c > 4, divergent: λ rises in every step. c = 4: λ stays, and b' = b³ − 3b moves in [−2, 2] for ever.

    `width`: n, any positive number. `f0`, `lam0`: output and curvature at the start. Rates are given as c = ηλ_0.
    Errors: ValueError where λ_0 < 2|f_0|/√n, which no u, v have, and for a c that is not positive.
    Source: Lewkowycz et al. 2020, section 2.

    ```python
    model = TwoScalarModel(width=1e6)
    run = model.run(c=3.0, steps=100)
    run.peak_step, model.peak_time(3.0)  # 10, 9.9
    ```
    """

    width: float
    f0: float = 1.0
    lam0: float = 2.0

    def __post_init__(self):
        if not 0 < self.width < np.inf or not np.isfinite(self.f0) or not 0 < self.lam0 < np.inf:
            raise ValueError(f"{self!r}: wanted a positive width and curvature and a finite output")
        least = 2 * abs(self.f0) / self.width**0.5
        if self.lam0 < least:
            raise ValueError(
                f"{self!r}: no weights have λ_0 < 2|f_0|/√n = {least:.4g}, because |u|² + |v|² ≥ 2|u·v|; "
                "take a wider network, a larger curvature or a smaller output"
            )

    def learning_rate(self, c: float) -> float:
        """η = c/λ_0."""
        if not 0 < c < np.inf:
            raise ValueError(f"TwoScalarModel: c = ηλ_0 must be positive and finite, got {c}")
        return c / self.lam0

    def phase(self, c: float) -> Phase:
        """The phase of c: lazy up to 2, catapult up to 4, divergent beyond."""
        self.learning_rate(c)
        return "lazy" if c <= LAZY_BOUNDARY else "catapult" if c < UPPER_BOUNDARY else "divergent"

    def step(self, f: float, lam: float, lr: float) -> tuple[float, float]:
        """(f', λ') after one step of rate `lr`."""
        share = lr * f**2 / self.width
        return (1 - lr * lam + lr * share) * f, lam + share * (lr * lam - 4)

    def run(self, c: float, steps: int) -> TwoScalarRun:
        """Train for `steps` steps at η = c/λ_0."""
        lr = self.learning_rate(c)
        f, lam = np.full(steps + 1, np.inf), np.full(steps + 1, np.inf)
        f[0], lam[0] = self.f0, self.lam0
        a, b, unit = lr * self.lam0, lr * self.f0 / self.width**0.5, self.width**0.5 / lr
        for t in range(steps):
            a, b = a + b * b * (a - 4), (1 - a + b * b) * b
            if not (isfinite(a) and isfinite(b)):
                break
            f[t + 1], lam[t + 1] = b * unit, a / lr
        return TwoScalarRun(f, lam, lr)

    def peak_time(self, c: float) -> float:
        """When |f| peaks in the catapult phase: ln(√2 (c − 2) √n/(η|f_0|))/ln(c − 1) = ½ ln n/ln(c − 1) + O(1).

        |f| grows by c − 1 a step while λ has not moved. The constant is that of c → 2, where the map is a flow with
        b = ε/√2 sech(ε(t − t*)), ε = c − 2; for other c in wide networks the peak is within two
        steps of it. Errors: ValueError outside 2 < c < 4, where there is none.
        """
        if self.phase(c) != "catapult":
            raise ValueError(f"TwoScalarModel.peak_time: |f| peaks for 2 < c < 4, got c = {c}")
        start = self.learning_rate(c) * abs(self.f0) / self.width**0.5
        return float(max(0.0, np.log(2**0.5 * (c - 2) / start) / np.log(c - 1))) if start > 0 else np.inf

    def final_curvature(self, c: float) -> float:
        """λ at the end of training, infinity where it diverges; ηλ ≤ 2.

        Found by iteration until nothing moves: about ln(n)/ln(c − 1) steps and as many again.
        """
        if self.phase(c) == "divergent":
            return np.inf if self.f0 else self.lam0
        lr = self.learning_rate(c)
        a, b = np.array([lr * self.lam0]), np.array([lr * self.f0 / self.width**0.5])
        return float(_settled(a, b)[0]) / lr

    def fixed_points(self, c: float) -> tuple[FixedPoint, ...]:
        """The line f = 0 at λ_0; (f, 4/η) with η²f²/n = 4, fixed; the same with 2, where f changes its sign.

        The line is stable for ηλ ≤ 2. The others are not: multipliers 9 and 5, and 9 and 9 over the two steps of the
        cycle. Both lie on λ = 4/η, which the map keeps and where b' = 2 T_3(b/2), a Chebyshev polynomial, has cycles
        of every period, none stable.
        """
        lr = self.learning_rate(c)
        unit = self.width**0.5 / lr
        slope = abs(1 - c)
        line = FixedPoint(0.0, self.lam0, 1, (max(slope, 1.0), min(slope, 1.0)))
        fixed = FixedPoint(2 * unit, 4 / lr, 1, (9.0, 5.0))
        return line, fixed, FixedPoint(2**0.5 * unit, 4 / lr, 2, (9.0, 9.0))


def scaled_step(a: ArrayLike, b: ArrayLike) -> tuple[Any, Any]:
    """The map in a = ηλ and b = ηf/√n: (a + b²(a − 4), (1 − a + b²) b), numbers or arrays. For phase portraits.

    Points that weights can have fulfil a ≥ 2|b|. (a, b) and (a, −b) move alike.
    """
    a, b = np.asarray(a, np.float64), np.asarray(b, np.float64)
    return a + b**2 * (a - 4), (1 - a + b**2) * b


def limiting_final_curvature(c: float, periods: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """ηλ at the end of training at infinite width, for 2 < c < 4; it depends on where in its growth |f| is.

    While λ has not moved |f| grows by c − 1 a step, so that the end depends on |f_0|/√n only through the fractional
    part of `periods [k]` = ln(√n/(η|f_0|))/ln(c − 1): it is periodic in the logarithm of the width and has no limit.
    Errors: ValueError outside 2 < c < 4.
    """
    if not LAZY_BOUNDARY < c < UPPER_BOUNDARY:
        raise ValueError(f"limiting_final_curvature: wanted 2 < c < 4, got {c}")
    whole = np.ceil(np.log(1 / _INFINITESIMAL) / np.log(c - 1))
    starts = (c - 1.0) ** -(whole + np.asarray(periods) % 1)
    return _settled(np.full(starts.shape, float(c)), starts)


def _settled(a: Float[np.ndarray, " k"], b: Float[np.ndarray, " k"]) -> Float[np.ndarray, " k"]:
    """a = ηλ when b no longer moves it."""
    left, room = _losses(a, b)
    for _ in range(_MOST_STEPS):
        if not np.any((left > _SETTLED * room) & (b != 0)):
            break
        a, b = a - left, (1 - a + b * b) * b
        left, room = _losses(a, b)
    return a - np.where(b != 0, left / np.where(b != 0, room, 1), 0)


def _losses(a: Float[np.ndarray, " k"], b: Float[np.ndarray, " k"]) -> tuple[np.ndarray, np.ndarray]:
    """What a loses in a step, and 1 − (1 − a)²: b falls by |1 − a| a step, so that a still loses their ratio."""
    return b * b * (4 - a), a * (2 - a)
