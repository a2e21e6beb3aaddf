"""How one kernel matrix moved along training, and what it became."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from .kernel_comparison import effective_rank, kernel_distance, kernel_velocity, target_alignment
from .relative_change import relative_change


@dataclass(frozen=True)
class KernelMovement:
    """Numbers of a kernel matrix on the training points at some steps, T of them, the first before training.

    `steps [T]`. `changes [T]`: ‖K_t − K_0‖_F/‖K_0‖_F. `distances [T]`: S(K_0, K_t), `kernel_distance`; quadratic in a
    small change, and blind to a factor. `velocities [T − 1]`: distance of successive kernels by steps. `alignments
    [T]`: with the targets, `target_alignment`, NaN where all targets are zero. `ranks [T]`: `effective_rank`.
    `eigenvalues [2, D]`: before and after, descending.
    """

    steps: Int[np.ndarray, " T"]
    changes: Float[np.ndarray, " T"]
    distances: Float[np.ndarray, " T"]
    velocities: Float[np.ndarray, " intervals"]
    alignments: Float[np.ndarray, " T"]
    ranks: Float[np.ndarray, " T"]
    eigenvalues: Float[np.ndarray, "2 D"]

    @classmethod
    def of(cls, kernels: Sequence[Any], steps: Any, targets: Float[np.ndarray, "D *out"]) -> "KernelMovement":
        """From the matrices `[D, D]` after these steps, at least two.

        Errors: ValueError for matrices that are not finite, zero, or of different shapes.
        """
        matrices = [np.asarray(kernel, np.float64) for kernel in kernels]
        aligned = targets.any()
        return cls(
            np.asarray(steps, dtype=int),
            np.array([relative_change(one, matrices[0]) for one in matrices]),
            np.array([kernel_distance(matrices[0], one) for one in matrices]),
            kernel_velocity(matrices, steps),
            np.array([target_alignment(one, _rows(targets)) if aligned else np.nan for one in matrices]),
            np.array([effective_rank(one) for one in matrices]),
            np.stack([np.linalg.eigvalsh(one)[::-1] for one in (matrices[0], matrices[-1])]),
        )

    @property
    def change(self) -> float:
        """‖K_T − K_0‖_F/‖K_0‖_F."""
        return float(self.changes[-1])

    @property
    def distance(self) -> float:
        """S(K_0, K_T)."""
        return float(self.distances[-1])

    @property
    def alignment(self) -> tuple[float, float]:
        """With the targets, before and after."""
        return float(self.alignments[0]), float(self.alignments[-1])

    @property
    def rank(self) -> tuple[float, float]:
        """The effective rank before and after."""
        return float(self.ranks[0]), float(self.ranks[-1])


def _rows(targets: Float[np.ndarray, "D *out"]) -> Float[np.ndarray, "D o"]:
    return targets.reshape(len(targets), -1)
