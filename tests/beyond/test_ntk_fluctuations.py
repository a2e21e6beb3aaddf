import numpy as np
import pytest

import wideflow as wf
from oracles.relu_ntk import ratio_with_error, sampled_ntk
from wideflow import nn
from wideflow.beyond import NtkFluctuations


def narrow_draft(n, depth):
    """The sum with a forward-backward share that keeps 4/n² too few at every layer."""
    share = [1.0] + [(1 + 1 / n) * (1 + 1 / n + 4 / n**2) ** (k - 1) for k in range(1, depth + 1)]
    levels = range(depth + 1)
    return (
        sum((1 + 5 / n) ** (depth - abs(a - b)) * share[abs(a - b)] for a in levels for b in levels) / (depth + 1) ** 2
    )


def test_second_moment_is_that_of_drawn_networks():
    found, error = ratio_with_error(sampled_ntk((5, 4), 200_000, seed=0))
    law = NtkFluctuations((5, 4)).second_moment
    assert error < 0.03
    assert abs(found - law) < 4 * error


@pytest.mark.slow
@pytest.mark.parametrize(
    ("widths", "leak"), [((5, 9, 3), 0.0), ((3, 8, 5), 0.3), ((6, 6, 6), 0.0), ((7, 5, 6, 8), 0.1)]
)
def test_second_moment_holds_at_unequal_widths_and_for_leaky_networks(widths, leak):
    ntk = np.concatenate([sampled_ntk(widths, 40_000, seed, leak) for seed in range(20)])
    found, error = ratio_with_error(ntk)
    kappa = 2 * (1 + leak**4) / (1 + leak**2) ** 2
    assert abs(found - NtkFluctuations(widths, kappa).second_moment) < 4 * error


@pytest.mark.slow
def test_networks_tell_the_law_from_a_share_without_the_alignment_of_all_layers():
    found, error = ratio_with_error(np.concatenate([sampled_ntk((4, 4), 40_000, seed) for seed in range(50)]))
    assert abs(found - NtkFluctuations((4, 4)).second_moment) < 3 * error
    assert abs(found - narrow_draft(4, 2)) > 5 * error


@pytest.mark.parametrize("depth", [1, 2, 3, 6])
def test_networks_of_width_one_have_the_moments_that_can_be_written_down(depth):
    """All gates are open with probability 2^−L; then Θ̂ = 2^L Σ_l Π_{k≠l} w_k² over L + 1 weights, and else 0."""
    squares = (depth + 1) * 3**depth + depth * (depth + 1) * 3 ** (depth - 1)  # Σ_lm E Π Π, E w⁴ = 3
    exact = 2**depth * squares / (depth + 1) ** 2
    assert NtkFluctuations((1,) * depth).second_moment == pytest.approx(exact, rel=1e-12)


def test_one_hidden_layer_has_three_over_the_width():
    assert NtkFluctuations((50,)).second_moment == pytest.approx(1 + 3 / 50, rel=1e-14)


def test_equal_widths_follow_the_two_exponentials():
    n, depth = 7, 5
    share = [(1 + 5 / n) ** k / 3 + 2 * (1 - 1 / n) ** k / 3 for k in range(depth + 1)]
    levels = range(depth + 1)
    total = sum((1 + 5 / n) ** (depth - abs(a - b)) * share[abs(a - b)] for a in levels for b in levels)
    assert NtkFluctuations((n,) * depth).second_moment == pytest.approx(total / (depth + 1) ** 2, rel=1e-13)


def test_large_depth_is_the_limit_of_the_sum():
    for kappa in (1.0, 1.3, 2.0):
        gaps = []
        for n in (100, 200, 400):
            law = NtkFluctuations((n,) * (n // 2), kappa)
            gaps.append(law.second_moment / law.large_depth - 1)
        assert abs(gaps[-1]) < 0.02
        assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)


def test_growth_with_beta_is_eleven_thirds_at_first_and_five_in_the_end():
    def large_depth(beta):
        return NtkFluctuations((10_000,) * round(10_000 * beta)).large_depth

    assert (large_depth(0.005) - 1) / 0.005 == pytest.approx(11 / 3, rel=0.02)
    assert np.log(large_depth(8) / large_depth(6)) / 2 == pytest.approx(5, abs=0.05)
    assert large_depth(6) / np.exp(5 * 6) == pytest.approx(1 / 3, abs=0.05)


def test_mean_and_variance_are_those_of_the_infinite_kernel_and_the_second_moment():
    x = np.random.default_rng(0).standard_normal((3, 4))
    net = nn.Serial(nn.Dense(5, w=1.3), nn.LeakyRelu(0.2), nn.Dense(9, w=0.8), nn.LeakyRelu(0.2), nn.Dense(1, w=1.1))
    law = NtkFluctuations.of(net)
    assert law.widths == (5, 9)
    K = theta = 1.3**2 * (x**2).mean(axis=1)
    for w in (0.8, 1.1):
        K = w**2 * 0.52 * K  # E[φ'²] = (1 + 0.2²)/2
        theta = K + w**2 * 0.52 * theta
    np.testing.assert_allclose(law.mean(net, x), theta, rtol=1e-12)
    np.testing.assert_allclose(law.variance(net, x), (law.second_moment - 1) * theta**2, rtol=1e-12)


def test_networks_without_the_law_are_refused_with_the_reason():
    def net(activation, **options):
        return nn.Serial(nn.Dense(5, **options), activation, nn.Dense(1))

    for refused, word in (
        (net(nn.Tanh()), "straight on either side"),
        (net(nn.Relu(), b=0.1), "no biases"),
        (net(nn.Relu(), lr_w=0.0), "one rate"),
        (nn.Serial(nn.Dense(5), nn.Relu(), nn.Dense(5), nn.Abs(), nn.Dense(1)), "one nonlinearity"),
        (nn.Serial(nn.Dense(5), nn.Residual(nn.Relu(), nn.Dense(5)), nn.Dense(1)), "known to this function"),
        (nn.Dense(1), "hidden layer"),
        (wf.reparameterize(net(nn.Relu()), "mean_field", np.ones((1, 3))), "NTK parameterization"),
    ):
        with pytest.raises(ValueError, match=word):
            NtkFluctuations.of(refused)
    with pytest.raises(ValueError, match="at least 1"):
        NtkFluctuations((4, 0))
    with pytest.raises(ValueError, match="kappa"):
        NtkFluctuations((4,), 0.5)
