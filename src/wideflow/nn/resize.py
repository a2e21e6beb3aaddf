"""Images made larger or smaller by interpolation."""

import equinox as eqx
import jax
import jax.numpy as jnp
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

    `shape`: the new numbers of pixels, one per pixel axis, or an int for every axis. `method`: "nearest" copies pixels
    (equal pixels then suffice), "linear", "cubic" (Keys 1981), "lanczos3" and "lanczos5" mix them (every pair counts).
    `antialias`: where an axis shrinks, widen the interpolation so that it averages; without effect on "nearest".
    Pixels are centred at half integers, and weights at the edges are normalised to sum 1. Raises ValueError for an
    unknown method, numbers below 1, and inputs with another number of pixel axes.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.Resize((16, 16), "linear"), nn.Conv(64, 3), nn.Relu(), nn.Flatten())
    ```
    """

    shape: int | tuple[int, ...] = eqx.field(static=True)
    method: str = eqx.field(static=True, default="linear")
    antialias: bool = eqx.field(static=True, default=True)

    def __check_init__(self):
        each = self.shape if isinstance(self.shape, tuple) else (self.shape,)
        if not each or any(isinstance(n, bool) or not isinstance(n, int) or n < 1 for n in each):
            raise ValueError(f"Resize: shape must be positive integers, one for each pixel axis, got {self.shape}")
        if self.method not in METHODS:
            known = ", ".join(f'"{name}"' for name in METHODS)
            raise ValueError(f"Resize: method must be one of {known}, got {self.method!r}")

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the new pixels."""
        return (), (*self._outputs(shape[:-1]), shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The resized images, `[n, *shape, channels]`."""
        return _resized(x, (len(x), *self._outputs(x.shape[1:-1]), x.shape[-1]), self)

    def cov(self, k: Cov) -> Cov:
        """M K Mᵀ, or K at the pixels that are copied; Gaussian stays Gaussian."""
        old, new = k.pixel_shape, self._outputs(k.pixel_shape)
        if self.method == "nearest":
            return selected(k, tuple(map(_nearest, old, new)))
        identities = [jnp.eye(m, dtype=k.nngp.dtype) for m in old]
        return mapped(
            paired(self, k), [_resized(eye, (n, len(eye)), self) for eye, n in zip(identities, new, strict=True)]
        )

    def demand(self, need: Demand) -> Demand:
        """Copies of equal pixels come from equal pixels; mixtures need every pair."""
        return need if self.method == "nearest" else Demand.EVERY

    def _outputs(self, pixels: tuple[int, ...]) -> tuple[int, ...]:
        """The new pixels; ValueError where the input has another number of axes."""
        new = self.shape if isinstance(self.shape, tuple) else (self.shape,) * len(pixels)
        if not pixels or len(new) != len(pixels):
            got = f"pixels {pixels}" if pixels else "vectors without pixels"
            raise ValueError(f"{self!r}: wanted inputs with {len(new) or 'some'} pixel axes, got {got}")
        return new


@width.register(Resize)
def _(layer: Resize, before: int | None = None) -> int | None:
    return before


def _resized(x: Array, shape: tuple[int, ...], layer: Resize) -> Array:
    return jax.image.resize(x, shape, layer.method, layer.antialias)


def _nearest(old: int, new: int) -> tuple[int, ...]:
    """The old pixel in which the centre of each new one lies."""
    return tuple((2 * i + 1) * old // (2 * new) for i in range(new))
