"""Dropout: masks of finite networks, and what they do to both kernels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import degenerate, images
from kernel_checks import assert_consistent, assert_finite_gradients, assert_oracle
from network_cases import rows
from sampled_kernels import drawn, extrapolated, sampled_kernels

import wideflow as wf
from wideflow import nn
from wideflow.nn import Dense, Dropout, Flatten, GlobalAvgPool, Relu, Residual, Serial, drop

C = 2
first = Dense(C, 1.3, 0.2)
NETS = {
    "flatten": Serial(first, Relu(), Dropout(0.3), first, Relu(), Flatten(), Dropout(0.1), Dense(1)),
    "every-pair": Serial(first, Residual(Relu(), Dropout(0.3), nn.Conv(C, 2)), Relu(), GlobalAvgPool(), Dense(1)),
    "repeat": Serial(Dropout(0.2), first, nn.Repeat(Serial(Relu(), Dropout(0.4), first), 2), nn.AvgPool(2)),
}


def test_kernels_equal_the_loops_over_pixels():
    assert_oracle(Serial(first, Relu(), Dropout(0.3), GlobalAvgPool(), Dense(1)), images((2, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_kernels_of_deeper_networks_equal_the_loops_over_pixels(name):
    assert_oracle(NETS[name], images((2, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_degenerate_images_have_consistent_kernels(name):
    assert_consistent(NETS[name], degenerate((2, 2)))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_finite_at_degenerate_images(name):
    assert_finite_gradients(NETS[name], degenerate((2, 2)))


def test_dropout_that_drops_nothing_changes_nothing():
    x = np.random.default_rng(0).standard_normal((3, 4))
    nets = [Serial(Dense(4), Relu(), *layers, Dense(1)) for layers in ([], [Dropout(0.0)])]
    plain, dropped = (wf.Kernel(net)(x) for net in nets)
    for one, two in zip(plain, dropped, strict=True):
        np.testing.assert_allclose(one, two, rtol=1e-13)


def test_an_input_with_itself_grows_and_two_inputs_stay():
    x = np.random.default_rng(0).standard_normal((3, 4))
    plain, dropped = (wf.Kernel(Serial(Dense(4), Relu(), *layers, Dense(1)))(x) for layers in ([], [Dropout(0.2)]))
    gain = np.where(np.eye(3, dtype=bool), 1 / 0.8, 1)
    for one, two in zip(plain, dropped, strict=True):
        np.testing.assert_allclose(two, gain * one, rtol=1e-12)


def with_masks(net, params, x, key):
    return drop(net, key).apply(params, x)


def assert_within(mean, error, net, x):
    k = wf.Kernel(net)(x)
    expected = np.stack([k.nngp, k.ntk])
    assert np.all(np.abs(mean - expected) <= 5 * error)
    assert np.all(error <= 0.1 * np.abs(expected).max(axis=(1, 2), keepdims=True))
    plain = wf.Kernel(Serial(*(part for part in net.layers if not isinstance(part, Dropout))))(x)
    assert np.any(np.abs(plain.nngp - mean[0]) > 5 * error[0])  # without dropout it would fail


@pytest.mark.slow
def test_one_hidden_layer_lies_within_monte_carlo_error():
    x = rows(np.float32)[:2]
    net = Serial(Dense(6, 1.3, 0.2), Relu(), Dropout(0.4), Dense(1, 1.1, 0.1))
    assert_within(*sampled_kernels(net, x, 6000, apply=with_masks), net, x)


@pytest.mark.slow
def test_two_hidden_layers_lie_within_monte_carlo_error():
    x = images((2,), np.float32)[:2]

    def make(n):
        return Serial(
            nn.Conv(n, 2, 1.3, 0.2),
            Relu(),
            Dropout(0.4),
            nn.Conv(n, 2, 1.2),
            Relu(),
            Dropout(0.3),
            GlobalAvgPool(),
            Dense(1),
        )

    assert_within(*extrapolated(make, 24, x, 8000, apply=with_masks), make(24), x)


def test_networks_drop_nothing_without_a_key():
    net, x = NETS["flatten"], jnp.asarray(images((2, 2), np.float32))
    plain = Serial(*(part for part in net.layers if not isinstance(part, Dropout)))
    params = drawn(net, x)
    kept = tuple(p for p, part in zip(params, net.layers, strict=True) if not isinstance(part, Dropout))
    np.testing.assert_array_equal(net.apply(params, x), plain.apply(kept, x))


def test_masks_are_independent_for_inputs_and_layers_and_scaled():
    x = jnp.ones((50, 40))
    net = Serial(Dropout(0.25), nn.Identity(), Dropout(0.25))
    one, two = drop(net, jax.random.key(0)).layers[::2]
    a, b = (np.asarray(layer.apply((), x)) for layer in (one, two))
    assert set(np.unique(a)) == {0, np.float32(1 / 0.75)}
    assert abs(a.mean() - 1) < 0.07
    for u, v in ((a, b), (a[:25], a[25:])):
        assert abs(np.mean(u * v) - 1) < 0.15
    np.testing.assert_array_equal(a, drop(net, jax.random.key(0)).layers[0].apply((), x))


def test_a_kernel_does_not_see_the_key():
    net, x = NETS["flatten"], images((2, 2), np.float32)
    np.testing.assert_array_equal(wf.Kernel(drop(net, jax.random.key(0))).ntk(x), wf.Kernel(net).ntk(x))
    assert repr(drop(Dropout(0.25), jax.random.key(0))) == "drop(Dropout(0.25), …)"


@pytest.mark.parametrize("rate", [-0.1, 1.0, 2.0])
def test_rates_out_of_range_are_refused(rate):
    with pytest.raises(ValueError, match=rf"Dropout\(.*{rate}\): .*(at least 0|must be below 1)"):
        Dropout(rate)
