"""Sums of a covariance over patches of pixels."""

import dataclasses

import jax
import jax.numpy as jnp
from jax import Array

from .cov import Cov
from .demand import Demand
from .slide import Slide

Slides = tuple[Slide, ...]


def pixel_axes(k: Cov, batch: int) -> list[tuple[int, ...]]:
    """For each pixel axis, its axes in an array of `k` with `batch` batch axes: one, or two where pixels are paired."""
    first = range(batch, batch + k.pixels)
    return [(axis, axis + k.pixels) if k.demand is Demand.EVERY else (axis,) for axis in first]


def padded(k: Cov, slides: Slides) -> Cov:
    """The covariances of the padded inputs."""

    def pad(x: Array, batch: int) -> Array:
        for slide, axes in zip(slides, pixel_axes(k, batch), strict=True):
            x = slide.pad(x, axes)
        return x

    return dataclasses.replace(
        k,
        q1=pad(k.q1, 1),
        q2=pad(k.q2, 1),
        nngp=pad(k.nngp, 2),
        ntk=pad(k.ntk, 2),
        delta=None if k.delta is None else pad(k.delta, 2),  # at added zeros it multiplies a zero variance
    )


def joint_sum(k: Cov, slides: Slides, x: Array, batch: int) -> Array:
    """Σ_o x(p + o, p' + o): both pixels move through the window together. `x`: an array of the padded `k`."""
    for slide, axes in zip(slides, pixel_axes(k, batch), strict=True):
        x = slide.sum(x, axes)
    return x


def each_sum(k: Cov, slides: Slides, x: Array, batch: int) -> Array:
    """Σ_{o, o'} x(p + o, p' + o'): each pixel moves through the window by itself."""
    for slide, axes in zip(slides, pixel_axes(k, batch), strict=True):
        for axis in axes:
            x = slide.sum(x, (axis,))
    return x


# Opposite inputs have delta = 2, which their sums miss by rounding; a kink would see its square root. In units of
# the machine epsilon.
_NEAR_TWO = 8


def at_most_two(delta: Array) -> Array:
    """`delta`, with 2 for what rounding alone tells from it, above and below. Derivatives stay."""
    limit = 2 - _NEAR_TWO * jnp.finfo(delta.dtype).eps
    return delta + jax.lax.stop_gradient(jnp.where(delta > limit, 2, delta) - delta)
