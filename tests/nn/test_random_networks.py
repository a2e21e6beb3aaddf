"""Random networks over pixels: kernels against loops that share no code, and against finite networks."""

import numpy as np
import pytest
from image_cases import C, images
from random_trees import random_tree
from sampled_kernels import sampled_kernels

import wideflow as wf
from oracles import pixels
from wideflow import nn

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


def assert_tend_to_their_kernels(net_of, x, width, networks):
    """Finite networks `net_of(n)` of two widths, extrapolated, lie within their error bars of the kernels."""
    expected = np.stack(wf.Kernel(net_of(width))(x))
    (mean, error), (wide, wide_error) = (sampled_kernels(net_of(n), x, networks, n) for n in (width, 2 * width))
    # K(n) = K + c/n + O(1/n²): twice that of width 2n less that of width n, up to the second order.
    limit, spread = 2 * wide - mean, np.hypot(2 * wide_error, error)
    largest = np.abs(expected).max(axis=(1, 2), keepdims=True)
    assert np.all(np.abs(limit - expected) <= 5 * spread + 0.02 * largest), net_of(width)
    assert np.all(spread <= 0.2 * largest)  # the check can fail


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2, 3])
def test_finite_networks_of_a_random_tree_tend_to_its_kernels(seed):
    shape = SHAPES[seed]
    x = images(shape, np.float32)[:2]
    assert_tend_to_their_kernels(lambda n: random_tree(seed, shape, C, n, blocks=1), x, 16, 1500)


def attentive(n):
    """Two axes of which one goes around, means over all pixels, softmax, and values that see positions."""
    return nn.Serial(
        nn.Conv(n, 2, 1.2, 0.2, padding=("same", "circular")),
        nn.LayerNorm(0.1, "all"),
        nn.Positions(0.6, 1.5),
        nn.SelfAttention(n, b=0.3, w_query=1.2, lr_value=0.5),
        nn.Relu(),
        nn.GlobalAvgPool(),
        nn.Dense(1, 1.1, 0.1),
    )


def masked(n):
    """Inputs of two lengths, each resized and around its own ends."""
    return nn.MaskedNetwork(
        nn.Conv(n, 2, 1.2, 0.2, padding="circular"),
        nn.Relu(),
        nn.Resize(factor=1.5),
        nn.ConvTranspose(n, 3, 1.3, 0.2, 2, padding="circular"),
        nn.Relu(),
        nn.RMSNorm(0.1, "all"),
        nn.Flatten(),
        nn.Dense(1, 1.1, 0.1),
    )


def on_graphs(n):
    """A graph for each input."""
    return nn.GraphNetwork(
        nn.Aggregate(normalise="mean"),
        nn.Dense(n, 1.3, 0.2),
        nn.Residual(nn.Relu(), nn.Aggregate(), nn.Dense(n, 0.6)),
        nn.Concat(nn.Dense(n, b=0.2), nn.Relu(), channels=(n, n)),
        nn.GlobalAvgPool(),
        nn.Dense(1),
    )


def scored(n):
    """Gaussian scores: as many heads as channels."""
    attention = nn.SelfAttention(n, n, scores=nn.Erf(), scale="1/sqrt(d)", lr_query=0.5, b=0.2)
    return nn.Serial(nn.Conv(n, 2, 1.2, 0.2), nn.Relu(), attention, nn.GlobalAvgPool(), nn.Dense(1))


@pytest.mark.slow
@pytest.mark.parametrize(("net_of", "networks"), [(attentive, 1500), (masked, 2000), (on_graphs, 2000), (scored, 1200)])
def test_finite_networks_of_further_layers_tend_to_their_kernels(net_of, networks):
    inputs = images((2, 3) if net_of is attentive else (3,), np.float32)[:2]
    if net_of is masked:
        inputs = nn.pack_inputs([inputs[0], inputs[1][:2]])
    if net_of is on_graphs:
        inputs = nn.pack_graphs(
            inputs, np.array([[[0, 1, 1], [1, 0, 0], [1, 2, 1]], [[1, 0, 0], [0, 1, 2], [1, 1, 0]]])
        )
    assert_tend_to_their_kernels(net_of, inputs, 12 if net_of is scored else 16, networks)
