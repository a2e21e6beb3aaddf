"""The embedding of tokens: its table, its kernels, and that it must come first."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from kernel_checks import assert_consistent, assert_equal_kernels, assert_finite_gradients, assert_oracle
from sampled_kernels import drawn, sampled_kernels

import wideflow as wf
from wideflow import nn
from wideflow.finite import empirical_ntk
from wideflow.nn import Dense, Embedding, Flatten, GlobalAvgPool, Relu, Serial

TOKENS, LENGTH = 5, 4
LINE = Serial(Embedding(TOKENS, 2, 1.3), nn.Conv(2, 3, 1.2, 0.1), Relu(), GlobalAvgPool(), Dense(1))


def sentences(dtype=np.float64):
    """The first two are equal, the third has one token alone."""
    x = np.random.default_rng(1).integers(TOKENS, size=(5, LENGTH, 1))
    x[1], x[2] = x[0], 3
    return x.astype(dtype)


def test_kernels_equal_the_loops_over_pixels():
    assert_oracle(Serial(Embedding(TOKENS, 2, 1.3, lr_w=0.4), Relu(), GlobalAvgPool(), Dense(1)), sentences())


@pytest.mark.slow
@pytest.mark.parametrize(
    "net",
    [
        LINE,
        Serial(Embedding(TOKENS, 2, 0.7), Relu(), Flatten(), Dense(1)),
        Serial(Serial(Embedding(TOKENS, 2)), Relu()),
    ],
    ids=["line", "flatten", "ends-in-pixels"],
)
def test_kernels_of_sentences_are_consistent(net):
    assert_consistent(net, sentences())


@pytest.mark.slow
def test_gradients_in_the_hyperparameters_are_finite():
    assert_finite_gradients(LINE, sentences())


@pytest.mark.slow
def test_kernels_lie_within_monte_carlo_error_at_any_width():
    x = sentences(np.float32)[[0, 2, 3]]
    net = Serial(Embedding(TOKENS, 6, 1.3, lr_w=0.4), Relu(), Dense(1, 0.8, 0.2), GlobalAvgPool())
    mean, error = sampled_kernels(net, x, 4000)
    k = wf.Kernel(net)(x)
    assert np.all(np.abs(mean - np.stack([k.nngp, k.ntk])) <= 5 * error)
    assert np.all(error <= 0.1 * np.abs(mean).max())


def test_an_embedding_is_a_dense_layer_on_one_hot_channels():
    x = sentences()
    one_hot = np.eye(TOKENS)[x[..., 0].astype(int)]
    tokens = wf.Kernel(Serial(Embedding(TOKENS, 2), GlobalAvgPool()))(x)
    assert_equal_kernels(tokens, wf.Kernel(Serial(Dense(2, TOKENS**0.5), GlobalAvgPool()))(one_hot), 1e-13)


def test_tokens_without_pixels():
    x = np.arange(3.0)[:, None]
    for K in wf.Kernel(Embedding(3, 2, 0.5))(x):
        np.testing.assert_array_equal(K, 0.25 * np.eye(3))


def test_apply_looks_up_the_table():
    layer, x = Embedding(TOKENS, 3, 0.5), sentences(np.float32)
    table = drawn(layer, x)
    assert table.shape == (TOKENS, 3)
    expected = 0.5 * np.asarray(table)[x[..., 0].astype(int)]
    np.testing.assert_array_equal(layer.apply(table, jnp.asarray(x)), expected)
    np.testing.assert_array_equal(layer.apply(table, jnp.asarray(x.astype(int))), expected)


def test_standard_embeddings_are_those_of_the_rule_at_another_learning_rate(x64):
    """Standard: w in the draw, not in front of the table; the same training as with a factor of 1/w²."""
    x = jnp.asarray(sentences())
    factors = Serial(Embedding(TOKENS, 4, 1.3, lr_w=1 / 1.3**2), Flatten(), Dense(1, 0.8, lr_w=16 / 0.8**2))
    standard = wf.reparameterize(Serial(Embedding(TOKENS, 4, 1.3), Flatten(), Dense(1, 0.8)), "standard", x)
    np.testing.assert_allclose(wf.Kernel(standard).ntk(x), wf.Kernel(factors).ntk(x), rtol=1e-12)
    params = drawn(factors, x)
    scaled = (1.3 * params[0], (), {"W": 0.8 / 4 * params[2]["W"]})
    np.testing.assert_allclose(standard.apply(scaled, x), factors.apply(params, x), rtol=1e-12)
    np.testing.assert_allclose(
        empirical_ntk(standard.apply, scaled, x, rates=nn.learning_rates(standard, scaled)),
        empirical_ntk(factors.apply, params, x, rates=nn.learning_rates(factors, params)),
        rtol=1e-12,
    )


def test_mup_embeddings_scale_as_first_layers(x64):
    mup = wf.reparameterize(Serial(Embedding(TOKENS, 400, 1.3), Flatten(), Dense(1)), "mup", sentences()).layers[0]
    E, _ = mup.setup(jax.random.key(0, impl="unsafe_rbg"), (LENGTH, 1))
    assert abs(float(E.std()) * 20 / 1.3 - 1) < 5 / (2 * E.size) ** 0.5
    x = sentences(np.float64)
    np.testing.assert_allclose(mup.apply(E, jnp.asarray(x)), 20 * E[x[..., 0].astype(int)], rtol=1e-12)
    assert nn.learning_rates(mup, E) == 1.0


@pytest.mark.parametrize("wrong", [-1.0, 5.0, 1.5])
def test_what_is_no_token_is_refused_by_kernels_and_gives_nan_in_networks(wrong):
    x = sentences(np.float32)
    x[3, 1] = wrong
    with pytest.raises(
        ValueError, match=r"x1: tokens of Embedding\(5, 2, w=1.3\) are whole numbers from 0 to 4; 1 of 5"
    ):
        wf.Kernel(LINE)(x)
    y = np.asarray(LINE.layers[0].apply(drawn(LINE.layers[0], x), jnp.asarray(x)))
    assert np.isnan(y[3, 1]).all()
    assert np.isfinite(np.delete(y.reshape(-1, 2), 3 * LENGTH + 1, axis=0)).all()


@pytest.mark.parametrize("layers", [[nn.Residual(Embedding(5, 1))], [Dense(1), Embedding(5, 2)]], ids=repr)
def test_an_embedding_that_is_not_first_is_refused(layers):
    with pytest.raises(ValueError, match="make it the first layer of the network"):
        wf.Kernel(Serial(*layers))(sentences(np.float32))


def test_inputs_without_the_axis_of_channels_are_refused():
    x = sentences(np.float32)[..., 0]
    for refused in (lambda: LINE.init(jax.random.key(0), x), lambda: wf.Kernel(LINE)(x)):
        with pytest.raises(
            ValueError, match=r"wanted tokens \[n, \*pixels, 1\], got .*; add the last axis, x\[..., None\]"
        ):
            refused()


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Embedding(0, 3), "at least one token and one channel"),
        (lambda: Embedding(3, 0), "at least one token and one channel"),
        (lambda: Embedding(3, 4, -1.0), "w must be a finite number of at least 0"),
    ],
)
def test_options_that_make_no_sense_are_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()
