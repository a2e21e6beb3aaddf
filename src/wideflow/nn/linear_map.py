"""A fixed linear map over pixels."""

import dataclasses
import hashlib
from math import prod
from typing import Any

import equinox as eqx
import numpy as np
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .mixing import paired
from .pixel_map import along, mapped
from .values import values_of
from .width import width

Matrix = Float[Array, "_ _"] | Float[np.ndarray, "_ _"]
_SHOWN = 64  # entries of a matrix that are printed in full


class LinearMap(Layer):
    """A fixed linear map over the pixels, the same for every channel: y_p = Σ_q M_pq x_q.

    K' = M K Mᵀ, the same for Θ: pixels of one channel are correlated, so every pair counts.

    `matrix`: `[new, old]` over the flattened pixels (row-major), after which the pixels are one axis of length `new`,
    or have the `shape` given, whose product is `new`. Or a tuple of one matrix for each pixel axis, None for an axis to
    leave alone: M is then their product. A matrix may be a list of lists, and is traced: a new one of its shape does
    not recompile. Cost for p pixels: p³ per pair of inputs for one matrix, p² Σ lengths for one per axis. Raises
    ValueError for what is no matrix of finite numbers, and for inputs it does not fit. Where every row selects one
    pixel, `Index` does the same at the cost of equal pixels.

    ```python
    blur = [[0.75, 0.25, 0.0], [0.25, 0.5, 0.25], [0.0, 0.25, 0.75]]
    nn.Serial(nn.Conv(64, 3), nn.LinearMap((blur, None)), nn.Relu(), nn.Flatten(), nn.Dense(1))  # images [n, 3, *, c]
    ```
    """

    matrix: Matrix | tuple[Matrix | None, ...]
    shape: tuple[int, ...] | None = eqx.field(static=True)

    def __init__(self, matrix: Any, shape: tuple[int, ...] | None = None):
        if isinstance(matrix, tuple):
            self.matrix = tuple(m if m is None else _checked(m) for m in matrix)
        else:
            self.matrix = _checked(matrix)
        self.shape = shape
        self._check_shape()

    def _check_shape(self) -> None:
        if isinstance(self.matrix, tuple):
            if not self.matrix:
                raise ValueError("LinearMap: give one matrix for each pixel axis, or None to leave it alone, got ()")
            if self.shape is not None:
                raise ValueError(f"LinearMap: shape={self.shape} belongs to one matrix over all pixels; leave it out")
        elif self.shape is not None and (not self.shape or prod(self.shape) != self.matrix.shape[0]):
            raise ValueError(f"LinearMap: the matrix makes {self.matrix.shape[0]} pixels, shape={self.shape} others")

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the new pixels."""
        return (), (*self._outputs(shape[:-1]), shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """M x, `[n, *pixels, channels]`."""
        new = self._outputs(x.shape[1:-1])
        if not self._separable:
            x = x.reshape(len(x), -1, x.shape[-1])
        x = along(x, self._maps, [(1 + axis,) for axis in range(len(self._maps))])
        return x.reshape(len(x), *new, x.shape[-1])

    def cov(self, k: Cov) -> Cov:
        """M K Mᵀ; a linear map of each channel, so Gaussian stays Gaussian."""
        old, new = k.pixel_shape, self._outputs(k.pixel_shape)
        k = paired(self, k)
        if self._separable:
            return mapped(k, self._maps)
        return _reshaped(mapped(_reshaped(k, (prod(old),)), self._maps), new)

    def demand(self, need: Demand) -> Demand:
        """Every pair: even one output pixel mixes different pixels."""
        return Demand.EVERY

    @property
    def _separable(self) -> bool:
        return isinstance(self.matrix, tuple)

    @property
    def _maps(self) -> tuple[Matrix | None, ...]:
        return self.matrix if isinstance(self.matrix, tuple) else (self.matrix,)

    def _outputs(self, pixels: tuple[int, ...]) -> tuple[int, ...]:
        """The pixels that leave; ValueError where the matrices do not fit the pixels that enter."""
        old = pixels if self._separable else (prod(pixels),)
        wanted = tuple(None if m is None else m.shape[1] for m in self._maps)
        if not pixels or len(old) != len(wanted) or any(w not in (None, n) for w, n in zip(wanted, old, strict=True)):
            what = "pixels along the axes" if self._separable else "pixels in all"
            got = f"pixels {pixels}" if pixels else "vectors without pixels"
            takes = " × ".join("any" if n is None else str(n) for n in wanted)
            raise ValueError(f"LinearMap: takes {takes} {what}, got {got}; give matrices [new, old] for these pixels")
        made = tuple(n if m is None else m.shape[0] for m, n in zip(self._maps, old, strict=True))
        return made if self.shape is None else self.shape

    def __repr__(self) -> str:
        each = ["None" if m is None else _show(m) for m in self._maps]
        shown = f"({', '.join(each)}{',' * (len(each) == 1)})" if self._separable else each[0]
        return f"LinearMap({shown}{'' if self.shape is None else f', shape={self.shape}'})"


@width.register(LinearMap)
def _(layer: LinearMap, before: int | None = None) -> int | None:
    return before


def _checked(given: Any) -> Matrix:
    """A matrix of finite numbers; ValueError for anything else."""
    matrix = given if isinstance(given, Array) else np.asarray(given)
    if matrix.ndim != 2 or 0 in matrix.shape:
        raise ValueError(
            f"LinearMap: a matrix must be [new, old], got shape {matrix.shape}; "
            "several, one for each pixel axis, are a tuple of matrices"
        )
    matrix = matrix if np.issubdtype(matrix.dtype, np.floating) else matrix.astype(float)
    values = values_of(matrix)
    if values is not None and not np.all(np.isfinite(values)):
        raise ValueError("LinearMap: the matrix holds NaN or infinity")
    return matrix


def _show(matrix: Matrix) -> str:
    """The matrix as lists; a large one as its shape and a digest, so that different ones print differently."""
    values = values_of(matrix)
    if values is None:
        return "…"
    if values.size <= _SHOWN:
        return str(values.tolist())
    return f"<{values.shape[0]} × {values.shape[1]}, {hashlib.sha256(values.tobytes()).hexdigest()[:12]}>"


def _reshaped(k: Cov, pixels: tuple[int, ...]) -> Cov:
    """The same covariances of every pair, over pixels of another shape."""
    q1, q2 = (q.reshape(len(q), *pixels, *pixels) for q in (k.q1, k.q2))
    across = [None if x is None else x.reshape(*x.shape[:2], *pixels, *pixels) for x in (k.nngp, k.ntk, k.delta)]
    nngp, ntk, delta = across
    return dataclasses.replace(k, q1=q1, q2=q2, nngp=nngp, ntk=ntk, delta=delta)
