"""Every layer and combinator against everything that is known about a kernel, one row of the table each."""

from functools import cache, partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from network_cases import (
    ACTIVATIONS,
    CASES,
    IDS,
    anywhere,
    as_arrays,
    build,
    oracle_spec,
    relative,
    rows,
)

import wideflow as wf
from oracles import infinite
from wideflow import nn

every_case = pytest.mark.parametrize("case", CASES, ids=IDS)


def quadrature_slow(cases):
    """One test for each case; quadrature takes long to compile."""
    return pytest.mark.parametrize(
        "case", [c if c.closed else pytest.param(c, marks=pytest.mark.slow) for c in cases], ids=lambda c: c.name
    )


@cache
def whole(case):
    """Both kernels of the six rows, float64."""
    with jax.enable_x64(True):
        return jax.tree.map(np.asarray, wf.Kernel(as_arrays(case.net))(rows()))


@cache
def reference(case):
    return infinite.kernels(oracle_spec(case.spec), rows())


@quadrature_slow(CASES)
def test_kernels_equal_the_oracle_recursion(case):
    tolerance = 1e-11 if case.closed else 1e-9  # what `duals.quadrature` states
    for value, expected in zip(whole(case), reference(case), strict=True):
        assert value.shape == (6, 6)
        assert value.dtype == np.float64
        assert np.all(relative(value - expected, expected) <= tolerance)


@pytest.mark.slow
@every_case
def test_kernels_are_symmetric_and_positive_semidefinite(case):
    for K in whole(case):
        np.testing.assert_allclose(K, K.T, rtol=1e-14, atol=1e-15)
        assert np.linalg.eigvalsh(K)[0] >= -1e-13 * np.abs(K).max()


@pytest.mark.slow
@every_case
def test_a_rectangle_equals_its_part_of_the_whole(case, x64):
    K, order = wf.Kernel(as_arrays(case.net)), np.array([3, 3, 0, 5, 1, 4])
    rectangle = K(rows(), rows()[order])
    for value, expected in zip(rectangle, whole(case), strict=True):
        # Equal rows are recognised only up to rounding here, and a kink sees the square root of that.
        error = np.asarray(value)[:, np.argsort(order)[1:]] - expected[:, np.sort(order)[1:]]
        unit = np.sqrt(np.outer(*[np.diagonal(expected)] * 2))[:, np.sort(order)[1:]]
        assert np.all(np.abs(error) <= 3e-8 * unit)
    np.testing.assert_array_equal(K.nngp(rows(), rows()[order]), rectangle.nngp)
    np.testing.assert_array_equal(K.ntk(rows(), rows()[order]), rectangle.ntk)


@pytest.mark.slow
@every_case
def test_diag_equals_the_diagonal(case, x64):
    for value, expected in zip(wf.Kernel(as_arrays(case.net)).diag(rows()), whole(case), strict=True):
        np.testing.assert_allclose(value, np.diagonal(expected), rtol=1e-12, atol=1e-15)


@pytest.mark.slow
@every_case
def test_float32_kernels_agree_with_float64(case):
    mixed = case.name in {"erf-then-relu", "residual-in-residual"}
    for value, expected, allowed in zip(
        wf.Kernel(case.net)(rows(np.float32)), whole(case), (3e-6, 1e-4 if mixed else 3e-6), strict=True
    ):
        assert value.dtype == np.float32
        assert np.all(relative(np.asarray(value, np.float64) - expected, expected) <= allowed)


@pytest.mark.slow
@pytest.mark.parametrize("activation", ACTIVATIONS, ids=lambda a: "-".join(map(str, a)))
def test_kernels_under_jit_equal_the_eager_ones(activation):
    x = rows(np.float32)
    net = nn.Serial(nn.Dense(1, 1.3, 0.2), build(activation), nn.Dense(1))
    compiled = jax.jit(lambda net, x: wf.Kernel(net)(x))(net, x)
    for value, expected in zip(compiled, wf.Kernel(net)(x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=3e-6, atol=3e-6)


def test_kernels_under_vmap_equal_the_eager_ones():
    x = anywhere().astype(np.float32)
    net = nn.Serial(nn.Dense(1, 1.3, 0.2), nn.Residual(nn.Relu(), nn.Dense(1)), nn.Erf(), nn.Dense(1))
    rowwise = jax.vmap(lambda row: wf.Kernel(net).ntk(row[None], x)[0])(jnp.asarray(x))
    np.testing.assert_allclose(rowwise, wf.Kernel(net).ntk(x, x), rtol=2e-6)


def weighted(net, x1, x2):
    """A scalar that every entry of both kernels enters."""
    k = wf.Kernel(net)(x1, x2)
    weights = np.cos(np.arange(k.nngp.size)).reshape(k.nngp.shape)
    return jnp.sum(weights * k.nngp) + jnp.sum(weights * k.ntk)


@pytest.mark.slow
@quadrature_slow(CASES)
def test_gradients_are_finite_at_equal_opposite_parallel_and_zero_rows(case, x64):
    net, x = as_arrays(case.net), jnp.asarray(rows())
    for other in (None, x):
        gradients = jax.grad(weighted, argnums=(0, 1))(net, x, other)
        assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradients))


def derivative(f, direction, at, h):
    """Of f along a direction, by a central difference of order four."""
    value = lambda s: f(*jax.tree.map(lambda v, d: v + s * h * d, at, direction))  # noqa: E731
    return (8 * (value(1) - value(-1)) - (value(2) - value(-2))) / (12 * h)


@pytest.mark.slow
# Without weights every correlation is one, and the NTK of a kinked network has the kink |w| in w.
@quadrature_slow([c for c in CASES if c.name != "dense-without-weights"])
def test_gradients_equal_finite_differences_on_the_diagonal_too(case, x64):
    rng = np.random.default_rng(5)
    at = as_arrays(case.net), jnp.asarray(anywhere())
    direction = jax.tree.map(lambda v: jnp.asarray(rng.standard_normal(v.shape)), at)
    f = lambda net, x: weighted(net, x, None)  # noqa: E731
    slopes = jax.grad(f, argnums=(0, 1))(*at)
    slope = sum(jnp.sum(a * b) for a, b in zip(*map(jax.tree.leaves, (slopes, direction)), strict=True))
    np.testing.assert_allclose(slope, derivative(f, direction, at, 1e-4), rtol=1e-7, atol=1e-7)


@pytest.mark.slow
@quadrature_slow([c for c in CASES if c.smooth])
def test_gradients_between_equal_rows_equal_finite_differences(case, x64):
    net, x = as_arrays(case.net), jnp.asarray(anywhere())
    direction = jnp.asarray(np.random.default_rng(6).standard_normal(x.shape))
    f = lambda x1: weighted(net, x1, x)  # noqa: E731
    # A wide step: 1 − cos of rows much closer than this is all rounding.
    np.testing.assert_allclose(
        jnp.sum(jax.grad(f)(x) * direction), derivative(f, (direction,), (x,), 1e-3), rtol=1e-6, atol=1e-6
    )


NETWORKS, FINITE = 6000, 16


def widened(layer, width):
    """The network with hidden layers of the given width and one output."""
    if isinstance(layer, nn.Serial):
        return nn.Serial(*(widened(part, width) for part in layer.layers))
    if isinstance(layer, nn.Residual):
        return nn.Residual(widened(layer.branch, width))
    return nn.Dense(width, layer.w, layer.b) if isinstance(layer, nn.Dense) else layer


@partial(jax.jit, static_argnums=2)
def _kernels_of_networks(net, x, networks, key):
    def one(key):
        params = net.init(key, x)
        f = net.apply(params, x)[:, 0]
        J = jax.jacrev(lambda p: net.apply(p, x)[:, 0])(params)
        flat = jnp.concatenate([j.reshape(len(x), -1) for j in jax.tree.leaves(J)], axis=1)
        return jnp.outer(f, f), flat @ flat.T

    return jax.vmap(one)(jax.random.split(key, networks))


def monte_carlo(net, x, seed=0):
    """Mean and standard error of f(x_i) f(x_j) and of the empirical NTK over finite networks."""
    samples = _kernels_of_networks(net, jnp.asarray(x), NETWORKS, jax.random.key(seed))
    samples = [np.asarray(s, np.float64) for s in samples]
    return [(s.mean(0), s.std(0) / np.sqrt(len(s))) for s in samples]


# One hidden layer: the expectations at finite width are those at infinite width, exactly.
ONE_HIDDEN = [
    c
    for c in CASES
    if c.spec[0] == "serial" and c.spec[1][:1] == ("dense",) and c.spec[2][0] not in ("serial", "residual")
]


@pytest.mark.slow
@pytest.mark.parametrize("case", ONE_HIDDEN, ids=lambda c: c.name)
def test_one_hidden_layer_lies_within_monte_carlo_error(case):
    x = anywhere()[:3].astype(np.float32)
    first, activation = case.net.layers[:2]
    body = [nn.Dense(FINITE, first.w, first.b)] + ([activation] if not isinstance(activation, nn.Dense) else [])
    net = nn.Serial(*body, nn.Dense(1, 1.1, 0.3))
    for (mean, error), expected in zip(monte_carlo(net, x), wf.Kernel(net)(x), strict=True):
        assert np.all(np.abs(mean - expected) <= 5 * error + 1e-6)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["relu", "residual", "residual-in-residual"])
def test_deep_networks_extrapolated_in_width_lie_within_monte_carlo_error(name):
    case = next(c for c in CASES if c.name == name)
    x = anywhere()[:3].astype(np.float32)
    readout = nn.Dense(1, 1.1, 0.3)
    nets = [nn.Serial(*widened(case.net, width).layers[:-1], readout) for width in (16, 32)]
    narrow, wide = (monte_carlo(net, x, seed) for seed, net in enumerate(nets))
    expected = wf.Kernel(nets[0])(x)
    for (m1, e1), (m2, e2), K in zip(narrow, wide, expected, strict=True):
        # K(N) = K + c/N + O(1/N²): twice the wide one less the narrow one.
        assert np.all(np.abs(2 * m2 - m1 - K) <= 4 * np.hypot(2 * e2, e1) + 0.02 * np.abs(K).max())
