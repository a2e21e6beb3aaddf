"""Limits of abc-parameterizations: the published table, its symmetry, and steps of networks written out in NumPy."""

from itertools import pairwise

import numpy as np
import pytest

from wideflow import nn
from wideflow.beyond import WidthLimit, fit_slope, width_limit

STABLE_STANDARD = nn.ABC((0, 0, 0), (0, 0.5, 0.5), 1)
SHALLOW_MEAN_FIELD = nn.ABC((0, None, 1), (0, None, 0), 0)  # one learning rate for all widths


@pytest.mark.parametrize(
    ("parameterization", "hidden", "r", "rate", "features"),
    [
        ("ntk", 1, 0.5, 0, False),
        ("ntk", 3, 0.5, 0, False),
        (STABLE_STANDARD, 1, 1.5, 0, False),
        (STABLE_STANDARD, 3, 0.5, 0, False),
        ("mup", 1, 0, 0, True),
        ("mup", 3, 0, 0, True),
        ("mean_field", 1, 0, 0, True),
    ],
)
def test_stable_parameterizations_have_their_published_exponents(parameterization, hidden, r, rate, features):
    limit = width_limit(parameterization, hidden)
    assert limit.stable
    assert limit.nontrivial
    assert limit.r == pytest.approx(r)
    assert limit.rate_exponent == pytest.approx(rate)
    assert limit.learns_features == features
    assert limit.initial_output_exponent == pytest.approx(0.5 if features else 0)


def test_feasible_rates_grow_with_the_width_as_published():
    rates = [width_limit(rule, 1).rate_exponent for rule in ("ntk", "standard", SHALLOW_MEAN_FIELD, "mup")]
    assert rates == pytest.approx([0, -1, 1, 0])


def test_smallest_stable_c_is_where_stability_ends():
    rng = np.random.default_rng(0)
    for _ in range(200):
        first, hidden, readout = rng.integers(-4, 5, 3) / 4
        b_out = 0.5 - readout + rng.integers(0, 4) / 4
        limit = WidthLimit((first, hidden, readout), (-first, 0.5 - hidden, b_out))
        c = limit.smallest_stable_c
        assert WidthLimit(limit.a, limit.b, c).stable
        assert WidthLimit(limit.a, limit.b, c + 1).stable
        assert not WidthLimit(limit.a, limit.b, c - 1e-3).stable


def test_nothing_changes_under_the_symmetry():
    for rule, hidden in (("ntk", 2), ("standard", 3), ("mup", 1), ("mean_field", 1)):
        limit = width_limit(rule, hidden)
        for theta in (0.37, -1.21):
            other = limit.shifted(theta)
            assert other.layer_exponents == pytest.approx(limit.layer_exponents)
            assert other.rate_exponent == pytest.approx(limit.rate_exponent)
            verdicts = ("stable", "nontrivial", "learns_features")
            assert [getattr(other, v) for v in verdicts] == [getattr(limit, v) for v in verdicts]


def trained(limit, n, seed, steps=3, lr=0.2):
    """Preactivations of every layer on two inputs along gradient descent, tanh, written out: `[steps + 1][layer]`."""
    rng = np.random.default_rng([seed, n])
    sizes = [3, *([n] * (len(limit.a) - 1)), 1]
    fixed = np.random.default_rng(1)
    x, y = fixed.standard_normal((2, 3)), np.array([[1.0], [-0.5]])
    draws = [rng.standard_normal(shape) for shape in pairwise(sizes)]
    w = [draw * n**-b for draw, b in zip(draws, limit.b, strict=True)]
    scale = [n**-a for a in limit.a]
    seen = []
    for _ in range(steps + 1):
        inputs, z = [x], []
        for weights, s in zip(w, scale, strict=True):
            z.append(s * inputs[-1] @ weights)
            inputs.append(np.tanh(z[-1]))
        seen.append(z)
        back = (z[-1] - y) / len(x)
        for layer in reversed(range(len(w))):
            slope = scale[layer] * inputs[layer].T @ back
            below = scale[layer] * back @ w[layer].T * (1 - inputs[layer] ** 2)
            w[layer] = w[layer] - lr * n**-limit.c * slope
            back = below
    return seen


@pytest.mark.parametrize("rule", ["ntk", "mup", STABLE_STANDARD])
def test_symmetry_leaves_trajectories_alone_to_rounding(rule):
    limit = width_limit(rule, 2)
    reference = trained(limit, 32, 0)
    moved = trained(limit.shifted(0.43), 32, 0)
    assert np.abs(reference[-1][-1] - reference[0][-1]).max() > 0.02
    for one, two in zip(reference, moved, strict=True):
        for layer in range(3):
            np.testing.assert_allclose(two[layer], one[layer], rtol=1e-10, atol=1e-13)


@pytest.mark.parametrize("hidden", [1, 2])
@pytest.mark.parametrize("rule", ["ntk", "mup", STABLE_STANDARD])
def test_layers_change_by_their_exponents_in_networks_written_out(rule, hidden):
    limit, widths, seeds = width_limit(rule, hidden), [64, 128, 256, 512], 24
    runs = [[trained(limit, n, s, steps=1) for s in range(seeds)] for n in widths]
    for layer, p in enumerate((*limit.layer_exponents, limit.output_exponent)):
        change = [[np.sqrt(np.mean((run[1][layer] - run[0][layer]) ** 2)) for run in row] for row in runs]
        slope = fit_slope(widths, change).widened(0.05)  # corrections of order 1/width at 64
        assert slope.contains(-p)
        assert slope.contains(-p - 0.5) is slope.contains(-p + 0.5) is False


def test_verdicts_are_said_in_words():
    assert "outputs as n^1; c must be at least 1, got 0" in width_limit("standard", 1).why
    assert "features as n^1 and outputs as n^1.5" in width_limit("standard", 2).why
    assert "only the readout trains" in width_limit(STABLE_STANDARD, 1).why
    assert "the kernel stays" in width_limit("ntk", 2).why
    assert "it learns features" in width_limit("mup", 2).why
    assert "outputs have the size n^0.5" in WidthLimit((0, 0), (0, 0)).why
    assert WidthLimit((0, 0.5), (0, 0.5), 1).why.startswith("trivial: outputs change as n^-1")
    assert "grow by n^0.5" in WidthLimit((0, 0, 0.5), (0, 0, 0)).why
    assert str(width_limit("ntk", 1)) == "a = (0, 0.5), b = (0, 0), c = 0: r = 0.5, fixed kernel"


def test_bad_input_is_refused():
    with pytest.raises(ValueError, match="a and b of the same length"):
        WidthLimit((0, 1), (0,))
    with pytest.raises(ValueError, match="wanted one of"):
        width_limit("kernel", 1)
    with pytest.raises(ValueError, match="mean field is for"):
        width_limit("mean_field", 2)
    with pytest.raises(ValueError, match="at least one hidden"):
        width_limit("ntk", 0)
