"""Graphs: sums over neighbours, dense, sparse and one graph for each input."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.sparse
from image_cases import C, degenerate, images
from kernel_checks import assert_consistent, assert_equal_kernels, assert_finite_gradients, assert_oracle
from sampled_kernels import drawn, sampled_kernels

import wideflow as wf
from wideflow import nn
from wideflow.nn import Aggregate, Dense, Flatten, GlobalSumPool, GraphNetwork, Relu, Residual, Serial, pack_graphs

NODES = 5
A = np.array([[1, 1, 0, 0, 0], [1, 1, 1, 0, 0], [0, 1, 0, 2, 0], [0, 0, 2, 1, 0], [0, 0, 0, 0, 0]], float)  # one alone
SPARSE = scipy.sparse.csr_array(A)
first = Dense(C, 1.3, 0.2)


def on_graph(*given, **options):
    """Two steps of aggregation and update, read out as a sum over the nodes."""
    return (
        Aggregate(*given, **options), first, Residual(Relu(), Aggregate(*given), first), Relu(),
        GlobalSumPool(), Dense(1),
    )  # fmt: skip


NETS = {
    "matrix": Serial(*on_graph(A, normalise="mean")),
    "edges": Serial(*on_graph(SPARSE)),
    "repeat": Serial(first, nn.Repeat(Serial(Aggregate(SPARSE, "mean"), first, Relu()), 2), Flatten()),
}
OF_INPUTS = GraphNetwork(*on_graph(normalise="mean"))


def graphs(x):
    """Inputs packed with graphs of their own; the first two have the same."""
    rng = np.random.default_rng(2)
    adjacency = rng.integers(2, size=(len(x), NODES, NODES)).astype(x.dtype)
    adjacency[1], adjacency[-1] = adjacency[0], 0
    return pack_graphs(x, adjacency)


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_kernels_equal_the_loops_over_nodes(name):
    assert_oracle(NETS[name], images((NODES,)))


def test_kernels_of_inputs_with_graphs_equal_the_loops_over_nodes():
    assert_oracle(OF_INPUTS, graphs(images((NODES,))))


@pytest.mark.slow
@pytest.mark.parametrize("name", NETS)
def test_degenerate_features_have_consistent_kernels(name):
    assert_consistent(NETS[name], degenerate((NODES,)))


@pytest.mark.slow
def test_degenerate_features_with_graphs_have_consistent_kernels():
    assert_consistent(OF_INPUTS, graphs(degenerate((NODES,))))


@pytest.mark.slow
@pytest.mark.parametrize("name", ["matrix", "edges"])
def test_gradients_are_finite_at_degenerate_features(name):
    assert_finite_gradients(NETS[name], degenerate((NODES,)))


@pytest.mark.slow
def test_gradients_are_finite_at_degenerate_features_with_graphs():
    assert_finite_gradients(OF_INPUTS, graphs(degenerate((NODES,))))


@pytest.mark.slow
def test_a_sparse_matrix_gives_what_its_entries_give():
    x = images((NODES,))
    dense, sparse = (wf.Kernel(Serial(Aggregate(a, "mean"), Flatten())).nngp(x) for a in (A, SPARSE))
    np.testing.assert_allclose(sparse, dense, rtol=1e-13)


def test_one_graph_for_all_inputs_gives_what_the_same_graph_gives_each():
    x = images((NODES,))
    packed = pack_graphs(x, np.broadcast_to(A, (3, NODES, NODES)))
    fixed = wf.Kernel(Serial(*on_graph(A)))(x)
    assert_equal_kernels(wf.Kernel(GraphNetwork(*on_graph()))(packed), fixed, 1e-12)


@pytest.mark.slow
def test_kernels_lie_within_monte_carlo_error_at_any_width():
    x = graphs(images((NODES,), np.float32))[1:]
    net = GraphNetwork(Aggregate(), Dense(6, 1.3, 0.2), Relu(), Aggregate(normalise="mean"), Dense(1), GlobalSumPool())
    mean, error = sampled_kernels(net, x, 4000)
    k = wf.Kernel(net)(x)
    assert np.all(np.abs(mean - np.stack([k.nngp, k.ntk])) <= 5 * error)
    assert np.all(error <= 0.1 * np.abs(mean).max(axis=(1, 2), keepdims=True))


def test_apply_sums_over_neighbours():
    x = jnp.asarray(images((NODES,), np.float32))
    mean = A / np.where(A.sum(1) > 0, A.sum(1), 1)[:, None]
    for normalise, M in (("sum", A), ("mean", mean)):
        expected = np.einsum("uv,nvc->nuc", M, x)
        for adjacency in (A, SPARSE):
            np.testing.assert_allclose(Aggregate(adjacency, normalise).apply((), x), expected, rtol=1e-5, atol=1e-6)
        packed = jnp.asarray(graphs(np.asarray(x)))
        own = np.asarray(packed[..., :NODES])
        own = own / np.where(own.sum(2) > 0, own.sum(2), 1)[..., None] if normalise == "mean" else own
        y = GraphNetwork(Aggregate(normalise=normalise)).apply(((),), packed)
        np.testing.assert_allclose(y, np.einsum("nuv,nvc->nuc", own, x), rtol=1e-5, atol=1e-6)


def test_repeated_edges_add_up():
    twice = scipy.sparse.coo_array(([1.0, 2.0], ([0, 0], [1, 1])), shape=(3, 3))
    x = jnp.arange(6.0).reshape(1, 3, 2)
    np.testing.assert_array_equal(Aggregate(twice).apply((), x)[0], [[6, 9], [0, 0], [0, 0]])


def test_a_graph_network_has_the_parameters_and_options_of_its_layers():
    x = graphs(images((NODES,), np.float32))
    net = GraphNetwork(Aggregate(), Dense(4, lr_w=0.5), Relu(), GlobalSumPool(), Dense(1))
    params = drawn(net, x)
    assert params[1]["W"].shape == (C, 4)
    assert nn.learning_rates(net, params)[1] == {"W": 0.5}
    standard = wf.reparameterize(net, "standard", x)
    assert standard.net.layers[-1].channels == 4


# Errors


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Aggregate(A[:3]), r"must be a matrix \[nodes, nodes\], got shape \(3, 5\)"),
        (lambda: Aggregate(SPARSE[:, :2]), r"must be a matrix \[nodes, nodes\], got shape \(5, 2\)"),
        (lambda: Aggregate(A * np.nan), "the adjacency holds NaN or infinity"),
        (lambda: Aggregate(A, "max"), 'normalise must be "sum" or "mean", got \'max\''),
        (lambda: pack_graphs(np.ones((2, 3, 4)), np.ones((2, 3, 4))), r"adjacency \[n, nodes, nodes\], got"),
    ],
)
def test_what_is_no_graph_is_refused(build, message):
    with pytest.raises(ValueError, match=message):
        build()


@pytest.mark.parametrize(
    ("net", "shape", "message"),
    [
        (Aggregate(A), (4,), "the adjacency has 5 nodes, the input has 4"),
        (Aggregate(SPARSE), (5, 5), r"wanted inputs \[n, nodes, channels\], with one axis of nodes"),
        (Aggregate(A), (), r"wanted inputs \[n, nodes, channels\], with one axis of nodes"),
        (GraphNetwork(Aggregate()), (5,), r"wanted packed inputs \[n, nodes, nodes \+ channels\]"),
    ],
)
def test_inputs_that_do_not_fit_are_refused_by_every_rule(net, shape, message):
    x = images(shape, np.float32)
    refusals = (
        lambda: net.init(jax.random.key(0), x),
        lambda: net.apply((), jnp.asarray(x)),
        lambda: wf.Kernel(net)(x),
    )
    for refused in refusals:
        with pytest.raises(ValueError, match=message):
            refused()


def test_aggregation_without_a_graph_is_refused():
    x = images((NODES,), np.float32)
    for refused in (lambda: Aggregate().apply((), jnp.asarray(x)), lambda: wf.Kernel(Aggregate())(x)):
        with pytest.raises(ValueError, match=r"Aggregate\(\): no graph is given; give Aggregate\(adjacency\)"):
            refused()


def test_a_graph_network_that_is_not_first_is_refused():
    with pytest.raises(ValueError, match="GraphNetwork: its kernel is known for packed inputs alone"):
        wf.Kernel(Residual(OF_INPUTS))(graphs(images((NODES,), np.float32)))


def test_different_graphs_print_differently():
    assert repr(Aggregate(A)) != repr(Aggregate(A.T + A)) != repr(Aggregate(SPARSE))
    assert repr(Aggregate(SPARSE, "mean")).startswith("Aggregate(<5 nodes, 9 edges, ")
    assert repr(GraphNetwork(Aggregate(normalise="mean"))) == "GraphNetwork(Aggregate(normalise='mean'))"
