"""The transposed convolution."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from .conv import Conv
from .cov import Cov
from .layer import Shape
from .patch import pixel_axes
from .slide import Slide
from .window import Axis


class ConvTranspose(Conv):
    """A transposed convolution, which makes images larger by its stride, in NTK parameterization.

    z = w/√fan_in · (u ⋆ W) + b · B, where u is x with stride − 1 zeros after every pixel, W, B ~ N(0, 1) and
    fan_in = channels · window pixels as in `Conv`; W is not flipped. The finite layer is that of
    `jax.lax.conv_transpose` (Dumoulin & Visin 2016, section 4). Infinite width: the rule of `Conv` on U, which is K
    with zeros at the added pixels: K' = w² A(U) + b² with A(U)(p, p') = mean over offsets o of U(p + d o, p' + d o).

    Most offsets meet added zeros: a pixel that sees c input pixels has the variance w² c/window · K + b². Per axis c is
    window/stride on average, and differs from pixel to pixel where the stride does not divide the window (the
    checkerboard). For variance w² K set w to w √stride^axes.

    Arguments as in `Conv`; `stride` is how much each axis grows. `padding`, with r = dilation (window − 1) + 1 pixels
    from end to end of the window: "same" gives pixels · stride outputs; "valid" gives max(r − stride, 0) more, all that
    see an input; "circular" is "same" with the ends joined. Cost: that of `Conv` with stride 1 on the larger image.

    ```python
    nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.ConvTranspose(64, 4, stride=2), nn.Relu(), nn.Conv(3, 3))
    ```
    """

    def _slides(self, pixels: tuple[int, ...]) -> tuple[Slide, ...]:
        """The window along each axis of an image that has its zeros already."""
        return tuple(self.slide(axis) for axis in self._window.axes(pixels))

    def slide(self, axis: Axis) -> Slide:
        """The window along one axis, whose zeros are there already."""
        length, size, stride, dilation, padding = axis
        reach = (size - 1) * dilation
        if padding == "valid":
            low, high = reach, max(reach + 1 - stride, 0)
        else:
            low = reach if stride > reach else -(-(reach + stride - 1) // 2)  # as `jax.lax.conv_transpose` has it
            high = reach - low
        return Slide(length, size, 1, dilation, low, high, wraps=padding == "circular")

    def _strides(self, pixels: tuple[int, ...]) -> tuple[int, ...]:
        return tuple(axis.stride for axis in self._window.axes(pixels))

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[dict[str, Array], Shape]:
        """Parameters `{"W": [*window, in, out], "B": [out]}`, all standard normal."""
        pixels = shape[:-1]
        larger = tuple(n * stride for n, stride in zip(pixels, self._strides(pixels), strict=True))
        return super().setup(key, (*larger, shape[-1]))

    def apply(self, params: dict[str, Array], x: Array) -> Array:
        """z = w/√fan_in · (u ⋆ W) + b · B."""
        strides = self._strides(x.shape[1:-1])
        return super().apply(params, _spread(x, strides, [(1 + axis,) for axis in range(len(strides))]))

    def cov(self, k: Cov) -> Cov:
        """The rule of `Conv`, on the covariance of the larger image."""
        return super().cov(_spread_cov(k, self._strides(k.pixel_shape)))


def _spread(x: Array, strides: tuple[int, ...], axes: list[tuple[int, ...]]) -> Array:
    """`x` with stride − 1 zeros after every pixel of each pixel axis, on each of its axes in `x`."""
    added = [(0, 0, 0)] * x.ndim
    for stride, places in zip(strides, axes, strict=True):
        for axis in places:
            added[axis] = (0, stride - 1, stride - 1)
    return jax.lax.pad(x, jnp.zeros((), x.dtype), added)


@partial(jax.jit, static_argnums=1)
def _spread_cov(k: Cov, strides: tuple[int, ...]) -> Cov:
    spread = lambda x, batch: _spread(x, strides, pixel_axes(k, batch))  # noqa: E731
    new = dict(q1=spread(k.q1, 1), q2=spread(k.q2, 1), nngp=spread(k.nngp, 2), ntk=spread(k.ntk, 2))
    # Where a pixel is added, delta multiplies a zero variance.
    return dataclasses.replace(k, **new, delta=None if k.delta is None else spread(k.delta, 2))
