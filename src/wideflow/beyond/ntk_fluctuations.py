"""How much the NTK of a finite ReLU network at initialisation differs from network to network."""

from dataclasses import dataclass
from itertools import accumulate
from math import exp, expm1, prod, sqrt
from operator import mul
from typing import Any

import numpy as np
from jaxtyping import Float

from ..nn import ABRelu, Abs, Identity, Layer, LeakyRelu, Relu
from .perceptron import Perceptron, checked_vectors

RELU = 2.0  # κ of ReLU


@dataclass(frozen=True)
class NtkFluctuations:
    """Exact mean and variance of Θ̂(x, x) over networks without biases, straight on either side of zero, one input.

    With ReLU (κ = 2), widths n_1 … n_L, outputs f = w/√n_L a·φ(z^L) and everything drawn N(0, 1) in NTK
    parameterization, E[Θ̂²]/E[Θ̂]² does not depend on the weights' variances nor on x:

        R = (L + 1)⁻² Σ_{l,m=0}^{L} Π_{j ≤ min(l,m)} a_j · ρ_{l,m} · Π_{j > max(l,m)} a_j,    a_j = 1 + (3κ − 1)/n_j,

    and ρ_{l,m} the second entry of T_{l+1} ⋯ T_m (1, 1), l < m, T_j = [[a_j, 0], [κ/n_j, 1 − 1/n_j]]: the share of the
    two gradients' layers in which one runs forward and one backward. With equal widths and k = m − l,
    ρ = ⅓ (1 + (3κ − 1)/n)^k + ⅔ (1 − 1/n)^k. κ = E[φ'⁴]/E[φ'²]² is 2 for ReLU and 1 for a linear network.

    `widths`: n_1 … n_L. `kappa`: κ, from 1 to 2 for leaky ReLU. Errors: ValueError for widths below 1, none, κ below 1.
    Cost: L² products. Derivation: docs/beyond/finite_width.md. Source of the question: Hanin & Nica 2020, who bound
    E[Θ̂²]/E[Θ̂]² by constants times exp(5β), β = Σ 1/n_j; at small β the law is 1 + (11/3) β.

    >>> NtkFluctuations((64, 64, 64)).relative_std
    0.408...
    """

    widths: tuple[int, ...]
    kappa: float = RELU

    def __post_init__(self):
        if not self.widths or min(self.widths) < 1:
            raise ValueError(f"NtkFluctuations: wanted widths n_1 … n_L of at least 1, got {self.widths}")
        if not self.kappa >= 1:
            raise ValueError(f"NtkFluctuations: kappa = E[φ'⁴]/E[φ'²]² is at least 1, got {self.kappa}")

    @classmethod
    def of(cls, net: Layer) -> "NtkFluctuations":
        """The law of a network with its widths and nonlinearity.

        Errors: ValueError for biases, several nonlinearities, one that is not straight on either side of zero, frozen
        layers, each with what it would change. A readout of several outputs has this law for each of them.
        """
        perceptron = Perceptron.of(net, "NtkFluctuations")
        kinds = {_slopes(activation) for activation in perceptron.activations}
        if len(kinds) > 1:
            raise ValueError(f"NtkFluctuations: wanted one nonlinearity throughout, got {perceptron.activations}")
        for dense in perceptron.dense:
            if dense.b is not None and float(dense.b) != 0:
                raise ValueError(f"NtkFluctuations: wanted no biases, got {dense!r}; with them the law is not known")
            if float(dense.lr_w) != 1:
                raise ValueError(f"NtkFluctuations: wanted all layers trained at one rate, got {dense!r}")
            if float(dense.w) == 0:
                raise ValueError(f"NtkFluctuations: wanted weights, got {dense!r}; the NTK is zero")
        below, above = kinds.pop()
        return cls(perceptron.widths, 2 * (below**4 + above**4) / (below**2 + above**2) ** 2)

    @property
    def beta(self) -> float:
        """β = Σ_j 1/n_j."""
        return float(sum(1 / n for n in self.widths))

    @property
    def second_moment(self) -> float:
        """R = E[Θ̂²]/E[Θ̂]², exact at every width."""
        grown = [1 + (3 * self.kappa - 1) / n for n in self.widths]
        below = list(accumulate(grown, mul, initial=1.0))  # Π_{j ≤ l} a_j
        total = 0.0
        for m in range(len(grown) + 1):
            forward = backward = 1.0
            above = prod(grown[m:])
            total += below[m] * above
            for j in range(m - 1, -1, -1):
                n = self.widths[j]
                forward, backward = grown[j] * forward, self.kappa / n * forward + (1 - 1 / n) * backward
                total += 2 * below[j] * backward * above
        return total / (len(grown) + 1) ** 2

    @property
    def relative_std(self) -> float:
        """√(R − 1), the standard deviation of Θ̂ relative to its mean."""
        return sqrt(self.second_moment - 1)

    @property
    def large_depth(self) -> float:
        """R as L, n → ∞ with β = L/n fixed (equal widths): e^{cβ} (⅓ + (4/(3β²)) (β/s − (1 − e^{−sβ})/s²)).

        c = 3κ − 1 and s = 3κ; for ReLU e^{5β} (⅓ + (6β − 1 + e^{−6β})/(27β²)) = 1 + (11/3) β + …, and e^{5β}/3 where β
        is large.
        """
        b, s = self.beta, 3 * self.kappa
        return exp((s - 1) * b) * (1 / 3 + 4 / (3 * b**2) * (b / s + expm1(-s * b) / s**2))

    def mean(self, net: Layer, x: Any) -> Float[np.ndarray, " n"]:
        """E[Θ̂(x, x)] = (L + 1) (‖x‖²/d) Π_l w_l² E[φ'²]^L: linear in the depth, and the kernel at infinite width."""
        x, perceptron = checked_vectors(x, "NtkFluctuations.mean"), Perceptron.of(net, "NtkFluctuations.mean")
        slopes = [_slopes(activation) for activation in perceptron.activations]
        gain = prod((below**2 + above**2) / 2 for below, above in slopes) * prod(
            float(d.w) ** 2 for d in perceptron.dense
        )
        return len(perceptron.dense) * gain * (x**2).mean(axis=1)

    def variance(self, net: Layer, x: Any) -> Float[np.ndarray, " n"]:
        """Var Θ̂(x, x) = (R − 1) E[Θ̂(x, x)]² over networks, for each input."""
        return (self.second_moment - 1) * self.mean(net, x) ** 2


def _slopes(activation: Layer) -> tuple[float, float]:
    """φ' below and above zero."""
    if isinstance(activation, ABRelu):
        return float(activation.a), float(activation.b)
    if isinstance(activation, LeakyRelu):
        return float(activation.slope), 1.0
    known = {Relu: (0.0, 1.0), Abs: (-1.0, 1.0), Identity: (1.0, 1.0)}
    if type(activation) in known:
        return known[type(activation)]
    raise ValueError(
        f"NtkFluctuations: wanted a nonlinearity that is straight on either side of zero (ReLU family), got "
        f"{activation!r}; for others the exact law is not known. preactivation_moments has the fluctuation of the NNGP "
        "kernel"
    )
