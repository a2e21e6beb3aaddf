"""Settings: what is refused, and the network they stand for."""

import jax
import pytest

from wideflow import nn
from wideflow.compare.network import network
from wideflow.compare.settings import ACTIVATIONS, Settings, SettingsError

BAD = [
    ({"activation": "tahn"}, r"--activation tahn: unknown; did you mean tanh\? Known: tanh, erf, relu"),
    ({"activation": "TANH"}, "did you mean tanh"),
    ({"activation": "zzzzzz"}, r"--activation zzzzzz: unknown\. Known"),
    ({"target": "regresion"}, "--target regresion: unknown; did you mean regression"),
    ({"target": "regression", "classes": ("0", "1")}, "--classes: a regression target has none"),
    ({"train": 3}, "--train 3: must be at least 4"),
    ({"test": 0}, "--test 0: must be at least 4"),
    ({"depth": 0}, "--depth 0: must be at least 1"),
    ({"width": 8}, "--width 8: must be at least 16"),
    ({"steps": 0}, "--steps 0: must be at least 1"),
    ({"networks": 2}, "--networks 2: must be at least 10"),
    ({"seed": -1}, "--seed -1: must be at least 0"),
    ({"w": 0.0}, "--w 0.0: a standard deviation of weights must be positive"),
    ({"w": float("nan")}, "--w nan"),
    ({"b": -0.1}, "--b -0.1: a standard deviation of biases must not be negative"),
    ({"lr": 0.0}, "--lr 0.0: a learning rate must be positive and finite"),
    ({"lr": float("inf")}, "--lr inf"),
]


@pytest.mark.parametrize(("values", "message"), BAD, ids=[str(values) for values, _ in BAD])
def test_value_that_makes_no_sense_is_refused(values, message):
    with pytest.raises(SettingsError, match=message):
        Settings(**values)


@pytest.mark.parametrize("activation", ACTIVATIONS)
def test_network_has_the_depth_width_and_activation_of_its_settings(activation):
    settings = Settings(depth=2, activation=activation, b=0.3)
    net = network(settings, 24)
    x = jax.numpy.ones((5, 7))
    shapes = jax.eval_shape(lambda key: net.init(key, x), jax.random.key(0))
    kinds = [type(layer) for layer in net.layers]
    phi = getattr(nn, ACTIVATIONS[activation])
    assert kinds == [nn.Dense, phi, nn.Dense, phi, nn.Dense]
    weights = sum(leaf.size for leaf in jax.tree.leaves(shapes))
    assert weights == 24 * (7 + 1) + 24 * (24 + 1) + (24 + 1)


def test_narrow_ensemble_has_a_quarter_of_the_width():
    assert Settings(width=512).narrow == 128
