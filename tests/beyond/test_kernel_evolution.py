"""The NTK along training: kernels and predictions against explicit training, and the two regimes on one task."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import LearningTask, critical_rate, fit_slope, kernel_evolution


def parity(n, d, seed):
    x = np.random.default_rng(seed).standard_normal((n, d)).astype("f4")
    return x, np.sign(x[:, 0] * x[:, 1])


SMALL = LearningTask(*parity(12, 4, 0), *parity(9, 4, 1))


def scaled(width, exponent):
    abc = nn.ABC((0, None, exponent), (0, None, 0), 1 - 2 * exponent)
    return wf.reparameterize(nn.Serial(nn.Dense(width), nn.Relu(), nn.Dense(1)), abc, SMALL.x)


def test_kernels_and_restarted_linearizations_are_those_of_explicit_training(x64):
    task = LearningTask(*(np.asarray(v, np.float64) for v in SMALL))
    net, lr, steps, start = scaled(8, 0.8), 0.01, 60, 20
    seen = kernel_evolution(net, task, lr, [0, start, steps])
    x, y = jnp.asarray(task.x), jnp.asarray(task.y)[:, None]
    everything = jnp.concatenate([x, jnp.asarray(task.x_test)])

    def train(f, params, count):
        slope = jax.jit(jax.grad(lambda p: jnp.sum((f(p, x) - y) ** 2) / 24))
        for _ in range(count):
            rates = nn.learning_rates(net, params)
            params = jax.tree.map(lambda p, r, g: p - lr * r * g, params, rates, slope(params))
        return params

    params = train(net.apply, net.init(jax.random.key(0), x), start)
    np.testing.assert_allclose(seen.outputs[1], net.apply(params, everything), rtol=1e-9, atol=1e-12)
    ntk = wf.finite.network_ntk(net, params, everything)
    np.testing.assert_allclose(seen.ntk[1], ntk[:, :12], rtol=1e-9, atol=1e-12)
    linear = wf.linearize(net.apply, params)
    ends = linear(train(linear, params, steps - start), everything)
    np.testing.assert_allclose(seen.restarted()[1], ends, atol=2e-3)  # flow against steps
    assert np.abs(ends - seen.outputs[1]).max() > 0.05
    np.testing.assert_array_equal(seen.restarted()[2], seen.outputs[2])


def test_singular_kernels_in_float32_predict_and_restart():
    x, y, *held_out = SMALL
    twice = LearningTask(np.concatenate([x, x]), np.concatenate([y, y]), *held_out)
    seen = kernel_evolution(scaled(32, 1.0), twice, 0.05, [0, 20, 100])
    assert np.linalg.eigvalsh(seen.train[0].astype(float))[0] < 1e-7
    np.testing.assert_allclose(seen.kernel_regression()[:, :24, 0], np.tile(twice.y, (3, 1)), atol=1e-2)
    assert np.isfinite(seen.restarted()).all()


def test_numbers_follow_from_kernels_and_outputs():
    seen = kernel_evolution(scaled(32, 1.0), SMALL, 0.05, [0, 20, 100])
    train, y = seen.train.astype(float), np.sign(SMALL.x[:, 0] * SMALL.x[:, 1]).astype(float)
    norm = np.linalg.norm(train, axis=(1, 2))
    np.testing.assert_allclose(1 - seen.distance, np.sum(train * train[0], axis=(1, 2)) / norm / norm[0], rtol=1e-8)
    np.testing.assert_allclose(seen.alignment, np.einsum("a,tab,b->t", y, train, y) / norm / 12, rtol=1e-8)
    np.testing.assert_allclose(seen.rank, np.trace(train, axis1=1, axis2=2) ** 2 / norm**2, rtol=1e-8)
    np.testing.assert_allclose(seen.change, np.linalg.norm(train - train[0], axis=(1, 2)) / norm[0], rtol=1e-8)
    assert len(seen.velocity) == 2
    held_out, y_test = seen.outputs[:, 12:, 0], SMALL.y_test
    np.testing.assert_allclose(seen.network_error, np.mean((held_out - y_test) ** 2, axis=1), rtol=1e-6)
    np.testing.assert_allclose(seen.network_accuracy, np.mean(np.sign(held_out) == y_test, axis=1))
    ridge = 0.1 * np.trace(train[1]) / 12
    expected = seen.ntk[1] @ np.linalg.solve(train[1] + ridge * np.eye(12), y)
    np.testing.assert_allclose(seen.kernel_regression(0.1)[1, :, 0], expected, rtol=1e-8)
    np.testing.assert_allclose(seen.kernel_regression()[1, :12, 0], y, atol=1e-4)
    assert "alignment" in str(seen)


@pytest.mark.slow
def test_kernel_stays_with_the_width_in_the_kernel_regime_and_moves_in_the_mean_field():
    widths, distances = [64, 128, 256, 512], {0.5: [], 1.0: []}
    for exponent, rows in distances.items():
        for width in widths:
            net = scaled(width, exponent)
            rows.append([kernel_evolution(net, SMALL, 0.05, [0, 30], seed).distance[-1] for seed in range(4)])
    moved = fit_slope(widths, distances[1.0]).widened(0.15)
    stayed = fit_slope(widths, distances[0.5]).widened(0.15)
    assert moved.contains(0.0)
    assert not moved.contains(-1.0)
    assert stayed.high < -0.5


def test_learning_rate_matters_to_the_kernel_beyond_the_critical_one_alone():
    net = scaled(512, 0.5)
    critical = critical_rate(net, net.init(jax.random.key(0), SMALL.x), SMALL.x)
    seen = [kernel_evolution(net, SMALL, critical * c / 2, [0, steps]) for c, steps in ((0.2, 120), (0.8, 30), (3, 8))]
    slow, fast, catapult = (one.distance[-1] for one in seen)  # after the same time
    assert fast == pytest.approx(slow, rel=0.15)
    assert catapult > 10 * slow


@pytest.mark.slow
def test_after_kernel_predicts_like_the_trained_network_and_the_first_kernel_does_not():
    task = LearningTask(*parity(400, 15, 0), *parity(400, 15, 1))
    rich = kernel_evolution(scaled(256, 1.0), task, 0.1, [0, 20, 150])
    lazy = kernel_evolution(scaled(2048, 0.5), task, 0.1, [0, 20, 150])
    assert rich.alignment[-1] > 1.5 * rich.alignment[0]
    assert rich.network_accuracy[-1] > lazy.network_accuracy[-1] + 0.05
    assert rich.kernel_accuracy(0.01)[-1] > rich.kernel_accuracy(0.01)[0] + 0.05
    assert rich.distance[-1] > 5 * lazy.distance[-1]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: kernel_evolution(scaled(8, 1.0), SMALL, 0.1, [5, 1]), "steps must be ascending"),
        (lambda: kernel_evolution(scaled(8, 1.0), SMALL, 1e6, [0, 100]), "diverged before step 100"),
        (lambda: kernel_evolution(scaled(8, 1.0), SMALL, 0.1, [0, 1]).kernel_regression(-1.0), "at least 0"),
        (
            lambda: kernel_evolution(scaled(8, 1.0), SMALL._replace(y=np.ones((12, 2))), 0.1, [0]),
            "one shape",
        ),
    ],
)
def test_bad_input_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()
