"""The map of regimes: its numbers are those of single runs, and width, scaling and rate move networks across it."""

from dataclasses import replace

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import LearningTask, RegimeGrid, RegimeMap, kernel_evolution, regime_map, scaled_output


def parity(n, d, seed):
    x = np.random.default_rng(seed).standard_normal((n, d)).astype("f4")
    return x, np.sign(x[:, 0] * x[:, 1])


SMALL = LearningTask(*parity(12, 4, 0), *parity(9, 4, 1))
GRID = RegimeGrid([64, 128, 256, 512], [0.5, 1.0], [0.1, 4.0], 40.0)


def family(width):
    return nn.Serial(nn.Dense(width), nn.Relu(), nn.Dense(1))


@pytest.fixture(scope="module")
def found():
    return regime_map(family, SMALL, GRID)


def test_a_network_of_the_map_is_that_of_a_single_run(found):
    net, seed = scaled_output(family(64), 1.0, SMALL.x), 2
    seen, at = kernel_evolution(net, SMALL, 0.1, [0, 400], seed), (0, 1, 0, seed)
    single = (seen.distance[1], seen.change[1], seen.network_error[1], seen.network_accuracy[1])
    of_map = (found.distance, found.change, found.network_error, found.network_accuracy)
    np.testing.assert_array_equal([values[at] for values in of_map], single)
    np.testing.assert_array_equal(found.alignment[at], seen.alignment)
    np.testing.assert_array_equal(found.kernel_error[at], seen.kernel_error(0.01))
    np.testing.assert_array_equal(found.kernel_accuracy[at], seen.kernel_accuracy(0.01))
    assert found.critical[0, 1, seed] == pytest.approx(2 * 12 / np.linalg.eigvalsh(seen.train[0])[-1], rel=1e-5)


def test_distance_to_the_linearization_is_that_of_training_it_explicitly(found):
    net, x, y = scaled_output(family(64), 1.0, SMALL.x), jnp.asarray(SMALL.x), jnp.asarray(SMALL.y)[:, None]
    everything = jnp.concatenate([x, jnp.asarray(SMALL.x_test)])
    start = net.init(jax.random.key(2), x)
    rates = nn.learning_rates(net, start)

    def trained(params, f):
        slope = jax.grad(lambda p: jnp.sum((f(p, x) - y.astype(x.dtype)) ** 2) / 24)
        step = lambda _, p: jax.tree.map(lambda v, r, g: v - 0.1 * r * g, p, rates, slope(p))  # noqa: E731
        return f(jax.lax.fori_loop(0, 400, step, params), everything)

    trained = jax.jit(trained, static_argnums=1)
    line, network = trained(start, wf.linearize(net.apply, start)), trained(start, net.apply)
    moved = np.linalg.norm(line - net.apply(start, everything))
    assert found.linearization[0, 1, 0, 2] == pytest.approx(np.linalg.norm(network - line) / moved, rel=1e-3)


def test_width_leads_to_the_kernel_regime_for_the_ntk_and_not_for_the_mean_field(found):
    stayed, moved = found.slope(0, 0).widened(0.15), found.slope(1, 0).widened(0.15)
    assert stayed.high < -0.5
    assert moved.contains(0.0)
    assert not moved.contains(-0.5)
    assert found.regimes[-1, 0, 0] == "kernel regime"
    assert found.regimes[:, 1, 0].tolist() == ["feature learning"] * 4
    assert (np.median(found.linearization[-1], axis=-1)[:, 0] < (0.1, np.inf)).all()


def test_rates_above_the_critical_one_are_called_so(found):
    assert (found.critical < 4.0).all()
    assert np.isin(found.words[:, :, 1], ["catapult", "diverged"]).all()
    assert (found.words[0, 0, 1] == "catapult").all()  # narrow networks leave for a flatter place
    assert (found.words[:, 1, 1] == "diverged").all()
    assert np.isnan(found.linearization[:, :, 1]).all()
    assert not np.isin(found.words[:, :, 0], ["catapult", "diverged"]).any()
    text = str(found)
    assert text.count("catapult") + text.count("diverged") == 8
    assert "S ∝ width^p, γ = 0.5, rate 0.1: p = -" in text


def test_a_network_that_diverges_keeps_what_is_known_of_its_start():
    lost = regime_map(family, SMALL, RegimeGrid([64], [1.0], [1e6], 1e8), seeds=1)
    assert lost.words.tolist() == [[[["diverged"]]]]
    first = kernel_evolution(scaled_output(family(64), 1.0, SMALL.x), SMALL, 1.0, [0])
    np.testing.assert_array_equal(lost.alignment[0, 0, 0, 0], [first.alignment[0], np.nan])
    np.testing.assert_array_equal(lost.kernel_error[0, 0, 0, 0], [first.kernel_error(0.01)[0], np.nan])
    assert np.isnan([lost.distance, lost.change, lost.network_error, lost.network_accuracy]).all()
    assert "none: wanted at least 4 different positive x" in str(lost)


def test_words_follow_from_distances_and_their_thresholds():
    one = np.ones((1, 1, 1, 5))
    pairs, distance = one[..., None] * [2.0, 1.0], one * [0.004, 0.004, 0.03, 0.03, np.nan]
    linear = one * [0.09, 0.11, 0.29, 0.31, np.nan]
    grid = RegimeGrid([8], [0.5], [0.1], 1.0)
    seen = RegimeMap(grid, np.ones((1, 1, 5)), distance, one, linear, one, one, pairs, pairs, pairs, pairs)
    words = ["kernel regime", "between", "between", "feature learning", "diverged"]
    assert seen.words.ravel().tolist() == words
    assert seen.regimes.ravel().tolist() == ["between"]
    above = replace(seen, critical=np.full((1, 1, 5), 0.09))
    assert above.words.ravel().tolist() == ["catapult"] * 4 + ["diverged"]
    assert set(replace(above, loss=pairs[..., ::-1]).words.ravel()) == {"diverged"}


def test_scaled_output_of_a_deep_network_ends_at_the_maximal_update_parameterization():
    net = nn.Serial(nn.Dense(16), nn.Relu(), nn.Dense(16), nn.Relu(), nn.Dense(1))
    nets = scaled_output(net, 1.0, SMALL.x), wf.reparameterize(net, "mup", SMALL.x)
    mine, mup = (kernel_evolution(each, SMALL, 0.1, [0, 30]) for each in nets)
    np.testing.assert_allclose(mine.outputs, mup.outputs, rtol=1e-3, atol=1e-5)
    np.testing.assert_allclose(mine.ntk, mup.ntk, rtol=1e-3, atol=1e-4)
    assert mine.distance[1] > 1e-3


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"widths": []}, "one or more different widths"),
        ({"widths": [8, 8]}, "one or more different widths"),
        ({"widths": [8.5]}, "widths must be whole numbers"),
        ({"exponents": [0.0]}, "exponents must be positive"),
        ({"rates": [-0.1]}, "rates must be positive"),
        ({"rates": [0.1, 0.3]}, "whole number of steps, at least one, of rate 0.3; take the rate 0.300752"),
        ({"time": 0.0}, "whole number of steps"),
        ({"time": float("inf")}, "whole number of steps"),
    ],
)
def test_grids_that_cannot_be_trained_on_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        regime_map(family, SMALL, GRID._replace(**changes))


def test_other_bad_input_is_refused_before_training():
    with pytest.raises(ValueError, match="at least one seed"):
        regime_map(family, SMALL, GRID, seeds=0)
    with pytest.raises(ValueError, match="a positive ridge"):
        regime_map(family, SMALL, GRID, ridge=0.0)
    with pytest.raises(ValueError, match="regime_map: the network's outputs"):
        regime_map(family, SMALL._replace(y_test=np.ones((9, 2))), GRID)
