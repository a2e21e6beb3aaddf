"""What the finite layers compute, against NumPy."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_cases import ACTIVATIONS, CASES, DEFAULTS, IDS, WIDTH, build, oracle_spec, rows

from oracles.scalars import phi
from wideflow import nn


def forward(spec, params, x):
    name, *rest = spec
    if name == "serial":
        for layer, p in zip(rest, params, strict=True):
            x = forward(layer, p, x)
        return x
    if name == "residual":
        return x + (forward(rest[0], params, x) if len(rest) == 1 else forward(("serial", *rest), params, x))
    if name == "dense":
        _, w, b = rest
        return w / np.sqrt(x.shape[-1]) * (x @ params["W"]) + (0 if b is None else b * params["B"])
    return phi(spec, x)


@pytest.mark.parametrize("case", CASES, ids=IDS)
def test_finite_networks_compute_what_numpy_does(case):
    x = rows(np.float32)
    params = case.net.init(jax.random.key(3), x)
    expected = forward(oracle_spec(case.spec), jax.tree.map(np.asarray, params), x)
    y = case.net.apply(params, jnp.asarray(x))
    assert y.dtype == np.float32
    np.testing.assert_allclose(y, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: "-".join(map(str, a)))
def test_nonlinearities_equal_numpy_far_out_too(activation, x64):
    z = np.concatenate([np.linspace(-30, 30, 201), [0.0, 1e-12, -1e-12]])[:, None]
    spec = activation + DEFAULTS.get(activation[0], ()) if len(activation) == 1 else activation
    np.testing.assert_allclose(build(activation).apply((), jnp.asarray(z)), phi(spec, z), rtol=1e-12, atol=1e-14)


def test_parameters_are_independent_standard_normals():
    net = nn.Serial(nn.Dense(200, 3.0, 0.1), nn.Relu(), nn.Residual(nn.Dense(200)), nn.Dense(200, b=0.0))
    params = net.init(jax.random.key(0), np.ones((1, 100), np.float32))
    first, _, branch, last = params
    assert jax.tree.map(jnp.shape, params) == (
        {"W": (100, 200), "B": (200,)},
        (),
        {"W": (200, 200)},
        {"W": (200, 200), "B": (200,)},
    )
    flat = [np.asarray(p).ravel()[:200] for p in (first["W"], first["B"], branch["W"], last["W"], last["B"])]
    correlations = np.corrcoef(flat) - np.eye(5)
    assert np.abs(correlations).max() < 5 / np.sqrt(200)
    W = np.asarray(branch["W"])
    assert abs(W.mean()) < 5 / 200
    assert abs(W.var() - 1) < 5 * np.sqrt(2) / 200


def test_only_the_shape_of_the_example_counts():
    net = nn.Serial(nn.Dense(WIDTH), nn.Erf(), nn.Dense(1))
    a = net.init(jax.random.key(1), np.ones((1, 3)))
    b = net.init(jax.random.key(1), jnp.full((7, 3), jnp.nan))
    assert jax.tree.all(jax.tree.map(lambda u, v: bool((u == v).all()), a, b))


def test_dense_acts_on_channels_at_every_pixel_alone():
    net = nn.Serial(nn.Dense(5, 1.2, 0.3), nn.Relu(), nn.Dense(2))
    x = np.random.default_rng(0).standard_normal((2, 3, 4, 6)).astype(np.float32)
    params = net.init(jax.random.key(0), x)
    y = net.apply(params, jnp.asarray(x))
    assert y.shape == (2, 3, 4, 2)
    np.testing.assert_allclose(y[1, 2, 3], net.apply(params, jnp.asarray(x[1, 2, 3])[None])[0], rtol=1e-5, atol=1e-6)
