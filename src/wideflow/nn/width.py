"""How many channels leave a layer: the pass behind the weights of a concatenation."""

from functools import singledispatch

from .activation import Activation
from .combine import Residual, Serial
from .layer import Layer
from .pool import GlobalSumPool, SumPool


@singledispatch
def width(layer: Layer, before: int | None = None) -> int | None:
    """The number of channels that leave a layer when `before` enter it, None where the network does not say.

    A layer with a field `out` sets that many. A layer of another kind that has never been seen: not known.
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
    return before if before is not None else width(layer.branch, before)
