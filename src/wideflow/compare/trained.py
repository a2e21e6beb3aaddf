"""The trained networks, and what is measured on them."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float

from ..finite import EnsembleTraining, Snapshots
from .network import network
from .settings import Settings
from .theory import Theory

_KERNEL_NETWORKS = 10


@dataclass(frozen=True)
class Trained:
    """An ensemble of one width: its snapshots on the probes, outputs `[S, T, P]`."""

    width: int
    snapshots: Snapshots

    @property
    def outputs(self) -> Float[np.ndarray, "S T P"]:
        """Outputs of every network at every snapshot and probe."""
        return self.snapshots.outputs[..., 0]

    @property
    def count(self) -> int:
        """How many networks were finished."""
        return len(self.outputs)

    def losses(self, part: slice, y: Float[np.ndarray, " n"]) -> Float[np.ndarray, "S T"]:
        """Each network's loss 1/(2n) Σ (f − y)² on a part of the probes."""
        return np.mean((self.outputs[:, :, part] - y) ** 2, axis=2) / 2

    def kernel_change(self) -> Float[np.ndarray, "R T"]:
        """‖Θ_t − Θ_0‖/‖Θ_0‖ of single networks (Frobenius)."""
        ntk = self.snapshots.ntk
        return _norms(ntk - ntk[:, :1]) / _norms(ntk[:, :1])

    def initial_distance(self, ntk_train: Float[np.ndarray, "D D"]) -> Float[np.ndarray, " R"]:
        """‖Θ_0 − Θ‖/‖Θ‖ of single networks, from the infinite network's kernel."""
        return _norms(self.snapshots.ntk[:, 0] - ntk_train) / np.linalg.norm(ntk_train)


def _norms(kernels: Float[np.ndarray, "*b D D"]) -> Float[np.ndarray, "*b"]:
    return np.linalg.norm(kernels, axis=(-2, -1))


def train(settings: Settings, theory: Theory, width: int, advance: Callable[[int], None]) -> Trained:
    """Train the ensemble of a width on the training points; its seed depends on the width."""
    probes = theory.probes
    training = EnsembleTraining(
        network(settings, width),
        theory.rule,
        theory.steps,
        settings.networks,
        seed=settings.seed * 2 + (width != settings.width),
        kernels=min(_KERNEL_NETWORKS, settings.networks),
    )
    return Trained(width, training.run(probes.x[probes.train], theory.y, probes.x, advance))
