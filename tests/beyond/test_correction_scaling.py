import numpy as np
import pytest

from wideflow import datasets, nn
from wideflow.beyond import correction_scaling


def test_first_correction_gains_a_power_of_the_width():
    x = np.random.default_rng(0).standard_normal((3, 3))
    x /= np.sqrt((x**2).mean(axis=1, keepdims=True))
    net = nn.Serial(nn.Dense(256), nn.Tanh(), nn.Dense(1))
    found = correction_scaling(net, x, [1.0, -0.5], [32, 64, 128, 256], seeds=16, times=(2.0, 8.0), steps=80)
    assert found.kernel_slope.widened(0.1).contains(-1)
    assert found.corrected_slope.widened(0.2).contains(-2)
    assert not found.corrected_slope.contains(-1)
    assert (np.median(found.corrected, axis=1) < np.median(found.kernel, axis=1)).all()
    assert "corrected" in str(found)


@pytest.mark.slow
def test_first_correction_gains_a_power_of_the_width_on_digits():
    task = datasets.binary(datasets.load("digits"), classes=(0, 1), train=5, test=3)
    x = np.concatenate([task.x_train, task.x_test])
    net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
    found = correction_scaling(net, x, task.y_train, [64, 128, 256, 512], seeds=24)
    assert found.kernel_slope.widened(0.1).contains(-1)
    assert found.corrected_slope.widened(0.1).contains(-2)
    assert not found.corrected_slope.contains(-1)


def test_wrong_requests_are_refused():
    x, net = np.ones((3, 2)), nn.Serial(nn.Dense(8), nn.Tanh(), nn.Dense(1))
    with pytest.raises(ValueError, match="ascending positive times"):
        correction_scaling(net, x, [1.0], [2, 4, 6, 8], times=(2.0, 1.0))
    with pytest.raises(ValueError, match="targets for the first"):
        correction_scaling(net, x, np.ones(4), [2, 4, 6, 8])
