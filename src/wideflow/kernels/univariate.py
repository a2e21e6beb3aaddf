"""Kernels that are functions of one variable, the angle between two inputs, as Chebyshev expansions in it."""

from functools import cache, partial, singledispatch
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..duals.angle import angle
from ..duals.root import root
from ..nn import ABRelu, Abs, Cov, Dense, Identity, Layer, LeakyRelu, Relu, Repeat, Residual, Serial
from ..nn.fold import Run
from .angles import limit_of

_NODES = 192
_USED = 128  # an expansion that needs more terms than this is not used
_CANCELLING = (
    4  # powers of s are used where the sum of their coefficients' sizes is below this times the value at θ = 0
)
# What an expansion may neglect, relative to the value at angle zero.
_TOLERANCE = {np.dtype(np.float32): 5e-8, np.dtype(np.float64): 1e-13}


class Curve(NamedTuple):
    """Both kernels as functions of the angle θ between two inputs, over a range of angles.

    `coefficients [2, m]`, float64, lowest first, of T_k(s), or where `of_cosine` of s^k; s runs from −1 to 1 as θ, or
    cos θ, goes from `low` to `high`. `equal [2]`: the values at θ = 0. All are multiplied by √(q1 q2) where `scales`.
    """

    coefficients: np.ndarray
    low: float
    high: float
    of_cosine: bool
    equal: np.ndarray
    scales: bool

    def kernels(self, q1: np.ndarray, q2: np.ndarray, gap: np.ndarray) -> tuple[Array, Array]:
        """NNGP kernel and NTK `[n1, n2]` from mean squares and 1 − cos of the angles; for a range of angles."""
        return _of_gaps(*self._numbers(gap.dtype), *self._scales(q1, q2), gap)

    def kernels_of_cosines(
        self, q1: np.ndarray, q2: np.ndarray, cosine: Array | np.ndarray, same: int | None
    ) -> tuple[Array, Array]:
        """The same from cosines; `same` as in `angles.gaps`, whatever `cosine` holds for rows with themselves."""
        equal = None if same is None else self.equal.astype(cosine.dtype)
        start = None if same is None else np.int32(same)
        numbers = self._numbers(cosine.dtype)
        return _of_cosines(self.of_cosine, *numbers, equal, start, *self._scales(q1, q2), cosine)

    def within(self, low: float, high: float, dtype: np.dtype) -> "Curve":
        """The cheapest expansion for cosines between `low` and `high`, which lie inside (−1, 1).

        It needs the fewer terms the smaller the range is. The range is widened to multiples of 1/16, so that parts of
        one data set share an expansion, and one compilation.
        """
        low, high = (max(np.floor(16 * low) / 16, -limit_of(dtype)), min(np.ceil(16 * high) / 16, limit_of(dtype)))
        if low == high:
            low, high = low - 1 / 16, high + 1 / 16
        shorter = (self._over(low, high, True, dtype), self._over(np.arccos(high), np.arccos(low), False, dtype))
        return min((self, *filter(None, shorter)), key=lambda curve: curve._passes)

    def _over(self, low: float, high: float, of_cosine: bool, dtype: np.dtype) -> "Curve | None":
        """The same over a part of the range, None where it needs too many terms or powers of s would cancel."""
        at = _nodes(low, high)
        s = _centred(np.arccos(at) if of_cosine else at, self.low, self.high)
        coefficients = _expanded(np.polynomial.chebyshev.chebval(s, self.coefficients.T), self.equal, dtype)
        if coefficients is not None and of_cosine:
            coefficients = _in_powers(coefficients, self.equal, dtype)
        if coefficients is None:
            return None
        return Curve(coefficients, low, high, of_cosine, self.equal, self.scales)

    @property
    def _passes(self) -> int:
        """How many elementwise operations an entry takes, about; the angle is computed for each kernel anew."""
        return self.coefficients.shape[1] if self.of_cosine else 20 + 3 * self.coefficients.shape[1]

    def _numbers(self, dtype: np.dtype) -> tuple[np.ndarray, np.ndarray]:
        """The coefficients, and a, b of s = a v + b for the variable v."""
        width = self.high - self.low
        return self.coefficients.astype(dtype), np.array([2, -self.low - self.high], dtype) / dtype.type(width)

    def _scales(self, q1: np.ndarray, q2: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
        return (q1, q2) if self.scales else (None, None)


def curve_of(net: Layer, q: np.ndarray) -> Curve | None:
    """The curve of `net` for inputs of mean squares `q` over all angles, or None where kernels have more variables.

    They have one where the inputs have one norm, and where the network only scales with its input (no biases,
    nonlinearities that are straight on either side of zero).
    """
    size, spread = float(np.max(q)), float(np.ptp(q))
    scales = is_homogeneous(net)
    if size == 0 or not (scales or spread <= 4 * np.finfo(q.dtype).eps * size):
        return None
    *values, equal = _at_angles(net, 1.0 if scales else size, np.append(_nodes(0, np.pi), 0)).T
    coefficients = _expanded(np.transpose(values), equal, q.dtype)
    if coefficients is None:
        return None
    jump = np.abs(coefficients @ (-1.0) ** np.arange(coefficients.shape[1]) - equal)
    if np.any(jump > 10 * _TOLERANCE[q.dtype] * np.abs(equal)):  # dropout parts an input from its neighbours
        return None
    return Curve(coefficients, 0.0, np.pi, False, equal, scales)


def _nodes(low: float, high: float) -> np.ndarray:
    return low + (high - low) * (1 + np.cos(np.pi * (np.arange(_NODES) + 0.5) / _NODES)) / 2


def _centred(v: Any, low: Any, high: Any) -> Any:
    return (2 * v - low - high) / (high - low)


def _expanded(values: np.ndarray, equal: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """The coefficients `[2, m]` of functions known at the nodes, `[2, node]`; None where too many would be needed.

    What is neglected is below the tolerance of `dtype` relative to `equal`.
    """
    coefficients = 2 / _NODES * values @ _basis().T
    coefficients[:, 0] /= 2
    neglected = np.cumsum(np.abs(coefficients[:, ::-1]), axis=1)[:, ::-1]  # [2, m]: of the terms from m on
    enough = np.all(neglected <= _TOLERANCE[dtype] * np.abs(equal)[:, None], axis=0)
    return coefficients[:, : -(-int(np.argmax(enough)) // 4) * 4] if enough[_USED] else None


def _in_powers(coefficients: np.ndarray, equal: np.ndarray, dtype: np.dtype) -> np.ndarray | None:
    """Coefficients of s^k from those of T_k(s); None where they cancel, here or when they are summed in `dtype`.

    Kernels are analytic in cos θ inside (−1, 1), so that inside the disk of their range powers do not cancel.
    """
    powers = _powers()[: coefficients.shape[1], : coefficients.shape[1]]
    converted, met = coefficients @ powers, np.abs(coefficients) @ np.sum(np.abs(powers), axis=1)
    size = np.sum(np.abs(converted), axis=1)
    rounding = 4 * np.finfo(np.float64).eps * met
    sums = np.all(size <= _CANCELLING * np.abs(equal)) and np.all(rounding <= _TOLERANCE[dtype] * np.abs(equal))
    return converted if sums else None


@cache
def _powers() -> np.ndarray:
    """T_k in powers of s, `[k, power]`."""
    return np.array(
        [np.pad(np.polynomial.chebyshev.cheb2poly([0] * k + [1]), (0, _USED - k)) for k in range(_USED + 1)]
    )


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
        return np.asarray(_at_gaps(net, q, 2 * np.sin(theta[None] / 2) ** 2))


@jax.jit
def _at_gaps(net: Layer, q: Array, gap: Array) -> Array:
    q1, q2 = jnp.full(1, q), jnp.full(gap.shape[1], q)
    k = net.cov(Cov(q1, q2, q * (1 - gap), jnp.zeros_like(gap), gap))
    return jnp.stack([k.nngp[0], k.ntk[0]])


@jax.jit
def _of_gaps(coefficients: Array, line: Array, q1: Array | None, q2: Array | None, gap: Array) -> tuple[Array, Array]:
    return _scaled(_of_angles(coefficients, line, angle(gap)), q1, q2)


@partial(jax.jit, static_argnums=0)
def _of_cosines(
    direct: bool,
    coefficients: Array,
    line: Array,
    equal: Array | None,
    start: Any,
    q1: Array | None,
    q2: Array | None,
    cosine: Array,
) -> tuple[Array, Array]:
    if direct:
        s = line[0] * cosine + line[1]
        values = _of_powers(coefficients[0], s), _of_powers(coefficients[1], s)
    else:
        values = _of_angles(coefficients, line, angle(jnp.clip(1 - cosine, 0, 2)))
    if equal is not None:
        row, column = (jax.lax.broadcasted_iota(jnp.int32, cosine.shape, axis) for axis in (0, 1))
        own = column == row + start
        values = jnp.where(own, equal[0], values[0]), jnp.where(own, equal[1], values[1])
    return _scaled(values, q1, q2)


def _scaled(values: tuple[Array, Array], q1: Array | None, q2: Array | None) -> tuple[Array, Array]:
    if q1 is None or q2 is None:
        return values
    scale = root(q1)[:, None] * root(q2)[None]
    return scale * values[0], scale * values[1]


def _of_angles(coefficients: Array, line: Array, theta: Array) -> tuple[Array, Array]:
    s = line[0] * theta + line[1]
    return _clenshaw(coefficients[0], s), _clenshaw(coefficients[1], s)


def _clenshaw(coefficients: Array, s: Array) -> Array:
    """Σ_k c_k T_k(s)."""
    b1 = b2 = jnp.zeros_like(s)
    twice = 2 * s
    for k in range(len(coefficients) - 1, 0, -1):
        b1, b2 = twice * b1 + (coefficients[k] - b2), b1
    return coefficients[0] + s * b1 - b2


def _of_powers(coefficients: Array, s: Array) -> Array:
    """Σ_k c_k s^k, even and odd powers apart: two chains that run at the same time."""
    square = s * s
    even, odd = jnp.full_like(s, coefficients[-2]), jnp.full_like(s, coefficients[-1])
    for k in range(len(coefficients) - 4, -1, -2):
        even, odd = even * square + coefficients[k], odd * square + coefficients[k + 1]
    return even + s * odd
