"""Which outputs of a network a kernel compares, and how it sums over them."""

import math
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jax import Array

from .gradients import Gradient, Outer, products

Outputs = Literal["trace", "channels", "diagonal", "full", "pseudo"]
NAMES = ("trace", "channels", "diagonal", "full", "pseudo")


@dataclass(frozen=True)
class OutputSets:
    """The outputs `[*shape]` of one input, or combinations of them, in three axes `sizes = (s, a, q)`.

    Inner products of gradients are taken at equal s, between all pairs of a, and summed over q.
    """

    kind: Outputs
    shape: tuple[int, ...]

    @property
    def entries(self) -> int:
        """Outputs of one input."""
        return math.prod(self.shape)

    @property
    def sizes(self) -> tuple[int, int, int]:
        """(s, a, q)."""
        count = self.entries
        if self.kind == "channels":
            return math.prod(self.shape[:-1]), 1, self.shape[-1]
        return {"trace": (1, 1, count), "full": (1, count, 1), "diagonal": (count, 1, 1), "pseudo": (1, 1, 1)}[
            self.kind
        ]

    @property
    def rows(self) -> int:
        """Rows that an input has in the matrix of the kernel, s a."""
        return self.sizes[0] * self.sizes[1]

    @property
    def gradients(self) -> int:
        """Gradients an input needs, s a q."""
        return math.prod(self.sizes)

    @property
    def products(self) -> int:
        """Inner products of gradients that a pair of inputs needs, s a² q."""
        return self.gradients * self.sizes[1]

    @property
    def sums(self) -> int:
        """Numbers that these are summed to, s a²."""
        return self.sizes[0] * self.sizes[1] ** 2

    @property
    def result(self) -> tuple[int, ...]:
        """The axes of a kernel's entry."""
        axes = {"full": self.shape * 2, "diagonal": self.shape, "channels": self.shape[:-1]}
        return axes.get(self.kind, ())

    @property
    def divisor(self) -> int:
        """What a sum over a set is divided by: its number of outputs."""
        return self.sizes[2] if self.kind in ("trace", "channels") else 1

    def combinations(self, dtype: jnp.dtype) -> Array:
        """The combinations of outputs, `[s, a, q, entries]`."""
        if self.kind == "pseudo":
            return jnp.full((1, 1, 1, self.entries), self.entries**-0.5, dtype)
        return jnp.eye(self.entries, dtype=dtype).reshape(*self.sizes, self.entries)

    def kernel(self, one: Gradient | Outer, two: Gradient | Outer) -> Array:
        """One parameter array's share of the NTK, `[n1, n2, *result]`, of some or all q."""
        values = products(one, two)
        return values.reshape(*values.shape[:2], *self.result) / jnp.asarray(self.divisor, values.dtype)

    def of_outputs(self, y1: Array, y2: Array) -> Array:
        """The same with outputs `[n, entries]` in place of their gradients: the NNGP kernel of this network."""
        sets = lambda y: jnp.einsum("no,saqo->nsaq", y, self.combinations(y.dtype))[..., None]  # noqa: E731
        return self.kernel(Gradient(sets(y1)), Gradient(sets(y2)))

    def mirrored(self, values: Array) -> Array:
        """The block at the mirrored place of a kernel of a batch with itself."""
        axes = len(self.shape) if self.kind == "full" else 0
        order = (1, 0, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)) if axes else (1, 0, *range(2, values.ndim))
        return values.transpose(order).conj()
