"""The convolutional layer."""

from functools import partial, reduce
from math import prod
from operator import add

import equinox as eqx
import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from ..duals.root import root
from .cov import Cov
from .demand import Demand
from .dense import drawn_weights, fresh_weights, scaled_output
from .hyperparameter import check_number
from .layer import Layer, Shape
from .patch import at_most_two, joint_sum, padded, pixel_axes
from .scaling import Scaling, check_scaling, own_kernel
from .slide import Slide
from .window import Sizes, Window


class Conv(Layer):
    """A convolution over any number of pixel axes, in NTK parameterization.

    z = w/√fan_in · (x ⋆ W) + b · B with W, B ~ N(0, 1) the parameters, fan_in = channels · window pixels, one bias per
    output channel. Infinite width (Arora et al. 2019, section 4): K' = w² A(K) + b² and
    Θ' = lr_w w² A(K) + lr_b b² + w² A(Θ), where A is the mean over the patch:
    A(K)(p, p') = mean over offsets o of K(s p + d o, s p' + d o), zero outside the image.

    `out`: number of output channels. `window`, `stride`, `dilation`: an int for every pixel axis, or one per axis.
    `padding`: "same" (zeros, ⌈pixels / stride⌉ outputs), "valid", or "circular". `w`, `b`, `lr_w`, `lr_b`: standard
    deviations and factors of the learning rate as in `Dense`; b=None means no bias. `parameterization` and `channels`
    are written by `reparameterize`. Cost of A: Σ window additions per entry. Raises ValueError for options that make
    no sense, and for inputs they do not fit.

    ```python
    net = nn.Serial(nn.Conv(64, 3), nn.Relu(), nn.Conv(64, 3, stride=2), nn.Relu(), nn.Flatten(), nn.Dense(1))
    k = wf.Kernel(net)(images)  # images: [n, height, width, channels]
    ```
    """

    out: int = eqx.field(static=True)
    window: Sizes = eqx.field(static=True)
    w: float | Float[Array, ""] = 1.0
    b: float | Float[Array, ""] | None = None
    stride: Sizes = eqx.field(static=True, default=1)
    dilation: Sizes = eqx.field(static=True, default=1)
    padding: str = eqx.field(static=True, default="same")
    lr_w: float | Float[Array, ""] = 1.0
    lr_b: float | Float[Array, ""] = 1.0
    parameterization: str | Scaling = eqx.field(static=True, default="ntk")
    channels: float | Float[Array, ""] | None = None

    def __check_init__(self):
        if self.out < 1:
            raise ValueError(f"{self!r}: the number of output channels must be at least 1, got {self.out}")
        for name in ("w", "b", "lr_w", "lr_b"):
            check_number(self, name, 0.0)
        check_scaling(self)
        self._window.check()

    @property
    def _window(self) -> Window:
        return Window(repr(self), self.window, self.stride, self.dilation, self.padding)

    def _slides(self, pixels: tuple[int, ...]) -> tuple[Slide, ...]:
        """The window along each pixel axis; ValueError where it does not fit."""
        return self._window.slides(pixels)

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[dict[str, Array], Shape]:
        """Parameters `{"W": [*window, in, out], "B": [out]}`, all standard normal."""
        slides = self._slides(shape[:-1])
        params = drawn_weights(self, key, (*(s.size for s in slides), shape[-1], self.out))
        return params, (*(s.count for s in slides), self.out)

    def apply(self, params: dict[str, Array], x: Array) -> Array:
        """z = w/√fan_in · (x ⋆ W) + b · B."""
        return scaled_output(self, params, _convolved(x, params["W"], self._slides(x.shape[1:-1])))

    def cov(self, k: Cov) -> Cov:
        """K' = w² A(K) + b², Θ' = lr_w w² A(K) + lr_b b² + w² A(Θ)."""
        slides = self._slides(k.pixel_shape)
        own = own_kernel(self, prod(s.size for s in slides), k.nngp.dtype)
        return fresh_weights(_patch_mean(k, slides), self.w, self.b, own)

    def demand(self, need: Demand) -> Demand:
        """Equal pixels see equal pixels of their patches: what the output needs."""
        return need


def _convolved(x: Array, W: Array, slides: tuple[Slide, ...]) -> Array:
    """x ⋆ W: sums over the window and the channels, `[n, *pixels, out]`."""
    for axis, slide in enumerate(slides):
        x = slide.pad(x, (1 + axis,))
    pixels = tuple(range(1, 1 + len(slides)))
    batch_features = (0, x.ndim - 1, *pixels)
    kernel = (W.ndim - 1, W.ndim - 2, *range(len(slides)))
    return jax.lax.conv_general_dilated(
        x,
        W,
        window_strides=[s.stride for s in slides],
        padding="VALID",
        rhs_dilation=[s.dilation for s in slides],
        dimension_numbers=jax.lax.ConvDimensionNumbers(batch_features, kernel, batch_features),
    )


@partial(jax.jit, static_argnums=1)
def _patch_mean(k: Cov, slides: tuple[Slide, ...]) -> Cov:
    """Covariances of one weight-averaged patch: the mean of K(p + o, p' + o) over the offsets o of the window."""
    k = padded(k, slides)
    mean = lambda x, batch: joint_sum(k, slides, x, batch) / prod(s.size for s in slides)  # noqa: E731
    return k.replace(
        q1=mean(k.q1, 1),
        q2=mean(k.q2, 1),
        nngp=mean(k.nngp, 2),
        ntk=mean(k.ntk, 2),
        delta=None if k.delta is None else _delta_of_patch(k, slides, k.delta),
    )


def _delta_of_patch(k: Cov, slides: tuple[Slide, ...], delta: Array) -> Array:
    """1 − correlation of two patches, from that of their pixels, as a sum of terms that are never negative.

    With standard deviations a_o, b_o of the pixels and α² = Σ a_o², β² = Σ b_o² of the patches:
    1 − Σ a_o b_o (1 − δ_o) / (α β) = Σ a_o b_o δ_o / (α β) + ½ Σ (a_o/α − b_o/β)².
    """
    axes = pixel_axes(k, 2)
    (v1, v2), first, second = k.variances(), [a[:1] for a in axes], [a[-1:] for a in axes]
    profiles1, inverse1 = _profiles(v1, slides, first)
    profiles2, inverse2 = _profiles(v2, slides, second)
    lost = joint_sum(k, slides, root(v1) * root(v2) * delta, 2) * inverse1 * inverse2
    spread = reduce(add, [(a - b) ** 2 for a, b in zip(profiles1, profiles2, strict=True)]) / 2
    return jnp.where((inverse1 > 0) & (inverse2 > 0), at_most_two(lost + spread), 1)


def _profiles(v: Array, slides: tuple[Slide, ...], axes: list[tuple[int, ...]]) -> tuple[list[Array], Array]:
    """a_o / α for every offset of the window, and 1/α; both 0 where the whole patch is zero."""
    parts, total = [root(v)], v
    for slide, axis in zip(slides, axes, strict=True):
        parts = [part for wide in parts for part in slide.parts(wide, axis)]
        total = slide.sum(total, axis)
    inverse = jnp.where(total > 0, 1 / root(jnp.where(total > 0, total, 1)), 0)
    return [part * inverse for part in parts], inverse
