import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import doubled, lazy_index, lazy_scaling

rng = np.random.default_rng(0)
X = rng.standard_normal((4, 2))
Y = np.sin(2 * X[:, 0])
NET = nn.Serial(nn.Dense(32), nn.Tanh(), nn.Dense(1))


def flat(net, params, x):
    return net.apply(params, x)[:, 0]


def test_doubled_model_starts_at_zero_with_the_kernel_and_no_third_tensor(x64):
    net, x = nn.Serial(nn.Dense(4), nn.Tanh(), nn.Dense(1)), jnp.asarray(X)
    params = net.init(jax.random.key(0), x)
    twin, both = doubled(net.apply, params)
    tensors = wf.hierarchy(twin, both, x, 3)
    single = wf.hierarchy(net.apply, params, x, 3)
    np.testing.assert_array_equal(twin(both, x), 0)
    np.testing.assert_allclose(tensors[2], single[2], rtol=1e-12)
    np.testing.assert_allclose(tensors[3], 0, atol=1e-15)
    assert np.abs(single[3]).max() > 1e-3


def dense_derivatives(W, a, x):
    """J [n, P] and D²f [n, P, P] of f = a·tanh(Wᵀx/√d)/√N in its parameters (W, a), by hand."""
    (d, N), z = W.shape, x @ W / np.sqrt(len(W))
    scaled, t = x / np.sqrt(d), np.tanh(z)
    slope, bend = 1 - t**2, -2 * t * (1 - t**2)
    hessian = np.zeros((len(x), (d + 1) * N, (d + 1) * N))
    for i in range(N):
        own = np.append(np.arange(d) * N + i, d * N + i)  # of W[:, i] and a[i]
        for s in range(len(x)):
            block = np.zeros((d + 1, d + 1))
            block[:d, :d] = a[i] * bend[s, i] * np.outer(scaled[s], scaled[s])
            block[d, :d] = block[:d, d] = slope[s, i] * scaled[s]
            hessian[s][np.ix_(own, own)] = block / np.sqrt(N)
    inner = scaled[:, :, None] * (slope * a)[:, None, :]
    return np.concatenate([inner.reshape(len(x), -1), t], axis=1) / np.sqrt(N), hessian


SMALL = nn.Serial(nn.Dense(3), nn.Tanh(), nn.Dense(1))


def test_index_is_that_of_dense_derivatives(x64):
    x = jnp.asarray(X[:3])
    params = SMALL.init(jax.random.key(1), x)
    jacobian, hessian = dense_derivatives(np.asarray(params[0]["W"]), np.asarray(params[2]["W"])[:, 0], X[:3])
    directions = np.random.default_rng(0).standard_normal((2_000, 3))
    directions /= np.linalg.norm(directions, axis=1, keepdims=True)
    sizes = np.abs(np.linalg.eigvalsh(np.einsum("sa,aij->sij", directions, hessian))).max()
    found = lazy_index(SMALL, params, x, Y[:3, None], alpha=3.0, iterations=200)
    assert found.slope == pytest.approx(np.linalg.norm(jacobian, 2), rel=1e-10)
    assert found.curvature == pytest.approx(sizes, rel=2e-2)
    assert found.curvature >= sizes * (1 - 1e-6)  # directions are tried at random: they come out smaller
    residual = np.linalg.norm(3 * np.asarray(SMALL.apply(params, x))[:, 0] - Y[:3])
    assert found.value == pytest.approx(residual * found.curvature / 3 / found.slope**2, rel=1e-10)
    assert "lazy index" in str(found)


def test_index_of_a_doubled_model_falls_with_the_scale_and_of_a_plain_one_does_not(x64):
    x = jnp.asarray(X[:3])
    params = SMALL.init(jax.random.key(0), x)
    twin, both = doubled(SMALL.apply, params)
    plain = [lazy_index(SMALL, params, x, Y[:3, None], alpha, 200).value for alpha in (10.0, 1000.0)]
    zero = [lazy_index(twin, both, x, Y[:3, None], alpha, 200).value for alpha in (10.0, 1000.0)]
    assert zero[0] / zero[1] == pytest.approx(100, rel=1e-4)
    assert plain[0] / plain[1] < 3


@pytest.mark.parametrize(("start", "wrong"), [("doubled", -1), ("centred", -2)])
def test_distance_to_the_linearization_falls_with_the_scale(start, wrong):
    found = lazy_scaling(NET, X, Y, [8, 16, 32, 64], start, seeds=6, t=8.0, steps=60)
    outputs, kernel, parameters = found.expected
    for slope, exponent in ((found.output_slope, outputs), (found.ntk_slope, kernel)):
        assert slope.widened(0.05).contains(exponent)
        assert not slope.widened(0.05).contains(wrong)
    assert found.parameter_slope.widened(0.01).contains(parameters)
    assert start in str(found)


@pytest.mark.slow
def test_scale_alone_is_not_lazy_where_the_start_is_left_in():
    found = lazy_scaling(NET, X, Y, [8, 16, 32, 64], "plain", seeds=16, t=8.0, steps=60)
    assert found.ntk_slope.widened(0.1).contains(0)
    assert found.output_slope.widened(0.2).contains(1)
    assert not found.ntk_slope.widened(0.1).contains(-1)


def test_wrong_requests_are_refused():
    params = SMALL.init(jax.random.key(0), X)
    with pytest.raises(ValueError, match="start must be one of"):
        lazy_scaling(NET, X, Y, [1, 2, 4, 8], start="zero")
    with pytest.raises(ValueError, match="positive scales"):
        lazy_scaling(NET, X, Y, [0, 2, 4, 8])
    with pytest.raises(ValueError, match="one output"):
        lazy_scaling(nn.Serial(nn.Dense(4), nn.Tanh(), nn.Dense(2)), X, Y, [1, 2, 4, 8])
    with pytest.raises(ValueError, match="alpha must be positive"):
        lazy_index(SMALL, params, X.astype(np.float32), Y[:, None], alpha=0.0)
    with pytest.raises(ValueError, match="targets of the outputs' shape"):
        lazy_index(SMALL, params, X.astype(np.float32), Y[:2])
