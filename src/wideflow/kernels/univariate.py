"""Kernels that are functions of one variable, the angle between two inputs, as Chebyshev expansions in it."""

from functools import cache, singledispatch
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..duals.angle import angle
from ..duals.root import root
from ..nn import ABRelu, Abs, Cov, Dense, Identity, Layer, LeakyRelu, Relu, Repeat, Residual, Serial
from ..nn.fold import Run

_NODES = 192
_USED = 128  # an expansion that needs more terms than this is not used
# What an expansion may neglect, relative to the value at angle zero.
_TOLERANCE = {np.dtype(np.float32): 5e-8, np.dtype(np.float64): 1e-13}


class Curve(NamedTuple):
    """Both kernels as functions of the angle θ in [0, π].

    `coefficients [2, m]` of T_k(2θ/π − 1), lowest first; the value is multiplied by √(q1 q2) where `scales`.
    """

    coefficients: np.ndarray
    scales: bool

    def kernels(self, q1: np.ndarray, q2: np.ndarray, gap: np.ndarray) -> tuple[Array, Array]:
        """NNGP kernel and NTK `[n1, n2]` from mean squares and 1 − cos of the angles."""
        return _evaluated(self.coefficients, *self._scales(q1, q2), gap)

    def kernels_of_cosines(
        self, q1: np.ndarray, q2: np.ndarray, cosine: np.ndarray, same: int | None
    ) -> tuple[Array, Array]:
        """The same from cosines; `same` as in `angles.gaps`."""
        start = None if same is None else np.int32(same)
        return _of_cosines(self.coefficients, *self._scales(q1, q2), cosine, start)

    def _scales(self, q1: np.ndarray, q2: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        return (q1, q2) if self.scales else (None, None)


def curve_of(net: Layer, q: np.ndarray) -> Curve | None:
    """The curve of `net` for inputs of mean squares `q`, or None where its kernels have more than one variable.

    They have one where the inputs have one norm, and where the network only scales with its input (no biases,
    nonlinearities that are straight on either side of zero).
    """
    size, spread = float(np.max(q)), float(np.ptp(q))
    scales = is_homogeneous(net)
    if size == 0 or not (scales or spread <= 4 * np.finfo(q.dtype).eps * size):
        return None
    theta = np.pi * (1 + np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)) / 2
    *values, equal = _at_angles(net, 1.0 if scales else size, np.append(theta, 0)).T  # last: an input with itself
    coefficients = 2 / _NODES * np.transpose(values) @ _basis().T
    coefficients[:, 0] /= 2
    neglected = np.cumsum(np.abs(coefficients[:, ::-1]), axis=1)[:, ::-1]  # [2, m]: of the terms from m on
    allowed = _TOLERANCE[q.dtype] * np.abs(equal)
    enough = np.all(neglected <= allowed[:, None], axis=0)
    jump = np.abs(coefficients @ (-1.0) ** np.arange(_NODES) - equal)  # dropout parts an input from its neighbours
    if not enough[_USED] or np.any(jump > 10 * allowed):
        return None
    terms = -(-int(np.argmax(enough)) // 8) * 8  # few lengths, few compilations
    return Curve(coefficients[:, :terms].astype(q.dtype), scales)


@cache
def _basis() -> np.ndarray:
    """T_k at the nodes, `[k, node]`."""
    turns = np.outer(np.arange(_NODES), 2 * np.arange(_NODES) + 1) % (4 * _NODES)  # whole turns would cost digits
    return np.cos(np.pi * turns / (2 * _NODES))


@singledispatch
def is_homogeneous(net: Layer) -> bool:
    """Whether scaling the input by s > 0 scales the output by s, whatever the parameters; False where not known."""
    return False


@is_homogeneous.register(Identity)
@is_homogeneous.register(Relu)
@is_homogeneous.register(LeakyRelu)
@is_homogeneous.register(Abs)
@is_homogeneous.register(ABRelu)
def _(net: Layer) -> bool:
    return True


@is_homogeneous.register(Dense)
def _(net: Dense) -> bool:
    return net.b is None


@is_homogeneous.register(Serial)
def _(net: Serial) -> bool:
    return all(map(is_homogeneous, net.layers))


@is_homogeneous.register(Run)
def _(net: Run) -> bool:
    return all(map(is_homogeneous, net.blocks))


@is_homogeneous.register(Residual)
def _(net: Residual) -> bool:
    return is_homogeneous(net.branch)


@is_homogeneous.register(Repeat)
def _(net: Repeat) -> bool:
    return is_homogeneous(net.layer)


def _at_angles(net: Layer, q: float, theta: np.ndarray) -> np.ndarray:
    """Both kernels `[2, m]` in float64 between inputs of mean square `q` at these angles."""
    with jax.enable_x64(True):
        gap = jnp.asarray(2 * np.sin(theta / 2) ** 2)[None]
        q1, q2 = jnp.full(1, q), jnp.full(theta.shape, q)
        k = net.cov(Cov(q1, q2, q * (1 - gap), jnp.zeros_like(gap), gap))
        return np.stack([np.asarray(k.nngp)[0], np.asarray(k.ntk)[0]])


@jax.jit
def _evaluated(coefficients: Array, q1: Array | None, q2: Array | None, gap: Array) -> tuple[Array, Array]:
    """Clenshaw's recurrence for both expansions."""
    s = angle(gap) * (2 / np.pi) - 1
    one, two = (_clenshaw(c, s) for c in coefficients)
    if q1 is None or q2 is None:
        return one, two
    scale = root(q1)[:, None] * root(q2)[None]
    return scale * one, scale * two


@jax.jit
def _of_cosines(
    coefficients: Array, q1: Array | None, q2: Array | None, cosine: Array, start: Any
) -> tuple[Array, Array]:
    gap = jnp.clip(1 - cosine, 0, 2)
    if start is not None:
        row, column = (jax.lax.broadcasted_iota(jnp.int32, gap.shape, axis) for axis in (0, 1))
        gap = jnp.where(column == row + start, 0, gap)
    return _evaluated(coefficients, q1, q2, gap)


def _clenshaw(coefficients: Array, s: Array) -> Array:
    b1 = b2 = jnp.zeros_like(s)
    twice = 2 * s
    for k in range(len(coefficients) - 1, 0, -1):
        b1, b2 = twice * b1 + (coefficients[k] - b2), b1
    return coefficients[0] + s * b1 - b2
