"""The convolutional layer: its finite form against loops, its random networks against its kernels, its errors."""

from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import images

import wideflow as wf
from oracles import pixels
from wideflow import nn
from wideflow.nn.window import Window

OPTIONS = [
    ((7,), 3, 1, 1, "same"),
    ((7,), 2, 3, 2, "same"),
    ((7,), 4, 2, 3, "circular"),
    ((5, 4), (3, 2), (2, 1), 1, "same"),
    ((5, 4), (2, 3), 1, (3, 1), "circular"),
    ((5, 4), 2, 2, 2, "valid"),
    ((3, 2, 3), (3, 1, 2), 1, 1, "circular"),
    ((5, 4), 3, (1, 2), 1, ("same", "circular")),
]


@pytest.mark.parametrize(("shape", "window", "stride", "dilation", "padding"), OPTIONS)
def test_conv_equals_the_loops_over_pixels(shape, window, stride, dilation, padding, x64):
    x = images(shape)
    layer = nn.Conv(3, window, 1.4, 0.6, stride, dilation, padding)
    params, out = layer.setup(jax.random.key(0), x.shape[1:])
    z = layer.apply(params, jnp.asarray(x))
    W, B = np.asarray(params["W"]), np.asarray(params["B"])
    expected = 1.4 / np.sqrt(W[..., 0].size) * pixels.conv(x, W, stride, dilation, padding) + 0.6 * B
    assert z.shape[1:] == out == expected.shape[1:]
    np.testing.assert_allclose(z, expected, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize(
    ("size", "stride", "dilation"), [(3, 1, 1), (2, 2, 1), (4, 3, 1), (2, 1, 3), (1, 2, 1), (5, 4, 2)]
)
def test_the_window_lies_where_jax_puts_it(size, stride, dilation):
    for length in range(1, 12):
        (slide,) = Window("", size, stride, dilation, "same").slides((length,))
        assert [(slide.low, slide.high)] == jax.lax.padtype_to_pads((length,), (slide.span,), (stride,), "SAME")
        assert slide.count == -(-length // stride)


def test_a_window_of_one_pixel_is_a_dense_layer():
    x = images((5, 4))
    rest = (nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1))
    one, dense = (wf.Kernel(nn.Serial(first, *rest))(x) for first in (nn.Conv(4, 1, 1.3, 0.2), nn.Dense(4, 1.3, 0.2)))
    for value, expected in zip(one, dense, strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-13)


@partial(jax.jit, static_argnums=2)
def _kernels_of_networks(net, x, networks, key):
    def one(key):
        params = net.init(key, x)
        gradients, f = jax.jacrev(lambda params: 2 * (net.apply(params, x)[:, 0],), has_aux=True)(params)
        J = jnp.concatenate([g.reshape(len(x), -1) for g in jax.tree.leaves(gradients)], axis=1)
        return jnp.outer(f, f), J @ J.T

    return jax.lax.map(one, jax.random.split(key, networks))


# One nonlinearity: the expectations at finite width are those at infinite width, exactly.
N = 12
conv = nn.Conv(N, 3, 1.2, 0.3)
NETWORKS = [
    (
        (4, 3),
        nn.Serial(conv, nn.Relu(), nn.AvgPool(2, 1, "same", True), conv, nn.GlobalAvgPool(), nn.Dense(1, 0.9, 0.2)),
    ),
    pytest.param(
        (4, 3),
        nn.Serial(conv, nn.Residual(nn.Erf(), conv), nn.SumPool(2, 1, "circular"), nn.Flatten(), nn.Dense(1)),
        marks=pytest.mark.slow,
    ),
    (
        (3, 2, 3),
        nn.Serial(nn.Conv(N, 2, 1.2, stride=2, padding="circular"), nn.Relu(), nn.GlobalSumPool(), nn.Dense(1)),
    ),
]


@pytest.mark.slow
@pytest.mark.parametrize(("shape", "net"), NETWORKS, ids=["pooled", "residual", "body"])
def test_one_hidden_nonlinearity_lies_within_monte_carlo_error(shape, net):
    x = images(shape, np.float32)
    expected = wf.Kernel(net)(x)
    for sample, K in zip(
        _kernels_of_networks(net, jnp.asarray(x), 1000, jax.random.key(1, impl="unsafe_rbg")), expected, strict=True
    ):
        sample = np.asarray(sample, np.float64)
        error = sample.std(0) / np.sqrt(len(sample))
        assert np.all(np.abs(sample.mean(0) - K) <= 5 * error)
        assert np.all(error <= 0.1 * np.abs(K).max())


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.Conv(0, 3), "output channels must be at least 1, got 0"),
        (lambda: nn.Conv(8, (3, 0)), r"Conv\(8, \(3, 0\)\): window sizes must be positive integers, got 0"),
        (lambda: nn.Conv(8, -2), "window sizes must be positive integers, got -2"),
        (lambda: nn.Conv(8, ()), "at least one axis"),
        (lambda: nn.Conv(8, 3, stride=0), "strides must be positive integers, got 0"),
        (lambda: nn.Conv(8, 3, dilation=(1, 0)), "dilations must be positive integers, got 0"),
        (lambda: nn.Conv(8, 3, padding="full"), "padding must be one of .*, got 'full'"),
        (lambda: nn.Conv(8, (3, 3), stride=(1, 1, 1)), "must have one number of axes"),
        (lambda: nn.Conv(8, (3, 3), padding=("same",)), r"must have one number of axes, got .* and \('same',\)"),
        (lambda: nn.Conv(8, 3, padding=("same", "full")), r"padding must be one of .*, got \('same', 'full'\)"),
        (lambda: nn.Conv(8, 3, -1.0), "w must be"),
        (lambda: nn.AvgPool(0), "window sizes must be positive integers"),
        (lambda: nn.SumPool(2, 0), "strides must be positive integers"),
    ],
)
def test_options_that_make_no_sense_are_refused_at_construction(make, message):
    with pytest.raises(ValueError, match=message):
        make()


@pytest.mark.parametrize(
    ("layer", "shape", "message"),
    [
        (nn.Conv(8, (3, 3)), (7,), "the window has 2 axes, the input has 1"),
        (nn.Conv(8, 3, padding="valid"), (5, 2), "the window spans 3 pixels, the input has 2"),
        (nn.Conv(8, 3, dilation=3, padding="valid"), (5,), "the window spans 7 pixels, the input has 5"),
        (nn.Conv(8, 3), (), r"wanted inputs with pixels, \[n, \*pixels, channels\]"),
        (nn.AvgPool(4), (5, 3), "the window spans 4 pixels, the input has 3"),
        (nn.SumPool((2, 2)), (5, 3, 2), "the window has 2 axes, the input has 3"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_every_rule(layer, shape, message):
    x = images(shape, np.float32)
    with pytest.raises(ValueError, match=message):
        layer.init(jax.random.key(0), x)
    with pytest.raises(ValueError, match=message):
        layer.apply({"W": jnp.zeros((3, 2, 8))} if isinstance(layer, nn.Conv) else (), jnp.asarray(x))
    with pytest.raises(ValueError, match=message):
        wf.Kernel(layer)(x)


def test_conv_prints_like_its_source():
    assert (
        repr(nn.Conv(8, (3, 2), 1.5, stride=2, padding="valid")) == "Conv(8, (3, 2), w=1.5, stride=2, padding='valid')"
    )
    assert repr(nn.AvgPool(2, normalise_edges=True)) == "AvgPool(2, normalise_edges=True)"


def test_a_new_weight_deviation_does_not_recompile():
    x = images((5, 4), np.float32)
    count = []

    @jax.jit
    def ntk(net, x):
        count.append(1)
        return wf.Kernel(net).ntk(x)

    for w in (1.0, 2.0):
        ntk(nn.Serial(nn.Conv(8, 3, jnp.float32(w)), nn.Flatten()), x)
    assert len(count) == 1
