"""Moments of products of a nonlinearity over one or two Gaussians, with derivatives in the covariance."""

from dataclasses import dataclass
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float

from ..duals.nodes import normal_rule, radial_rule, sector_rule
from ..nn import Activation

NODES = 48  # in each polar coordinate of a sector: 1e-10 relative for the usual nonlinearities
CLOSEST = 1e-5  # 1 − |correlation|; derivatives weigh with its inverse square, which leaves about five digits here
_BASIS = np.array([[[1, 0], [0, 0]], [[0, 1], [1, 0]], [[0, 0], [0, 1]]], np.float64)  # dK by K_11, K_12, K_22


@dataclass(frozen=True)
class KernelMoments:
    """F_p = E[φφ] of the entries p of the covariance K, its derivatives, and the covariance of the products φφ.

    The k entries are K_11 for one input, and K_11, K_12, K_22 for two. `value [k]`: F. `jacobian [k, k]`: ∂F_p/∂K_q.
    `hessian [k, k, k]`: ∂²F_p/∂K_q∂K_r. `covariance [k, k]`: E[P_p P_q] − F_p F_q of the products P themselves.
    """

    value: Float[np.ndarray, " k"]
    jacobian: Float[np.ndarray, "k k"]
    hessian: Float[np.ndarray, "k k k"]
    covariance: Float[np.ndarray, "k k"]


def kernel_moments(activation: Activation, entries: Float[np.ndarray, " k"]) -> KernelMoments:
    """The moments of a nonlinearity over Gaussians with these entries of the covariance, K_11 or K_11, K_12, K_22.

    By quadrature of φ alone: derivatives fall on the Gaussian density, ∂E[g]/∂K_q = E[g S_q] with the scores
    S_q = ½ tr E_q (y yᵀ − K⁻¹), y = K⁻¹ z, so that kinks and jumps at zero lose nothing.
    Errors: ValueError for a variance that is not positive, and for two inputs with |correlation| above 1 − 1e-5, where
    these derivatives of a nonlinearity with a kink diverge.
    """
    if len(entries) == 1:
        return _one(activation, float(entries[0]))
    first, second = _one(activation, float(entries[0])), _one(activation, float(entries[2]))
    both = _two(activation, entries)
    both.value[[0, 2]] = first.value[0], second.value[0]
    for place, alone in ((0, first), (2, second)):  # E[φ(u)²] depends on the variance of u alone
        both.jacobian[place], both.hessian[place] = 0, 0
        both.jacobian[place, place] = alone.jacobian[0, 0]
        both.hessian[place, place, place] = alone.hessian[0, 0, 0]
    return both


def _one(activation: Activation, q: float) -> KernelMoments:
    if not 0 < q < np.inf:
        raise ValueError(f"{activation!r}: the variance of its input must be positive and finite, got {q}; x = 0?")
    g, weights = normal_rule()
    product = values(activation, np.sqrt(q) * g) ** 2
    first, second = (g**2 - 1) / (2 * q), (g**4 - 6 * g**2 + 3) / (4 * q**2)
    value, variance = weights @ product, weights @ product**2 - (weights @ product) ** 2
    slope, curvature = weights @ (product * first), weights @ (product * second)
    return KernelMoments(np.array([value]), np.array([[slope]]), np.array([[[curvature]]]), np.array([[variance]]))


def _two(activation: Activation, entries: Float[np.ndarray, "3"]) -> KernelMoments:
    K = entries[[0, 1, 1, 2]].reshape(2, 2)
    z, weights = _polar(K, activation)
    s = values(activation, z)
    products = np.stack([s[:, 0] ** 2, s[:, 0] * s[:, 1], s[:, 1] ** 2], axis=1)  # [m, 3]
    G = np.linalg.inv(K)
    y = z @ G
    first = (np.einsum("mi,qij,mj->mq", y, _BASIS, y) - np.einsum("qij,ji->q", _BASIS, G)) / 2
    turned = np.einsum("qij,jk,rkl->qril", _BASIS, G, _BASIS)
    traces = np.einsum("qij,jk,rkl,li->qr", _BASIS, G, _BASIS, G)
    second = first[:, :, None] * first[:, None] - np.einsum("mi,qril,ml->mqr", y, turned, y) + traces / 2
    weighted = weights[:, None] * products
    value = weighted.sum(axis=0)
    covariance = products.T @ weighted - np.outer(value, value)
    return KernelMoments(value, weighted.T @ first, np.einsum("mp,mqr->pqr", weighted, second), covariance)


def _polar(K: Float[np.ndarray, "2 2"], activation: Activation) -> tuple[np.ndarray, np.ndarray]:
    """Points (u, v) and weights of a centred Gaussian pair, in sectors cut where u or v changes sign."""
    scale = np.sqrt(np.diag(K))
    c = float(K[0, 1] / (scale[0] * scale[1]))
    if 1 - abs(c) < CLOSEST:
        raise ValueError(
            f"{activation!r}: the correlation of the two inputs has come to {c:.7g}; the expansion in 1/width is "
            "singular there for nonlinearities with a kink. Give each of these inputs by itself, inputs further apart, "
            "or fewer layers"
        )
    angle = np.arccos(c)
    cuts = np.sort(np.array([-np.pi, 0.0, angle - np.pi, angle]) % (2 * np.pi)) + np.pi / 2
    radii, radial = radial_rule(NODES)
    share, sector = sector_rule(NODES)
    widths = np.diff(cuts, append=cuts[0] + 2 * np.pi)
    angles, angular = (cuts[:, None] + np.outer(widths, share)).ravel(), np.outer(widths, sector).ravel()
    directions = scale * np.stack([np.cos(angles), np.cos(angles - angle)], axis=1)
    z = (radii[:, None, None] * directions).reshape(-1, 2)
    return z, np.outer(radial, angular).ravel() / (2 * np.pi)


def values(activation: Activation, z: np.ndarray) -> Any:
    """φ(z) in float64."""
    with jax.enable_x64(True):
        return np.asarray(activation.phi(jnp.asarray(z)))
