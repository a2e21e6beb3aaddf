"""A verdict: one claim of the theory against the trained networks, with its error bar.

Every limit has two parts. Chance: what finitely many networks allow with probability 99.73 % (three standard
deviations) at all snapshots together, each given an equal share of the rest (Bonferroni). Width: the theory is exact at
infinite width and its error falls as 1/width, so a quarter of the error seen at a quarter of the width is allowed,
times 1.5, because higher orders hide part of the first in the narrow networks' error. The second part is measured, yet
it cannot excuse a wrong theory: an error that does not fall with width is nearly three times what is allowed.
"""

from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float

from .statistics import THREE_SIGMA, Agreement
from .theory import Prediction, Theory
from .trained import Trained

HIGHER_ORDERS = 1.5


@dataclass(frozen=True)
class Claim:
    """What is claimed, and what the measurement is compared with."""

    id: str
    title: str
    compared_with: str


@dataclass(frozen=True)
class Verdict:
    """The judgement of a claim. `passed` is None where it could not be tested; `detail` then says why."""

    claim: Claim
    passed: bool | None
    measured: str
    expected: str
    detail: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        """For results.json: the claim's fields beside the judgement's."""
        judgement = asdict(self)
        return judgement.pop("claim") | judgement


@dataclass(frozen=True)
class Ensembles:
    """The ensemble under test and the narrow one its finite-width allowance is measured on."""

    theory: Theory
    wide: Trained
    narrow: Trained

    @property
    def allowed_share(self) -> float:
        """The share of the narrow ensemble's error that the wide one may have."""
        return HIGHER_ORDERS * self.narrow.width / self.wide.width

    @property
    def confidence(self) -> float:
        """With what probability chance keeps within its limit at one snapshot."""
        return 1 - (1 - THREE_SIGMA) / len(self.theory.steps)

    def agreements(self, trained: Trained, prediction: Prediction) -> list[Agreement]:
        """Agreement on the held-out probes, for every snapshot."""
        held_out = self.theory.probes.held_out
        outputs = trained.outputs[:, :, held_out]
        return [
            Agreement.of(outputs[:, k], prediction.mean[k, held_out], prediction.cov[k], self.confidence)
            for k in range(len(self.theory.steps))
        ]


@dataclass(frozen=True)
class Limit:
    """An error at every snapshot beside what chance and the width allow."""

    error: Float[np.ndarray, " T"]
    chance: Float[np.ndarray, " T"]
    width: Float[np.ndarray, " T"]

    @property
    def holds(self) -> bool:
        """Whether no snapshot is beyond its limit."""
        return bool(np.all(self.error <= self.chance + self.width))

    @property
    def worst(self) -> int:
        """The snapshot nearest to its limit, or farthest beyond it."""
        return int(np.argmax(self.error / (self.chance + self.width)))

    def as_dict(self) -> dict[str, Any]:
        """For results.json."""
        return asdict(self)
