"""Flatten: pixels become channels."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import images

import wideflow as wf
from wideflow import nn


def test_flatten_makes_vectors_of_images():
    x = images((5, 4), np.float32)
    assert nn.Flatten().setup(jax.random.key(0), (5, 4, 2)) == ((), (40,))
    np.testing.assert_array_equal(nn.Flatten().apply((), jnp.asarray(x)), x.reshape(3, 40))


def test_flattened_inputs_have_the_kernel_of_vectors():
    x = images((5, 4))
    net = nn.Serial(nn.Dense(1, 1.3, 0.2), nn.Relu(), nn.Dense(1))
    for value, expected in zip(
        wf.Kernel(nn.Serial(nn.Flatten(), net))(x), wf.Kernel(net)(x.reshape(3, 40)), strict=True
    ):
        np.testing.assert_allclose(value, expected, rtol=1e-12)


def test_flatten_of_vectors_changes_nothing():
    x = images(())
    net = nn.Serial(nn.Dense(4), nn.Flatten(), nn.Relu(), nn.Dense(1))
    plain = nn.Serial(nn.Dense(4), nn.Relu(), nn.Dense(1))
    np.testing.assert_array_equal(wf.Kernel(net).ntk(x), wf.Kernel(plain).ntk(x))


def test_a_nonlinearity_right_after_flatten_is_refused():
    net = nn.Serial(nn.Conv(4, 3), nn.Flatten(), nn.Relu())
    with pytest.raises(ValueError, match="must be Gaussian"):
        wf.Kernel(net)(images((5, 4)))
