import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.beyond import NtkFluctuations, preactivation_moments
from wideflow.beyond.finite_width import hidden_widths

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
def test_sampled_fluctuation_is_the_exact_one():
    found = report(relu(64, 64), X[:1].astype(np.float32), networks=400)
    sampled = found.effects[-1]
    assert "sampled" in sampled.name
    assert sampled.size == pytest.approx(NtkFluctuations((64, 64)).relative_std, rel=0.15)


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
