"""How many channels leave a layer: the pass behind the weights of a concatenation, and what refuses unequal ones."""

from collections.abc import Iterable
from functools import singledispatch

from .activation import Activation
from .combine import Residual, Serial
from .layer import Layer
from .pool import GlobalSumPool, SumPool


@singledispatch
def width(layer: Layer, before: int | None = None) -> int | None:
    """The number of channels that leave a layer when `before` enter it, None where the network does not say.

    A layer with a field `out` sets that many. A layer of another kind that has never been seen: not known. ValueError
    where a sum, a product or a residual connection is between numbers that differ.
    """
    return getattr(layer, "out", None)


@width.register(Activation)
@width.register(SumPool)
@width.register(GlobalSumPool)
def _(layer: Layer, before: int | None = None) -> int | None:
    return before


@width.register(Serial)
def _(layer: Serial, before: int | None = None) -> int | None:
    for part in layer.layers:
        before = width(part, before)
    return before


@width.register(Residual)
def _(layer: Residual, before: int | None = None) -> int | None:
    return one_width(layer, (before, width(layer.branch, before)))


def one_width(layer: Layer, widths: Iterable[int | None]) -> int | None:
    """The number of channels of all that `layer` adds or multiplies; ValueError where known ones differ."""
    known = [n for n in widths if isinstance(n, int)]
    if len(set(known)) > 1:
        raise ValueError(
            f"{layer!r}: all that is merged must have one number of channels, got {', '.join(map(str, known))}; "
            "give the last layers of the branches the same number"
        )
    return known[0] if known else None
