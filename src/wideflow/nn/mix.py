"""Pixels of every input of a batch mixed by matrices of its own; no parameters, see `MaskedNetwork`."""

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float, PRNGKeyArray

from .cov import Cov
from .demand import Demand
from .layer import Layer, Shape
from .mixing import delta_within, distance, paired, ratio
from .patch import pixel_axes
from .pixel_map import on_diagonal
from .width import width

# For each pixel axis, the matrices [n1, new, old] and [n2, new, old] of both batches.
OwnMaps = tuple[tuple[Float[Array, "n1 _ _"], Float[Array, "n2 _ _"]], ...]


class Mix(Layer):
    """Along each axis new pixel i of an input is Σ_j M_ij x_j, M the input's own matrix.

    K' = M K M'ᵀ, the same for Θ. `maps`: for each pixel axis `[n1, new, old]` and `[n2, new, old]`, whose rows sum to
    one, as those of an interpolation, or are zero.
    """

    maps: OwnMaps

    def setup(self, key: PRNGKeyArray, shape: Shape) -> tuple[tuple[()], Shape]:
        """No parameters; the new pixels."""
        return (), (*(first.shape[1] for first, _ in self.maps), shape[-1])

    def apply(self, params: tuple[()], x: Array) -> Array:
        """The mixed pixels, `[n, *pixels, channels]`."""
        for axis, (first, _) in enumerate(self.maps, start=1):
            x = _mixed(x, first, 0, axis)
        return x

    def cov(self, k: Cov) -> Cov:
        """M K M'ᵀ; a linear map of each channel, so Gaussian stays Gaussian."""
        return _mixed_cov(paired(self, k), self.maps)

    def demand(self, need: Demand) -> Demand:
        """Every pair."""
        return Demand.EVERY


@width.register(Mix)
def _(layer: Mix, before: int | None = None) -> int | None:
    return before


def _mixed(x: Array, matrices: Array, batch: int, axis: int) -> Array:
    """Σ_j M_ij x_j along `axis`, for each input along the axis `batch`."""
    x = jnp.moveaxis(x, (batch, axis), (0, 1))
    flat = x.reshape(*x.shape[:2], -1)  # [n, old, rest]
    sums = jnp.matmul(matrices.astype(x.dtype), flat, precision=jax.lax.Precision.HIGHEST)
    return jnp.moveaxis(sums.reshape(*sums.shape[:2], *x.shape[2:]), (0, 1), (batch, axis))


@jax.jit
def _mixed_cov(k: Cov, maps: OwnMaps) -> Cov:
    def own(q: Array, side: int) -> Array:
        for matrices, places in zip(maps, pixel_axes(k, 1), strict=True):
            for axis in places:
                q = _mixed(q, matrices[side], 0, axis)
        return q

    new = k.replace(q1=own(k.q1, 0), q2=own(k.q2, 1), nngp=_across(k, k.nngp, maps), ntk=_across(k, k.ntk, maps))
    t = ratio(k)
    sizes = jax.tree.map(jnp.abs, maps)
    gap = distance(k, t)
    any_pixels = _across(k, gap, sizes) ** 2  # F − t G = Σ_ij m_i m'_j (f_i − t g_j), as both rows sum to one
    equal_pixels = on_diagonal(_difference(k, gap, maps, t) ** 2, k.pixels, jnp.inf)
    return new.replace(delta=delta_within(new, jnp.minimum(any_pixels, equal_pixels), t))


def _across(k: Cov, x: Array, maps: OwnMaps) -> Array:
    """An array of every pair of pixels of both batches, mixed on both sides."""
    for matrices, places in zip(maps, pixel_axes(k, 2), strict=True):
        for side, axis in enumerate(places):
            x = _mixed(x, matrices[side], side, axis)
    return x


def _difference(k: Cov, gap: Array, maps: OwnMaps, t: Array) -> Array:
    """At least √Var(F − t G) at equal pixels, `[n1, n2, *new]`: infinite unless both inputs have the same matrices.

    F − t G = Σ_i m_i (f_i − t g_i) then.
    """
    same = jnp.array(True)
    total = k.equal(gap)
    for axis, (first, second) in enumerate(maps, start=2):
        same &= jnp.all(first[:, None] == second[None], axis=(2, 3))
        total = _mixed(total, jnp.abs(first), 0, axis)
    return jnp.where(same.reshape(*same.shape, *(1,) * k.pixels), total, jnp.inf)
