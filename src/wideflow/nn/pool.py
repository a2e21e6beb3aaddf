"""Pooling: sums and means over pixels of each channel."""

import dataclasses
from functools import partial, reduce
from math import prod

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .mixing import delta_within, distance, paired, ratio
from .patch import each_sum, joint_sum, padded, pixel_axes
from .slide import Slide
from .window import Padding, Sizes, Window


class SumPool(Layer):
    """The sum over a window of pixels, channel by channel.

    K'(p, p') = Σ_{o, o'} K(s p + o, s p' + o'), the same for Θ: pixels of one channel are correlated, so every pair
    counts. `window`, `stride` (None: that of the window): an int for every pixel axis, or one per axis. `padding` as
    in `Conv`. Cost: 2 Σ window additions per entry, on every pair of pixels.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.SumPool(2), nn.Conv(64, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    ```
    """

    window: Sizes = eqx.field(static=True)
    stride: Sizes | None = eqx.field(static=True, default=None)
    padding: Padding = eqx.field(static=True, default="valid")

    def __check_init__(self):
        self._window.check()

    @property
    def _window(self) -> Window:
        stride = self.window if self.stride is None else self.stride
        return Window(repr(self), self.window, stride, 1, self.padding)

    def _weights(self, slides: tuple[Slide, ...]) -> tuple[tuple[float, ...], ...]:
        """What the sums are multiplied by, for each pixel axis and output pixel."""
        return tuple((1.0,) * s.count for s in slides)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; fewer pixels."""
        return (), (*(s.count for s in self._window.slides(shape[:-1])), shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The sums times their weights, `[n, *pixels, channels]`."""
        slides = self._window.slides(x.shape[1:-1])
        for axis, slide in enumerate(slides):
            x = slide.pad(x, (1 + axis,))
        size, stride = (1, *(s.size for s in slides), 1), (1, *(s.stride for s in slides), 1)
        x = jax.lax.reduce_window(x, np.zeros((), x.dtype), jax.lax.add, size, stride, "VALID")
        return _weighted(x, self._weights(slides), [(1 + axis,) for axis in range(len(slides))])

    def cov(self, k: Cov) -> Cov:
        """Sums over both windows; a linear map of each channel, so Gaussian stays Gaussian."""
        slides = self._window.slides(k.pixel_shape)
        return _pooled(paired(self, k), slides, self._weights(slides))

    def demand(self, need: Demand) -> Demand:
        """Every pair: even one output pixel mixes different pixels."""
        return Demand.EVERY


class AvgPool(SumPool):
    """The mean over a window of pixels, channel by channel: `SumPool` divided by the number of pixels in the window.

    With zeros around the image (padding "same") the divisor is the size of the window; `normalise_edges=True` counts
    only pixels of the image.
    """

    normalise_edges: bool = eqx.field(static=True, default=False)

    def _weights(self, slides: tuple[Slide, ...]) -> tuple[tuple[float, ...], ...]:
        counts = [s.seen if self.normalise_edges else np.full(s.count, s.size) for s in slides]
        return tuple(tuple((1 / c).tolist()) for c in counts)


class GlobalSumPool(Layer):
    """The sum over all pixels, channel by channel: K' = Σ_{p, p'} K(p, p'), the same for Θ. No pixels are left."""

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; only the channels stay."""
        return (), shape[-1:]

    def apply(self, params: tuple[()], x: Array) -> Array:
        """Σ_p x_p, `[n, channels]`."""
        return jnp.sum(x, axis=tuple(range(1, x.ndim - 1)))

    def cov(self, k: Cov) -> Cov:
        """The sum over every pair of pixels."""
        return _pooled_over_all(paired(self, k), prod(k.pixel_shape))

    def demand(self, need: Demand) -> Demand:
        """Every pair."""
        return Demand.EVERY


class GlobalAvgPool(GlobalSumPool):
    """The mean over all pixels, channel by channel: K' = mean of K(p, p'), the same for Θ. No pixels are left."""

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The mean of x_p, `[n, channels]`."""
        return jnp.mean(x, axis=tuple(range(1, x.ndim - 1)))

    def cov(self, k: Cov) -> Cov:
        """The mean over every pair of pixels."""
        return _pooled_over_all(paired(self, k), 1)


def _weighted(x: Array, weights: tuple[tuple[float, ...], ...], axes: list[tuple[int, ...]]) -> Array:
    """`x` times the weights of each pixel axis, on each of its axes in `x`."""
    for weight, places in zip(weights, axes, strict=True):
        for axis in places:
            shape = [len(weight) if i == axis else 1 for i in range(x.ndim)]
            x = x * jnp.asarray(weight, x.dtype).reshape(shape)
    return x


@partial(jax.jit, static_argnums=(1, 2))
def _pooled(k: Cov, slides: tuple[Slide, ...], weights: tuple[tuple[float, ...], ...]) -> Cov:
    k = padded(k, slides)
    weighted = lambda x, batch: _weighted(x, weights, pixel_axes(k, batch))  # noqa: E731
    pool = lambda x, batch: weighted(each_sum(k, slides, x, batch), batch)  # noqa: E731
    new = k.replace(q1=pool(k.q1, 1), q2=pool(k.q2, 1), nngp=pool(k.nngp, 2), ntk=pool(k.ntk, 2))
    t = ratio(k)
    bound = weighted(joint_sum(k, slides, distance(k, t), 2) ** 2, 2)
    alike = [w[:, None] == w for w in map(np.array, weights)]
    bound = jnp.where(_outer(alike, len(slides)), bound, jnp.inf)
    return new.replace(delta=delta_within(new, bound, t))


def _outer(alike: list[np.ndarray], axes: int) -> np.ndarray:
    """Whether all axes agree, `[1, 1, *pixels, *pixels]`, from one table for each axis."""
    shapes = ([1] * 2 + [t.shape[0] if i % axes == a else 1 for i in range(2 * axes)] for a, t in enumerate(alike))
    return reduce(np.logical_and, (t.reshape(s) for t, s in zip(alike, shapes, strict=True)))


@partial(jax.jit, static_argnums=1)
def _pooled_over_all(k: Cov, factor: int) -> Cov:
    def mean(x: Array, batch: int) -> Array:
        while x.ndim > batch:  # axis by axis: the rounding of a long sum grows with its length
            x = jnp.mean(x, axis=-1)
        return x * factor**2

    arrays = dict(q1=mean(k.q1, 1), q2=mean(k.q2, 1), nngp=mean(k.nngp, 2), ntk=mean(k.ntk, 2))
    new = dataclasses.replace(k, **arrays, delta=None, demand=Demand.EQUAL)
    t = ratio(k)
    return new.replace(delta=delta_within(new, mean(k.equal(distance(k, t)), 2) ** 2, t.reshape(t.shape[:2])))
