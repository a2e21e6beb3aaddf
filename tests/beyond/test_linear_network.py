"""The exact map of linear networks: against weights trained one by one, and draws against their distribution."""

import jax
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import LinearNetwork, TwoScalarModel

D, d = 6, 4


def task(outputs, seed=0):
    rng = np.random.default_rng(seed)
    return rng.standard_normal((D, d)), rng.standard_normal((D, outputs)), rng


def trained(W, V, x, y, lr, steps):
    """Outputs, M, S and loss along gradient descent of every weight of f = x W V/√n."""
    n, seen = len(V), []
    for _ in range(steps + 1):
        H = x @ W
        f = H @ V / n**0.5
        r = f - y
        seen.append((f, H @ H.T, V.T @ V, np.sum(r**2) / (2 * len(x))))
        grad_v, grad_w = H.T @ r / (len(x) * n**0.5), x.T @ r @ V.T / (len(x) * n**0.5)
        W, V = W - lr * grad_w, V - lr * grad_v
    return seen


@pytest.mark.parametrize(("outputs", "c"), [(1, 1.5), (1, 2.8), (3, 3.2)])
def test_map_is_gradient_descent_of_the_weights(outputs, c):
    x, y, rng = task(outputs)
    W, V = rng.standard_normal((d, 200)), rng.standard_normal((200, outputs))
    start = LinearNetwork.from_weights(W, V, x, y)
    lr = c / start.curvature
    run = start.run(lr, 40)
    for network, loss, (f, M, S, expected) in zip(run.networks, run.losses, trained(W, V, x, y, lr, 40), strict=True):
        scale = np.abs(f).max() + 1
        np.testing.assert_allclose(network.outputs, f, atol=1e-12 * scale)
        np.testing.assert_allclose(network.hidden, M, atol=1e-12 * np.abs(M).max())
        np.testing.assert_allclose(network.readout, S, atol=1e-12 * np.abs(S).max())
        np.testing.assert_allclose(loss, expected, rtol=1e-10)


def test_step_is_the_closed_recursion_in_f_m_and_v_squared():
    """The equations of the paper's appendix, written out for one output."""
    x, y, rng = task(1)
    n = 50.0
    now = LinearNetwork.from_weights(rng.standard_normal((d, 50)), rng.standard_normal((50, 1)), x, y)
    f, M, v2, eta = now.outputs[:, 0], now.hidden, now.readout[0, 0], 2.5 / now.curvature
    r = f - y[:, 0]
    g = x @ (x.T @ r / D)
    theta = (v2 * x @ x.T + M) / n
    after = now.step(eta)
    np.testing.assert_allclose(now.ntk[:, 0, :, 0], theta, rtol=1e-12)
    np.testing.assert_allclose(
        after.outputs[:, 0], f - eta * theta @ r / D + eta**2 / n * g * (f @ r) / D, rtol=1e-11, atol=1e-12
    )
    M_after = M - eta * (np.outer(g, f) + np.outer(f, g)) + eta**2 / n * v2 * np.outer(g, g)
    np.testing.assert_allclose(after.hidden, M_after, rtol=1e-11, atol=1e-10)
    v2_after = v2 - 2 * eta * f @ r / D + eta**2 / n * r @ M @ r / D**2
    np.testing.assert_allclose(after.readout[0, 0], v2_after, rtol=1e-12)


def test_one_example_with_target_zero_is_the_two_scalar_model():
    network = LinearNetwork.draw(np.ones((1, 1)), np.zeros((1, 1)), 500, seed=3)
    model = TwoScalarModel(500, float(network.outputs[0, 0]), network.curvature)
    run, scalars = network.run(3.3 / network.curvature, 40), model.run(3.3, 40)
    np.testing.assert_allclose([one.outputs[0, 0] for one in run.networks], scalars.f, rtol=1e-9, atol=1e-9)
    np.testing.assert_allclose(run.curvatures, scalars.lam, rtol=1e-9)


def test_network_of_layers_has_the_kernel_and_the_curvature_of_its_map(x64):
    x, y, _ = task(2)
    net = nn.Serial(nn.Dense(30, w=1.3), nn.Dense(2, w=0.7))
    params = net.init(jax.random.key(1), x)
    network = LinearNetwork.from_network(net, params, x, y)
    theta = np.asarray(wf.EmpiricalKernel(net.apply, params, outputs="full").ntk(jax.numpy.asarray(x)))
    np.testing.assert_allclose(network.ntk.transpose(0, 2, 1, 3), theta, rtol=1e-12, atol=1e-12)
    np.testing.assert_allclose(network.outputs, net.apply(params, jax.numpy.asarray(x)), rtol=1e-12)
    np.testing.assert_allclose(
        network.curvature, np.linalg.eigvalsh(network.ntk.reshape(2 * D, 2 * D))[-1] / D, rtol=1e-12
    )


def test_draws_have_the_moments_of_networks_with_weights():
    x, y, _ = task(1)
    width, G = 20, x @ x.T
    draws = [LinearNetwork.draw(x, y, width, seed).products for seed in range(1500)]
    mean, variance = np.mean(draws, axis=0), np.var(draws, axis=0)
    scale = np.block([[G, np.zeros((D, 1))], [np.zeros((1, D)), np.eye(1)]])
    diagonal = np.diag(scale)
    expected = width * (np.outer(diagonal, diagonal) + scale**2)  # of a Wishart matrix
    assert np.all(np.abs(mean - width * scale) < 5 * np.sqrt(expected / 1500))
    np.testing.assert_allclose(variance, expected, rtol=0.25)


def test_boundary_is_four_at_any_width_where_one_direction_of_the_inputs_dominates():
    rng = np.random.default_rng(5)
    x = 1 + 0.3 * rng.standard_normal((8, 5))
    y = rng.standard_normal((8, 1))
    for width in (1e4, 1e8):
        network = LinearNetwork.draw(x, y, width, seed=1)
        diverged = [network.run(c / network.curvature, 400, every=400).diverged for c in (3.8, 4.2)]
        assert diverged == [False, True]


def test_where_several_directions_compete_some_networks_train_above_four():
    rng, trained = np.random.default_rng(0), 0
    for seed in range(4):
        x, y = rng.standard_normal((16, 64)) / 8, rng.standard_normal((16, 1))
        network = LinearNetwork.draw(x, y, 1e5, seed)
        assert not network.run(3.9 / network.curvature, 200, every=200).diverged
        assert network.run(6.5 / network.curvature, 200, every=200).diverged
        trained += not network.run(4.1 / network.curvature, 200, every=200).diverged
    assert trained >= 2


def test_overflow_is_recorded_and_bad_input_refused():
    x, y, rng = task(1)
    W, V = rng.standard_normal((d, 20)), rng.standard_normal((20, 1))
    run = LinearNetwork.from_weights(W, V, x, y).run(100.0, 50, every=10)
    assert run.diverged
    assert run.losses[-1] == np.inf
    assert run.steps[-1] < 50
    with pytest.raises(ValueError, match="got shapes"):
        LinearNetwork.from_weights(W, V[:-1], x, y)
    with pytest.raises(ValueError, match="finite inputs"):
        LinearNetwork.from_weights(W, V, x * np.nan, y)
    with pytest.raises(ValueError, match="at least D"):
        LinearNetwork.draw(x, y, 5)
    relu = nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(1))
    for net in (relu, nn.Serial(nn.Dense(8, b=1.0), nn.Dense(1)), nn.Serial(nn.Dense(20, lr_w=0.0), nn.Dense(1))):
        with pytest.raises(ValueError, match="from_network: wanted"):
            LinearNetwork.from_network(net, ({"W": W}, {"W": V}), x, y)
