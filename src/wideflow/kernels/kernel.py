"""The kernels of an infinitely wide network."""

from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..nn import Cov, Demand, Layer
from ..nn.fingerprint import fingerprint, fingerprint_of_function
from ..nn.fold import fold
from ..nn.values import values_of
from ..nn.width import width
from .batch import checked_batch, checked_pair
from .latex import latex
from .plan import PAIRS_TOGETHER, WORK_BYTES, Plan, plan_of
from .planes import pooled
from .propagate import propagate, sees_products
from .tile import TILE, cores
from .tiled import images_in_tiles, tile_sides, vectors


class Kernels(NamedTuple):
    """Both kernels of a network: `nngp` (covariance of its outputs at initialisation) and `ntk`."""

    nngp: Any
    ntk: Any


class Kernel(eqx.Module):
    """The NNGP and NTK kernels of the infinitely wide network `net`.

    `nngp`: E[f(x1) f(x2)] per output channel at initialisation. `ntk`: Θ(x1, x2) = Σ_μ ∂f(x1)/∂θ_μ ∂f(x2)/∂θ_μ per
    output channel (both are diagonal over output channels). No 1/D, no learning rate.

    Inputs are batches `[n, *pixels, channels]` of float32 or float64, and the kernels are computed in that dtype,
    whatever JAX's x64 flag says (where it is not set, float64 results are NumPy arrays, since JAX cannot hold
    them). `x2` None means `x1` with itself, with an exact diagonal. Values are differentiable in inputs and
    hyperparameters, also inside `jax.jit`; a new hyperparameter does not recompile.

    Errors: TypeError for other dtypes, ValueError for rows that are not finite and for shapes that do not fit, where
    `net` alone shows it at construction.
    Source: Lee et al. 2018; Jacot et al. 2018. Cost: one matrix product and a few elementwise passes per layer.

    ```python
    kernel = wf.Kernel(nn.Serial(nn.Dense(1), nn.Relu(), nn.Dense(1)))
    k = kernel(x1, x2)  # k.nngp, k.ntk: [n1, n2]
    ```
    """

    net: Layer

    def __check_init__(self):
        if not isinstance(self.net, Layer):
            raise TypeError(f"Kernel: wanted a network made of wideflow.nn layers, got {self.net!r}")
        width(self.net)  # raises ValueError where branches meet that have different numbers of channels

    def __call__(self, x1: Any, x2: Any = None) -> Kernels:
        """Both kernels between two batches: `[n1, n2, *pixels]`."""
        return kernels_within(self.net, *checked_pair(x1, x2))

    def nngp(self, x1: Any, x2: Any = None) -> Any:
        """The NNGP kernel alone, `[n1, n2, *pixels]`."""
        x1, x2 = checked_pair(x1, x2)
        in_parts = _in_tiles(self.net, x1, x2) or _by_planes(self.net, x1, x2)
        return _in_precision_of(x1, x2, partial(_nngp, self.net)) if in_parts is None else in_parts.nngp

    def ntk(self, x1: Any, x2: Any = None) -> Any:
        """The NTK alone, `[n1, n2, *pixels]`."""
        return self(x1, x2).ntk

    def diag(self, x: Any) -> Kernels:
        """Both kernels of every input with itself, `[n, *pixels]`, without the rest of the matrix."""
        return _in_precision_of(checked_batch(x, "x"), None, lambda x, _: _diagonal(self.net, x))

    def plan(
        self, x1: Any, x2: Any = None, tile: int | None = None, memory: int | None = None, out: Any = None
    ) -> Plan:
        """What `gram(kernel, x1, x2, …)` with these options will take, as numbers and in words; computes nothing.

        Raises ValueError where it does not fit into `memory` bytes, ValueError or TypeError for a `tile` or `memory`
        that is no number of rows or bytes, and the errors of the inputs.

        ```python
        print(kernel.plan(x))
        ```
        """
        x1, x2 = checked_pair(x1, x2)
        shape = (len(x1), len(x1 if x2 is None else x2))
        return plan_of(self.net, shape, x1.shape[1:], x1.dtype, x2 is None, tile, memory, out is None)

    def identity(self, x1: Any, x2: Any = None) -> str:
        """A digest of what is computed on inputs of these shapes: layers, functions, hyperparameters; see `gram`."""
        one = jax.ShapeDtypeStruct((1, *x1.shape[1:]), np.float32)
        rule = fingerprint_of_function(partial(_kernels, fold(self.net)), one, one)
        return fingerprint([repr(self.net), rule, jax.tree.leaves(self.net)])

    def latex(self) -> str:
        """The recursion of both kernels, layer by layer with its hyperparameters, as a LaTeX `aligned` environment."""
        return latex(self.net)

    def _repr_latex_(self) -> str:
        return f"$${self.latex()}$$"

    def __repr__(self) -> str:
        return f"Kernel({self.net!r})"


def kernels_within(net: Layer, x1: Any, x2: Any, room: int = WORK_BYTES) -> Kernels:
    """Both kernels of checked batches, computed within `room` bytes beside the result."""
    in_parts = _in_tiles(net, x1, x2, room) or _by_planes(net, x1, x2, room)
    return in_parts or _in_precision_of(x1, x2, partial(_kernels, net))


def _in_tiles(net: Layer, x1: Any, x2: Any, room: int = WORK_BYTES) -> Kernels | None:
    """The kernels of many inputs on a CPU; None where they are few, or inside a JAX transformation."""
    values1, values2 = values_of(x1), None if x2 is None else values_of(x2)
    if values1 is None or (x2 is not None and values2 is None) or jax.default_backend() != "cpu":
        return None
    if any(values_of(leaf) is None for leaf in jax.tree.leaves(net)):
        return None
    values = _of_vectors(net, values1, values2) if x1.ndim == 2 else _of_images(net, values1, values2, room)
    if values is None or (x1.dtype == np.float64 and not jax.config.jax_enable_x64):  # type: ignore[attr-defined]
        return values
    return Kernels(*(jax.device_put(value, may_alias=True) for value in values))


def _by_planes(net: Layer, x1: Any, x2: Any, room: int = WORK_BYTES) -> Kernels | None:
    """On an accelerator, the kernels of images plane by plane; None where all pairs of pixels fit."""
    if jax.default_backend() == "cpu" or x1.ndim == 2:
        return None
    plan, parts = _plan_of_all(net, x1, x2, room), pooled(net)
    if plan.goes_at_once or not parts:
        return None

    def compute(x1: Array, x2: Array | None) -> Kernels:
        values = parts.kernels(x1, x2, room // plan.pair_bytes)
        return Kernels(*(values if x2 is not None else map(_mirrored, values)))

    return _in_precision_of(x1, x2, compute)


def _plan_of_all(net: Layer, x1: Any, x2: Any, room: int) -> Plan:
    """The plan of all entries as one tile, within `room` bytes."""
    rows = max(len(x1), 0 if x2 is None else len(x2))
    return replace(Kernel(net).plan(x1, x2, tile=rows), room=room)


def _of_vectors(net: Layer, x1: np.ndarray, x2: np.ndarray | None) -> Kernels | None:
    if not sees_products(net) or len(x1) * len(x1 if x2 is None else x2) < 2 * TILE**2:
        return None
    return Kernels(*vectors(fold(net), x1, x2))


_PIXELS_AT_ONCE = 2**16  # pixel pairs that a tile of images visits at a time: its arrays fit into a core's cache
_FEW_EQUAL_PAIRS = 8 * _PIXELS_AT_ONCE  # that go at once where pairs of equal pixels alone count
# Of one array of a plane, see `planes.py`: rows of fewer than 32 inputs cost up to twice the time each.
_PLANE_BYTES = 2**22


def _of_images(net: Layer, x1: np.ndarray, x2: np.ndarray | None, room: int) -> Kernels | None:
    plan, parts = _plan_of_all(net, x1, x2, room), pooled(net)
    every = net.demand(Demand.EQUAL) is Demand.EVERY
    if plan.goes_at_once and (every or plan.entries * plan.pixel_pairs < _FEW_EQUAL_PAIRS):
        return None
    workers = max(1, min(cores(), room // plan.bytes_of(1, 1)))
    share = room // workers
    if parts:
        most = _PLANE_BYTES // x1.dtype.itemsize * plan.pair_bytes
        compute = partial(parts.kernels, at_once=min(share // plan.pair_bytes, PAIRS_TOGETHER))
    else:
        large = every or plan.row_bytes  # quadrature expands every row of a tile: large tiles have fewer
        most = share if large else _PIXELS_AT_ONCE * plan.pair_bytes
        compute = partial(_kernels, net if every else fold(net))
    side = plan.largest_side(min(most, share))
    sides = tile_sides((plan.shape[0], plan.shape[1]), side, x2 is None)
    return Kernels(*images_in_tiles(compute, x1, x2, plan.shape, sides, workers))


def _in_precision_of(x1: Any, x2: Any, compute: Callable[[Any, Any], Any]) -> Any:
    """`compute(x1, x2)` in the dtype of the inputs.

    JAX holds float64 only where its x64 flag is set; where it is not, float64 results are NumPy arrays.
    """
    if x1.dtype != np.float64 or jax.config.jax_enable_x64:  # type: ignore[attr-defined]
        return compute(jnp.asarray(x1), None if x2 is None else jnp.asarray(x2))
    with jax.enable_x64(True):
        result = compute(jnp.asarray(x1), None if x2 is None else jnp.asarray(x2))
    return jax.tree.map(_as_numpy, result)


def _as_numpy(values: Any) -> Any:
    known = values_of(values)
    return values if known is None else known


def _propagate(net: Layer, x1: Array, x2: Array | None) -> Cov:
    """The covariance that leaves the network, at equal pixels."""
    return propagate(net, x1, x2, Demand.EQUAL).narrow(Demand.EQUAL)


def _kernels(net: Layer, x1: Array, x2: Array | None) -> Kernels:
    k = _propagate(net, x1, x2)
    return Kernels(k.nngp, k.ntk) if x2 is not None else Kernels(_mirrored(k.nngp), _mirrored(k.ntk))


def _nngp(net: Layer, x1: Array, x2: Array | None) -> Array:
    k = _propagate(net, x1, x2)
    return k.nngp if x2 is not None else _mirrored(k.nngp)


def _mirrored(K: Array) -> Array:
    """`K [n, n, *pixels]` of inputs with themselves from its upper triangle: rounding may part the two."""
    upper = jnp.triu(jnp.ones(K.shape[:2], bool)).reshape(*K.shape[:2], *(1,) * (K.ndim - 2))
    return jnp.where(upper, K, jnp.swapaxes(K, 0, 1))


def _diagonal(net: Layer, x: Array) -> Kernels:
    def one(row: Array) -> Kernels:
        k = _propagate(net, row[None], None)
        return Kernels(k.nngp[0, 0], k.ntk[0, 0])

    plan = plan_of(net, (len(x), len(x)), x.shape[1:], x.dtype, symmetric=True)
    return jax.lax.map(one, x, batch_size=plan.diagonal_rows)
