"""Training of one network batch by batch, against the kernel's own steps and against optimizers written out."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import wideflow as wf
from wideflow.dynamics import (
    GradientDescent,
    HeavyBall,
    KernelSGD,
    LogisticLoss,
    Nesterov,
    SoftmaxCrossEntropy,
    SquareLoss,
    batch_order,
)
from wideflow.finite import NetworkTraining, empirical_ntk

D, STEPS = 8, 40
EVERY = np.arange(STEPS + 1)
RNG = np.random.default_rng(9)
X = RNG.standard_normal((D + 3, 2))
SIGNS = np.sign(RNG.standard_normal((D, 1)))
ORDER = batch_order(D, 3, STEPS, seed=1)
RULES = [pytest.param(GradientDescent(0.3), marks=pytest.mark.slow), HeavyBall(0.3, 0.8), Nesterov(0.3, 0.8)]


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"] / 4


def start(dtype=jnp.float64):
    weights = np.random.default_rng(1)
    return {name: jnp.asarray(weights.standard_normal(s), dtype) for name, s in (("in", (2, 16)), ("out", (16, 1)))}


@pytest.mark.parametrize("rule", RULES, ids=repr)
def test_optax_sgd_on_the_linearized_network_equals_sgd_from_the_kernel_at_every_step(rule, x64):
    params, x, beta = start(), jnp.asarray(X), getattr(rule, "momentum", None)
    sgd = optax.sgd(rule.lr, beta, nesterov=isinstance(rule, Nesterov))
    seen = NetworkTraining(LogisticLoss(), sgd, ORDER).run(
        wf.linearize(network, params), params, x[:D], SIGNS, x, EVERY
    )
    theta, f0 = np.asarray(empirical_ntk(network, params, x)), np.asarray(network(params, x))
    run = KernelSGD(LogisticLoss(), theta[:D, :D], SIGNS, rule, ORDER)
    expected = np.concatenate([run.train(EVERY, f0[:D]), run.test(EVERY, theta[D:, :D], f0[:D], f0[D:])], axis=1)
    if isinstance(rule, Nesterov):  # optax holds the point of the gradient
        expected[1:] += rule.momentum * (expected[1:] - expected[:-1])
    np.testing.assert_allclose(seen.outputs, expected, rtol=1e-9, atol=1e-11)
    assert np.abs(expected[-1] - expected[0]).max() > 0.1


def test_adam_on_the_linearized_network_equals_adam_written_out(x64):
    lr, b1, b2, eps = 0.05, 0.9, 0.999, 1e-8
    params, x, rng = start(), jnp.asarray(X), np.random.default_rng(4)
    targets = rng.standard_normal((D, 1))
    f_lin = wf.linearize(network, params)
    training = NetworkTraining(SquareLoss(), optax.adam(lr, b1, b2, eps), ORDER)
    seen = training.run(f_lin, params, x[:D], targets, x, EVERY)

    A, B = np.asarray(params["in"]), np.asarray(params["out"])
    hidden = np.tanh(X @ A)
    by_in = X[:, :, None] * ((1 - hidden**2) * B[:, 0])[:, None] / 4
    J = np.concatenate([by_in.reshape(D + 3, -1), hidden / 4], axis=1)
    f0, theta = hidden @ B / 4, np.zeros((J.shape[1], 1))
    mean, square, expected = 0 * theta, 0 * theta, [f0]
    for step, batch in enumerate(ORDER, start=1):
        batch = batch[batch >= 0]
        g = J[batch].T @ (f0[batch] + J[batch] @ theta - targets[batch]) / len(batch)
        mean, square = b1 * mean + (1 - b1) * g, b2 * square + (1 - b2) * g**2
        theta = theta - lr * (mean / (1 - b1**step)) / (np.sqrt(square / (1 - b2**step)) + eps)
        expected.append(f0 + J @ theta)
    np.testing.assert_allclose(seen.outputs, np.stack(expected), rtol=1e-8, atol=1e-10)


def test_the_network_itself_trains_in_float32_and_leaves_the_kernel_regime():
    params, x = start(jnp.float32), jnp.asarray(X, jnp.float32)
    training = NetworkTraining(LogisticLoss(), optax.sgd(0.3), ORDER)
    seen = training.run(network, params, x[:D], SIGNS, x, [0, 1, STEPS])
    linear = training.run(wf.linearize(network, params), params, x[:D], SIGNS, x, [0, 1, STEPS])
    np.testing.assert_array_equal(seen.outputs[0], np.asarray(network(params, x)))
    np.testing.assert_allclose(seen.outputs[2], network(seen.params, x), rtol=1e-5)
    differences = np.abs(seen.outputs - linear.outputs).max(axis=(1, 2))
    assert differences[0] < 1e-6 < 1e-3 < differences[2]
    assert seen.params["in"].dtype == jnp.float32


def test_several_classes_and_one_step_equal_the_gradient_of_the_mean_loss(x64):
    params = {"in": start()["in"], "out": jnp.asarray(RNG.standard_normal((16, 3)))}
    x, labels, order = jnp.asarray(X), np.array([0, 2, 1, 1, 0, 2, 2, 1]), np.array([[4, 1, -1]])
    seen = NetworkTraining(SoftmaxCrossEntropy(), optax.sgd(0.5), order).run(network, params, x[:D], labels, x, [1])

    def loss(p):
        log = jax.nn.log_softmax(network(p, x[jnp.asarray([4, 1])]))
        return -(log[0, labels[4]] + log[1, labels[1]]) / 2

    for name, slope in jax.grad(loss)(params).items():
        np.testing.assert_allclose(seen.params[name], params[name] - 0.5 * slope, rtol=1e-12)


def test_outputs_of_another_shape_than_the_targets_are_an_error():
    training = NetworkTraining(SquareLoss(), optax.sgd(0.1), ORDER)
    x = jnp.asarray(X[:D], jnp.float32)
    with pytest.raises(ValueError, match=r"have shape \(1,\), the targets want \(\)"):
        training.run(network, start(jnp.float32), x, SIGNS[:, 0], x, [1])
    with pytest.raises(ValueError, match="step 41 was asked for"):
        training.run(network, start(jnp.float32), x, SIGNS, x, [41])
