"""A selection of pixels."""

import dataclasses
from functools import partial
from types import EllipsisType
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .patch import pixel_axes
from .width import width

Span = tuple[int | None, int | None, int | None]  # a slice, which Python hashes from 3.12 on
Entry = int | Span | EllipsisType
Positions = tuple[int | tuple[int, ...], ...]  # for each pixel axis the one pixel that is taken, or those that are kept


class Index(Layer):
    """The pixels that a NumPy index selects: `Index()[2:5, ::2]`, `Index()[0]`, `Index()[..., -1]`.

    A slice keeps its pixel axis, an integer drops it; axes that are not named stay whole. K' and Θ' are K and Θ at the
    selected pixels of both inputs; equal pixels suffice where equal pixels are needed. The batch and the channels
    cannot be indexed. `Index(slice(2, 5), 0)` is another way to write `Index()[2:5, 0]`. Raises TypeError for other
    kinds of index, ValueError for a step of zero and a second ellipsis; and, when it meets inputs, for more entries
    than pixel axes, a pixel that is not there, and a slice that keeps none.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.Index()[2:-2, 2:-2], nn.GlobalAvgPool(), nn.Dense(1))  # away from the edges
    ```
    """

    at: tuple[Entry, ...] = eqx.field(static=True)

    def __init__(self, *at: Any):
        self.at = tuple(map(_entry, at))
        if self.at.count(...) > 1:
            raise ValueError(f"{self!r}: there can be one ellipsis, got {self.at.count(...)}")

    def __getitem__(self, at: Any) -> "Index":
        """The selection of these pixels."""
        if self.at:
            raise TypeError(f"{self!r}: selects pixels already; to select among those, put another Index after it")
        return Index(*at) if isinstance(at, tuple) else Index(at)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the selected pixels."""
        kept = [len(p) for p in self.positions(shape[:-1]) if isinstance(p, tuple)]
        return (), (*kept, shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The selected pixels, `[n, *pixels, channels]`."""
        positions = self.positions(x.shape[1:-1])
        return _taken(x, positions, [(1 + axis,) for axis in range(len(positions))])

    def cov(self, k: Cov) -> Cov:
        """K and Θ at the selected pixels."""
        return selected(k, self.positions(k.pixel_shape))

    def demand(self, need: Demand) -> Demand:
        """Equal pixels stay equal: what the output needs."""
        return need

    @property
    def is_aligned(self) -> bool:
        """Whether the same pixels are selected of longer inputs: nothing is counted from the end."""
        return all(
            entry >= 0 if isinstance(entry, int) else _from_start(entry) for entry in self.at if entry is not ...
        )

    def positions(self, pixels: tuple[int, ...]) -> Positions:
        """The selected pixels of each axis; ValueError where there are none."""
        named = [entry for entry in self.at if entry is not ...]
        if len(named) > len(pixels):
            raise ValueError(
                f"{self!r}: has {len(named)} entries, the input {len(pixels)} pixel axes, with pixels {pixels}; "
                "channels cannot be selected: those of an infinitely wide layer are all alike"
            )
        whole = [(None, None, None)] * (len(pixels) - len(named))
        cut = self.at.index(...) if ... in self.at else len(named)
        entries = [*named[:cut], *whole, *named[cut:]]
        return tuple(map(self._of_axis, entries, range(len(pixels)), pixels))

    def _of_axis(self, entry: int | Span, axis: int, length: int) -> int | tuple[int, ...]:
        if isinstance(entry, int):
            if not -length <= entry < length:
                raise ValueError(
                    f"{self!r}: pixel {entry} of axis {axis} is not there; it has {length} pixels, "
                    f"numbered 0 to {length - 1}, or {-length} to -1 from the end"
                )
            return entry % length
        kept = tuple(range(length)[slice(*entry)])
        if not kept:
            raise ValueError(f"{self!r}: keeps none of the {length} pixels of axis {axis}; make the slice longer")
        return kept

    def __repr__(self) -> str:
        return f"Index()[{', '.join(map(_show, self.at))}]" if self.at else "Index()"


@width.register(Index)
def _(layer: Index, before: int | None = None) -> int | None:
    return before


@partial(jax.jit, static_argnums=1)
def selected(k: Cov, positions: Positions) -> Cov:
    """The covariances at some pixels of each axis; an axis with one pixel given as a number is dropped."""
    take = lambda x, batch: _taken(x, positions, pixel_axes(k, batch))  # noqa: E731
    new = dict(q1=take(k.q1, 1), q2=take(k.q2, 1), nngp=take(k.nngp, 2), ntk=take(k.ntk, 2))
    delta = None if k.delta is None else take(k.delta, 2)
    is_vector = all(isinstance(p, int) for p in positions)
    return dataclasses.replace(k, **new, delta=delta, demand=Demand.EQUAL if is_vector else k.demand)


def _taken(x: Array, positions: Positions, axes: list[tuple[int, ...]]) -> Array:
    """`x` at the positions of each pixel axis, on each of its axes in `x`."""
    each = [(axis, position) for position, places in zip(positions, axes, strict=True) for axis in places]
    for axis, position in sorted(each, reverse=True):  # from the last, as axes may be dropped
        x = jnp.take(x, np.asarray(position), axis, mode="clip")
    return x


def _entry(given: Any) -> Entry:
    """An entry of an index in a form that can be hashed."""
    if given is ...:
        return given
    if isinstance(given, slice):
        start, stop, step = (None if part is None else _integer(part) for part in (given.start, given.stop, given.step))
        if step == 0:
            raise ValueError("Index: the step of a slice cannot be zero; ::2 keeps every second pixel, ::-1 flips")
        return start, stop, step
    return _integer(given)


def _integer(given: Any) -> int:
    if isinstance(given, bool | np.bool) or not isinstance(given, int | np.integer):
        raise TypeError(f"Index: wanted integers, slices or an ellipsis, got {given!r}; LinearMap takes any matrix")
    return int(given)


def _from_start(span: Span) -> bool:
    start, _, step = span
    return (start or 0) >= 0 and (step or 1) > 0


def _show(entry: Entry) -> str:
    if isinstance(entry, tuple):
        start, stop, step = ("" if part is None else str(part) for part in entry)
        return f"{start}:{stop}:{step}" if step else f"{start}:{stop}"
    return "..." if entry is ... else str(entry)
