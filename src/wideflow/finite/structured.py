"""The NTK of a finite network from inputs and cotangents of its dense layers, without any Jacobian.

A dense layer's weights see their input h and send back the cotangent δ of their output, so the gradient of f(x)
with respect to them is the outer product h δᵀ, and the inner product of two such gradients is (h·h')(δ·δ'). One
backward pass gives δ for every input of a batch at once.
"""

from collections.abc import Iterator
from typing import Any

import jax
import jax.numpy as jnp
from jax import Array
from jaxtyping import Float

from ..nn import Activation, Dense, Layer, Residual, Serial, learning_rates
from ..nn.scaling import rate_factor, scales
from .empirical import empirical_ntk


def network_ntk(net: Layer, params: Any, x: Float[Array, "n *s c"]) -> Float[Array, "n n"]:
    """The NTK of a finite network made of layers, averaged over its outputs, on one batch.

    Θ(x, x') = 1/out Σ_o Σ_μ r_μ ∂f_o(x)/∂θ_μ ∂f_o(x')/∂θ_μ, r the factors of the learning rate that the layers give
    (`nn.learning_rates`; 1 by default). Where all parameters sit in Dense layers and inputs are vectors, from inputs
    and cotangents: one forward and `out` backward passes and 4 n² N operations a layer of width N. Other networks are
    contracted by `empirical_ntk`.
    """
    if x.ndim != 2 or not _is_dense(net):
        return empirical_ntk(net.apply, params, x, rates=learning_rates(net, params))
    taps = [jnp.zeros((len(x), layer.out), x.dtype) for layer in _dense_layers(net)]
    outputs, pullback, inputs = jax.vjp(lambda z: _run(net, params, x, iter(z)), taps, has_aux=True)
    share = [_own_kernel(layer, h) for layer, h in zip(_dense_layers(net), inputs, strict=True)]

    def of_output(cotangent: Array) -> Array:
        (deltas,) = pullback(jnp.broadcast_to(cotangent, outputs.shape))
        return jnp.sum(jnp.stack([k * (delta @ delta.T) for k, delta in zip(share, deltas, strict=True)]), axis=0)

    return jnp.mean(jax.lax.map(of_output, jnp.eye(outputs.shape[1], dtype=x.dtype)[:, None]), axis=0)


def _own_kernel(layer: Dense, h: Array) -> Array:
    """Inner products of the gradients of one output of a layer with respect to its parameters, times their factors.

    lr_w w²/fan_in h·h' + lr_b b², with the multipliers of the layer's parameterization in place of w/√fan_in and b.
    """
    scale, rate = scales(layer, (h.shape[1], layer.out), h.dtype), rate_factor(layer, h.shape[1])
    kernel = jnp.asarray(layer.lr_w * rate, h.dtype) * scale.weight**2 * (h @ h.T)
    return kernel if layer.b is None else kernel + jnp.asarray(layer.lr_b * rate, h.dtype) * scale.bias**2


def _run(layer: Layer, params: Any, x: Array, taps: Iterator[Array]) -> tuple[Array, list[Array]]:
    """The layer's output with a tap added to the output of each dense layer, and the inputs of those layers."""
    if isinstance(layer, Dense):
        return layer.apply(params, x) + next(taps), [x]
    if isinstance(layer, Residual):
        branch, inputs = _run(layer.branch, params, x, taps)
        return x + branch, inputs
    if not isinstance(layer, Serial):
        return layer.apply(params, x), []
    inputs = []
    for part, p in zip(layer.layers, params, strict=True):
        x, more = _run(part, p, x, taps)
        inputs += more
    return x, inputs


def _dense_layers(layer: Layer) -> list[Dense]:
    """The dense layers in the order they run."""
    if isinstance(layer, Dense):
        return [layer]
    parts = layer.layers if isinstance(layer, Serial) else (layer.branch,) if isinstance(layer, Residual) else ()
    return [dense for part in parts for dense in _dense_layers(part)]


def _is_dense(layer: Layer) -> bool:
    """Whether every parameter sits in a Dense layer that Serial and Residual lead to."""
    if isinstance(layer, Serial):
        return all(map(_is_dense, layer.layers))
    if isinstance(layer, Residual):
        return _is_dense(layer.branch)
    return type(layer) is Dense or type(layer).setup is Activation.setup
