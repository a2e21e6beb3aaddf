import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import NtkFluctuations, SampledKernels, preactivation_moments
from wideflow.beyond.finite_width import hidden_widths
from wideflow.finite import draw_networks

X = np.random.default_rng(0).standard_normal((2, 5))
report = wf.beyond.finite_width.report


def relu(*widths):
    return nn.Serial(*(layer for n in widths for layer in (nn.Dense(n), nn.Relu())), nn.Dense(1))


def test_report_has_the_numbers_of_its_parts():
    found = report(relu(128, 64), X)
    sizes = [effect.size for effect in found.effects]
    last = preactivation_moments(relu(128, 64), X[:1])[-1]
    assert found.beta == 1 / 128 + 1 / 64
    assert sizes[0] == pytest.approx(0, abs=1e-9)
    assert sizes[1] == pytest.approx(np.sqrt(5 * found.beta), rel=1e-8)
    assert sizes[2] == pytest.approx(float(last.excess_kurtosis[0]), rel=1e-8)
    assert sizes[3] == NtkFluctuations((128, 64)).relative_std
    assert "β = Σ 1/n = 0.0234" in str(found)


def test_report_without_inputs_is_that_of_any_input_where_only_their_size_could_matter():
    sizes = [[effect.size for effect in report(relu(32, 32), x).effects] for x in (None, 3 * X)]
    np.testing.assert_allclose(sizes[0], sizes[1], atol=1e-9)


def test_widths_times_the_factor_bring_every_effect_down():
    net = relu(32, 32)
    factor = report(net).width_factor
    wide = report(relu(*(int(np.ceil(32 * factor)),) * 2))
    assert factor > 1
    assert wide.width_factor == pytest.approx(1, abs=0.02)
    assert "well: every effect is below 10%" in str(report(relu(10_000, 10_000)))


@pytest.mark.slow
def test_sampled_fluctuations_are_those_of_the_exact_law_and_of_the_expansion():
    found = report(relu(64, 64), X[:1].astype(np.float32), networks=400)
    mean, spread = found.effects[-2:]
    exact = NtkFluctuations((64, 64)).relative_std
    assert "sampled" in spread.name
    assert abs(spread.size - exact) < 4 * spread.error < 0.2 * exact
    assert abs(mean.size) < 4 * mean.error
    tanh = nn.Serial(nn.Dense(64, w=1.4), nn.Tanh(), nn.Dense(64, w=1.4), nn.Tanh(), nn.Dense(1))
    drawn = SampledKernels.draw(tanh, X[:1].astype(np.float32), 800)
    last = preactivation_moments(tanh, X[:1])[-1]
    size, error = drawn.spread(drawn.variance)
    assert abs(size - np.sqrt(last.kernel_cov[0, 0, 0, 0]) / last.nngp[0, 0]) < 4 * error
    size, error = drawn.shift(drawn.variance, drawn.infinite_variance)
    assert abs(size - last.correction[0, 0] / last.nngp[0, 0]) < 4 * error


def test_sampled_kernels_are_those_of_each_network_written_out():
    w, b = 1.3, 0.4
    net = nn.Serial(nn.Dense(5), nn.Serial(nn.Tanh(), nn.Dense(7), nn.Relu(), nn.Dense(1, w=w, b=b)))
    x = X.astype(np.float32)
    drawn = SampledKernels.draw(net, x, 3, seed=2)
    params = draw_networks(net, jnp.asarray(x[:1]), jax.random.key(2), jnp.arange(3, dtype=jnp.uint32))
    for s in range(3):
        W0, W1 = params[0]["W"][s], params[1][1]["W"][s]
        h = np.maximum(np.tanh(x @ W0 / np.sqrt(5)) @ W1 / np.sqrt(5), 0)
        np.testing.assert_allclose(drawn.variance[s], w**2 * np.mean(h**2, axis=1) + b**2, rtol=1e-5)
    first = jax.tree.map(lambda leaf: leaf[0], params)
    ntk = wf.EmpiricalKernel(net.apply, first)(jnp.asarray(x)).ntk
    np.testing.assert_allclose(drawn.ntk[0], np.diag(ntk), rtol=1e-5)
    np.testing.assert_allclose(drawn.infinite_variance, np.diag(wf.Kernel(net)(x).nngp), rtol=1e-6)
    other = SampledKernels.draw(nn.Serial(nn.Dense(5), nn.Relu(), nn.Dense(3), nn.Sum(nn.Dense(1), nn.Dense(1))), x, 2)
    assert other.variance is None


def test_sampled_sizes_have_the_errors_of_many_repetitions():
    rng = np.random.default_rng(1)
    draws = 1 + 0.3 * rng.standard_gamma(4.0, (2000, 64, 1))  # mean 2.2, standard deviation 0.6
    shifts, spreads = (
        np.array([f(one) for one in draws])
        for f in (lambda v: SampledKernels.shift(v, np.array([2.0])), SampledKernels.spread)
    )
    for found, wanted in ((shifts, 0.1), (spreads, 0.6 / 2.2)):
        assert found[:, 0].mean() == pytest.approx(wanted, abs=0.005)
        assert found[:, 1].mean() == pytest.approx(found[:, 0].std(), rel=0.1)


@pytest.mark.slow
def test_convolutional_networks_with_skips_are_measured():
    net = nn.Serial(
        nn.Conv(8, (3, 3)),
        nn.Residual(nn.Serial(nn.Relu(), nn.Conv(8, (3, 3)))),
        nn.Relu(),
        nn.GlobalAvgPool(),
        nn.Dense(1),
    )
    x = np.random.default_rng(2).standard_normal((1, 3, 3, 2)).astype(np.float32)
    found = report(net, x, networks=16)
    names = [effect.name for effect in found.effects]
    assert len(names) == 5
    assert names[0] == "variance of outputs (mean over networks, sampled)"
    assert names[-1] == "NTK (from network to network, sampled)"
    sizes = {effect.name: effect for effect in found.effects}
    spread = sizes["variance of outputs (from network to network, sampled)"]
    assert sizes["excess kurtosis of outputs (sampled)"].size == pytest.approx(3 * spread.size**2)
    assert 0 < spread.error < spread.size
    assert " ± " in str(found)


def test_other_architectures_get_beta_and_what_is_not_known():
    net = nn.Serial(nn.Conv(16, 3), nn.Relu(), nn.Residual(nn.Conv(16, 3)), nn.GlobalAvgPool(), nn.Dense(1))
    found = report(net)
    assert hidden_widths(net) == (16, 16)
    assert found.effects == ()
    assert np.isnan(found.width_factor)
    assert "order of magnitude" in str(found)
    repeated = nn.Serial(nn.Dense(8), nn.Repeat(nn.Serial(nn.Tanh(), nn.Dense(8)), 3), nn.Tanh(), nn.Dense(1))
    assert hidden_widths(repeated) == (8, 8, 8, 8)
    assert len(report(repeated, X).effects) == 3


def test_a_deep_and_narrow_network_is_said_to_be_beyond_the_expansion():
    assert "not reliable" in str(report(relu(*(8,) * 10)))


def test_wrong_requests_are_refused():
    for arguments, word in (
        ((nn.Serial(nn.Dense(1)),), "hidden layer"),
        ((relu(8), None, 2.0), "between 0 and 1"),
        ((relu(8), None, 0.1, 64), "inputs x"),
        ((relu(8), X, 0.1, 4), "at least 16"),
    ):
        with pytest.raises(ValueError, match=word):
            report(*arguments)
