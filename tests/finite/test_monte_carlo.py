"""Monte Carlo kernels against those of infinite width: values, standard errors, and when the drawing stops."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import chi2
from scipy.stats import f as f_distribution

import wideflow as wf
from wideflow import nn
from wideflow.finite import KernelEstimate, MonteCarloKernel, monte_carlo

X = jnp.asarray(np.random.default_rng(0).standard_normal((3, 2)), jnp.float32)
# With one hidden layer both kernels of a finite network have those of infinite width as their exact means.
NET = nn.Serial(nn.Dense(8, 1.3, 0.2), nn.Erf(), nn.Dense(2, 1.1, 0.3))
SEEDS = 40


@pytest.fixture(scope="module")
def repeated():
    """Forty estimates from 32 networks each, with different seeds."""
    return [MonteCarloKernel.of(NET, draws=32, seed=seed)(X) for seed in range(SEEDS)]


@pytest.mark.parametrize("name", ["nngp", "ntk"])
def test_means_over_seeds_are_the_infinite_kernel_within_their_scatter(repeated, name):
    """Hotelling's T² of all entries at once, which are strongly correlated."""
    entries = np.triu_indices(3)
    means = np.stack([getattr(k, name)[entries] for k in repeated])
    off = means.mean(axis=0) - np.asarray(getattr(wf.Kernel(NET)(X), name))[entries]
    n, p = means.shape
    squared = n * off @ np.linalg.solve(np.cov(means.T), off)
    assert squared * (n - p) / (p * (n - 1)) < f_distribution.ppf(0.999, p, n - p)
    assert np.abs(off).max() < 0.05 * np.abs(means).max()


@pytest.mark.parametrize("name", ["nngp", "ntk"])
def test_standard_errors_are_the_scatter_between_seeds(repeated, name):
    means = np.stack([getattr(k, name) for k in repeated])
    stated = np.stack([getattr(k, f"{name}_error") for k in repeated])
    ratio = means.var(axis=0, ddof=1) / (stated**2).mean(axis=0)
    low, high = chi2.ppf([5e-5, 1 - 5e-5], SEEDS - 1) / (SEEDS - 1)
    assert np.all((low < ratio) & (ratio < high))


def test_one_estimate_is_the_mean_and_error_of_its_networks():
    k = MonteCarloKernel.of(NET, draws=5, seed=3)(X, X[:2])
    kernels = []
    for s in range(5):
        params = NET.init(jax.random.fold_in(jax.random.key(3), s), X)
        kernels.append(wf.EmpiricalKernel(NET.apply, params)(X, X[:2]))
    for name in ("nngp", "ntk"):
        draws = np.stack([getattr(one, name) for one in kernels])
        np.testing.assert_allclose(getattr(k, name), draws.mean(axis=0), rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(getattr(k, f"{name}_error"), draws.std(axis=0, ddof=1) / 5**0.5, rtol=1e-4)
    assert k.draws == 5


def test_drawing_stops_at_the_first_look_with_the_accuracy():
    kernel = MonteCarloKernel.of(NET, draws=400, accuracy=0.08)
    seen = []
    k = kernel.estimate(X, advance=seen.append)
    assert k.draws == sum(seen) < 400
    assert k.reached
    error = max(
        np.linalg.norm(k.ntk_error) / np.linalg.norm(k.ntk), np.linalg.norm(k.nngp_error) / np.linalg.norm(k.nngp)
    )
    np.testing.assert_allclose(k.relative_error, error)
    assert error <= 0.08
    looks = [16, 32, 48, 64, 80, 96, 112, 128, 160, 192, 240, 288, 352]
    before = looks[looks.index(k.draws) - 1]
    assert replace(kernel, draws=before)(X).relative_error > 0.08
    short = replace(kernel, draws=before)(X)
    assert not short.reached
    assert "not reached" in str(short)
    assert "bias of order 1/width" in str(k)


def test_memory_and_chunks_change_nothing_and_an_estimate_can_go_on(monkeypatch):
    kernel = MonteCarloKernel.of(NET, draws=40)
    whole = kernel(X)
    monkeypatch.setattr(monte_carlo, "_CACHED_BYTES", 1)
    part = replace(kernel, draws=19)(X)
    on = kernel.estimate(X, start=part)
    assert on.draws == 40
    for name in ("nngp", "ntk", "nngp_error", "ntk_error"):
        np.testing.assert_allclose(getattr(on, name), getattr(whole, name), rtol=1e-5, atol=1e-6)


def test_interruption_returns_what_is_finished():
    def stop(done):
        raise KeyboardInterrupt

    kernel = MonteCarloKernel.of(NET, draws=40)
    k = kernel.estimate(X, advance=stop)
    assert k.interrupted
    assert k.draws == 16
    np.testing.assert_allclose(kernel.estimate(X, start=k).ntk, kernel(X).ntk, rtol=1e-6)


@pytest.mark.slow
def test_nngp_kernel_alone_and_in_float64_without_the_flag():
    kernel = MonteCarloKernel.of(NET, draws=16)
    x = np.asarray(X, np.float64)
    k = kernel(x)
    np.testing.assert_allclose(kernel.nngp(x), k.nngp, rtol=1e-12)
    params = NET.init(jax.random.fold_in(jax.random.key(0), 0), X)
    assert isinstance(k, KernelEstimate)
    assert jax.tree.leaves(params)[0].dtype == np.float32
    assert k.ntk.dtype == np.float64
    assert kernel.estimate(x, get=("nngp",)).ntk is None


def test_learning_rates_of_layers_enter_the_ntk():
    frozen = nn.Serial(nn.Dense(8, lr_w=0.0, lr_b=0.0), nn.Erf(), nn.Dense(1, lr_w=0.0, lr_b=2.0))
    k = MonteCarloKernel.of(frozen, draws=16)(X)
    readout_bias = nn.Serial(nn.Dense(8, lr_w=0.0, lr_b=0.0), nn.Erf(), nn.Dense(1, b=0.5, lr_w=0.0, lr_b=2.0))
    np.testing.assert_array_equal(k.ntk, np.zeros((3, 3)))  # without a bias nothing is left that trains
    np.testing.assert_allclose(MonteCarloKernel.of(readout_bias, draws=16).ntk(X), 2 * 0.5**2, rtol=1e-5)


def test_wrong_input_is_refused_with_what_to_do():
    with pytest.raises(ValueError, match="at least two networks, got draws=1"):
        MonteCarloKernel.of(NET, draws=1)
    with pytest.raises(ValueError, match="accuracy must be positive"):
        MonteCarloKernel.of(NET, accuracy=0.0)
    kernel = MonteCarloKernel(lambda key, x: jnp.log(-jnp.ones((2, 1))), lambda p, x: x @ p, draws=4)
    with pytest.raises(ValueError, match="the kernels of network 0 are not finite"):
        kernel.nngp(X)
    start = MonteCarloKernel.of(NET, draws=16)(X)
    with pytest.raises(ValueError, match="start: wanted an estimate of the same networks"):
        MonteCarloKernel.of(NET, draws=32, seed=1).estimate(X, start=start)
    with pytest.raises(ValueError, match="start: wanted an estimate"):
        MonteCarloKernel.of(NET, draws=32).estimate(X + 1, start=start)
    frozen = lambda params: jax.tree.map(lambda _: 0.0, params)  # noqa: E731
    with pytest.raises(ValueError, match="start: wanted an estimate"):
        replace(MonteCarloKernel.of(NET, draws=32), rates=frozen).estimate(X, start=start)
