"""The factor of the learning rate of every parameter: the pass behind training only a part of a network."""

import dataclasses
import math
from functools import singledispatch
from typing import Any

import jax

from .attention import SelfAttention
from .combine import Residual, Serial
from .conv import Conv
from .dense import Dense
from .embedding import Embedding
from .layer import Layer
from .parallel import Parallel
from .positions import Positions
from .repeat import Repeat
from .scaling import rate_factor


@singledispatch
def learning_rates(layer: Layer, params: Any) -> Any:
    """The factor of the learning rate of every parameter, as the network's layers say: a tree like `params`.

    Gradient descent is θ ← θ − lr · factor · ∂L/∂θ, and the NTK is Σ_μ factor_μ ∂f(x)/∂θ_μ ∂f(x')/∂θ_μ. Factors are
    numbers, one for each array of `params`: `lr_w`, `lr_b` … of the layers, times n^−c where `reparameterize` set a
    power c of the width; 1 for layers of kinds without such options. A layer of your own that has such factors, or
    holds layers that have, registers its rule: `nn.learning_rates.register(MyLayer)`.

    ```python
    rates = nn.learning_rates(net, params)
    params = jax.tree.map(lambda p, rate, g: p - lr * rate * g, params, rates, gradient)
    wf.finite.empirical_ntk(net.apply, params, x, rates=rates)  # tends to Kernel(net).ntk(x)
    ```
    """
    return jax.tree.map(lambda _: 1.0, params)


@learning_rates.register(Dense)
@learning_rates.register(Conv)
def _(layer: Dense | Conv, params: Any) -> Any:
    factor = rate_factor(layer, params["W"].shape[-2])
    of = {"W": layer.lr_w, "B": layer.lr_b}
    return {name: of[name] * factor for name in params}


@learning_rates.register(Embedding)
def _(layer: Embedding, params: Any) -> Any:
    return layer.lr_w * rate_factor(layer.as_dense, 1)


@learning_rates.register(Positions)
def _(layer: Positions, params: Any) -> Any:
    return layer.lr_w * rate_factor(layer.as_dense(params.shape[-1]), 1)


@learning_rates.register(SelfAttention)
def _(layer: SelfAttention, params: Any) -> Any:
    fan_in = {name: params[name].shape[-2] for name in params if name in ("Q", "K", "V")}
    of = {name: layer.matrix(name).lr_w * rate_factor(layer.matrix(name), n) for name, n in fan_in.items()}
    factor = rate_factor(layer.matrix("O"), math.prod(params["O"].shape[-3:-1]))
    of |= {"O": layer.lr_w * factor, "B": layer.lr_b * factor}
    if layer.positions is not None:
        of["positions"] = learning_rates(layer.positions, params["positions"])
    return {name: of[name] for name in params}


@learning_rates.register(Serial)
def _(layer: Serial, params: Any) -> Any:
    return tuple(learning_rates(part, p) for part, p in zip(layer.layers, params, strict=True))


@learning_rates.register(Parallel)
def _(layer: Parallel, params: Any) -> Any:
    return tuple(learning_rates(branch, p) for branch, p in zip(layer.branches, params, strict=True))


@learning_rates.register(Residual)
def _(layer: Residual, params: Any) -> Any:
    return learning_rates(layer.branch, params)


@learning_rates.register(Repeat)
def _(layer: Repeat, params: Any) -> Any:
    return learning_rates(layer.layer, jax.eval_shape(lambda p: jax.tree.map(lambda v: v[0], p), params))


def freeze(net: Layer, weights: bool = True, biases: bool = True) -> Layer:
    """The network, or a part of it, with its parameters kept at their initial values: `lr_w = lr_b = 0` throughout.

    `weights=False` or `biases=False` leaves those as they are; all that is no bias counts as a weight (`lr_query` …,
    embeddings of tokens and positions). Layers without these options are not changed: where
    they have parameters, these go on learning.

    ```python
    body = nn.Serial(nn.Dense(512), nn.Relu(), nn.Dense(512), nn.Relu())
    only_readout = nn.Serial(nn.freeze(body), nn.Dense(1))  # its NTK is the NNGP kernel
    only_biases = nn.freeze(nn.Serial(nn.Dense(512, b=0.1), nn.Relu(), nn.Dense(1)), biases=False)
    ```
    """
    return jax.tree.map(lambda part: _frozen(part, weights, biases), net, is_leaf=_has_factors)


def _has_factors(part: Any) -> bool:
    return isinstance(part, Layer) and hasattr(part, "lr_w")


def _frozen(part: Any, weights: bool, biases: bool) -> Any:
    if not _has_factors(part):
        return part
    new: dict[str, Any] = {}
    for field in dataclasses.fields(part):
        if field.name.startswith("lr_") and (biases if field.name == "lr_b" else weights):
            new[field.name] = 0.0
        elif isinstance(getattr(part, field.name), Layer):
            new[field.name] = freeze(getattr(part, field.name), weights, biases)
    return dataclasses.replace(part, **new)
