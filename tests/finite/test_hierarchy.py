"""The tensors O_s and the NTK's derivatives along training, against sums over units, nested gradients and training."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.flatten_util import ravel_pytree

import wideflow as wf
from oracles import one_hidden
from wideflow import nn
from wideflow.finite import NetworkFlow, empirical_ntk

RNG = np.random.default_rng(3)
X, Y = RNG.standard_normal((3, 2)), RNG.standard_normal(3)


def network(p, x):
    return jnp.tanh(x @ p["w"] / np.sqrt(x.shape[1])) @ p["a"] / np.sqrt(len(p["a"]))


def two_outputs(p, x):
    return jnp.stack([network(p, x), jnp.sin(x @ p["w"]).sum(axis=1) * p["a"][0]], axis=1)


def params(width=5, seed=0):
    return jax.tree.map(jnp.asarray, one_hidden.draw(width, seed, inputs=2))


def lie(g, f, x):
    """θ ↦ ∇g(θ) · ∇f(θ, x) for scalar functions of a flat vector."""
    return lambda theta: jax.grad(g)(theta) @ jax.grad(lambda t: f(t, x))(theta)


def nested_tensor(f, theta, points, entry):
    """One entry of O_s by gradients of gradients."""
    g = lambda t: f(t, points[entry[0]])  # noqa: E731
    for i in entry[1:]:
        g = lie(g, f, points[i])
    return jax.jit(g)(theta)


def flat_network(p):
    flat, unravel = ravel_pytree(p)
    return flat, lambda theta, row: network(unravel(theta), row[None])[0]


def test_ntk_and_third_tensor_equal_the_sums_over_hidden_units(x64):
    p = one_hidden.draw(7, 1)
    x = RNG.standard_normal((4, 3))
    tensors = wf.hierarchy(network, jax.tree.map(jnp.asarray, p), jnp.asarray(x), 3)
    assert sorted(tensors) == [2, 3]
    np.testing.assert_allclose(tensors[2], one_hidden.ntk(p, x, x), rtol=1e-14, atol=1e-14)
    np.testing.assert_allclose(tensors[3], one_hidden.third_tensor(p, x), rtol=1e-14, atol=1e-14)


@pytest.mark.parametrize("order", [4, pytest.param(6, marks=pytest.mark.slow)])
def test_higher_tensors_equal_gradients_of_gradients(order, x64):
    p = params()
    tensors = wf.hierarchy(network, p, jnp.asarray(X), order)
    theta, f = flat_network(p)
    for entry in [(0, 1, 2, 1, 0, 2)[:order], (2, 2, 0, 1, 1, 1)[:order]]:
        expected = nested_tensor(f, theta, jnp.asarray(X), entry)
        np.testing.assert_allclose(tensors[order][entry], expected, rtol=1e-12, atol=1e-14)
    assert tensors[order].shape == (3,) * order
    highest = np.asarray(tensors[order])
    np.testing.assert_allclose(highest, highest.swapaxes(0, 1), rtol=1e-11, atol=1e-13)
    assert np.abs(highest - highest.swapaxes(-1, -2)).max() > 1e-3 * np.abs(highest).max()


def test_first_argument_may_be_other_inputs_than_the_rest(x64):
    p, x = params(), jnp.asarray(X)
    both = wf.hierarchy(network, p, x, 3)
    apart = wf.hierarchy(network, p, x[:1], 3, x[1:])
    np.testing.assert_allclose(apart[2], both[2][:1, 1:], rtol=1e-13)
    np.testing.assert_allclose(apart[3], both[3][:1, 1:, 1:], rtol=1e-13, atol=1e-15)


def test_several_outputs_are_arguments_of_their_own(x64):
    p, x = params(), jnp.asarray(X[:2])
    tensors = wf.hierarchy(two_outputs, p, x, 3)
    assert tensors[2].shape == (2,) * 4
    assert tensors[3].shape == (2,) * 6
    one = wf.hierarchy(network, p, x, 3)
    np.testing.assert_allclose(tensors[3][:, 0, :, 0, :, 0], one[3], rtol=1e-13, atol=1e-15)
    traced = np.einsum("aobo->ab", tensors[2]) / 2
    np.testing.assert_allclose(traced, empirical_ntk(two_outputs, p, x), rtol=1e-13)
    pixels = wf.hierarchy(lambda p, x: two_outputs(p, x)[:, None], p, x, 3)
    assert pixels[3].shape == (2, 1, 2) * 3
    np.testing.assert_array_equal(pixels[3].reshape(tensors[3].shape), tensors[3])
    column = wf.hierarchy(lambda p, x: network(p, x)[:, None], p, x, 3)
    np.testing.assert_array_equal(column[3], one[3])


def test_leaves_that_are_not_floating_point_are_constants_and_layers_have_tensors():
    net = nn.Serial(nn.Dense(4), nn.Erf(), nn.Dense(1))
    x = jnp.asarray(X, jnp.float32)
    p = net.init(jax.random.key(0), x)
    with_more = {"p": p, "n": jnp.asarray(2), "key": jax.random.key(1)}
    tensors = wf.hierarchy(lambda q, x: net.apply(q["p"], x), with_more, x, 3)
    assert tensors[3].shape == (3, 3, 3)
    assert tensors[3].dtype == jnp.float32
    np.testing.assert_allclose(tensors[2], empirical_ntk(net.apply, p, x), rtol=1e-5)


def logistic_slopes(f):
    return -Y / (1 + jnp.exp(Y * f)) / len(Y)


def test_derivatives_of_the_ntk_equal_contractions_of_the_tensors(x64):
    p, x = params(), jnp.asarray(X)
    ntk, velocity, acceleration = NetworkFlow(network, x, logistic_slopes).ntk_derivatives(p, 2)
    tensors = wf.hierarchy(network, p, x, 4)
    f = network(p, x)
    slopes, curvature = logistic_slopes(f), jax.jacfwd(logistic_slopes)(f)
    by_slopes = tensors[3] @ (curvature @ (tensors[2] @ slopes))  # −dℓ'/dt = ℓ'' Θ ℓ'
    np.testing.assert_allclose(ntk, tensors[2], rtol=1e-14)
    np.testing.assert_allclose(velocity, -tensors[3] @ slopes, rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(acceleration, tensors[4] @ slopes @ slopes + by_slopes, rtol=1e-12, atol=1e-15)


def test_derivatives_of_the_ntk_equal_differences_along_integrated_training(x64):
    p, h, probes = one_hidden.draw(9, 2, inputs=2), 2e-3, RNG.standard_normal((2, 2))
    along = [one_hidden.ntk(q, probes, X) for q in one_hidden.trained(p, X, Y, np.arange(5) * h, rtol=1e-13)]
    flow = NetworkFlow(network, jnp.asarray(X), lambda f: (f - Y) / len(Y))
    middle = jax.tree.map(jnp.asarray, one_hidden.trained(p, X, Y, [2 * h], rtol=1e-13)[0])
    _, velocity, acceleration = flow.ntk_derivatives(middle, 2, jnp.asarray(probes))
    first = (along[0] - 8 * along[1] + 8 * along[3] - along[4]) / (12 * h)
    second = (-along[0] + 16 * along[1] - 30 * along[2] + 16 * along[3] - along[4]) / (12 * h**2)
    np.testing.assert_allclose(velocity, first, rtol=1e-8, atol=1e-9)
    np.testing.assert_allclose(acceleration, second, rtol=1e-5, atol=1e-6)
    assert np.abs(first).max() > 0.01


def test_direction_is_minus_the_gradient_of_the_loss_and_several_outputs_keep_their_axes(x64):
    p, x, y = params(), jnp.asarray(X[:2]), jnp.asarray(RNG.standard_normal((2, 2)))
    flow = NetworkFlow(two_outputs, x, lambda f: (f - y) / 2)
    slope = jax.grad(lambda p: ((two_outputs(p, x) - y) ** 2).sum() / 4)(p)
    for a, b in zip(jax.tree.leaves(flow.direction(p)), jax.tree.leaves(slope), strict=True):
        np.testing.assert_allclose(a, -b, rtol=1e-13)
    tensors = wf.hierarchy(two_outputs, p, x, 3)
    expected = -np.einsum("aobpcq,cq->aobp", tensors[3], (two_outputs(p, x) - y) / 2)
    ntk, velocity = flow.ntk_derivatives(p)
    np.testing.assert_allclose(ntk, tensors[2], rtol=1e-13)
    np.testing.assert_allclose(velocity, expected, rtol=1e-12, atol=1e-14)


def sizes(width, order, seeds):
    """Root mean square over networks of the largest tensor, and of dΘ/dt, at one width."""
    x, y = jnp.asarray(X[:2]), Y[:2]
    drawn = [one_hidden.draw(width, seed, inputs=2) for seed in range(seeds)]
    stacked = {n: jnp.asarray(np.stack([p[n] for p in drawn])) for n in ("w", "a")}
    tensors = jax.vmap(lambda p: wf.hierarchy(network, p, x, order))(stacked)
    residuals = (jax.vmap(network, (0, None))(stacked, x) - y[None]) / 2
    velocity = jnp.einsum("sabc,sc->sab", tensors[3], residuals)
    return np.log([jnp.sqrt((t**2).mean()) for t in (*(tensors[s] for s in range(2, order + 1)), velocity)])


@pytest.mark.slow
def test_tensors_shrink_with_the_width_by_pairs(x64):
    slopes = (sizes(4096, 6, 40) - sizes(512, 6, 40)) / np.log(8)
    np.testing.assert_allclose(slopes[[0, 1, 2, 3, 5]], [0, -1, -1, -2, -1], atol=0.3)
    assert -2.5 - 0.3 < slopes[4] < -2 + 0.3  # a mean of width^−2 beside fluctuations of width^−5/2


def test_impossible_hierarchies_are_refused(x64):
    p, x = params(), jnp.asarray(X)
    with pytest.raises(ValueError, match="order must be an integer 2, 3, …, got 1"):
        wf.hierarchy(network, p, x, 1)
    with pytest.raises(ValueError, match=r"wanted one array of outputs \[n, …\], got a dict"):
        wf.hierarchy(lambda p, x: {"a": x @ p}, jnp.ones((2, 1)), jnp.ones((3, 2)), 2)
    with pytest.raises(ValueError, match=r"wanted outputs \[n, …\] for 3 inputs, got shape \(2, 2, 3\)"):
        wf.hierarchy(lambda p, x: jnp.zeros((2, 2, 3)), p, x, 2)
    with pytest.raises(
        ValueError, match=r"inputs x \[n, …\] and x2 \[n2, …\] of one shape each, got shapes \(3, 2\) and"
    ):
        wf.hierarchy(lambda p, x: x @ p, jnp.ones((2, 1)), jnp.ones((3, 2)), 2, jnp.ones((3, 4)))
    with pytest.raises(ValueError, match="wanted real parameters"):
        wf.hierarchy(lambda p, x: x[:, 0] * p.real, jnp.asarray(1j), x, 2)
    flow = NetworkFlow(network, x, lambda f: f.sum())
    with pytest.raises(ValueError, match=r"slopes: wanted the outputs' shape \(3,\), got \(\)"):
        flow.ntk_derivatives(p)
    with pytest.raises(ValueError, match="order must be an integer 0, 1, 2, …, got -1"):
        NetworkFlow(network, x, logistic_slopes).ntk_derivatives(p, -1)
