"""The diagnosis of a network's training, against training and curvature computed in full by NumPy and autodiff."""

from dataclasses import replace

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow.dynamics import GradientDescent, GradientFlow, HeavyBall, SoftmaxCrossEntropy, SquareLoss
from wideflow.finite import Diagnosis

D, STEPS = 5, 30
RNG = np.random.default_rng(4)
X, Y = RNG.standard_normal((D, 2)), RNG.standard_normal((D, 1))
LAZY = Diagnosis(GradientDescent(0.1), 10, 0.01, 0.02, 1.0, 0.03, 2.0, (1.0, 1.1), (1.0, 0.1), 0.1)


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"] / params["out"].shape[0] ** 0.5


def start(width, dtype=jnp.float32):
    drawn = np.random.default_rng(1)
    return {n: jnp.asarray(drawn.standard_normal(s), dtype) for n, s in (("in", (2, width)), ("out", (width, 1)))}


def test_every_number_is_that_of_training_written_out(x64):
    """Heavy ball on the flat parameters: explicit Jacobians, dense Hessians, the linear model in closed steps."""
    width, rule = 6, HeavyBall(0.2, 0.5)
    params = start(width, jnp.float64)
    got = wf.diagnose(network, params, X, Y, SquareLoss(), rule, STEPS)

    def outputs(theta):
        A, B = theta[: 2 * width].reshape(2, width), theta[2 * width :].reshape(width, 1)
        return (jnp.tanh(jnp.asarray(X) @ A) @ B)[:, 0] / width**0.5

    jacobian = jax.jit(jax.jacobian(outputs))
    hessian = jax.jit(jax.hessian(lambda t: jnp.sum((outputs(t) - Y[:, 0]) ** 2) / (2 * D)))
    theta0 = np.concatenate([np.asarray(params["in"]).ravel(), np.asarray(params["out"]).ravel()])
    J0, f0 = np.asarray(jacobian(theta0)), np.asarray(outputs(theta0))
    theta, moved, v, v_lin, seen = theta0, 0 * theta0, 0, 0, [(f0, f0)]
    for _ in range(STEPS):
        f, f_lin = seen[-1]
        v = 0.5 * v + np.asarray(jacobian(theta)).T @ (f - Y[:, 0]) / D
        v_lin = 0.5 * v_lin + J0.T @ (f_lin - Y[:, 0]) / D
        theta, moved = theta - 0.2 * v, moved - 0.2 * v_lin
        seen.append((np.asarray(outputs(theta)), f0 + J0 @ moved))
    steps = np.unique(np.round(np.geomspace(1, STEPS, 20)).astype(int))
    path, linear = (np.stack([seen[s][i] for s in (0, *steps)]) for i in (0, 1))
    rms = lambda a: np.sqrt((a**2).mean(axis=1)).max()  # noqa: E731
    change = rms(path - f0)
    ntk0, ntk = (J @ J.T for J in (J0, np.asarray(jacobian(theta))))
    relative = lambda a, b: np.linalg.norm(a - b) / np.linalg.norm(b)  # noqa: E731
    np.testing.assert_allclose(got.parameter_change, relative(theta, theta0), rtol=1e-9)
    np.testing.assert_allclose(got.ntk_change, relative(ntk, ntk0), rtol=1e-9)
    np.testing.assert_allclose([got.output_change, got.deviation], [change, rms(path - linear) / change], rtol=1e-9)
    np.testing.assert_allclose(got.critical_rate, 2 * 1.5 * D / np.linalg.eigvalsh(ntk0)[-1], rtol=1e-5)
    sharpness = [np.linalg.eigvalsh(np.asarray(hessian(t)))[-1] for t in (theta0, theta)]
    np.testing.assert_allclose(got.sharpness, sharpness, rtol=1e-5)
    losses = [np.sum((f - Y[:, 0]) ** 2) / (2 * D) for f in (f0, path[-1], linear[-1])]
    np.testing.assert_allclose([*got.losses, got.linear_loss], losses, rtol=1e-9)
    assert got.max_sharpness == pytest.approx(2 * 1.5 / 0.2)
    assert got.ntk_change > 0.1  # far enough from linear for the comparison to mean something


def test_a_wide_network_is_in_the_kernel_regime():
    got = wf.diagnose(network, start(4096), X.astype(np.float32), Y, SquareLoss(), GradientDescent(0.5), STEPS)
    assert got.regime == "kernel"
    assert not got.barely_trained
    assert 0 < got.ntk_change < 0.1
    assert 0 < got.deviation < 0.1
    assert str(got).splitlines()[0].startswith("verdict     in the kernel regime: the NTK changed by 0.0")


def test_a_narrow_network_above_the_critical_rate_is_not():
    params, x = start(8), X.astype(np.float32)
    critical = 2 * D / np.linalg.eigvalsh(np.asarray(wf.finite.empirical_ntk(network, params, x)))[-1]
    rule = GradientDescent(float(1.3 * critical))
    got = wf.diagnose(network, params, x, Y, SquareLoss(), rule, STEPS)
    assert got.critical_rate == pytest.approx(critical, rel=1e-3)
    assert got.regime == "not kernel"
    assert "is not below the critical" in got.verdict
    assert np.isfinite(got.losses[1])
    assert got.linear_loss > got.losses[0]


@pytest.mark.slow
def test_a_module_of_equinox_is_its_own_parameters_and_classes_are_targets():
    """The module holds its nonlinearity, which is no array, among the leaves."""
    module = eqx.nn.MLP(2, 2, 8, 1, key=jax.random.key(0))
    loss, rule, labels = SoftmaxCrossEntropy(), GradientDescent(0.1), np.array([0, 1, 1, 0, 1])
    f = lambda m, x: jax.vmap(m)(x)  # noqa: E731
    got = wf.diagnose(f, module, X.astype(np.float32), labels, loss, rule, 3)
    assert 0 < got.deviation < np.inf
    assert got.losses[1] < got.losses[0]
    log = np.asarray(jax.nn.log_softmax(f(module, jnp.asarray(X, jnp.float32))))
    assert got.losses[0] == pytest.approx(-log[np.arange(D), labels].mean(), rel=1e-5)


def test_a_linear_network_deviates_by_rounding_alone(x64):
    got = wf.diagnose(lambda w, x: x @ w, jnp.ones((2, 1)), X, Y, SquareLoss(), GradientDescent(0.1), 3)
    assert got.deviation < 1e-12
    assert got.ntk_change == 0
    assert got.regime == "kernel"


def test_training_that_diverges_is_said_to():
    f = lambda w, x: (x @ w) ** 3  # noqa: E731
    x = X.astype(np.float32)
    got = wf.diagnose(f, jnp.ones((2, 1)), x, Y, SquareLoss(), GradientDescent(1e3), 30)
    assert got.regime == "diverged"
    assert got.verdict.startswith("training diverged; take a smaller learning rate")


@pytest.mark.parametrize(
    ("change", "regime", "words"),
    [
        ({}, "kernel", "both at most 0.1"),
        ({"deviation": 0.2}, "between", "near the kernel regime but not in it"),
        ({"ntk_change": 0.6}, "not kernel", "not in the kernel regime"),
        ({"critical_rate": 0.1}, "not kernel", "0.1 is not below the critical 0.1"),
        ({"losses": (1.0, 0.95)}, "kernel", "training has barely begun"),
        ({"losses": (1.0, np.inf)}, "diverged", "training diverged"),
    ],
)
def test_the_verdict_follows_its_thresholds(change, regime, words):
    one = replace(LAZY, **change)
    assert one.regime == regime
    assert words in one.verdict
    assert words in str(one)


def test_rules_without_steps_and_wrong_steps_are_errors():
    params, x = start(8), X.astype(np.float32)
    with pytest.raises(TypeError, match="take GradientDescent at a small learning rate"):
        wf.diagnose(network, params, x, Y, SquareLoss(), GradientFlow(), 3)
    with pytest.raises(ValueError, match="steps must be a whole number, at least 1, got 0"):
        wf.diagnose(network, params, x, Y, SquareLoss(), GradientDescent(0.1), 0)
