import numpy as np
import pytest

from wideflow import datasets, nn
from wideflow.beyond import correction_scaling


def digits(train, test):
    task = datasets.binary(datasets.load("digits"), classes=(0, 1), train=train, test=test)
    return np.concatenate([task.x_train, task.x_test]), task.y_train


@pytest.mark.slow
def test_first_correction_gains_a_power_of_the_width_on_digits():
    net = nn.Serial(nn.Dense(512), nn.Tanh(), nn.Dense(1))
    found = correction_scaling(
        net, *digits(2, 1), [64, 128, 256, 512], seeds=40, times=(2.0, 8.0), steps=60, start="centred"
    )
    assert found.kernel_slope.widened(0.05).contains(-1)
    assert found.corrected_slope.widened(0.1).contains(-2)
    assert not found.corrected_slope.contains(-1)
    assert (found.corrected < found.kernel).mean() > 0.95
    assert "corrected" in str(found)


@pytest.mark.slow
@pytest.mark.parametrize("activation", [nn.Tanh(), nn.Gelu()])
def test_exponents_are_those_of_the_orders_on_more_digits(activation):
    net = nn.Serial(nn.Dense(1024, b=0.3), activation, nn.Dense(1))
    found = correction_scaling(net, *digits(4, 4), [128, 256, 512, 1024], seeds=32, start="centred")
    assert found.kernel_slope.widened(0.05).contains(-1)
    assert found.corrected_slope.widened(0.1).contains(-2)
    assert not found.corrected_slope.widened(0.1).contains(-1)


@pytest.mark.slow
def test_exponents_are_those_of_the_orders_with_two_hidden_layers():
    net = nn.Serial(nn.Dense(256), nn.Tanh(), nn.Dense(256), nn.Tanh(), nn.Dense(1))
    found = correction_scaling(net, *digits(3, 2), [32, 64, 128, 256], seeds=32, steps=80, start="centred")
    assert found.kernel_slope.widened(0.1).contains(-1)
    assert found.corrected_slope.widened(0.2).contains(-2)
    assert not found.corrected_slope.contains(-1)


def test_wrong_requests_are_refused():
    x, net = np.ones((3, 2)), nn.Serial(nn.Dense(8), nn.Tanh(), nn.Dense(1))
    with pytest.raises(ValueError, match="ascending positive times"):
        correction_scaling(net, x, [1.0], [2, 4, 6, 8], times=(2.0, 1.0))
    with pytest.raises(ValueError, match="targets for the first"):
        correction_scaling(net, x, np.ones(4), [2, 4, 6, 8])
    with pytest.raises(ValueError, match="start must be one of"):
        correction_scaling(net, x, [1.0], [2, 4, 6, 8], start="zero")
