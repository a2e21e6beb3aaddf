"""A network prints as the source that makes it."""

import equinox as eqx
import jax
import jax.numpy as jnp
import pytest
from network_cases import CASES, IDS

import wideflow as wf
from wideflow import nn

NAMES = {name: getattr(nn, name) for name in dir(nn) if name[0].isupper()}


def softsign_square(z):
    return z**2 / (1 + z**2)


@pytest.mark.parametrize(
    "case", [c for c in CASES if "softsign" not in c.name], ids=[i for i in IDS if "softsign" not in i]
)
def test_repr_evaluates_to_an_equal_network(case):
    again = eval(repr(case.net), {"elu": jax.nn.elu} | NAMES)
    assert eqx.tree_equal(again, case.net)
    assert eval(repr(wf.Kernel(case.net)), {"Kernel": wf.Kernel, "elu": jax.nn.elu} | NAMES) == wf.Kernel(case.net)


def test_repr_leaves_out_defaults():
    net = nn.Serial(
        nn.Dense(3), nn.Sin(w=2.0), nn.Residual(nn.Relu(), nn.Dense(3, b=0.5)), nn.Elementwise(softsign_square)
    )
    expected = "Serial(Dense(3), Sin(w=2.0), Residual(Relu(), Dense(3, b=0.5)), Elementwise(softsign_square))"
    assert repr(net) == expected


def test_repr_shows_the_numbers_of_traced_hyperparameters():
    assert repr(nn.Dense(2, jnp.float32(1.5), 0.0)) == "Dense(2, w=1.5, b=0.0)"
    seen = []
    jax.jit(lambda layer: seen.append(repr(layer)) or 0)(nn.Dense(2, jnp.float32(1.5)))
    assert seen == ["Dense(2, w=…, lr_w=…, lr_b=…)"]


def test_repr_of_a_user_layer_shows_its_fields():
    class Scaled(nn.Activation):
        gain: float
        shift: float = 0.0

    assert repr(Scaled(2.0)) == "Scaled(2.0)"
    assert repr(Scaled(2.0, 1.0)) == "Scaled(2.0, shift=1.0)"
