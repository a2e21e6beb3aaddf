"""Images made larger or smaller by interpolation."""

import math
from functools import partial

import equinox as eqx
import jax
import numpy as np
from jax import Array
from jaxtyping import PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .index import selected
from .layer import Layer, Shape
from .mixing import paired
from .pixel_map import mapped
from .width import width

METHODS = ("nearest", "linear", "cubic", "lanczos3", "lanczos5")


class Resize(Layer):
    """Images interpolated to other numbers of pixels, channel by channel, as `jax.image.resize` does.

    The same as a `LinearMap` with one matrix per pixel axis: K' = M K Mᵀ, the same for Θ.

    `shape`: the new numbers of pixels, one per pixel axis, or an int for every axis; or `factor`: how much longer each
    axis becomes, ⌊factor · pixels + ½⌋ and at least 1, one per axis or for all. `method`: "nearest" copies pixels
    (equal pixels then suffice), "linear", "cubic" (Keys 1981), "lanczos3" and "lanczos5" mix them (every pair counts).
    `antialias`: where an axis shrinks, widen the interpolation so that it averages; without effect on "nearest".
    Pixels are centred at half integers, and weights at the edges are normalised to sum 1. Raises ValueError for an
    unknown method, numbers below 1, shape and factor together or neither, and inputs with another number of pixel axes.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.Resize((16, 16), "linear"), nn.Conv(64, 3), nn.Relu(), nn.Flatten())
    ```
    """

    shape: int | tuple[int, ...] | None = eqx.field(static=True, default=None)
    method: str = eqx.field(static=True, default="linear")
    antialias: bool = eqx.field(static=True, default=True)
    factor: float | tuple[float, ...] | None = eqx.field(static=True, default=None)

    def __check_init__(self):
        if (self.shape is None) == (self.factor is None):
            raise ValueError(
                f"Resize: give shape, the new numbers of pixels, or factor, how much longer each axis becomes; "
                f"got shape={self.shape} and factor={self.factor}"
            )
        shape = () if self.shape is None else self.shape if isinstance(self.shape, tuple) else (self.shape,)
        factor = () if self.factor is None else self.factor if isinstance(self.factor, tuple) else (self.factor,)
        if self.shape == () or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in shape):
            raise ValueError(f"Resize: shape must be positive integers, one for each pixel axis, got {self.shape}")
        if self.factor == () or any(not 0 < f < math.inf for f in factor):
            raise ValueError(f"Resize: factors must be positive numbers, one for each pixel axis, got {self.factor}")
        if self.method not in METHODS:
            known = ", ".join(f'"{name}"' for name in METHODS)
            raise ValueError(f"Resize: method must be one of {known}, got {self.method!r}")

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the new pixels."""
        return (), (*self._outputs(shape[:-1]), shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The resized images, `[n, *shape, channels]`."""
        new = (len(x), *self._outputs(x.shape[1:-1]), x.shape[-1])
        return jax.image.resize(x, new, self.method, self.antialias)

    def cov(self, k: Cov) -> Cov:
        """M K Mᵀ, or K at the pixels that are copied; Gaussian stays Gaussian."""
        old, new = k.pixel_shape, self._outputs(k.pixel_shape)
        if self.method == "nearest":
            return selected(k, tuple(tuple(nearest(n, m).tolist()) for n, m in zip(old, new, strict=True)))
        return mapped(paired(self, k), [self.weights(n, m) for n, m in zip(old, new, strict=True)])

    def demand(self, need: Demand) -> Demand:
        """Copies of equal pixels come from equal pixels; mixtures need every pair."""
        return need if self.method == "nearest" else Demand.EVERY

    def _outputs(self, pixels: tuple[int, ...]) -> tuple[int, ...]:
        """The new pixels; ValueError where the input has another number of axes."""
        given = self.shape if self.factor is None else self.factor
        each = given if isinstance(given, tuple) else (given,) * len(pixels)
        if not pixels or len(each) != len(pixels):
            got = f"pixels {pixels}" if pixels else "vectors without pixels"
            raise ValueError(f"{self!r}: wanted inputs with {len(each) or 'some'} pixel axes, got {got}")
        return tuple(self.length(axis, n) for axis, n in enumerate(pixels))

    def length(self, axis: int, old: int) -> int:
        """The new number of pixels of one axis."""
        if self.shape is not None:
            return self.shape[axis] if isinstance(self.shape, tuple) else self.shape
        factor = self.factor[axis] if isinstance(self.factor, tuple) else self.factor or 1
        return max(1, math.floor(factor * old + 0.5))

    def weights(self, old: int, new: int) -> np.ndarray:
        """The matrix `[new, old]` along one axis, float64; not for "nearest"."""
        stretch = max(old / new, 1.0) if self.antialias else 1.0  # of the interpolation, where the axis shrinks
        centres = (np.arange(new) + 0.5) * old / new - 0.5
        M = _PROFILES[self.method](np.abs(centres[:, None] - np.arange(old)) / stretch)
        return M / M.sum(axis=1, keepdims=True)


@width.register(Resize)
def _(layer: Resize, before: int | None = None) -> int | None:
    return before


def nearest(old: int, new: int) -> np.ndarray:
    """The old pixel in which the centre of each new one lies, `[new]`."""
    return (2 * np.arange(new) + 1) * old // (2 * new)


# What pixels weigh at a distance of x ≥ 0 of them, as in `jax.image`.


def _linear(x: np.ndarray) -> np.ndarray:
    return np.maximum(0, 1 - x)


def _cubic(x: np.ndarray) -> np.ndarray:
    near, far = ((1.5 * x - 2.5) * x) * x + 1, ((-0.5 * x + 2.5) * x - 4) * x + 2
    return np.where(x < 1, near, np.where(x < 2, far, 0))


def _lanczos(x: np.ndarray, radius: int) -> np.ndarray:
    return np.where(x <= radius, np.sinc(x) * np.sinc(x / radius), 0)


_PROFILES = {
    "linear": _linear,
    "cubic": _cubic,
    "lanczos3": partial(_lanczos, radius=3),
    "lanczos5": partial(_lanczos, radius=5),
}
