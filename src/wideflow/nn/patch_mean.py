"""What a weight-averaged patch does to a covariance: the linear map behind convolutions."""

from functools import partial, reduce
from math import prod
from operator import add

import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from ..duals.root import root, settled
from .cov import Cov
from .mixing import gap, ratio
from .patch import Slides, at_most_two, joint_sum, padded, pixel_axes
from .slide import Slide


@partial(jax.jit, static_argnums=1)
def patch_mean(k: Cov, slides: Slides) -> Cov:
    """Covariances of one weight-averaged patch: the mean of K(p + o, p' + o) over the offsets o of the window."""
    if k.shift is not None:
        return _on_plane(k, k.shift, slides)
    k = padded(k, slides)
    mean = partial(_mean, k, slides)
    new = k.replace(q1=mean(k.q1, 1), q2=mean(k.q2, 1), nngp=mean(k.nngp, 2), ntk=mean(k.ntk, 2))
    if k.delta is None:
        return new
    return new.replace(delta=_delta_of_patch(k, slides, k.delta))


def _mean(k: Cov, slides: Slides, x: Array, batch: int) -> Array:
    return joint_sum(k, slides, x, batch) / prod(s.size for s in slides)


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
    spread = settled(reduce(add, [(a - b) ** 2 for a, b in zip(profiles1, profiles2, strict=True)]))
    return jnp.where((inverse1 > 0) & (inverse2 > 0), at_most_two(lost + spread / 2), 1)


def _profiles(v: Array, slides: tuple[Slide, ...], axes: list[tuple[int, ...]]) -> tuple[list[Array], Array]:
    """a_o / α for every offset of the window, and 1/α; both 0 where the whole patch is zero."""
    parts, total = [root(v)], v
    for slide, axis in zip(slides, axes, strict=True):
        parts = [part for wide in parts for part in slide.parts(wide, axis)]
        total = slide.sum(total, axis)
    inverse = jnp.where(total > 0, 1 / root(jnp.where(total > 0, total, 1)), 0)
    return [part * inverse for part in parts], inverse


def _delta(k: Cov, t: Array, apart: Array) -> Array:
    """1 − correlation of two patches F, G from `apart` = Var(F − t G), which is a mean of terms never negative.

    With standard deviations α, β it is (Var(F − t G) − (α − t β)²) / (2 t α β): one array to sum, whatever the window,
    where `_delta_of_patch` sums over offsets. At equal inputs, and where one is t times the other, nothing is left to
    cancel; where patches are proportional by another factor, what rounding leaves counts as nothing.
    """
    alpha, beta = (root(v) for v in k.variances())
    alive, skew = (alpha > 0) & (beta > 0), (alpha - t * beta) ** 2
    rounding = _ROUNDING * jnp.finfo(apart.dtype).eps * (apart + skew)
    left = apart - skew
    left = left + jax.lax.stop_gradient(jnp.where(left > rounding, left, 0) - left)
    return jnp.where(alive, at_most_two(left / (2 * t * jnp.where(alive, alpha * beta, 1))), 1)


_ROUNDING = 16  # machine epsilons; a difference within them is 0, because a kink would see its square root


def _on_plane(k: Cov, shift: tuple[Array, ...], slides: Slides) -> Cov:
    """The same where the second inputs are rolled by `shift`: windows stop at the seams between pairs of pixels.

    Slides have stride 1 and keep the number of pixels. What a window sees of one input where the other has ended adds
    to Var(F − t G) by itself.
    """
    size, t = prod(s.size for s in slides), ratio(k)
    windows = [_windows(slide, s, k.nngp.dtype) for slide, s in zip(slides, shift, strict=True)]
    first, second, both = zip(*windows, strict=True)
    new = k.replace(q1=_weighed(k.q1, first) / size, q2=_weighed(k.q2, second) / size)
    apart = _sum_within_seams(gap(k, t), shift, slides) / size
    if not all(s.wraps for s in slides):
        alone1, alone2 = (_rest(q, _weighed(v, both) / size) for q, v in ((new.q1, k.q1), (new.q2, k.q2)))
        apart += alone1[..., :, None] + t**2 * alone2[..., None, :]
    delta = _delta(new, t, apart)
    one, two = (root(v) for v in new.variances())
    ntk = _sum_within_seams(k.ntk, shift, slides) / size
    return new.replace(nngp=one * two * (1 - delta), ntk=ntk, delta=delta)


def _rest(whole: Array, part: Array) -> Array:
    """whole − part, and 0 for what rounding alone leaves: a kink would see its square root."""
    rest = whole - part
    return jnp.where(rest > 8 * jnp.finfo(rest.dtype).eps * whole, rest, 0)


def _windows(slide: Slide, shift: Array, dtype: np.dtype) -> tuple[Array, Array, Array]:
    """How often pixel p's window holds pixel r, `[p, r]`: of the first input, of the rolled second, of both at once."""
    p, r = jnp.arange(slide.length)[:, None], jnp.arange(slide.length)[None]
    offsets = [o * slide.dilation - slide.low for o in range(slide.size)]
    if slide.wraps:
        around = _count([r == (p + o) % slide.length for o in offsets], dtype)
        return around, around, around
    rolled = (p + shift) % slide.length
    first = [r == p + o for o in offsets]
    second = [(r == (p + o) % slide.length) & (rolled + o >= 0) & (rolled + o < slide.length) for o in offsets]
    both = [a & b for a, b in zip(first, second, strict=True)]
    return _count(first, dtype), _count(second, dtype), _count(both, dtype)


def _count(tables: list[Array], dtype: np.dtype) -> Array:
    return reduce(add, [table.astype(dtype) for table in tables])


def _weighed(q: Array, tables: tuple[Array, ...]) -> Array:
    """`q [*pixels, n]` summed with the weights `[p, r]` of each axis: products that no loop over pairs repeats."""
    for axis, table in enumerate(tables):
        q = jnp.moveaxis(jnp.tensordot(table, q, axes=(1, axis), precision=jax.lax.Precision.HIGHEST), 0, axis)
    return q


def _sum_within_seams(x: Array, shift: tuple[Array, ...], slides: Slides) -> Array:
    """Σ_o x(p + o) over the offsets of the window that cross no seam of either input; `x [*pixels, n1, n2]`."""
    for axis, (slide, s) in enumerate(zip(slides, shift, strict=True)):
        parts = slide.parts(jax.lax.optimization_barrier(slide.pad(x, (axis,))), (axis,))
        if not slide.wraps:
            parts = [part * _same_side(slide, o, s, part, axis) for o, part in enumerate(parts)]
        x = reduce(add, parts)
    return x


def _same_side(slide: Slide, offset: int, shift: Array, x: Array, axis: int) -> Array:
    """1 where p and the pixel at this offset lie on one side of the seam, else 0; broadcasts to `x`."""
    pixel = jnp.arange(slide.length) + shift
    moved = pixel + (offset * slide.dilation - slide.low)
    same = (pixel >= slide.length) == (moved >= slide.length)
    return same.astype(x.dtype).reshape([-1 if i == axis else 1 for i in range(x.ndim)])
