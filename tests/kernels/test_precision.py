"""What rounding does to kernels, against 60-digit arithmetic, and float64 without JAX's x64 flag."""

from functools import cache

import jax
import numpy as np
import pytest

import wideflow as wf
from oracles import exact
from wideflow import nn

CHANNELS = 20
SETTINGS = ((10, 2**0.5, None), (10, 2**0.5, 0.1), (10, 1.5, 0.3), (50, 2**0.5, None), (50, 2**0.5, 0.1))


@cache
def inputs():
    """Rows anywhere, and rows near the first: with noise of 1e-4, longer by 1e-3, doubled, equal and opposite."""
    rng = np.random.default_rng(3)
    g = rng.standard_normal((3, CHANNELS)).astype(np.float32)
    noise = np.float32(1e-4) * rng.standard_normal(CHANNELS).astype(np.float32)
    near = [-g[0], g[0], g[0] + noise, g[0] * np.float32(1.001), 2 * g[0]]
    return np.concatenate([g, np.stack(near)]).astype(np.float32)


@cache
def expected(depth, w, b):
    return tuple(exact.relu_network(inputs(), depth, w, b))


def network(depth, w, b):
    hidden = (layer for _ in range(depth) for layer in (nn.Dense(1, w, b), nn.Relu()))
    return nn.Serial(*hidden, nn.Dense(1, w, b))


every_setting = pytest.mark.parametrize(("depth", "w", "b"), SETTINGS)


def largest_error(value, exact):
    return np.abs(np.asarray(value, np.float64) / exact - 1).max()


@every_setting
def test_float32_relu_kernels_keep_their_digits_for_near_rows_too(depth, w, b):
    allowed = 1e-5 if depth == 10 else 1e-4
    kernel = wf.Kernel(network(depth, w, b))
    for k in (kernel(inputs()), kernel(inputs(), inputs())):
        for value, right in zip(k, expected(depth, w, b), strict=True):
            assert value.dtype == np.float32
            assert largest_error(value, right) <= allowed
    for value, right in zip(kernel.diag(inputs()), expected(depth, w, b), strict=True):
        assert largest_error(value, np.diagonal(right)) <= allowed


@every_setting
def test_float64_relu_kernels_keep_their_digits_whatever_the_flag(depth, w, b):
    x = inputs().astype(np.float64)
    kernel = wf.Kernel(network(depth, w, b))
    # Opposite rows: 1 − cos near 2 carries its distance from 2 only to 1e-16, of which a kink sees the square root.
    for k in (kernel(x), kernel(x, x)):
        for value, right, allowed in zip(k, expected(depth, w, b), (1e-13, 1e-9), strict=True):
            assert isinstance(value, np.ndarray)
            assert value.dtype == np.float64
            assert largest_error(value, right) <= allowed
            same_side = np.delete(np.delete(np.asarray(value), 3, 0), 3, 1)
            assert largest_error(same_side, np.delete(np.delete(right, 3, 0), 3, 1)) <= 1e-13
    with jax.enable_x64(True):
        for value, same in zip(kernel(x), k, strict=True):
            assert isinstance(value, jax.Array)
            np.testing.assert_allclose(value, same, rtol=1e-14)


@pytest.mark.parametrize(
    "activation", [nn.Sin(w=1.3), *(pytest.param(a, marks=pytest.mark.slow) for a in (nn.Erf(), nn.Tanh()))], ids=repr
)
def test_numpy_float64_needs_no_flag_in_any_entry_point(activation):
    kernel = wf.Kernel(nn.Serial(nn.Dense(1, 1.2, 0.1), activation, nn.Dense(1)))
    x = np.random.default_rng(0).standard_normal((5, 3))
    with jax.enable_x64(True):
        with_flag = jax.tree.map(np.asarray, (*kernel(x), *kernel(x[:2], x), *kernel.diag(x)))
    without = (kernel.nngp(x), kernel.ntk(x), *kernel(x[:2], x), *kernel.diag(x))
    for value, same in zip(without, with_flag, strict=True):
        assert value.dtype == np.float64
        np.testing.assert_allclose(value, same, rtol=1e-14)
    assert wf.gram(kernel, x).dtype == np.float64
    assert not jax.config.jax_enable_x64


def test_depth_costs_no_compilation():
    kernel = lambda depth: wf.Kernel(network(depth, 1.2, 0.1)).ntk(inputs())  # noqa: E731
    kernel(2)
    seen = []
    jax.monitoring.register_event_duration_secs_listener(lambda name, *_, **__: seen.append(name))
    try:
        kernel(30)
    finally:
        jax.monitoring.clear_event_listeners()
    assert not [name for name in seen if "backend_compile" in name]


@pytest.mark.parametrize(
    ("x", "error", "message"),
    [
        (np.ones((2, 3), int), TypeError, "x1: kernels are computed in float32 or float64, got int64"),
        (np.ones((2, 3), np.float16), TypeError, "got float16; convert x1 first"),
        (np.ones(3), ValueError, r"wanted a batch .* got shape \(3,\); a single input is x\[None\]"),
        (np.ones((0, 3)), ValueError, r"no empty axis, got shape \(0, 3\)"),
        (np.diag(np.array([1, np.nan, np.inf])), ValueError, "x1: 2 of 3 inputs hold NaN or infinity: rows 1, 2;"),
        (np.full((12, 2), np.nan), ValueError, "rows 0, 1, 2, 3, 4, 5, 6, 7, 8, 9 …"),
    ],
)
def test_bad_inputs_are_refused(x, error, message):
    kernel = wf.Kernel(nn.Dense(1))
    for entry in (kernel, kernel.nngp, kernel.ntk):
        with pytest.raises(error, match=message):
            entry(x)
    with pytest.raises(error, match=message):
        wf.gram(kernel, x)
    with pytest.raises(error, match=message.replace("x1", "x")):
        kernel.diag(x)


def test_batches_that_do_not_fit_are_refused():
    kernel = wf.Kernel(nn.Dense(1))
    with pytest.raises(ValueError, match=r"inputs must have one shape, got \(3,\) and \(4,\)"):
        kernel(np.ones((2, 3)), np.ones((2, 4)))
    with pytest.raises(TypeError, match="inputs must have one dtype, got float64 and float32"):
        kernel(np.ones((2, 3)), np.ones((2, 3), np.float32))
    with pytest.raises(ValueError, match="x2: 1 of 2 inputs hold NaN"):
        kernel(np.ones((2, 3)), np.array([[1, 1, 1], [1, np.nan, 1]]))
