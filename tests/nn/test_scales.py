"""Inputs of any size: networks without biases scale with them, to the last digit, wherever the results can be held."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_cases import as_arrays, rows

import wideflow as wf
from wideflow.nn import Abs, Concat, Conv, Dense, GlobalAvgPool, LayerNorm, Product, Relu, Residual, Serial, Sum

C = 3
gate = Product(Dense(C), Serial(Dense(C), Relu(), Dense(C)))  # squares the size
NETS = {
    "sums": (Serial(Dense(C), Residual(Relu(), Dense(C)), Sum(Dense(C), Serial(Abs(), Dense(C))), Relu(), Dense(1)), 2),
    "concatenation": (Serial(Concat(Serial(Dense(C), Relu()), Dense(5)), Dense(4), Relu(), Dense(1)), 2),
    "products": (Serial(gate, Sum(Dense(C), Serial(Dense(C), Abs(), Dense(C))), Relu(), Dense(1)), 4),
    "norm": (Serial(Dense(C), LayerNorm(0.0), Relu(), Dense(1)), 0),
}


def assert_scales(net, x, power):
    kernel = wf.Kernel(net)
    for s in (2.0**26, 2.0**-26):  # 7e7, 1.5e-8: fourth powers are 2e31 and 5e-32
        for value, one in zip(kernel(x * np.float32(s)), kernel(x), strict=True):
            np.testing.assert_array_equal(np.asarray(value) / np.float32(s) ** power, one)


@pytest.mark.parametrize("name", NETS)
def test_kernels_scale_with_inputs_of_any_size(name):
    assert_scales(NETS[name][0], rows(np.float32), NETS[name][1])


def test_gradients_are_finite_where_products_of_variances_are_not():
    """Of rows that are zero, equal, opposite and a thousandth of others, whose products have variances of 1e-12."""
    x = np.concatenate([rows(), 1e-3 * rows()[:2], 1e4 * rows()[:2]]).astype(np.float32)
    total = lambda net, x: sum(jnp.sum(v) for v in wf.Kernel(net)(x))  # noqa: E731
    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(as_arrays(NETS["products"][0], np.float32), jnp.asarray(x))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


@pytest.mark.slow
def test_kernels_scale_with_images_of_any_size():
    x = rows(np.float32).reshape(6, 4, 1)
    net = Serial(Conv(C, 2), Residual(Relu(), Conv(C, 3)), Relu(), GlobalAvgPool(), Dense(1))
    assert_scales(net, x, 2)


@pytest.mark.parametrize("s", [1e8, 1e-8])
def test_biases_beside_huge_and_tiny_inputs_give_finite_kernels(s):
    net = Serial(Dense(C, 1.4, 0.1), Residual(Relu(), Dense(C, 0.7, 0.2)), Abs(), Dense(1))
    x = np.concatenate([rows(), rows()[:1] + 1e-3, -2 * rows()[:2], 1e-6 * rows()[:1]]).astype(np.float32)
    for K in wf.Kernel(net)(x * np.float32(s)):
        assert np.all(np.isfinite(K))
        assert np.all(np.diagonal(K) > 0)
        assert np.linalg.eigvalsh(np.asarray(K, np.float64))[0] >= -1e-5 * np.max(K)
