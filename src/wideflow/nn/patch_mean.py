"""What a weight-averaged patch does to a covariance: the linear map behind convolutions."""

from dataclasses import replace
from functools import partial, reduce
from math import prod
from operator import add

import jax
import jax.numpy as jnp
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
        return _on_planes(k, k.shift, slides)
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


def _delta(alpha: Array, beta: Array, t: Array, apart: Array) -> Array:
    """1 − correlation of two patches F, G from `apart` = Var(F − t G), which is a mean of terms never negative.

    With standard deviations α, β it is (Var(F − t G) − (α − t β)²) / (2 t α β): one array to sum, whatever the window,
    where `_delta_of_patch` sums over offsets. At equal inputs, and where one is t times the other, nothing is left to
    cancel; where patches are proportional by another factor, what rounding leaves counts as nothing.
    """
    alive, skew = (alpha > 0) & (beta > 0), (alpha - t * beta) ** 2
    rounding = _ROUNDING * jnp.finfo(apart.dtype).eps * (apart + skew)
    left = apart - skew
    left = left + jax.lax.stop_gradient(jnp.where(left > rounding, left, 0) - left)
    return jnp.where(alive, at_most_two(left / (2 * t * jnp.where(alive, alpha * beta, 1))), 1)


_ROUNDING = 16  # machine epsilons; a difference within them is 0, because a kink would see its square root


def _on_planes(k: Cov, shift: tuple[Array, ...], slides: Slides) -> Cov:
    """The same where the second inputs are rolled by `shift`: windows stop at the seams between pairs of pixels.

    Slides have stride 1 and keep the number of pixels. What a window sees of one input where the other has ended adds
    to Var(F − t G) by itself.
    """
    size, t, n1 = prod(s.size for s in slides), ratio(k), k.q1.shape[-1]
    q, within = jnp.concatenate([k.q1, k.q2], axis=-1), _pairs_within(slides, shift)
    around = tuple(replace(slide, wraps=True) for slide in slides)
    whole = _sum_over_windows(q, around, _inputs_within(slides, shift, n1, q.shape[-1])) / size
    apart = _sum_over_windows(gap(k, t), slides, within) / size
    if not all(s.wraps for s in slides):
        alone1, alone2 = jnp.split(_rest(whole, _sum_over_windows(q, slides, within) / size), [n1], axis=-1)
        apart += alone1[..., :, None] + t**2 * alone2[..., None, :]
    alpha, beta = jnp.split(root(whole), [n1], axis=-1)
    one, two = alpha[..., :, None], beta[..., None, :]
    delta = _delta(one, two, t, apart)
    q1, q2 = jnp.split(whole, [n1], axis=-1)
    ntk = _sum_over_windows(k.ntk, slides, within) / size
    return k.replace(q1=q1, q2=q2, nngp=one * two * (1 - delta), ntk=ntk, delta=delta)


def _rest(whole: Array, part: Array) -> Array:
    """whole − part, and 0 for what rounding alone leaves: a kink would see its square root."""
    rest = whole - part
    return jnp.where(rest > 8 * jnp.finfo(rest.dtype).eps * whole, rest, 0)


Masks = list[Array]  # for each pixel axis whether to count, `[offset of the window, planes, pixel, input]`


def _inputs_within(slides: Slides, shift: tuple[Array, ...], n1: int, n: int) -> Masks:
    """Where each input's own window is inside of it: of `n1` inputs that are not rolled, and of `n` − `n1` that are."""
    is_second = jnp.arange(n)[None, None] >= n1
    return [_inside(slide, jnp.where(is_second, s[:, None, None], 0)) for slide, s in zip(slides, shift, strict=True)]


def _pairs_within(slides: Slides, shift: tuple[Array, ...]) -> Masks:
    """Where the window is inside of both inputs."""
    shifts = [s[:, None, None] for s in shift]
    return [_inside(slide, s) & _inside(slide, jnp.zeros_like(s)) for slide, s in zip(slides, shifts, strict=True)]


def _inside(slide: Slide, shift: Array) -> Array:
    """Whether an offset of the window leads from pixel p of an input rolled by `shift [planes, 1, n]` into it."""
    pixels, offsets = jnp.arange(slide.length, dtype=shift.dtype), jnp.arange(slide.size, dtype=shift.dtype)
    rolled = pixels[None, :, None] + shift
    pixel = jnp.where(rolled < slide.length, rolled, rolled - slide.length)
    moved = pixel[None] + (offsets * slide.dilation - slide.low)[:, None, None, None]
    return (moved >= 0) & (moved < slide.length) | slide.wraps


def _sum_over_windows(x: Array, slides: Slides, within: Masks) -> Array:
    """Σ_o x(p + o) over the offsets of the window that are `within`; `x [planes, *pixels, …, n]`."""
    for axis, (slide, masks) in enumerate(zip(slides, within, strict=True), start=1):
        parts = slide.parts(jax.lax.optimization_barrier(slide.pad(x, (axis,))), (axis,))
        x = reduce(add, [part * _facing(mask, axis, x) for part, mask in zip(parts, masks, strict=True)])
    return x


def _facing(mask: Array, axis: int, x: Array) -> Array:
    """`mask [planes, p, n]` as numbers that broadcast to `x`, whose pixels p lie along `axis`."""
    planes, length, n = mask.shape
    shape = [planes if a == 0 else length if a == axis else n if a == x.ndim - 1 else 1 for a in range(x.ndim)]
    return mask.astype(x.dtype).reshape(shape)
