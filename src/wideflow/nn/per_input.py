"""What is done to each input of a batch by itself: weights on its pixels, and pixels moved.

Layers without parameters, of which `MaskedNetwork` makes use while it works; they know the inputs of both batches.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, Int, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .mixing import paired
from .patch import pixel_axes
from .width import width


class Weigh(Layer):
    """Every pixel of every input times a number: `first [n1, *pixels]` and `second [n2, *pixels]`, or `[n]` alone."""

    first: Float[Array, "n1 *s"]
    second: Float[Array, "n2 *s"]

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the shape stays."""
        return (), shape

    def apply(self, params: tuple[()], x: Array) -> Array:
        """weight · x, and 0 where the weight is 0, whatever x."""
        weight = self.first.astype(x.dtype)
        return _times(x, weight.reshape(*weight.shape, *(1,) * (x.ndim - weight.ndim)))

    def cov(self, k: Cov) -> Cov:
        """Both pixels' weights times K and Θ."""
        return _weighed(k, self.first, self.second)

    def demand(self, need: Demand) -> Demand:
        """Every pixel alone: what the output needs."""
        return need


class Gather(Layer):
    """Pixels moved along each axis: new pixel i of an input is its old pixel `table[i]`, or zero past the end.

    `tables`: for each pixel axis `[n1, new]` and `[n2, new]`. What is one pixel of two inputs afterwards was two
    before, so every pair counts.
    """

    tables: tuple[tuple[Int[Array, "n1 _"], Int[Array, "n2 _"]], ...]

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the new pixels."""
        return (), (*(first.shape[1] for first, _ in self.tables), shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The moved pixels, `[n, *pixels, channels]`."""
        for axis, (table, _) in enumerate(self.tables, start=1):
            x = _moved(x, table, 0, axis)
        return x

    def cov(self, k: Cov) -> Cov:
        """K and Θ of the pixels that were moved."""
        return _gathered(paired(self, k), self.tables)

    def demand(self, need: Demand) -> Demand:
        """Every pair."""
        return Demand.EVERY


class Framed(Layer):
    """A layer with layers without parameters before and after it. Parameters: those of `layer`."""

    before: Layer
    layer: Layer
    after: Layer

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[Any, Shape]:
        """The layer's parameters."""
        params, shape = self.layer.setup(key, self.before.setup(key, shape)[1])
        return params, self.after.setup(key, shape)[1]

    def apply(self, params: Any, x: Array) -> Array:
        """The three in order."""
        return self.after.apply((), self.layer.apply(params, self.before.apply((), x)))

    def cov(self, k: Cov) -> Cov:
        """Their rules in order."""
        return self.after.cov(self.layer.cov(self.before.cov(k)))

    def demand(self, need: Demand) -> Demand:
        """Their needs in reverse order."""
        return self.before.demand(self.layer.demand(self.after.demand(need)))


@width.register(Weigh)
@width.register(Gather)
def _(layer: Layer, before: int | None = None) -> int | None:
    return before


@width.register(Framed)
def _(layer: Framed, before: int | None = None) -> int | None:
    return width(layer.layer, before)


def _times(x: Array, weight: Array) -> Array:
    return jnp.where(weight == 0, 0, x * weight)


@jax.jit
def _weighed(k: Cov, first: Array, second: Array) -> Cov:
    """delta stays: it does not see the scale."""
    pixels = k.pixels
    paired = pixels if k.demand is Demand.EVERY else 0
    first, second = (w.astype(k.nngp.dtype).reshape(*w.shape, *(1,) * (1 + pixels - w.ndim)) for w in (first, second))
    at_first = lambda w: w.reshape(*w.shape, *(1,) * paired)  # noqa: E731
    at_second = lambda w: w.reshape(w.shape[0], *(1,) * paired, *w.shape[1:])  # noqa: E731
    own = lambda q, w: _times(_times(q, at_first(w)), at_second(w))  # noqa: E731
    across = lambda x: _times(_times(x, at_first(first)[:, None]), at_second(second)[None])  # noqa: E731
    return k.replace(q1=own(k.q1, first), q2=own(k.q2, second), nngp=across(k.nngp), ntk=across(k.ntk), delta=k.delta)


@jax.jit
def _gathered(k: Cov, tables: tuple[tuple[Array, Array], ...]) -> Cov:
    def own(q: Array, side: int) -> Array:
        for table, places in zip(tables, pixel_axes(k, 1), strict=True):
            for axis in places:
                q = _moved(q, table[side], 0, axis)
        return q

    def across(x: Array) -> Array:
        for table, places in zip(tables, pixel_axes(k, 2), strict=True):
            for side, axis in enumerate(places):
                x = _moved(x, table[side], side, axis)
        return x

    delta = None if k.delta is None else across(k.delta)  # at zeros it multiplies a zero variance
    return k.replace(q1=own(k.q1, 0), q2=own(k.q2, 1), nngp=across(k.nngp), ntk=across(k.ntk), delta=delta)


def _moved(x: Array, table: Array, batch: int, axis: int) -> Array:
    """`x` at the entries of `table [n, new]` along `axis`, for each input along the axis `batch`; zero past the end."""
    rows = jnp.moveaxis(x, (batch, axis), (0, 1))
    moved = jax.vmap(lambda row, at: jnp.take(row, at, axis=0, mode="fill", fill_value=0))(rows, table)
    return jnp.moveaxis(moved, (0, 1), (batch, axis))
