"""Factors of the learning rate: in the infinite kernel, in finite networks, and what is frozen."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from oracles import pixels
from oracles.infinite import expectation
from oracles.scalars import phi, slope
from wideflow import nn
from wideflow.finite import EnsembleTraining, empirical_ntk, network_ntk

N = 12
X = np.random.default_rng(3).standard_normal((4, 3))
IMAGES = np.random.default_rng(4).standard_normal((3, 4, 3, 2))
# One hidden layer: expectations at finite width are those at infinite width.
DENSE = nn.Serial(nn.Dense(N, 1.3, 0.4, lr_w=0.5, lr_b=3.0), nn.Erf(), nn.Dense(1, 0.9, 0.2, lr_w=2.0, lr_b=0.25))
CONV = nn.Serial(nn.Conv(N, 2, 1.2, 0.3, lr_w=0.25, lr_b=4.0), nn.Relu(), nn.Flatten(), nn.Dense(1, lr_w=0.5))


def recursion(layers, x):
    """The textbook recursion with factors, by brute-force expectations of erf."""
    K = x @ x.T / x.shape[1]
    T = np.zeros_like(K)
    for layer in layers:
        if isinstance(layer, nn.Erf):
            K, T = expectation(phi, ("erf",), K), expectation(slope, ("erf",), K) * T
            continue
        b = layer.b or 0.0
        T = layer.lr_w * layer.w**2 * K + layer.lr_b * b**2 + layer.w**2 * T
        K = layer.w**2 * K + b**2
    return K, T


def brute_force(net, params, x, rates):
    """Σ_μ factor_μ ∂f/∂θ_μ ∂f'/∂θ_μ from whole Jacobians, averaged over outputs."""
    jacobians = jax.tree.leaves(jax.jacrev(lambda p: net.apply(p, x))(params))
    flat = [j.reshape(*j.shape[:2], -1) for j in jacobians]
    terms = [r * jnp.einsum("iop,jop->ij", j, j) for j, r in zip(flat, jax.tree.leaves(rates), strict=True)]
    return sum(terms) / flat[0].shape[1]


def test_dense_layers_follow_the_recursion_with_factors():
    net = nn.Serial(*DENSE.layers[:2], nn.Dense(N, 1.1, None, lr_w=0.0, lr_b=7.0), nn.Erf(), DENSE.layers[2])
    for kernel, expected in zip(wf.Kernel(net)(X), recursion(net.layers, X), strict=True):
        np.testing.assert_allclose(kernel, expected, rtol=1e-10)


@pytest.mark.slow
def test_float32_agrees_with_float64():
    single = wf.Kernel(DENSE).ntk(X.astype(np.float32))
    np.testing.assert_allclose(single, wf.Kernel(DENSE).ntk(X), rtol=3e-6)


def test_convolutions_follow_the_oracle_with_factors():
    for kernel, expected in zip(wf.Kernel(CONV)(IMAGES), pixels.kernels(CONV, IMAGES), strict=True):
        np.testing.assert_allclose(kernel, expected, rtol=1e-10)


def test_factors_of_one_are_the_default_to_the_last_bit():
    plain, ones = (nn.Serial(nn.Dense(1, 1.3, 0.4, lr_w=v, lr_b=v), nn.Relu(), nn.Dense(1, 1.1)) for v in (1.0, 1))
    bare = nn.Serial(nn.Dense(1, 1.3, 0.4), nn.Relu(), nn.Dense(1, 1.1))
    for net in (plain, ones):
        np.testing.assert_array_equal(wf.Kernel(net).ntk(X), wf.Kernel(bare).ntk(X))
    assert repr(plain) == repr(bare)


def test_a_readout_on_a_frozen_body_has_the_nngp_kernel():
    body = nn.Serial(nn.Dense(N, 1.3, 0.4), nn.Repeat(nn.Residual(nn.Erf(), nn.Dense(N, 0.7, 0.1)), 2))
    k = wf.Kernel(nn.Serial(nn.freeze(body), nn.Erf(), nn.Dense(1, 1.1, 0.2)))(X)
    np.testing.assert_allclose(k.ntk, k.nngp, rtol=1e-14)
    assert np.all(wf.Kernel(nn.freeze(body)).ntk(X) == 0)


def test_weights_and_biases_share_the_kernel_between_them():
    net = nn.Serial(nn.Dense(N, 1.3, 0.4), nn.Erf(), nn.Dense(1, 0.9, 0.2))
    weights, biases = (nn.freeze(net, weights=i, biases=not i) for i in (False, True))
    assert repr(biases) == "Serial(Dense(12, w=1.3, b=0.4, lr_w=0.0), Erf(), Dense(1, w=0.9, b=0.2, lr_w=0.0))"
    total = wf.Kernel(weights).ntk(X) + wf.Kernel(biases).ntk(X)
    np.testing.assert_allclose(total, wf.Kernel(net).ntk(X), rtol=1e-13)
    assert np.all(np.asarray(wf.Kernel(biases).ntk(X)) >= 0.2**2)


@pytest.mark.slow
def test_kernel_is_linear_in_a_factor_and_differentiable(x64):
    def entry(lr_w):
        net = nn.Serial(nn.Dense(1, 1.3, 0.4, lr_w=lr_w), nn.Relu(), nn.Dense(1))
        return wf.Kernel(net).ntk(jnp.asarray(X))[0, 1]

    slope = jax.grad(entry)(jnp.float64(1.0))
    np.testing.assert_allclose(slope, entry(jnp.float64(3.0)) - entry(jnp.float64(2.0)), rtol=1e-12)


def test_a_new_factor_does_not_recompile():
    count = []

    @jax.jit
    def ntk(net, x):
        count.append(1)
        return wf.Kernel(net).ntk(x)

    for factor in (1.0, 0.0):
        ntk(nn.Serial(nn.Dense(1, lr_w=factor), nn.Relu(), nn.Dense(1, lr_b=factor)), jnp.asarray(X, jnp.float32))
    assert len(count) == 1


class Gain(nn.Layer):
    """A user's layer with a parameter."""

    def setup(self, key, shape):
        return jax.random.normal(key, shape[-1:]), shape

    def apply(self, params, x):
        return x * params[None]


def test_factors_are_a_tree_like_the_parameters():
    block = nn.Residual(nn.Relu(), nn.Dense(4, b=0.1, lr_w=0.3, lr_b=0.7))
    net = nn.Serial(nn.Sum(nn.Dense(4, lr_w=2.0), Gain()), nn.Repeat(block, 3), nn.Dense(1, lr_w=0.5))
    x = np.ones((1, 4), np.float32)
    params = jax.eval_shape(net.init, jax.random.key(0), x)
    expected = (({"W": 2.0}, 1.0), {"W": 0.3, "B": 0.7}, {"W": 0.5})
    rates = nn.learning_rates(net, params)
    assert jax.tree.structure(rates) == jax.tree.structure(params)
    assert rates[0] == expected[0]
    assert jax.tree.leaves(rates[1]) == [0.7, 0.3]
    assert rates[2] == expected[2]


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "x"),
    [
        (nn.Serial(nn.Dense(5, 1.3, 0.4, lr_w=0.5, lr_b=3.0), nn.Erf(), nn.Dense(2, lr_w=0.1)), X),
        pytest.param(CONV, IMAGES, marks=pytest.mark.slow),
    ],
    ids=["dense", "conv"],
)
def test_finite_kernels_weigh_jacobians_by_the_factors(net, x, x64):
    x = jnp.asarray(x)
    params = net.init(jax.random.key(1, impl="unsafe_rbg"), x)
    rates = nn.learning_rates(net, params)
    whole = jax.tree.map(lambda p, r: jnp.full(p.shape, r), params, rates)  # of every entry
    kernels = jax.jit(
        lambda p: (
            brute_force(net, p, x, rates),
            network_ntk(net, p, x),
            empirical_ntk(net.apply, p, x, rates=rates if x.ndim == 2 else whole),
        )
    )
    expected, *found = kernels(params)
    for kernel in found:
        np.testing.assert_allclose(kernel, expected, rtol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("net", "x"), [(DENSE, X), pytest.param(CONV, IMAGES, marks=pytest.mark.slow)], ids=["dense", "conv"]
)
def test_kernel_lies_within_monte_carlo_error_of_finite_networks(net, x):
    x = jnp.asarray(x, jnp.float32)
    draw = jax.jit(jax.vmap(lambda key: network_ntk(net, net.init(key, x), x)))
    sample = np.asarray(draw(jax.random.split(jax.random.key(5, impl="unsafe_rbg"), 1000)), np.float64)
    error = sample.std(0) / np.sqrt(len(sample))
    assert np.all(np.abs(sample.mean(0) - wf.Kernel(net).ntk(x)) <= 5 * error)
    assert np.all(error <= 0.1 * np.abs(sample.mean(0)).max())


@pytest.mark.slow
def test_ensembles_train_with_the_factors():
    y = X[:, :1]
    net = nn.Serial(nn.Dense(8, 1.4, 0.2, lr_w=0.0, lr_b=0.5), nn.Erf(), nn.Dense(1, lr_w=2.0))
    seen = EnsembleTraining(net, wf.GradientDescent(0.3), (0, 3), networks=1, seed=2).run(X, y, X).outputs[0]
    x = jnp.asarray(X, jnp.float32)
    params = net.init(jax.random.fold_in(jax.random.key(2), 0), x)
    for _ in range(3):
        g = jax.grad(lambda p: jnp.sum((net.apply(p, x) - jnp.asarray(y, jnp.float32)) ** 2) / 8)(params)
        first = {"W": params[0]["W"], "B": params[0]["B"] - 0.15 * g[0]["B"]}
        params = (first, (), {"W": params[2]["W"] - 0.6 * g[2]["W"]})
    np.testing.assert_allclose(seen[-1], net.apply(params, x), rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("name", ["lr_w", "lr_b"])
@pytest.mark.parametrize("value", [-1.0, float("nan"), float("inf")])
def test_impossible_factors_are_refused(name, value):
    message = f"{name} must be a finite number of at least 0, got"
    with pytest.raises(ValueError, match=message):
        nn.Dense(3, **{name: value})
    with pytest.raises(ValueError, match=message):
        nn.Conv(3, 2, **{name: value})
