"""Self-attention and positions: finite forms against loops, kernels against loops and random networks."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import degenerate, images
from kernel_checks import assert_consistent, assert_equal_kernels, assert_finite_gradients, assert_oracle
from sampled_kernels import drawn, extrapolated, sampled_kernels

import wideflow as wf
from oracles import structures
from wideflow import nn
from wideflow.finite import network_ntk
from wideflow.nn import Abs, Dense, Flatten, GlobalAvgPool, Identity, Positions, Relu, Residual, SelfAttention, Serial

C, PIXELS = 2, (2, 2)
DEVIATIONS = dict(w=1.2, b=0.3, w_query=0.9, w_key=1.3, w_value=0.8)
FACTORS = dict(lr_w=0.5, lr_b=2.0, lr_query=3.0, lr_key=0.5, lr_value=1.5)  # of the learning rates
first = Dense(C, 1.3, 0.2)


def attention(scores=None, scale="1/d", positions=None, out=C, **sizes):
    return SelfAttention(out, **sizes, **DEVIATIONS, **FACTORS, scores=scores, scale=scale, positions=positions)


NETS = {
    "softmax": Serial(
        first, Relu(), attention(positions=Positions(0.7, 1.5, lr_w=0.4)), Relu(), GlobalAvgPool(), Dense(1)
    ),
    "numbers": Serial(first, Relu(), attention(Relu()), Residual(Relu(), first), Relu(), Flatten()),
    "identity": Serial(first, Residual(Relu(), attention(Identity(), "1/sqrt(d)")), Relu(), Flatten(), Dense(1)),
    "gaussian": Serial(
        Positions(0.5),
        attention(Relu(), "1/sqrt(d)", Positions(0.6, 2.0, (C, 3), 2.0)),
        Relu(),
        GlobalAvgPool(),
        Dense(1),
    ),
    "gaussian-repeat": Serial(first, nn.Repeat(Serial(Relu(), attention(Abs(), "1/sqrt(d)")), 2), GlobalAvgPool()),
}
slow = lambda *names: [pytest.param(name, marks=pytest.mark.slow) for name in names]  # noqa: E731


@pytest.mark.parametrize("name", ["softmax", *slow("identity", "numbers", "gaussian", "gaussian-repeat")])
def test_kernels_equal_the_loops_over_pixels(name):
    assert_oracle(NETS[name], images(PIXELS))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_degenerate_images_have_consistent_kernels(name):
    assert_consistent(NETS[name], degenerate(PIXELS))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_gradients_are_finite_at_degenerate_images(name):
    assert_finite_gradients(NETS[name], degenerate(PIXELS))


@pytest.mark.slow
def test_identity_scores_equal_the_sum_over_every_pixel():
    """The closed form of the identity against the general rule, which sees a nonlinearity of slopes one and one."""
    x = images((3,))
    general, closed = (
        wf.Kernel(Serial(first, attention(phi, "1/sqrt(d)"), GlobalAvgPool()))(x)
        for phi in (nn.LeakyRelu(1.0), Identity())
    )
    assert_equal_kernels(general, closed, 1e-12)


def test_scores_of_zero_are_a_mean_over_pixels():
    x = images(PIXELS)
    blind = SelfAttention(C, w=1.2, w_key=0.0)
    k, pooled = wf.Kernel(Serial(blind, Flatten()))(x), wf.Kernel(Serial(GlobalAvgPool(), Dense(C, 1.2)))(x)
    np.testing.assert_allclose(k.nngp, pooled.nngp, rtol=1e-12)
    np.testing.assert_allclose(k.ntk, 2 * pooled.ntk, rtol=1e-12)


# Random networks. With one layer below no nonlinearity many are exact at any width.


def assert_within(mean, error, net, x):
    k = wf.Kernel(net)(x.astype(np.float64))
    expected = np.stack([k.nngp, k.ntk])
    assert np.all(np.abs(mean - expected) <= 5 * error)
    assert np.all(error <= 0.15 * np.abs(expected).max(axis=(1, 2), keepdims=True))  # the check can fail


@pytest.mark.slow
def test_identity_scores_lie_within_monte_carlo_error_at_any_width():
    x = images((3,), np.float32)[:2]
    sizes = dict(heads=2, key_size=2, value_size=3)
    net = Serial(attention(Identity(), "1/sqrt(d)", out=1, **sizes), GlobalAvgPool())
    assert_within(*sampled_kernels(net, x, 8000), net, x)


def make(scores, scale, positions=None, below=True):
    def network(n):
        sizes = dict(key_size=n, value_size=2)
        layers = [Dense(n, 1.1, 0.2)] if below else []
        joined = positions if positions is None or positions.channels is None else Positions(0.7, 2.0, (n, n // 2))
        return Serial(*layers, attention(scores, scale, joined, out=1, **sizes), GlobalAvgPool())

    return network


@pytest.mark.slow
@pytest.mark.parametrize(
    "network",
    [
        make(Identity(), "1/sqrt(d)", Positions(0.7, 2.0)),
        make(Relu(), "1/sqrt(d)"),
        make(Abs(), "1/sqrt(d)", Positions(0.7, 2.0, (1, 1))),
        make(None, "1/d", below=False),
        make(None, "1/d", Positions(0.7, 2.0)),
        make(Relu(), "1/d", Positions(0.7)),
    ],
    ids=["identity", "relu", "abs", "softmax-inputs", "softmax", "relu-numbers"],
)
def test_kernels_lie_within_monte_carlo_error_of_wide_networks(network):
    x = images((3,), np.float32)[:2]
    assert_within(*extrapolated(network, 48, x, 8000), network(48), x)


@pytest.mark.slow
@pytest.mark.parametrize("channels", [None, (C, 3)])
def test_positions_lie_within_monte_carlo_error_at_any_width(channels):
    x = images((3,), np.float32)[:2]
    net = Serial(Positions(0.7, 2.0, channels), Dense(1, 1.1, 0.1), GlobalAvgPool())
    assert_within(*sampled_kernels(net, x, 5000), net, x)


# Finite forms


@pytest.mark.parametrize("scale", ["1/sqrt(d)", *slow("1/d")])
def test_attention_equals_the_loops_over_heads_and_pixels(scale, x64):
    x = images(PIXELS)
    layer = attention(None, scale, Positions(0.7, 1.5, (C, 3)), out=5, heads=3, key_size=4, value_size=2)
    params = drawn(layer, x)
    z = layer.apply(params, jnp.asarray(x))
    assert z.shape[1:] == (*PIXELS, 5)
    assert ("K" in params) == (scale == "1/sqrt(d)")
    Q, V, outputs = (np.asarray(params[name]) for name in "QVO")
    keys = np.asarray(params.get("K", Q))
    seen = np.asarray(layer.positions.apply(params["positions"], jnp.asarray(x))).reshape(len(x), 4, -1)
    flat = x.reshape(len(x), 4, C)
    for row, other, out in zip(flat, seen, np.asarray(z).reshape(len(x), 4, 5), strict=True):
        total = np.zeros((4, 5))
        for h in range(3):
            q, k, v = 0.9 * other @ Q[h] / 5**0.5, 1.3 * other @ keys[h] / 5**0.5, 0.8 * row @ V[h] / C**0.5
            G = q @ k.T / (4 if scale == "1/d" else 2)
            total += structures.zeta(None, G) @ v @ outputs[h]
        np.testing.assert_allclose(out, 1.2 / 6**0.5 * total + 0.3 * np.asarray(params["B"]), rtol=1e-10)


@pytest.mark.slow
def test_positions_have_the_covariance_of_their_distance(x64):
    layer, x = Positions(0.7, 1.5), jnp.zeros((1, 2, 3, 40000))
    z = np.asarray(layer.apply(jnp.asarray(np.random.default_rng(0).standard_normal(x.shape[1:])), x))[0].reshape(6, -1)
    R = 0.49 * structures._positions(layer, (2, 3)).reshape(6, 6)
    np.testing.assert_allclose(z @ z.T / 40000, R, atol=0.02)


# Options and errors


def test_every_parameter_of_attention_has_its_factor():
    layer, x = attention(None, "1/sqrt(d)", Positions(lr_w=0.4)), images(PIXELS, np.float32)
    rates = nn.learning_rates(layer, drawn(layer, x))
    assert rates == {"positions": 0.4, "Q": 3.0, "K": 0.5, "V": 1.5, "O": 0.5, "B": 2.0}
    frozen = nn.freeze(Serial(Positions(), layer, nn.Embedding(4, 3)), biases=False)
    rates = jax.tree.leaves(nn.learning_rates(frozen.layers[1], drawn(layer, x)))
    assert [rate for rate in rates if rate] == [2.0]
    assert frozen.layers[0].lr_w == frozen.layers[2].lr_w == 0


STANDARD = {
    "numbers": Serial(Dense(3, 1.3, 0.2), Positions(0.7), attention(positions=Positions(0.7, 1.5, (3, 2)), heads=2)),
    "gaussian": Serial(Dense(3, 1.3), attention(Relu(), "1/sqrt(d)", heads=2, key_size=5, value_size=4)),
    "first": attention(Identity(), "1/sqrt(d)", Positions(0.6), heads=2),
}


def with_factors(layer, channels):
    """The layer in NTK parameterization that trains as the standard one: factors fan_in/w², 1/b²; 1/w² of positions."""
    if isinstance(layer, Serial):
        parts, now = [], channels
        for part in layer.layers:
            parts.append(with_factors(part, now))
            now = part.out if isinstance(part, Dense | SelfAttention) else now
        return Serial(*parts)
    if isinstance(layer, Positions):
        return dataclasses.replace(layer, lr_w=layer.lr_w / layer.w**2)
    if isinstance(layer, Relu):
        return layer
    b = {} if layer.b is None else {"lr_b": layer.lr_b / layer.b**2}
    if isinstance(layer, Dense):
        return dataclasses.replace(layer, lr_w=channels / layer.w**2, **b)
    seen = layer.positions.channels if layer.positions is not None else None
    asked = channels if seen is None else sum(seen)
    square = layer.w_query * (layer.w_key if layer.scale == "1/d" else layer.w_query)
    return dataclasses.replace(
        layer,
        **b,
        lr_query=layer.lr_query * asked / square,
        lr_key=layer.lr_key * asked / layer.w_key**2,
        lr_value=layer.lr_value * channels / layer.w_value**2,
        lr_w=layer.lr_w * layer.heads * (layer.value_size or layer.out) / layer.w**2,
        positions=None if layer.positions is None else with_factors(layer.positions, channels),
    )


@pytest.mark.parametrize("name", ["gaussian", *slow("numbers", "first")])
def test_standard_attention_trains_as_that_with_factors_per_matrix(name, x64):
    body, x = STANDARD[name], images(PIXELS)
    net = Serial(body, Relu(), Flatten(), Dense(1, 0.9))
    standard = wf.reparameterize(net, "standard", x)
    factors = Serial(with_factors(body, x.shape[-1]), Relu(), Flatten(), Dense(1, 0.9, lr_w=4 * C / 0.9**2))
    assert repr(wf.reparameterize(standard, "ntk", x)) == repr(net)
    for kernel, expected in zip(wf.Kernel(standard)(x), wf.Kernel(factors)(x), strict=True):
        np.testing.assert_allclose(kernel, expected, rtol=1e-12)
    key, x = jax.random.key(3), jnp.asarray(x)
    params = standard.init(key, x), factors.init(key, x)
    np.testing.assert_allclose(standard.apply(params[0], x), factors.apply(params[1], x), rtol=1e-12, atol=1e-14)
    found, expected = (jax.jit(network_ntk)(n, p, x) for n, p in zip((standard, factors), params, strict=True))
    np.testing.assert_allclose(found, expected, rtol=1e-10, atol=1e-12)


@pytest.mark.slow
@pytest.mark.parametrize("name", STANDARD)
def test_attention_keeps_its_ntk_under_the_symmetry_of_a_b_and_c(name, x64):
    x, key = jnp.asarray(images(PIXELS)), jax.random.key(3)
    net = Serial(STANDARD[name], Relu(), Flatten(), Dense(1))
    rule = nn.ABC((0.1, 0.3, 0.6), (0.2, 0.1, 0.4), 0.3)
    nets = [wf.reparameterize(net, each, x) for each in (rule, rule.shifted(0.37))]
    one, other = (jax.jit(network_ntk)(n, n.init(key, x), x) for n in nets)
    assert float(jnp.abs(one).max()) > 0
    rates = [jax.tree.leaves(nn.learning_rates(n, n.init(key, x))) for n in nets]
    assert rates[0] != rates[1]
    np.testing.assert_allclose(one, other, rtol=1e-10)


def test_mup_attention_has_no_infinite_kernel_and_says_so():
    x = images(PIXELS, np.float32)
    net = wf.reparameterize(Serial(attention(), Flatten(), Dense(1)), "mup", x)
    with pytest.raises(ValueError, match="there is no infinite kernel in this parameterization"):
        wf.Kernel(net)(x)


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: SelfAttention(0), r"SelfAttention\(0\): out must be at least 1, got 0"),
        (lambda: SelfAttention(4, heads=0), "heads must be at least 1, got 0"),
        (lambda: SelfAttention(4, key_size=-1), "key_size must be at least 1, got -1"),
        (lambda: SelfAttention(4, w_key=-1.0), "w_key must be a finite number of at least 0"),
        (lambda: SelfAttention(4, lr_value=-1.0), "lr_value must be a finite number of at least 0"),
        (lambda: SelfAttention(4, scale="d"), r'scale must be "1/d" or "1/sqrt\(d\)", got \'d\''),
        (lambda: Positions(length=0.0), r"Positions\(length=0.0\): the length must be finite and positive"),
        (lambda: Positions(-1.0), "w must be a finite number of at least 0"),
        (lambda: Positions(channels=(0, 2)), r"channels must be two positive numbers, got \(0, 2\)"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize("layer", [SelfAttention(4), Positions()], ids=repr)
def test_vectors_are_refused(layer):
    x = images((), np.float32)
    for refused in (lambda: layer.init(jax.random.key(0), x), lambda: wf.Kernel(layer)(x)):
        with pytest.raises(ValueError, match="wanted inputs with pixels"):
            refused()


def test_softmax_of_gaussian_scores_says_that_it_has_no_closed_form():
    net = SelfAttention(4, scale="1/sqrt(d)")
    x = images((3,), np.float32)
    assert jax.eval_shape(net.apply, drawn(net, x), x).shape == (3, 3, 4)
    with pytest.raises(ValueError, match=r"product of two softmaxes has no closed form; use scale=\"1/d\""):
        wf.Kernel(net)(x)


def test_positions_refuse_another_number_of_channels():
    with pytest.raises(ValueError, match=r"the input has 2 channels, not those of channels=\(3, 4\)"):
        Positions(channels=(3, 4)).init(jax.random.key(0), images((3,)))


def test_attention_prints_like_its_source():
    layer = SelfAttention(8, heads=2, scores=Relu(), scale="1/sqrt(d)", positions=Positions(length=3.0))
    shown = "SelfAttention(8, heads=2, scores=Relu(), scale='1/sqrt(d)', positions=Positions(length=3.0))"
    assert repr(layer) == shown
