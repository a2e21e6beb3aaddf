"""The first-order expansion of a network, against explicit Jacobians."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn

KEY = jax.random.key(3)
X = jax.random.normal(KEY, (5, 3))


def network(params, x):
    """A tanh network whose parameters hold an integer and a None beside two matrices."""
    hidden = jnp.tanh(x @ params["weights"][0])
    return hidden @ params["weights"][1] / params["width"]


def start(dtype):
    first, second = jax.random.split(KEY)
    weights = jax.random.normal(first, (3, 4), dtype), jax.random.normal(second, (4, 2), dtype)
    return {"weights": weights, "width": jnp.asarray(4, jnp.int32).astype(dtype), "nothing": None}


def moved(params, scale):
    return {**params, "weights": tuple(w + scale * jnp.cos(7 * w) for w in params["weights"])}


def test_linearization_is_the_value_and_an_explicit_jacobian(x64):
    params, x = start(jnp.float64), X.astype(jnp.float64)
    new = moved(params, 0.8)
    jacobian = jax.jacobian(lambda w: network({**params, "weights": w}, x))(params["weights"])
    expected = network(params, x)
    for J, a, b in zip(jacobian, new["weights"], params["weights"], strict=True):
        expected = expected + jnp.tensordot(J, a - b, 2)
    f_lin = wf.linearize(network, params)
    np.testing.assert_allclose(f_lin(new, x), expected, rtol=1e-13)
    assert np.abs(np.asarray(network(new, x) - expected)).max() > 0.05


def test_linearization_and_its_gradient_are_exact_at_the_start():
    params = start(jnp.float32)
    f_lin = wf.linearize(network, params)
    loss, loss_lin = (lambda w, f=f: jnp.sum(f({**params, "weights": w}, X) ** 3) for f in (network, f_lin))
    gradient, exact = jax.jit(jax.grad(loss_lin)), jax.jit(jax.grad(loss))
    np.testing.assert_allclose(f_lin(params, X), network(params, X), rtol=1e-6)
    for a, b in zip(gradient(params["weights"]), exact(params["weights"]), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6)


def test_error_of_the_linearization_is_of_second_order(x64):
    params, x = start(jnp.float64), X.astype(jnp.float64)
    f_lin = wf.linearize(network, params)
    errors = [np.abs(np.asarray(f_lin(p, x) - network(p, x))).max() for p in (moved(params, s) for s in (1e-3, 1e-4))]
    assert 90 < errors[0] / errors[1] < 110


def test_outputs_may_be_a_tree_and_leaves_that_are_not_floating_point_stay(x64):
    def f(params, x):
        return {"sum": params["w"] * x.sum(), "power": params["w"] ** params["n"].astype(params["w"].dtype)}

    params0 = {"w": jnp.asarray(2.0), "n": jnp.asarray(3)}
    out = wf.linearize(f, params0)({"w": jnp.asarray(2.5), "n": jnp.asarray(7)}, jnp.ones(4))
    np.testing.assert_allclose(out["sum"], 10.0)
    np.testing.assert_allclose(out["power"], 8 + 12 * 0.5)


def test_networks_of_layers_can_be_linearized():
    net = nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(2))
    params = net.init(KEY, X)
    f_lin = wf.linearize(net.apply, params)
    twice = jax.tree.map(lambda p: 2 * p, params)
    change = f_lin(twice, X) - f_lin(params, X)
    np.testing.assert_allclose(change, 2 * net.apply(params, X), rtol=1e-5, atol=1e-6)  # homogeneous of degree two


def vision_transformer(p, x):
    """Patches of 4 × 4 pixels, alike blocks of attention and a hidden layer in a scan, the mean over patches."""
    n, size, _, channels = x.shape
    patches = x.reshape(n, size // 4, 4, size // 4, 4, channels).swapaxes(2, 3).reshape(n, -1, 16 * channels)
    unit = lambda h: (h - h.mean(-1, keepdims=True)) / jnp.sqrt(h.var(-1, keepdims=True) + 1e-6)  # noqa: E731

    def block(h, w):
        q, k, v = jnp.moveaxis(jnp.einsum("npc,cahd->anphd", unit(h), w["qkv"]), 0, 0)
        mixed = jnp.einsum("nhpq,nqhd->nphd", jax.nn.softmax(jnp.einsum("nphd,nqhd->nhpq", q, k), -1), v)
        h = h + jnp.einsum("nphd,hdc->npc", mixed, w["out"])
        return h + jax.nn.gelu(unit(h) @ w["up"]) @ w["down"], None

    h, _ = jax.lax.scan(block, patches @ p["patch"] + p["positions"][None], p["blocks"])
    return unit(h).mean(axis=1) @ p["head"]


def transformer_params(width, depth=3, tokens=64, out=10):
    shapes = {"qkv": (width, 3, 4, width // 4), "out": (4, width // 4, width), "up": (width, 4 * width)}
    shapes = {name: (depth, *shape) for name, shape in shapes.items()} | {"down": (depth, 4 * width, width)}
    normal = lambda *shape: jax.random.normal(KEY, shape) / 8  # noqa: E731
    blocks = {name: normal(*shape) for name, shape in shapes.items()}
    ends = {"patch": normal(48, width), "positions": normal(tokens, width), "head": normal(width, out)}
    return ends | {"blocks": blocks}


@pytest.mark.slow
@pytest.mark.parametrize(("order", "times"), [(1, 1.5), (3, 5.0)])
def test_an_expanded_vision_transformer_trains_in_a_few_times_its_own_memory(order, times):
    params, x = transformer_params(64), jax.random.normal(KEY, (8, 32, 32, 3))

    def held(f):
        slope = jax.jit(jax.grad(lambda p, x: jnp.sum(f(p, x) ** 2)))
        return slope.lower(params, x).compile().memory_analysis().temp_size_in_bytes

    expand = wf.linearize if order == 1 else lambda f, params: wf.taylor(f, params, order)
    network, expanded = held(vision_transformer), held(expand(vision_transformer, params))
    jacobian = 4 * 8 * 10 * sum(leaf.size for leaf in jax.tree.leaves(params))
    assert network < jacobian / 2
    assert expanded < times * network
