"""The locally connected layer: a convolution whose weights are not shared."""

import dataclasses
from math import prod

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import PRNGKeyArray

from .conv import Conv
from .cov import Cov
from .demand import Demand
from .dense import drawn_weights, scaled_output
from .layer import Shape
from .patch import Slides
from .pixel_map import on_diagonal


class ConvLocal(Conv):
    """A locally connected layer: `Conv` with weights and biases of its own at every output pixel.

    z_p = w/√fan_in · Σ_o x_{s p + d o} W_{p, o} + b · B_p, with W, B ~ N(0, 1), fan_in = channels · window pixels.
    Infinite width (Novak et al. 2019, section 3): as `Conv` at equal output pixels; at different ones K' = Θ' = 0,
    since their weights and biases are independent. So without pooling, a network of these layers has the kernels of
    the convolutional one, and pooling sums what is uncorrelated.

    Arguments, padding and errors as in `Conv`.

    ```python
    nn.Serial(nn.ConvLocal(64, 3), nn.Relu(), nn.ConvLocal(64, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    ```
    """

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[dict[str, Array], Shape]:
        """Parameters `{"W": [*pixels, *window, in, out], "B": [*pixels, out]}`: those of `Conv` for every pixel."""
        slides = self._slides(shape[:-1])
        pixels, window = tuple(s.count for s in slides), tuple(s.size for s in slides)
        keys = jax.random.split(key, prod(pixels))
        params = jax.vmap(lambda k: drawn_weights(self, k, (*window, shape[-1], self.out)))(keys)
        return jax.tree.map(lambda p: p.reshape(*pixels, *p.shape[1:]), params), (*pixels, self.out)

    def apply(self, params: dict[str, Array], x: Array) -> Array:
        """z_p = w/√fan_in · Σ_o x_{s p + d o} W_{p, o} + b · B_p."""
        slides = self._slides(x.shape[1:-1])
        pixels = tuple(s.count for s in slides)
        each = jax.tree.map(lambda p: p.reshape(-1, *p.shape[len(pixels) :]), params)
        z = jax.vmap(self._at_pixel, in_axes=(0, 1), out_axes=1)(each, _patches(x, slides))
        return z.reshape(len(x), *pixels, self.out)

    def _at_pixel(self, params: dict[str, Array], patch: Array) -> Array:
        """The outputs at one pixel, from what it sees, `[n, window pixels · channels]`."""
        return scaled_output(self, params, jnp.matmul(patch, params["W"].reshape(-1, self.out)))

    def cov(self, k: Cov) -> Cov:
        """As `Conv` at equal output pixels, 0 at different ones."""
        new = super().cov(k.narrow(Demand.EQUAL))
        return new if k.demand is Demand.EQUAL else _uncorrelated(new)


def _patches(x: Array, slides: Slides) -> Array:
    """What every output pixel sees, `[n, pixels, window pixels · channels]`, offsets in row-major order."""
    for axis, slide in enumerate(slides):
        x = slide.pad(x, (1 + axis,))
    parts = [x]
    for axis, slide in enumerate(slides):
        parts = [part for wide in parts for part in slide.parts(wide, (1 + axis,))]
    seen = jnp.stack(parts, axis=-2)
    return seen.reshape(len(x), -1, len(parts) * x.shape[-1])


@jax.jit
def _uncorrelated(k: Cov) -> Cov:
    """Every pair of pixels, from equal ones: different pixels are uncorrelated."""
    q1, q2, nngp, ntk = (on_diagonal(x, k.pixels, 0) for x in (k.q1, k.q2, k.nngp, k.ntk))
    delta = None if k.delta is None else on_diagonal(k.delta, k.pixels, 1)
    return dataclasses.replace(k, q1=q1, q2=q2, nngp=nngp, ntk=ntk, delta=delta, demand=Demand.EVERY)
