"""Random trees of layers against the oracle recursion."""

import equinox as eqx
import jax
import numpy as np
import pytest
from hypothesis import HealthCheck, given, note, settings
from hypothesis import strategies as st
from network_cases import WIDTH, anywhere, build

import wideflow as wf
from oracles import infinite
from wideflow import nn

std = st.floats(0.3, 1.7)
denses = st.builds(lambda w, b: ("dense", WIDTH, w, b), std, st.one_of(st.none(), st.floats(0.0, 1.0)))
# Closed forms: they compile in a moment, and every structure is the same for the others.
activations = st.one_of(
    st.sampled_from([("relu",), ("erf",), ("abs",), ("gelu",), ("identity",)]),
    st.builds(lambda slope: ("leaky_relu", slope), st.floats(-0.9, 0.9)),
    st.builds(lambda *p: ("sin", *p), std, std, st.floats(-2, 2)),
)
hidden = st.builds(lambda act, dense: ("serial", act, dense), activations, denses)  # Gaussian to Gaussian


def wrapped(parts):
    bodies = st.lists(parts, min_size=1, max_size=2)
    return st.one_of(
        st.builds(lambda body, last: ("residual", *body, last), bodies, hidden),
        st.builds(lambda body: ("serial", *body), bodies),
    )


trees = st.recursive(hidden, wrapped, max_leaves=4)
networks = st.builds(lambda first, body: ("serial", first, body), denses, trees)


@pytest.mark.slow
@settings(max_examples=15, suppress_health_check=[HealthCheck.too_slow])
@given(networks)
def test_random_networks_equal_the_oracle_recursion(spec):
    note(repr(build(spec)))
    x = anywhere()
    expected = infinite.kernels(spec, x)
    with jax.enable_x64(True):
        k = [np.asarray(value) for value in wf.Kernel(build(spec))(x)]
    for value, right, allowed in zip(k, expected, (1e-9, 1e-7), strict=True):
        unit = np.sqrt(np.outer(np.diagonal(right), np.diagonal(right)))
        assert np.all(np.abs(value - right) <= allowed * unit)


@given(networks)
def test_random_networks_print_as_the_source_that_makes_them(spec):
    net = build(spec)
    assert eqx.tree_equal(eval(repr(net), vars(nn).copy()), net)
