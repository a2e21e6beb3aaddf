"""The diagnosis of a network's training, against training and curvature computed in full by NumPy and autodiff."""

from itertools import pairwise
from typing import NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow.dynamics import GradientDescent, GradientFlow, HeavyBall, SoftmaxCrossEntropy
from wideflow.finite import DeviationPath, Diagnosis, KernelMovement, TrainingData

D, STEPS = 5, 30
RNG = np.random.default_rng(4)
X, Y = RNG.standard_normal((D, 2)), RNG.standard_normal((D, 1))
X_TEST, Y_TEST = RNG.standard_normal((3, 2)), RNG.standard_normal((3, 1))


def diagnosed(deviation=0.03, ntk_change=0.02, critical_rate=2.0, losses=(1.0, 0.1)):
    """A diagnosis with these numbers."""
    changes = np.array([0.0, ntk_change])
    kernel = KernelMovement(np.arange(2), changes, changes**2, changes[1:], changes, changes + 1, np.ones((2, D)))
    both = np.array([losses, losses]).T
    path = DeviationPath(np.array([0, 10]), both, np.array([0.0, 1.0]), np.array([0.0, deviation]))
    return Diagnosis(GradientDescent(0.1), path, critical_rate, (1.0, 1.1), 0.01, kernel)


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"] / params["out"].shape[0] ** 0.5


def hidden(params, x):
    return {"h": x @ params["in"], "z": jnp.tanh(x @ params["in"])}


def start(width, dtype=jnp.float32):
    drawn = np.random.default_rng(1)
    return {n: jnp.asarray(drawn.standard_normal(s), dtype) for n, s in (("in", (2, width)), ("out", (width, 1)))}


WIDTH = 6
KERNEL_STEPS = [0, 8, 15, 22, 30]  # quarters of the way, half to even
SEEN = sorted({*KERNEL_STEPS, *np.round(np.geomspace(1, STEPS, 20)).astype(int).tolist()})


def outputs(theta, x=X):
    """The network of width 6 as a function of one vector of parameters."""
    A, B = theta[: 2 * WIDTH].reshape(2, WIDTH), theta[2 * WIDTH :].reshape(WIDTH, 1)
    return (jnp.tanh(jnp.asarray(x) @ A) @ B)[:, 0] / WIDTH**0.5


jacobian = jax.jit(jax.jacobian(outputs))


def rms(a):
    return np.sqrt((a**2).mean(axis=1)).max()


def relative(a, b):
    return np.linalg.norm(a - b) / np.linalg.norm(b)


def apart(a, b):
    return 1 - np.sum(a * b) / np.linalg.norm(a) / np.linalg.norm(b)


class Written(NamedTuple):
    """A diagnosis, and the same training by heavy ball written out: explicit Jacobians, the linear model in steps.

    `thetas [steps + 1, P]`; `path`, `linear` `[seen, D]`: outputs of the network and its linearization;
    `jacobians [kernel steps, D, P]`.
    """

    got: Diagnosis
    thetas: np.ndarray
    path: np.ndarray
    linear: np.ndarray
    jacobians: np.ndarray

    @property
    def kernels(self):
        return [J @ J.T for J in self.jacobians]


@pytest.fixture(scope="module")
def written():
    with jax.enable_x64(True):
        params = start(WIDTH, jnp.float64)
        rule = HeavyBall(0.2, 0.5)
        got = wf.diagnose(network, params, (X, Y, X_TEST, Y_TEST), rule, steps=STEPS, hidden=hidden)
        theta0 = np.concatenate([np.asarray(params["in"]).ravel(), np.asarray(params["out"]).ravel()])
        J0, f0 = np.asarray(jacobian(theta0)), np.asarray(outputs(theta0))
        theta, moved, v, v_lin, seen, thetas = theta0, 0 * theta0, 0, 0, [(f0, f0)], [theta0]
        for _ in range(STEPS):
            f, f_lin = seen[-1]
            v = 0.5 * v + np.asarray(jacobian(theta)).T @ (f - Y[:, 0]) / D
            v_lin = 0.5 * v_lin + J0.T @ (f_lin - Y[:, 0]) / D
            theta, moved = theta - 0.2 * v, moved - 0.2 * v_lin
            seen.append((np.asarray(outputs(theta)), f0 + J0 @ moved))
            thetas.append(theta)
        path, linear = (np.stack([seen[s][i] for s in SEEN]) for i in (0, 1))
        jacobians = np.stack([np.asarray(jacobian(thetas[s])) for s in KERNEL_STEPS])
    return Written(got, np.stack(thetas), path, linear, jacobians)


def test_changes_and_losses_are_those_of_training_written_out(written):
    got, thetas, path, linear, _ = written
    change = rms(path - path[0])
    assert got.ntk_change > 0.1  # far enough from linear for the comparison to mean something
    np.testing.assert_allclose(got.parameter_change, relative(thetas[-1], thetas[0]), rtol=1e-9)
    np.testing.assert_allclose([got.output_change, got.deviation], [change, rms(path - linear) / change], rtol=1e-9)
    losses = [np.sum((f - Y[:, 0]) ** 2) / (2 * D) for f in (path[0], path[-1], linear[-1])]
    np.testing.assert_allclose([*got.losses, got.linear_loss], losses, rtol=1e-9)
    np.testing.assert_array_equal(got.path.steps, SEEN)
    np.testing.assert_allclose(got.path.losses[:, 1], ((linear - Y[:, 0]) ** 2).sum(axis=1) / (2 * D), rtol=1e-9)


def test_rates_and_sharpness_are_those_of_dense_matrices(written, x64):
    got, hessian = written.got, jax.jit(jax.hessian(lambda t: jnp.sum((outputs(t) - Y[:, 0]) ** 2) / (2 * D)))
    np.testing.assert_allclose(got.critical_rate, 2 * 1.5 * D / np.linalg.eigvalsh(written.kernels[0])[-1], rtol=1e-5)
    sharpness = [np.linalg.eigvalsh(np.asarray(hessian(t)))[-1] for t in (written.thetas[0], written.thetas[-1])]
    np.testing.assert_allclose(got.sharpness, sharpness, rtol=1e-5)
    assert got.max_sharpness == pytest.approx(2 * 1.5 / 0.2)


def test_kernels_on_the_way_are_those_of_explicit_jacobians(written):
    ntk, kernels = written.got.ntk, written.kernels
    np.testing.assert_allclose(written.got.ntk_change, relative(kernels[-1], kernels[0]), rtol=1e-9)
    np.testing.assert_array_equal(ntk.steps, KERNEL_STEPS)
    np.testing.assert_allclose(ntk.changes, [relative(k, kernels[0]) for k in kernels], rtol=1e-9)
    np.testing.assert_allclose(ntk.distances, [apart(kernels[0], k) for k in kernels], rtol=1e-7, atol=1e-14)
    speeds = [apart(*pair) / step for pair, step in zip(pairwise(kernels), np.diff(KERNEL_STEPS), strict=True)]
    np.testing.assert_allclose(ntk.velocities, speeds, rtol=1e-7)
    aligned = [Y[:, 0] @ k @ Y[:, 0] / np.linalg.norm(k) / (Y**2).sum() for k in kernels]
    np.testing.assert_allclose(ntk.alignments, aligned, rtol=1e-9)
    np.testing.assert_allclose(ntk.ranks, [np.trace(k) ** 2 / np.sum(k**2) for k in kernels], rtol=1e-9)
    np.testing.assert_allclose(ntk.eigenvalues[1, ::-1], np.linalg.eigvalsh(kernels[-1]), rtol=1e-8)


def test_hidden_layers_and_their_kernel_are_those_at_both_ends(written):
    h0, h = (X @ t[: 2 * WIDTH].reshape(2, WIDTH) for t in (written.thetas[0], written.thetas[-1]))
    z0, z, got = np.tanh(h0), np.tanh(h), written.got.hidden
    assert list(got.changes) == ["h", "z"]
    np.testing.assert_allclose(list(got.changes.values()), [relative(h, h0), relative(z, z0)], rtol=1e-9)
    np.testing.assert_allclose(got.features.change, relative(z @ z.T, z0 @ z0.T), rtol=1e-9)


def test_held_out_errors_are_those_of_ridge_regression_and_of_the_network(written, x64):
    got, at_test = written.got, jax.jit(jax.jacobian(lambda t: outputs(t, X_TEST)))
    for i, scored in ((0, got.after_kernel.before), (-1, got.after_kernel.after)):
        cross = np.asarray(at_test(written.thetas[i])) @ written.jacobians[i].T
        ridge = got.after_kernel.ridges[i] * np.eye(D)
        predicted = cross @ np.linalg.solve(written.kernels[i] + ridge, Y[:, 0])
        np.testing.assert_allclose(scored.error, np.mean((predicted - Y_TEST[:, 0]) ** 2), rtol=1e-6)
        assert scored.accuracy is None
    error = np.mean((np.asarray(outputs(written.thetas[-1], X_TEST)) - Y_TEST[:, 0]) ** 2)
    np.testing.assert_allclose(got.after_kernel.network.error, error, rtol=1e-9)
    np.testing.assert_allclose(got.test_path.losses[-1, 0], error / 2, rtol=1e-9)


def test_lazy_index_is_the_bend_of_the_network_along_its_gradient(written, x64):
    theta0, J0, r = written.thetas[0], written.jacobians[0], written.path[0] - Y[:, 0]
    v = J0.T @ r
    bend = jax.jacfwd(lambda s: jax.jacfwd(lambda s: outputs(theta0 + s * v))(s))(0.0)
    kappa = np.linalg.norm(r) * np.linalg.norm(bend) / np.linalg.norm(J0 @ v) ** 2
    np.testing.assert_allclose(written.got.lazy_index, kappa, rtol=1e-8)


def test_a_wide_network_is_in_the_kernel_regime():
    got = wf.diagnose(network, start(4096), (X, Y), GradientDescent(0.5), steps=STEPS)
    assert got.regime == "kernel"
    assert not got.barely_trained
    assert 0 < got.ntk_change < 0.1
    assert 0 < got.deviation < 0.1
    assert str(got).splitlines()[0].startswith("verdict     in the kernel regime: the NTK changed by ")


def test_a_narrow_network_above_the_critical_rate_is_not():
    params, x = start(8), X.astype(np.float32)
    critical = 2 * D / np.linalg.eigvalsh(np.asarray(wf.finite.empirical_ntk(network, params, x)))[-1]
    rule = GradientDescent(float(1.3 * critical))
    got = wf.diagnose(network, params, (x, Y), rule, steps=STEPS)
    assert wf.finite.critical_rate(network, params, (x, Y), rule) == got.critical_rate
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
    got = wf.diagnose(f, module, (X, labels, X_TEST, np.array([0, 0, 1])), rule, loss, steps=3)
    assert 0 < got.deviation < np.inf
    assert got.losses[1] < got.losses[0]
    log = np.asarray(jax.nn.log_softmax(f(module, jnp.asarray(X, jnp.float32))))
    assert got.losses[0] == pytest.approx(-log[np.arange(D), labels].mean(), rel=1e-5)


def test_a_linear_network_deviates_by_rounding_alone(x64):
    got = wf.diagnose(lambda w, x: x @ w, jnp.ones((2, 1)), TrainingData(X, Y[:, 0]), GradientDescent(0.1), steps=3)
    assert got.deviation < 1e-12
    assert got.lazy_index < 1e-12
    assert got.ntk_change == 0
    assert got.regime == "kernel"


def test_training_that_diverges_is_said_to():
    f = lambda w, x: (x @ w) ** 3  # noqa: E731
    x = X.astype(np.float32)
    got = wf.diagnose(f, jnp.ones((2, 1)), (x, Y, X_TEST, Y_TEST), GradientDescent(1e3), steps=30)
    assert got.regime == "diverged"
    assert got.ntk_change == np.inf
    assert got.ntk is None
    assert got.after_kernel is None
    assert "diverged" in str(got)
    assert got.verdict.startswith("training diverged; take a smaller learning rate")


@pytest.mark.parametrize(
    ("change", "regime", "words"),
    [
        ({}, "kernel", "both at most 10%"),
        ({"deviation": 0.2}, "between", "near the kernel regime but not in it"),
        ({"ntk_change": 0.6}, "not kernel", "not in the kernel regime"),
        ({"critical_rate": 0.1}, "not kernel", "0.1 is not below the critical 0.1"),
        ({"losses": (1.0, 0.95)}, "kernel", "training has barely begun"),
        ({"losses": (1.0, np.inf)}, "diverged", "training diverged"),
    ],
)
def test_the_verdict_follows_its_thresholds(change, regime, words):
    one = diagnosed(**change)
    assert one.regime == regime
    assert words in one.verdict
    assert words in str(one)


def test_rules_without_steps_and_wrong_steps_are_errors():
    params, x = start(8), X.astype(np.float32)
    with pytest.raises(TypeError, match="take GradientDescent at a small learning rate"):
        wf.diagnose(network, params, (x, Y), GradientFlow(), steps=3)
    with pytest.raises(ValueError, match="steps must be a whole number, at least 1, got 0"):
        wf.diagnose(network, params, (x, Y), GradientDescent(0.1), steps=0)


def test_data_in_no_known_form_and_targets_that_do_not_fit_are_errors():
    params, x, rule = start(8), X.astype(np.float32), GradientDescent(0.1)
    with pytest.raises(TypeError, match=r"wanted \(x, y\), .* got tuple of length 3"):
        wf.diagnose(network, params, (x, Y, X_TEST), rule)
    with pytest.raises(ValueError, match="x_test and y_test go together"):
        wf.diagnose(network, params, (x, Y, X_TEST, None), rule)
    with pytest.raises(ValueError, match=r"outputs for one input have shape \(1,\), the targets want \(2,\)"):
        wf.diagnose(network, params, (x, np.ones((D, 2))), rule)


def test_a_serial_network_shows_its_hidden_layers_and_a_task_its_classes():
    net = wf.nn.Serial(wf.nn.Dense(3), wf.nn.Erf(), wf.nn.Dense(1))
    task = wf.datasets.binary(wf.datasets.load("digits"), train=8, test=4)
    params = net.init(jax.random.key(0), task.x_train)
    got = wf.diagnose(net.apply, params, task, GradientDescent(0.5), steps=4)
    x = jnp.asarray(task.x_train, jnp.float32)
    seen, first = wf.finite.Preactivations(net)(params, x), net.layers[0].apply(params[0], x)
    assert list(got.hidden.changes) == list(seen) == ["0 Dense", "features"]
    np.testing.assert_array_equal(seen["0 Dense"], first)
    np.testing.assert_array_equal(net.layers[2].apply(params[2], seen["features"]), net.apply(params, x))
    assert got.after_kernel.network.accuracy in (0, 0.25, 0.5, 0.75, 1)
    assert "held out" in str(got)


def small_start(width):
    drawn = np.random.default_rng(1)
    shapes = {"in": (8, width), "out": (width, 1)}
    return {n: jnp.asarray(0.3 * drawn.standard_normal(s), jnp.float32) for n, s in shapes.items()}


@pytest.mark.slow
def test_a_network_in_mean_field_scaling_is_not_lazy_and_its_kernel_learns():
    """Outputs of order 1/width, rates of order width: hidden units turn to the three inputs that matter."""
    width = 128
    x = np.random.default_rng(0).choice([-1.0, 1.0], size=(112, 8)).astype(np.float32)
    y = np.sign(x[:, :3].sum(1))

    def mean_field(params, x):
        return network(params, x) / width**0.5

    critical = wf.finite.critical_rate(mean_field, small_start(width), (x[:48], y[:48]), GradientDescent())
    data = (x[:48], y[:48], x[48:], y[48:])
    got = wf.diagnose(mean_field, small_start(width), data, GradientDescent(0.3 * critical), steps=1000)
    assert got.regime == "not kernel"
    assert got.lazy_index > 0.3
    before, after = got.ntk.alignment
    assert after > 1.5 * before
    scores = got.after_kernel
    assert scores.after.error < 0.1 * scores.before.error
    assert scores.network.error < 0.1 * scores.linearization.error
    assert min(scores.network.accuracy, scores.after.accuracy) >= 0.95


def test_targets_that_are_met_at_the_start_are_said_to_tell_nothing():
    params = start(8)
    met = np.asarray(network(params, X.astype(np.float32)))
    got = wf.diagnose(network, params, (X, met), GradientDescent(0.05), steps=5)
    assert got.deviation == 0
    assert got.barely_trained
    assert got.verdict.startswith("no output moved, so that nothing can be said")


def test_a_loss_that_rises_above_the_critical_rate_gets_no_advice_to_train_longer():
    got = diagnosed(deviation=3.0, critical_rate=0.05, losses=(1.0, 2.0))
    assert got.barely_trained
    assert "not below the critical" in got.verdict
    assert "take more" not in got.verdict


def test_held_out_targets_are_named_in_their_error():
    with pytest.raises(ValueError, match="held-out points: "):
        wf.diagnose(network, start(8), (X, Y, X_TEST, Y_TEST[:2]), GradientDescent(0.1))


def test_a_family_of_widths_tells_how_wide_the_network_would_have_to_be():
    """What measuring each width by itself gives, at the same fraction of its critical rate."""
    family = lambda width: (network, start(width))  # noqa: E731
    rule, widths = GradientDescent(0.5), (16, 64, 256)
    got = wf.diagnose(network, start(64), (X, Y), rule, steps=STEPS, family=family, widths=widths, wanted=1e-3)
    rates = [wf.finite.critical_rate(network, start(width), (X, Y), rule) for width in widths]
    alike = [GradientDescent(0.5 * rate / rates[1]) for rate in rates]
    deviations = [
        wf.finite.measure_deviation(network, start(width), (X, Y), each, steps=STEPS).deviation
        for width, each in zip(widths, alike, strict=True)
    ]
    np.testing.assert_allclose(got.widths.deviations, deviations, rtol=1e-2)  # rates are known to 1e-3
    assert got.widths.deviations[1] == pytest.approx(got.deviation, rel=1e-4)
    assert str(got).splitlines()[-1] == f"width       {got.widths.verdict}"
    with pytest.raises(ValueError, match="at least 3 different"):
        wf.diagnose(network, start(64), (X, Y), rule, family=family, widths=(16, 64))


@pytest.mark.parametrize("finished", [0, 2])
def test_what_is_known_is_kept_when_the_widths_are_interrupted(finished):
    left = iter([*[8] * (1 + finished)])  # one is drawn as a check

    def family(width):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return network, start(width)

    got = wf.diagnose(network, start(8), (X, Y), GradientDescent(0.1), steps=2, family=family, widths=(8, 16, 32))
    assert got.interrupted
    assert got.regime in ("kernel", "between", "not kernel")
    if finished:
        np.testing.assert_array_equal(got.widths.widths, [8, 16])
        assert got.widths.deviations[0] == pytest.approx(got.deviation, rel=1e-4)
        assert np.isnan(got.widths.width)
        assert "the widths 8, 16 alone, and it takes 3; stopped by Ctrl-C before all" in str(got)
    else:
        assert got.widths is None
        assert str(got).splitlines()[-1] == "width       not known: stopped by Ctrl-C before one was measured"


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"family": lambda width: network}, r"family: wanted \(f, params\) for the width 64, got function"),
        ({"family": lambda width: (start(width), network)}, "diagnose: family: wanted a function"),
        ({"hidden": lambda params, x: x.sum()}, r"hidden: wanted activations \[n, …\] for 5 inputs"),
    ],
)
def test_settings_that_make_no_sense_are_errors_before_any_training(settings, message, monkeypatch):
    monkeypatch.setattr(wf.finite.Curvature, "gauss_newton", None)  # nothing is computed
    with pytest.raises((TypeError, ValueError), match=message):
        wf.diagnose(network, start(8), (X, Y), GradientDescent(0.1), **settings)
