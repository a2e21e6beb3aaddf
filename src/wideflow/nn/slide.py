"""A window that slides along one pixel axis."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import reduce
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array


@dataclass(frozen=True)
class Slide:
    """Output pixel i sees the input pixels stride · i + dilation · o − low, for o = 0 … size − 1.

    `low` and `high` pixels are added before and after the `length` pixels of the input: zeros, or those of the other
    end where it `wraps`.
    """

    length: int
    size: int
    stride: int = 1
    dilation: int = 1
    low: int = 0
    high: int = 0
    wraps: bool = False

    @property
    def span(self) -> int:
        """The number of input pixels from the first to the last that one output pixel sees."""
        return (self.size - 1) * self.dilation + 1

    @property
    def count(self) -> int:
        """The number of output pixels."""
        return (self.low + self.length + self.high - self.span) // self.stride + 1

    @property
    def seen(self) -> np.ndarray:
        """How many pixels of the input each output pixel sees, `[count]`; added zeros do not count."""
        first, offset = np.arange(self.count)[:, None] * self.stride - self.low, np.arange(self.size) * self.dilation
        inside = (first + offset >= 0) & (first + offset < self.length)
        return (inside | self.wraps).sum(axis=1)

    def pad(self, x: Array, axes: Sequence[int]) -> Array:
        """`x` with the pixels added at both ends of each of `axes`."""
        if self.low == self.high == 0:
            return x
        widths = [(self.low, self.high) if axis in axes else (0, 0) for axis in range(x.ndim)]
        return jnp.pad(x, widths, mode="wrap" if self.wraps else "constant")

    def parts(self, x: Array, axes: Sequence[int]) -> list[Array]:
        """One array per offset o: what the output pixels see there, at the same offset on each of `axes`, padded."""
        starts = [offset * self.dilation for offset in range(self.size)]
        return [reduce(lambda part, axis, start=start: self._from(part, start, axis), axes, x) for start in starts]

    def sum(self, x: Array, axes: Sequence[int]) -> Array:
        """Sum of the parts."""
        return reduce(add, self.parts(x, axes))

    def _from(self, x: Array, start: int, axis: int) -> Array:
        end = start + (self.count - 1) * self.stride + 1
        return jax.lax.slice_in_dim(x, start, end, self.stride, axis)
