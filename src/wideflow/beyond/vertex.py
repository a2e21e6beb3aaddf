"""The kernel of a network of finite width as a random matrix: its mean and covariance to first order in 1/width."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..nn import Layer
from .kernel_moments import kernel_moments
from .perceptron import Perceptron, checked_vectors

_PLACES = {1: np.array([[0]]), 2: np.array([[0, 1], [1, 2]])}  # of K_ab among the entries K_11, K_12, K_22


@dataclass(frozen=True)
class PreactivationMoments:
    """Moments of the preactivations z_i(x_a) of one layer to first order in 1/width, for the m ≤ 2 inputs x_a.

        E[z_i,a z_j,b] = δ_ij (K_ab + K¹_ab),   K = `nngp [m, m]`, K¹ = `correction [m, m]`,
        E[z_i,a z_j,b z_k,c z_l,d]_connected = δ_ij δ_kl U_ab,cd + δ_ik δ_jl U_ac,bd + δ_il δ_jk U_ad,bc.

    U = `kernel_cov [m, m, m, m]` is the covariance of the random kernel K̂ = b² + w²/n Σ_i φ(z_i)φ(z_i) of the layer
    below; n U is the four-point vertex V. Widths are those of the network: nothing is left to divide by.
    """

    nngp: Float[np.ndarray, "m m"]
    correction: Float[np.ndarray, "m m"]
    kernel_cov: Float[np.ndarray, "m m m m"]

    @property
    def excess_kurtosis(self) -> Float[np.ndarray, " m"]:
        """E[z⁴]/E[z²]² − 3 = 3 U_aa,aa / K_aa²: by how much one preactivation is not Gaussian."""
        own = np.arange(len(self.nngp))
        return 3 * self.kernel_cov[own, own, own, own] / np.diag(self.nngp) ** 2


def preactivation_moments(net: Layer, x: Any) -> tuple[PreactivationMoments, ...]:
    """Mean and covariance of the kernels of a finite network at initialisation, layer by layer, to first order in 1/n.

    Given the random kernel K̂^ℓ, preactivations are exactly Gaussian; K̂^{ℓ+1} has mean b² + w² F(K̂^ℓ), F = E[φφ], and
    covariance w⁴ C(K̂^ℓ)/n_ℓ, C = Cov[φφ]. To first order around the infinite network,

        U^{ℓ+1}  = w⁴ (C/n_ℓ + J U^ℓ Jᵀ),       J = ∂F/∂K at K^ℓ,
        K¹^{ℓ+1} = w² (J K¹^ℓ + ½ ∂²F/∂K² : U^ℓ),

    from U¹ = K¹¹ = 0. `net`: Dense, nonlinearity, …, Dense, any widths, weights and biases. `x [1, d]` or `[2, d]`.
    Returns one element for each Dense layer, the output last. The error is of second order, (depth/width)².
    Errors: ValueError for other networks, more inputs, zero inputs without biases, and for two inputs with nearly equal
    or opposite directions. Cost: a two-dimensional quadrature (9,000 nodes) a layer. Float64.
    Derivation: docs/beyond/finite_width.md. Source: Yaida 2020; Roberts, Yaida & Hanin 2022, chapter 4.

    ```python
    net = nn.Serial(nn.Dense(64, w=1.5), nn.Tanh(), nn.Dense(64, w=1.5), nn.Tanh(), nn.Dense(1))
    preactivation_moments(net, x[:2])[-1].correction
    ```
    """
    perceptron = Perceptron.of(net, "preactivation_moments")
    x = checked_vectors(x, "preactivation_moments")
    if len(x) > 2:
        raise ValueError(f"preactivation_moments: wanted one or two inputs, got {len(x)}; nngp_correction takes any")
    first = perceptron.dense[0]
    inner = x @ x.T / x.shape[1]
    K = _bias(first) + float(first.w) ** 2 * inner[np.triu_indices(len(x))]
    mean, U = np.zeros_like(K), np.zeros((len(K), len(K)))
    layers = [_arranged(K, mean, U)]
    for width, activation, dense in zip(perceptron.widths, perceptron.activations, perceptron.dense[1:], strict=True):
        moments, w2 = kernel_moments(activation, K), float(dense.w) ** 2
        mean = w2 * (moments.jacobian @ mean + np.einsum("pqr,qr->p", moments.hessian, U) / 2)
        U = w2**2 * (moments.covariance / width + moments.jacobian @ U @ moments.jacobian.T)
        K = _bias(dense) + w2 * moments.value
        layers.append(_arranged(K, mean, U))
    return tuple(layers)


@dataclass(frozen=True)
class NngpCorrection:
    """Kernel of the outputs of finite networks: `nngp [n, n]` at infinite width, `correction [n, n]` of its mean at the
    network's widths, and `std [n, n]` of its fluctuation from network to network; all to first order in 1/width.
    """

    nngp: Float[np.ndarray, "n n"]
    correction: Float[np.ndarray, "n n"]
    std: Float[np.ndarray, "n n"]

    @property
    def corrected(self) -> Float[np.ndarray, "n n"]:
        """K + K¹, the covariance of the outputs over finite networks."""
        return self.nngp + self.correction


def nngp_correction(net: Layer, x: Any) -> NngpCorrection:
    """The NNGP kernel of any number of inputs with its first correction in 1/width, pair by pair.

    As `preactivation_moments`, for its last layer; `x [n, d]`. Cost: n (n − 1)/2 times its. Errors: as there.
    """
    x = checked_vectors(x, "nngp_correction")
    n = len(x)
    nngp, correction, variance = np.zeros((3, n, n))
    pairs = [[0]] if n == 1 else [[a, b] for a in range(n) for b in range(a + 1, n)]
    for pair in pairs:
        last = preactivation_moments(net, x[pair])[-1]
        block = np.ix_(pair, pair)
        nngp[block], correction[block] = last.nngp, last.correction
        variance[block] = np.einsum("abab->ab", last.kernel_cov)
    return NngpCorrection(nngp, correction, np.sqrt(variance))


def _bias(dense: Any) -> float:
    return 0.0 if dense.b is None else float(dense.b) ** 2


def _arranged(K: np.ndarray, mean: np.ndarray, U: np.ndarray) -> PreactivationMoments:
    """Entries K_11, K_12, K_22 and their covariance as arrays with one axis for each input."""
    place = _PLACES[1 if len(K) == 1 else 2]
    return PreactivationMoments(K[place], mean[place], U[place[:, :, None, None], place])
