"""From raw inputs to the covariance that leaves a network: the pass behind `Kernel`."""

from functools import singledispatch

import jax
import numpy as np
from jax import Array

from ..nn import Cov, Demand, Embedding, GraphNetwork, Layer, MaskedNetwork, Serial
from ..nn.values import values_of
from .inputs import input_cov


@singledispatch
def propagate(net: Layer, x1: Array, x2: Array | None, need: Demand) -> Cov:
    """The covariance that leaves `net` for two batches of raw inputs (`x2` None: `x1` with itself).

    The default, right for every layer that knows inputs by their covariance: the layer's rule `cov` on the inner
    products of the inputs. Each layer's rule is compiled by itself, see `nn.Activation`.
    """
    return net.cov(_input_cov(x1, x2, net.demand(need)))


@propagate.register(Serial)
def _(net: Serial, x1: Array, x2: Array | None, need: Demand) -> Cov:
    """The first layer sees the raw inputs."""
    if not net.layers:
        return _input_cov(x1, x2, need)
    rest = Serial(*net.layers[1:])
    between = rest.demand(need)
    k = propagate(net.layers[0], x1, x2, between).narrow(between)
    if isinstance(net.layers[0], MaskedNetwork) and rest.layers and k.pixels:
        raise ValueError(
            f"MaskedNetwork: pixels are left when it ends, and {rest.layers[0]!r} after it does not know which of them "
            "belong to an input; put the layers after it into it"
        )
    return rest.cov(k)


@propagate.register(Embedding)
def _(net: Embedding, x1: Array, x2: Array | None, need: Demand) -> Cov:
    x2 = x1 if x2 is None else x2
    for name, x in (("x1", x1), ("x2", x2)):
        _check_tokens(net, x, name)
    return net.cov_of_tokens(x1, x2, need)


@propagate.register(GraphNetwork)
def _(net: GraphNetwork, x1: Array, x2: Array | None, need: Demand) -> Cov:
    """The features alone go through the layers, which hold the graphs of both batches."""
    x1, first = net.unpack(x1)
    x2, second = (None, first) if x2 is None else net.unpack(x2)
    return propagate(net.on(first, second), x1, x2, need)


@propagate.register(MaskedNetwork)
def _(net: MaskedNetwork, x1: Array, x2: Array | None, need: Demand) -> Cov:
    """The inputs without their masks go through layers that know their sizes."""
    pixels = x1.shape[1:-1]
    x1, first = net.unpack(x1)
    x2, second = (None, first) if x2 is None else net.unpack(x2)
    layers, cleared = net.on(first, second, pixels)
    return cleared.cov(propagate(layers, x1, x2, need))


@singledispatch
def sees_products(net: Layer) -> bool:
    """Whether the network knows its inputs by their inner products alone, as by default."""
    return True


@sees_products.register(Serial)
def _(net: Serial) -> bool:
    return not net.layers or sees_products(net.layers[0])


@sees_products.register(Embedding)
@sees_products.register(GraphNetwork)
@sees_products.register(MaskedNetwork)
def _(net: Layer) -> bool:
    return False


_input_cov = jax.jit(input_cov, static_argnums=2)


def _check_tokens(layer: Embedding, x: Array, name: str) -> None:
    values = values_of(layer.is_token(x))
    bad = [] if values is None else np.flatnonzero(~values.reshape(len(values), -1).all(axis=1))
    if len(bad):
        raise ValueError(
            f"{name}: tokens of {layer!r} are whole numbers from 0 to {layer.tokens - 1}; "
            f"{len(bad)} of {len(x)} inputs hold something else, the first is row {bad[0]}"
        )
