"""Which outputs of a network a kernel compares, and how it sums over them."""

import math
from dataclasses import dataclass
from typing import Literal

import jax.numpy as jnp
from jax import Array

from .gradients import Gradient, Outer, products_of_outputs, products_of_sets

Outputs = Literal["trace", "channels", "diagonal", "full", "pseudo"]
NAMES = ("trace", "channels", "diagonal", "full", "pseudo")


@dataclass(frozen=True)
class OutputSets:
    """The outputs `[*shape]` of one input as s sets of q combinations of outputs.

    Inner products of gradients are summed over each set, or, for "full", taken between all pairs of the only one.
    """

    kind: Outputs
    shape: tuple[int, ...]

    @property
    def entries(self) -> int:
        """Outputs of one input."""
        return math.prod(self.shape)

    @property
    def sizes(self) -> tuple[int, int]:
        """(s, q)."""
        count = self.entries
        if self.kind == "channels":
            return math.prod(self.shape[:-1]), self.shape[-1]
        return {"trace": (1, count), "full": (1, count), "diagonal": (count, 1), "pseudo": (1, 1)}[self.kind]

    @property
    def gradients(self) -> int:
        """Gradients an input needs, s q."""
        return math.prod(self.sizes)

    @property
    def products(self) -> int:
        """Inner products of gradients that a pair of inputs needs."""
        return self.gradients**2 if self.kind == "full" else self.gradients

    @property
    def result(self) -> tuple[int, ...]:
        """The axes of a kernel's entry."""
        axes = {"full": self.shape * 2, "diagonal": self.shape, "channels": self.shape[:-1]}
        return axes.get(self.kind, ())

    @property
    def divisor(self) -> int:
        """What a sum over a set is divided by: its number of outputs."""
        return self.sizes[1] if self.kind in ("trace", "channels") else 1

    def combinations(self, dtype: jnp.dtype) -> Array:
        """The combinations of outputs, `[s q, entries]`."""
        if self.kind == "pseudo":
            return jnp.full((1, self.entries), self.entries**-0.5, dtype)
        return jnp.eye(self.entries, dtype=dtype)

    def kernel(self, one: Gradient | Outer, two: Gradient | Outer) -> Array:
        """One parameter array's share of the NTK, `[n1, n2, *result]`."""
        products = products_of_outputs if self.kind == "full" else products_of_sets
        values = products(one, two)
        return values.reshape(*values.shape[:2], *self.result) / jnp.asarray(self.divisor, values.dtype)

    def of_outputs(self, y1: Array, y2: Array) -> Array:
        """The same with outputs `[n, entries]` in place of their gradients: the NNGP kernel of this network."""
        s, q = self.sizes
        sets = lambda y: (y @ self.combinations(y.dtype).T).reshape(len(y), s, q, 1)  # noqa: E731
        return self.kernel(Gradient(sets(y1)), Gradient(sets(y2)))

    def mirrored(self, values: Array) -> Array:
        """The block at the mirrored place of a kernel of a batch with itself."""
        axes = len(self.shape) if self.kind == "full" else 0
        order = (1, 0, *range(2 + axes, 2 + 2 * axes), *range(2, 2 + axes)) if axes else (1, 0, *range(2, values.ndim))
        return values.transpose(order).conj()
