"""Random networks over pixels: kernels against loops that share no code, and against finite networks."""

import numpy as np
import pytest
from image_cases import C, images
from pixel_layers import monte_carlo
from random_trees import random_tree

import wideflow as wf
from oracles import pixels

SHAPES = ((5,), (3, 2), (2, 3), (2, 1, 2))
FAST, ALL = 1, 24  # trees; each takes seconds to compile
TREES = [seed if seed < FAST else pytest.param(seed, marks=pytest.mark.slow) for seed in range(ALL)]


@pytest.mark.parametrize("seed", TREES)
def test_kernels_of_a_random_tree_equal_the_loops(seed):
    shape = SHAPES[seed % len(SHAPES)]
    net = random_tree(seed, shape, C, C, blocks=2 if seed < FAST else 3)
    x = images(shape)
    for value, expected in zip(wf.Kernel(net)(x), pixels.kernels(net, x), strict=True):
        size = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected)))
        assert value.shape == expected.shape == (3, 3), net
        assert np.all(np.abs(value - expected) <= 1e-10 * size), net


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_finite_networks_of_a_random_tree_tend_to_its_kernels(seed):
    shape, width, networks = SHAPES[seed], 16, 1500
    x, rng = images(shape, np.float32)[:2], np.random.default_rng(seed)
    expected = np.stack(wf.Kernel(random_tree(seed, shape, C, width, blocks=1))(x))
    (mean, error), (wide, wide_error) = (
        monte_carlo(random_tree(seed, shape, C, n, blocks=1), x, networks, rng) for n in (width, 2 * width)
    )
    # K(n) = K + c/n + O(1/n²): twice that of width 2n less that of width n, up to the second order.
    limit, spread = 2 * wide - mean, np.hypot(2 * wide_error, error)
    largest = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(limit - expected) <= 5 * spread + 0.02 * largest), random_tree(seed, shape, C, width, blocks=1)
    assert np.all(spread <= 0.2 * largest)  # the check can fail
