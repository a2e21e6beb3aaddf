"""How a network and its linearization part while they train."""

from dataclasses import dataclass

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..dynamics import Loss


@dataclass(frozen=True)
class DeviationPath:
    """A network beside its linearization on the same points, at some steps, T of them, the first before training.

    `steps [T]`. `losses [T, 2]`: mean losses of the network and of the linearization. `changes [T]`: the root mean
    square of f_t − f_0 over points and outputs. `deviations [T]`: that of f_t − f_lin,t. Infinite where something
    diverged.
    """

    steps: Int[np.ndarray, " T"]
    losses: Float[np.ndarray, "T 2"]
    changes: Float[np.ndarray, " T"]
    deviations: Float[np.ndarray, " T"]

    @classmethod
    def of(
        cls, loss: Loss, steps: list[int], outputs: Float[np.ndarray, "T 2 n *out"], y: np.ndarray
    ) -> "DeviationPath":
        """From the outputs of both, and targets as the loss checked them."""
        return cls(
            np.array(steps),
            np.array([[_mean_loss(loss, one, y) for one in both] for both in outputs]),
            np.array([_root_mean_square(both[0] - outputs[0, 0]) for both in outputs]),
            np.array([_root_mean_square(both[0] - both[1]) for both in outputs]),
        )

    @property
    def change(self) -> float:
        """The largest of `changes`."""
        return float(self.changes.max())

    @property
    def deviation(self) -> float:
        """The largest of `deviations` in units of the largest of `changes`; zero where both are."""
        if self.change == 0 and not self.deviations.any():
            return 0.0
        return float(self.deviations.max()) / self.change if 0 < self.change < np.inf else np.inf


def _mean_loss(loss: Loss, outputs: np.ndarray, y: np.ndarray) -> float:
    """In float64; infinity where it is not finite."""
    with jax.enable_x64(True):
        value = float(loss.mean(jnp.asarray(outputs), jnp.asarray(y)))
    return value if np.isfinite(value) else np.inf


def _root_mean_square(values: np.ndarray) -> float:
    """Over all entries; infinity where one is not finite."""
    with np.errstate(over="ignore", invalid="ignore"):
        rms = np.sqrt(np.mean(values**2))
    return float(rms) if np.isfinite(rms) else np.inf
