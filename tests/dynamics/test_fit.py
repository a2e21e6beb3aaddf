"""Slopes through the kernel against differences and plain formulas; fits that find what made the data."""

import os
from pathlib import Path

import equinox as eqx
import numpy as np
import pytest
from scipy.stats import multivariate_normal

import wideflow as wf
from wideflow import Ensemble, GradientFlow, Kernel, nn
from wideflow.dynamics import (
    GaussianProcess,
    NotPositiveDefiniteError,
    fit_hyperparameters,
    leave_one_out,
    log_marginal_likelihood,
    negative_log_predictive_density,
    score,
)
from wideflow.dynamics.hyperparameters import Hyperparameters

RNG = np.random.default_rng(12)
D = 24
X = RNG.standard_normal((D, 3))
Y = RNG.standard_normal((D, 2))
NOISE = 0.2


def network(w=(1.3, 1.1), b=(0.3, 0.5)):
    return Kernel(nn.Serial(nn.Dense(64, w[0], b[0]), nn.Relu(), nn.Dense(1, w[1], b[1])))


def relu_nngp(x, w, b):
    """The NNGP kernel of `network`, from its formula in NumPy."""
    k = w[0] ** 2 * x @ x.T / x.shape[1] + b[0] ** 2
    scale = np.sqrt(np.outer(np.diagonal(k), np.diagonal(k)))
    angle = np.arccos(np.clip(k / scale, -1, 1))
    return w[1] ** 2 * scale * (np.sin(angle) + (np.pi - angle) * np.cos(angle)) / (2 * np.pi) + b[1] ** 2


def plain_evidence(values, y=Y, x=X):
    """log p(y) as a function of (w₀, w₁, b₀, b₁, noise), without any of the library."""
    w, b, noise = values[:2], values[2:4], values[4]
    gaussian = multivariate_normal(np.zeros(len(x)), relu_nngp(x, w, b) + noise * np.eye(len(x)))
    return sum(gaussian.logpdf(column) for column in y.T)


VALUES = np.array([1.3, 1.1, 0.3, 0.5, NOISE])


def plain_slopes(step=1e-5):
    moves = step * np.eye(5)
    return np.array([(plain_evidence(VALUES + m) - plain_evidence(VALUES - m)) / (2 * step) for m in moves])


def test_evidence_and_its_slopes_in_every_hyperparameter_equal_a_plain_computation():
    assert log_marginal_likelihood(network(), X, Y, NOISE) == pytest.approx(plain_evidence(VALUES), rel=1e-10)
    found = score(network(), X, Y, NOISE)
    assert found.value == pytest.approx(plain_evidence(VALUES), rel=1e-10)
    first, _, last = found.kernel.net.layers
    slopes = [first.w, last.w, first.b, last.b, found.noise]
    np.testing.assert_allclose(slopes, plain_slopes(), rtol=1e-6)


@pytest.mark.parametrize("get", ["nngp", pytest.param("ntk", marks=pytest.mark.slow)])
def test_leave_one_out_slopes_equal_central_differences_through_the_kernel(get):
    found = score(network(), X, Y, NOISE, get=get, criterion="leave_one_out")
    assert found.value == pytest.approx(leave_one_out(network(), X, Y, NOISE, get=get).log_density.sum(), rel=1e-12)
    step = 1e-5

    def at(w1, b0, noise):
        return leave_one_out(network((1.3, w1), (b0, 0.5)), X, Y, noise, get=get).log_density.sum()

    here = np.array([1.1, 0.3, NOISE])
    expected = [(at(*(here + m)) - at(*(here - m))) / (2 * step) for m in step * np.eye(3)]
    slopes = [found.kernel.net.layers[2].w, found.kernel.net.layers[0].b, found.noise]
    np.testing.assert_allclose(slopes, expected, rtol=1e-6)


@pytest.mark.slow
def test_slopes_do_not_depend_on_the_blocks_of_rows_they_are_taken_in(monkeypatch):
    whole = score(network(), X, Y, NOISE)
    monkeypatch.setattr("wideflow.dynamics.evidence._ENTRIES_AT_ONCE", 7 * D)  # 7 rows: 24 is no multiple
    parts = score(network(), X, Y, NOISE)
    for layer in (0, 2):
        for name in ("w", "b", "lr_w"):
            one, other = (getattr(s.kernel.net.layers[layer], name) for s in (whole, parts))
            np.testing.assert_allclose(one, other, rtol=1e-9, atol=1e-12)


def test_float32_inputs_are_taken_to_float64():
    x = X.astype(np.float32)
    assert log_marginal_likelihood(network(), x, Y, NOISE) == log_marginal_likelihood(
        network(), x.astype(np.float64), Y, NOISE
    )


def test_a_fit_reaches_a_stationary_point_of_the_evidence_from_every_start():
    truth = relu_nngp(X, (2.0, 1.5), (0.8, 0.6)) + 0.05 * np.eye(D)
    y = np.linalg.cholesky(truth) @ RNG.standard_normal((D, 40))  # many outputs: the evidence is sharp
    fit = fit_hyperparameters(network(), X, y, noise=NOISE, seed=1)
    assert fit.names == ("net.layers[0].w", "net.layers[2].w", "net.layers[0].b", "net.layers[2].b", "noise")
    assert len(fit.starts) == 3
    np.testing.assert_allclose([max(one.values) for one in fit.starts], fit.value, rtol=1e-6)
    assert fit.starts[0].values[0] == pytest.approx(plain_evidence(VALUES, y), rel=1e-10)
    assert fit.value == pytest.approx(plain_evidence(fit.parameters, y), rel=1e-9)
    assert fit.value >= plain_evidence(np.array([2.0, 1.5, 0.8, 0.6, 0.05]), y)  # the truth is not better
    assert fit.noise == pytest.approx(0.05, rel=0.2)
    slopes = fit.parameters * np.array(
        [plain_evidence(fit.parameters + m, y) - plain_evidence(fit.parameters - m, y) for m in 1e-6 * np.eye(5)]
    )
    assert np.abs(slopes / 2e-6).max() < 0.5  # in logarithms, of an evidence of order 1e3
    assert fit.kernel.net.layers[2].w == fit.parameters[1]
    assert isinstance(fit.kernel.net.layers[0].w, float)


def test_only_what_is_named_moves_and_layers_may_share():
    kernel = network((1.0, 1.0), (0.2, 0.2))
    fit = fit_hyperparameters(kernel, X, Y, names=["w"], shared=True, starts=1, noise=0.5, max_steps=5)
    assert (fit.names, fit.noise) == (("w",), 0.5)
    first, _, last = fit.kernel.net.layers
    assert first.w == last.w == fit.parameters[0] != 1.0
    assert (first.b, last.b, first.lr_w) == (0.2, 0.2, 1.0)


def test_names_are_ends_of_paths_and_set_what_they_name():
    chosen = Hyperparameters.of(network(), ["layers[2].w", "noise", "lr_b"], shared=False)
    assert chosen.names == ("net.layers[2].w", "noise", "net.layers[0].lr_b", "net.layers[2].lr_b")
    np.testing.assert_allclose(np.exp(chosen.start(0.7)), [1.1, 0.7, 1.0, 1.0], rtol=1e-12)
    kernel = chosen.kernel(np.log([2.0, 0.3, 4.0, 5.0]))
    first, _, last = kernel.net.layers
    np.testing.assert_allclose([first.w, last.w, first.lr_b, last.lr_b], [1.3, 2.0, 4.0, 5.0], rtol=1e-12)
    assert chosen.noise(np.log([2.0, 0.3, 4.0, 5.0]), 9.0) == pytest.approx(0.3)
    assert Hyperparameters.of(network(), ["w"], shared=False).noise(np.zeros(2), 9.0) == 9.0


def test_the_default_is_every_weight_and_bias_and_no_parameter_of_a_nonlinearity():
    net = nn.Serial(nn.Dense(8, 1.0), nn.Repeat(nn.Serial(nn.Erf(), nn.Dense(8, 1.2, 0.1)), 3), nn.Erf(), nn.Dense(1))
    inside = "net.layers[1].layer.layers[1]"
    chosen = Hyperparameters.of(Kernel(net), None, shared=False)
    assert chosen.names == ("net.layers[0].w", f"{inside}.w", "net.layers[3].w", f"{inside}.b", "noise")


def test_hyperparameters_that_are_arrays_may_be_fitted():
    kernel = eqx.tree_at(lambda k: k.net.layers[0].w, network(), np.asarray(1.25))
    chosen = Hyperparameters.of(kernel, ["layers[0].w"], shared=False)
    np.testing.assert_allclose(np.exp(chosen.start(NOISE)), [1.25], rtol=1e-12)


@pytest.mark.slow
def test_a_fit_improves_leave_one_out_densities_of_the_ntk():
    y = np.sin(2 * X[:, 0]) + 0.1 * X[:, 1]
    before = leave_one_out(network(), X, y, 0.1, get="ntk").log_density.sum()
    fit = fit_hyperparameters(
        network(), X, y, noise=0.1, get="ntk", criterion="leave_one_out", names=["w", "noise"], starts=1, max_steps=30
    )
    after = leave_one_out(fit.kernel, X, y, fit.noise, get="ntk").log_density.sum()
    assert fit.value == pytest.approx(after, rel=1e-9)
    assert after > before + 1


def test_a_search_turns_back_where_there_is_no_covariance():
    """Two equal inputs and equal targets want no noise at all, and without it the matrix is singular."""
    x, y = np.concatenate([X[:4], X[:4]]), np.concatenate([Y[:4, 0], Y[:4, 0]])
    fit = fit_hyperparameters(network(), x, y, names=["noise"], noise=1e-12, starts=1)
    assert np.isfinite(fit.value)
    assert fit.noise > 0
    with pytest.raises(NotPositiveDefiniteError, match="smallest eigenvalue"):
        fit_hyperparameters(network(), x, y, names=["noise"], noise=1e-20, starts=1)


def test_progress_is_printed(capsys):
    fit_hyperparameters(network(), X, Y, names=["noise"], starts=2, max_steps=2, progress=True)
    assert "2 of 2 starts" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"names": ["v"]}, r"names: 'v' is no number of this kernel. Use one of .*\bb, lr_b, lr_w, w, noise"),
        ({"names": []}, "names: give at least one"),
        (
            {"shared": True},
            r"w: to be shared by all layers, it must start from one value in all of them, got 1\.1, 1\.3",
        ),
        ({"starts": 0}, "starts=0: wanted at least one"),
        ({"noise": 0.0}, r"noise=0\.0: the fit needs a positive"),
    ],
)
def test_impossible_fits_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        fit_hyperparameters(network(), X, Y, **options)


def test_hyperparameters_at_zero_are_refused():
    with pytest.raises(ValueError, match=r"net\.layers\[0\]\.b = 0\.0: hyperparameters are fitted as logarithms"):
        fit_hyperparameters(network(b=(0.0, 0.1)), X, Y)


FOLDER = os.environ.get("WIDEFLOW_DATA", "")
has_yacht = bool(FOLDER) and (Path(FOLDER) / "uci_gp" / "yacht.npz").exists()


@pytest.mark.slow
@pytest.mark.skipif(not has_yacht, reason="WIDEFLOW_DATA is not set, or its folder has no uci_gp/yacht.npz")
def test_a_fit_on_real_data_beats_a_tuned_rbf_process():
    process, kernels = (
        pytest.importorskip("sklearn.gaussian_process"),
        pytest.importorskip("sklearn.gaussian_process.kernels"),
    )
    task = wf.datasets.regression(wf.datasets.load("uci_gp/yacht", split="split0"), train=None, test=None)
    fit = fit_hyperparameters(network(), task.x_train, task.y_train, starts=2)
    ens = Ensemble(fit.kernel, task.x_train, task.y_train, GradientFlow(), ridge=fit.noise)
    g = ens.predict(task.x_test, kind="nngp")
    ours = negative_log_predictive_density(task.y_test, g.mean, np.diagonal(g.cov) + fit.noise).mean()
    rbf = kernels.ConstantKernel() * kernels.RBF() + kernels.WhiteKernel(0.1, (1e-7, 1e2))
    tuned = process.GaussianProcessRegressor(rbf, n_restarts_optimizer=2, random_state=0)
    mean, deviation = tuned.fit(task.x_train, task.y_train).predict(task.x_test, return_std=True)
    theirs = negative_log_predictive_density(task.y_test, mean, deviation**2).mean()
    assert ours < theirs


@pytest.mark.slow
def test_predictions_of_an_ensemble_match_the_leave_one_out():
    """The same process by three ways: `Ensemble` without a point, `GaussianProcess`, and the closed form."""
    y = Y[:, 0]
    ens = Ensemble(network(), X[1:], y[1:], GradientFlow(), ridge=NOISE)
    g = ens.predict(X[:1], kind="nngp")
    found = leave_one_out(network(), X, y, NOISE)
    assert found.mean[0] == pytest.approx(g.mean[0], rel=1e-8)
    assert found.variance[0] == pytest.approx(g.cov[0, 0] + NOISE, rel=1e-8)
    same = GaussianProcess(network().nngp(X), y, NOISE).leave_one_out
    np.testing.assert_allclose(same.mean, found.mean, rtol=1e-9, atol=1e-12)
