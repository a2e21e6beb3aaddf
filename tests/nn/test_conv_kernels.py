"""Infinite convolutional networks with pooling, against everything that is known about their kernels."""

from functools import cache

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from image_cases import ALL_KINDS, CASES, OTHERS, degenerate, images
from network_cases import as_arrays

import wideflow as wf
from oracles import pixels
from wideflow import nn

FAST = {"line-valid", "flatten", ALL_KINDS.name}  # the others take long to compile
every_case = pytest.mark.parametrize(
    "case", [pytest.param(c, id=c.name, marks=[] if c.name in FAST else pytest.mark.slow) for c in CASES]
)
SLOW = [pytest.param(case, marks=pytest.mark.slow) for case in OTHERS]
few_cases = pytest.mark.parametrize("case", [ALL_KINDS, *SLOW], ids=lambda case: case.name)


@cache
def whole(case, inputs=images):
    """Both kernels, float64."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, wf.Kernel(case.net)(inputs(case.pixels)))


def size(K):
    """√(K_ii K_jj), the size an entry can have."""
    diagonal = np.sqrt(np.einsum("ii...->i...", K))
    return np.maximum(diagonal[:, None] * diagonal[None], 1e-30)


@every_case
def test_kernels_equal_the_loops_over_pixels(case):
    for value, expected in zip(whole(case), pixels.kernels(case.net, images(case.pixels)), strict=True):
        assert value.shape == expected.shape
        np.testing.assert_allclose(value, expected, rtol=1e-10, atol=1e-12 * np.abs(expected).max())


@every_case
def test_kernels_are_symmetric_and_positive_semidefinite(case):
    for K in whole(case):
        np.testing.assert_allclose(K, np.swapaxes(K, 0, 1), rtol=1e-13, atol=1e-14)
        for plane in np.moveaxis(K.reshape(*K.shape[:2], -1), -1, 0):
            assert np.linalg.eigvalsh(plane)[0] >= -1e-13 * np.abs(plane).max()


@pytest.mark.slow
@few_cases
def test_degenerate_images_give_the_kernels_of_the_loops(case):
    for value, expected in zip(whole(case, degenerate), pixels.kernels(case.net, degenerate(case.pixels)), strict=True):
        assert np.all(np.isfinite(value))
        # A kink sees the root of the rounding of 1 - correlation, in the oracle too.
        assert np.all(np.abs(value - expected) <= 1e-7 * size(expected))


@pytest.mark.slow
@few_cases
def test_equal_images_have_exactly_equal_kernels(case):
    for K in whole(case, degenerate):
        np.testing.assert_allclose(K[0, 1], K[0, 0], rtol=1e-13)
        np.testing.assert_allclose(K[1, 1], K[0, 0], rtol=1e-13)


@pytest.mark.slow
@few_cases
def test_diag_equals_the_diagonal(case, x64):
    for value, expected in zip(wf.Kernel(case.net).diag(degenerate(case.pixels)), whole(case, degenerate), strict=True):
        np.testing.assert_allclose(value, np.einsum("ii...->i...", expected), rtol=1e-12, atol=1e-15)


@pytest.mark.slow
@few_cases
def test_a_rectangle_equals_its_part_of_the_whole(case):
    x = degenerate(case.pixels)
    for value, expected in zip(wf.Kernel(case.net)(x[1:4], x), whole(case, degenerate), strict=True):
        assert np.all(np.abs(value - expected[1:4]) <= 1e-12 * size(expected)[1:4])


@pytest.mark.slow
@pytest.mark.parametrize("case", OTHERS, ids=lambda case: case.name)
def test_tiles_equal_the_whole(case):
    for get, expected in zip(("nngp", "ntk"), whole(case, degenerate), strict=True):
        value = wf.gram(wf.Kernel(case.net), degenerate(case.pixels), get=get, tile=3)
        assert np.all(np.abs(value - expected) <= 1e-12 * size(expected))


@pytest.mark.slow
@few_cases
def test_float32_kernels_under_jit_agree_with_float64(case):
    compiled = jax.jit(lambda net, x: wf.Kernel(net)(x))(case.net, degenerate(case.pixels, np.float32))
    for value, expected in zip(compiled, whole(case, degenerate), strict=True):
        assert value.dtype == np.float32
        assert np.all(np.abs(value - expected) <= 3e-6 * size(expected))


@pytest.mark.slow
@few_cases
def test_gradients_are_finite_at_degenerate_images(case, x64):
    def total(net, x):
        k = wf.Kernel(net)(x)
        return jnp.sum(k.nngp) + jnp.sum(k.ntk)

    gradients = jax.jit(jax.grad(total, argnums=(0, 1)))(as_arrays(case.net), jnp.asarray(degenerate(case.pixels)))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


ACROSS = {
    "conv": (nn.Conv(8, 3, b=0.2), nn.Relu(), nn.Flatten()),
    "strided": (nn.Conv(8, 3, stride=2), nn.Relu(), nn.Flatten(), nn.Dense(3), nn.Relu()),
    "pooled": (nn.Conv(8, 3), nn.Relu(), nn.AvgPool(2), nn.Conv(8, 1), nn.Relu(), nn.GlobalAvgPool()),
    "attention": (nn.Conv(8, 3), nn.SelfAttention(4, heads=2), nn.Dense(3), nn.Relu(), nn.GlobalAvgPool()),
}


@pytest.mark.parametrize("name", ACROSS)
def test_gradients_of_the_diagonal_in_inputs_equal_finite_differences(name, x64):
    """Rounding must not part equal inputs before a kink: its slope in their angle is infinite but for angle zero."""
    kernel, rng, h = wf.Kernel(nn.Serial(*ACROSS[name], nn.Dense(1))), np.random.default_rng(0), 1e-4
    x, direction = jnp.asarray(rng.standard_normal((2, 6, 2))), jnp.asarray(rng.standard_normal((2, 6, 2)))

    @jax.jit
    def traces(s):
        k = kernel(x + s * direction)
        return jnp.stack([jnp.trace(k.nngp), jnp.trace(k.ntk)])

    np.testing.assert_allclose(jax.jacfwd(traces)(0.0), (traces(h) - traces(-h)) / (2 * h), rtol=1e-6)
