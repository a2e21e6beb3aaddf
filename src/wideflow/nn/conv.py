"""The convolutional layer."""

from math import prod

import equinox as eqx
import jax
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .dense import drawn_weights, fresh_weights, scaled_output
from .hyperparameter import check_count, check_number
from .layer import Layer, Shape
from .patch_mean import patch_mean
from .scaling import Scaling, check_scaling, own_kernel
from .slide import Slide
from .window import Padding, Sizes, Window


class Conv(Layer):
    """A convolution over any number of pixel axes, in NTK parameterization.

    z = w/√fan_in · (x ⋆ W) + b · B with W, B ~ N(0, 1) the parameters, fan_in = channels · window pixels, one bias per
    output channel. Infinite width (Arora et al. 2019, section 4): K' = w² A(K) + b² and
    Θ' = lr_w w² A(K) + lr_b b² + w² A(Θ), where A is the mean over the patch:
    A(K)(p, p') = mean over offsets o of K(s p + d o, s p' + d o), zero outside the image.

    `out`: number of output channels. `window`, `stride`, `dilation`, `padding`: one for every pixel axis, or one per
    axis. `padding`: "same" (zeros, ⌈pixels / stride⌉ outputs), "valid", or "circular". `w`, `b`, `lr_w`, `lr_b`:
    standard deviations and factors of the learning rate as in `Dense`; b=None means no bias. `parameterization` and
    `channels` are written by `reparameterize`. Cost of A: Σ window additions per entry. Raises ValueError for options
    that make no sense, and for inputs they do not fit.

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
    padding: Padding = eqx.field(static=True, default="same")
    lr_w: float | Float[Array, ""] = 1.0
    lr_b: float | Float[Array, ""] = 1.0
    parameterization: str | Scaling = eqx.field(static=True, default="ntk")
    channels: float | Float[Array, ""] | None = None

    def __check_init__(self):
        check_count(self, "out")
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
        return fresh_weights(patch_mean(k, slides), self.w, self.b, own)

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
