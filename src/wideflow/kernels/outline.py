"""The shapes on the way through a network, found without computing."""

import math
from collections.abc import Iterator
from typing import NamedTuple

import jax
import numpy as np
from jax import Array
from jax.extend.core import Jaxpr, JaxprEqn

from ..nn import Demand, Layer
from ..nn.fold import fold
from .planes import pooled
from .propagate import propagate

_ROWS, _COLUMNS = 1009, 1013  # of two abstract batches: primes, so that arrays of their pairs are told from others


class Outline(NamedTuple):
    """`pixels`: the pixel axes of the kernels; `largest`: entries of the largest covariance on the way, for one pair
    of inputs: pixels or pairs of pixels, 1 for vectors; `held`: those that are held at once, one plane where pairs of
    pixels go plane by plane.
    """

    pixels: tuple[int, ...]
    largest: int
    held: int


def outline(net: Layer, inputs: tuple[int, ...]) -> Outline:
    """The outline of `net` on inputs `(*pixels, channels)`, from a trace of its rules; raises their errors."""
    if parts := pooled(net):  # every layer keeps the size of the image
        size = math.prod(inputs[:-1])
        return Outline((), size**2 if parts.every else size, size)
    traced = _rules.trace(fold(net), *(jax.ShapeDtypeStruct((n, *inputs), np.float32) for n in (_ROWS, _COLUMNS)))
    pairs = _ROWS * _COLUMNS
    sizes = (math.prod(shape) for shape in _held(traced.jaxpr.jaxpr))
    largest = max([1, *(size // pairs for size in sizes if size % pairs == 0)])
    return Outline(traced.out_info.shape[2:], largest, largest)


@jax.jit  # whose traces JAX keeps: a kernel computed in many tiles has one outline
def _rules(net: Layer, x1: Array, x2: Array) -> Array:
    return propagate(net, x1, x2, Demand.EQUAL).narrow(Demand.EQUAL).ntk


def _held(traced: Jaxpr) -> Iterator[tuple[int, ...]]:
    """Shapes of what layers hand on, each of which is compiled by itself; what is inside of them XLA fuses."""
    for step in traced.eqns:
        yield from (getattr(out.aval, "shape", ()) for out in step.outvars)
        for inner in _inner(step):
            if step.primitive.name == "scan" or any(each.primitive.name == "scan" for each in inner.eqns):
                yield from _held(inner)


def _inner(step: JaxprEqn) -> Iterator[Jaxpr]:
    """What a call or a loop runs."""
    traced = step.params.get("jaxpr")
    if traced is not None:
        yield getattr(traced, "jaxpr", traced)
