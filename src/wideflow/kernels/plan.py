"""What a kernel matrix will take, before it is computed."""

import math
from dataclasses import dataclass, replace
from typing import Any

import jax
import numpy as np

from ..nn import Activation, Demand, Layer
from .outline import outline
from .tile import cores

WORK_BYTES = 512 * 2**20  # of the arrays that one tile holds at once, unless a memory budget says less
_LIVE_ARRAYS = 20  # arrays of the covariance's size that are held at once: measured 9 to 16, small ones up to 25
_LIVE_COEFFICIENTS = 2048  # numbers that quadrature holds for one variance: two series of 256, of the pair and its own
_MARGIN = 1.5  # of a budget over what is counted
PAIRS_TOGETHER = 2**18  # pairs of pixels of small planes that a core takes through the layers together
_FEW_PAIRS = 2**22  # pairs of pixels that go at once rather than plane by plane


@dataclass(frozen=True)
class Plan:
    """Sizes of a kernel matrix `[*shape]` computed in tiles of `tile` rows and columns; `print` shows them.

    `tiles`: how many are computed (of a symmetric matrix one triangle). `room`: bytes that a tile's work may take.
    `entry_bytes`: what one entry holds on its way through the network, plane by plane where it can; `row_bytes`: what
    quadrature holds beside for each input of a tile. `result_bytes`: the matrix; `in_memory`: whether it lies in memory
    or in a file. `pixel_pairs`: pairs of pixels that are visited for one entry where the network has the most, 1 for
    vectors. `products`: numbers that the product of two inputs multiplies. `budget`: bytes, or None.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    symmetric: bool
    tile: int
    room: int
    entry_bytes: int
    row_bytes: int
    pixel_pairs: int
    products: int
    in_memory: bool
    budget: int | None

    @property
    def tiles(self) -> int:
        """Tiles to compute."""
        rows, columns = (-(-n // self.tile) for n in self.shape[:2])
        return rows * (rows + 1) // 2 if self.symmetric else rows * columns

    @property
    def entries(self) -> int:
        """Entries to compute, without the mirrored ones."""
        n1, n2 = self.shape[:2]
        return n1 * (n1 + 1) // 2 if self.symmetric else n1 * n2

    @property
    def result_bytes(self) -> int:
        """Bytes of the matrix."""
        return math.prod(self.shape) * self.dtype.itemsize

    @property
    def work_bytes(self) -> int:
        """Bytes that a tile holds at once, about: its entries, and those of its rows and columns with themselves."""
        if self.goes_at_once:
            return self._whole_bytes
        rows, columns = self._tile_sides
        several = min(PAIRS_TOGETHER * cores(), self._tile_entries * self.pixel_pairs) * self.pair_bytes  # small planes
        return max(self.bytes_of(rows, columns), min(several, self.room) if self._has_planes else 0)

    def bytes_of(self, rows: int, columns: int) -> int:
        """Bytes that a tile of so many rows and columns holds at once, by single planes where it goes by planes."""
        return (rows * columns + rows + columns) * self.entry_bytes + (rows + columns) * self.row_bytes

    def largest_side(self, room: int) -> int:
        """The largest n such that a tile of n rows and columns holds no more than `room` bytes; 0 if none does."""
        start = 1 + self.row_bytes / self.entry_bytes  # n² + 2 start n ≤ room / entry_bytes
        return max(0, math.floor(math.sqrt(start**2 + room / self.entry_bytes) - start))

    @property
    def goes_at_once(self) -> bool:
        """Whether all pairs of pixels of a tile go through the layers at once: where planes are small, or none."""
        few = not self._has_planes or self._tile_entries * self.pixel_pairs < _FEW_PAIRS
        return few and self._whole_bytes <= self.room

    @property
    def _has_planes(self) -> bool:
        return self.entry_bytes < self.pixel_pairs * self.pair_bytes

    @property
    def _tile_sides(self) -> tuple[int, int]:
        rows, columns = (min(n, self.tile) for n in self.shape[:2])
        return rows, columns

    @property
    def _tile_entries(self) -> int:
        rows, columns = self._tile_sides
        return rows * columns + rows + columns

    @property
    def _whole_bytes(self) -> int:
        return self._tile_entries * self.pixel_pairs * self.pair_bytes + sum(self._tile_sides) * self.row_bytes

    @property
    def diagonal_rows(self) -> int:
        """Inputs of which the diagonal is computed at once; an input's own covariance takes what an entry takes."""
        return max(1, WORK_BYTES // (2 * self.pair_bytes * self.pixel_pairs))

    @property
    def pair_bytes(self) -> int:
        """Bytes that one pair of pixels of two inputs holds on its way through the network."""
        return self.dtype.itemsize * _LIVE_ARRAYS

    @property
    def total_bytes(self) -> int:
        """Bytes of memory in all: a tile's work, and the matrix where it lies in memory."""
        return self.work_bytes + (self.result_bytes if self.in_memory else 0)

    def __str__(self) -> str:
        n1, n2, *pixels = self.shape
        rows = [
            ("matrix", f"{n1:,} × {n2:,}{' × pixels ' + '×'.join(map(str, pixels)) if pixels else ''}, {self.dtype}"),
            ("result", f"{size(self.result_bytes)} in {'memory' if self.in_memory else 'a file'}"),
            ("tiles", f"{self.tiles:,} of {self.tile:,} × {self.tile:,}{', one triangle' if self.symmetric else ''}"),
            ("work", f"{size(self.work_bytes)} at a time, {size(self.entry_bytes)} an entry"),
            ("memory", size(self.total_bytes) + ("" if self.budget is None else f" of {size(self.budget)}")),
            ("product", f"{2 * self.entries * self.products:.1e} operations"),
            ("elements", f"{self.entries * self.pixel_pairs:.1e} for every layer to visit"),
        ]
        return "\n".join(f"{name:9}{value}" for name, value in rows)

    __repr__ = __str__


def plan_of(
    net: Layer | None,
    shape: tuple[int, ...],
    inputs: tuple[int, ...],
    dtype: np.dtype,
    symmetric: bool,
    tile: Any = None,
    memory: Any = None,
    in_memory: bool = True,
) -> Plan:
    """The plan of a matrix for inputs `(*pixels, channels)`; see `gram` for the other options.

    `shape`: of the matrix, whose pixel axes are those that leave `net` where it is known. Raises TypeError or
    ValueError for a `tile` or `memory` that is no number of rows or bytes, the errors of the network's rules, and
    ValueError where the result and the work of one tile do not fit into `memory` bytes, with the numbers.
    """
    tile, memory = _checked_tile(tile), _checked_memory(memory)
    pixels = math.prod(inputs[:-1])
    pairs = held = product = pixels
    if net is not None:
        after, pairs, held = outline(net, inputs)
        shape = (*shape[:2], *after)
        product = pixels ** (2 if net.demand(Demand.EQUAL) is Demand.EVERY else 1)
    entry = dtype.itemsize * _LIVE_ARRAYS * held
    row = dtype.itemsize * _LIVE_COEFFICIENTS * pixels if _has_quadrature(net) else 0
    result = math.prod(shape) * dtype.itemsize if in_memory else 0
    room = WORK_BYTES if memory is None else max(0, min(WORK_BYTES, int((memory - result) / _MARGIN)))
    plan = Plan(shape, dtype, symmetric, tile or 1, room, entry, row, pairs, product * inputs[-1], in_memory, memory)
    if tile is None:
        plan = replace(plan, tile=max(1, min(plan.largest_side(room), max(shape[:2]))))
    if memory is not None and plan.total_bytes > memory:
        raise ValueError(_refusal(plan))
    return plan


def _has_quadrature(net: Layer | None) -> bool:
    parts = jax.tree.leaves(net, is_leaf=lambda part: isinstance(part, Activation))
    return any(isinstance(part, Activation) and part.by_quadrature for part in parts)


def _checked_tile(tile: Any) -> int | None:
    if tile is None:
        return None
    if isinstance(tile, bool) or not isinstance(tile, int | np.integer):
        raise TypeError(f"gram: tile must be a whole number of rows, such as tile=1000, or None, got {tile!r}")
    if tile < 1:
        raise ValueError(f"gram: a tile must have at least one row, got tile={tile}")
    return int(tile)


def _checked_memory(memory: Any) -> int | None:
    if memory is None:
        return None
    if isinstance(memory, bool) or not isinstance(memory, int | float | np.number):
        raise TypeError(f"gram: memory must be a number of bytes, such as 2 * 2**30 for 2 GiB, got {memory!r}")
    if not 0 < memory < math.inf:
        raise ValueError(f"gram: memory must be a positive number of bytes, got {memory}")
    return int(memory)


def _refusal(plan: Plan) -> str:
    assert plan.budget is not None
    needed = f"{size(plan.result_bytes)} for the matrix" if plan.in_memory else "nothing for the matrix"
    remedy = (
        "give more memory, or write the matrix to a file with out=PATH"
        if plan.in_memory and plan.work_bytes <= plan.budget
        else "give more memory or smaller tiles"
        if plan.tile > 1
        else "give more memory"
    )
    half = ", or float32 inputs, which take half" if plan.dtype == np.float64 else ""
    return (
        f"gram: {size(plan.budget)} of memory are too little: {needed} and {size(plan.work_bytes)} for a tile of "
        f"{plan.tile} × {plan.tile}; {remedy}{half}"
    )


def size(count: float) -> str:
    """Bytes in words: `1.5 GiB`."""
    for unit in ("B", "KiB", "MiB"):
        if abs(count) < 1024:
            return f"{count:.3g} {unit}"
        count /= 1024
    return f"{count:,.3g} GiB" if count < 1000 else f"{count:,.0f} GiB"
