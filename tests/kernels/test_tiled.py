"""Large kernels of vectors, in tiles and as curves, against the same network on few inputs at a time in float64."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.kernels import curved, tiled
from wideflow.kernels.angles import gaps, rows_of
from wideflow.kernels.kernel import _kernels
from wideflow.kernels.tile import TILE
from wideflow.kernels.univariate import curve_of, is_homogeneous
from wideflow.nn.fold import Run, fold

N1, N2 = 2 * TILE - 90, 2 * TILE - 1


def serial(activation, b, depth=4, w=1.3):
    layers = [part for i in range(depth) for part in (nn.Dense(8, w + i / 10, b), activation)]
    return nn.Serial(*layers, nn.Dense(1))


def inputs(dtype, constant_norm=False):
    """Rows in general position among equal, opposite, nearly parallel and zero ones."""
    x = np.random.default_rng(0).standard_normal((N1, 5))
    x[3], x[N1 - 1], x[5], x[7] = x[2], -x[0], x[4] + 1e-5 * x[6], 0
    if constant_norm:
        x[7] = x[6]
        x /= np.linalg.norm(x, axis=1, keepdims=True)
    return x.astype(dtype)


def directly(net, x1, x2=None):
    with jax.enable_x64(True):
        second = None if x2 is None else jax.numpy.asarray(x2, np.float64)
        return jax.tree.map(np.asarray, _kernels(net, jax.numpy.asarray(x1, np.float64), second))


CASES = {
    "curve of a homogeneous network": (serial(nn.Relu(), None), False),
    "curve at constant norm": (serial(nn.Erf(), 0.3), True),
    "every layer": (serial(nn.Relu(), 0.3), False),
}


@pytest.mark.parametrize(("net", "constant_norm"), CASES.values(), ids=CASES)
@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 5e-6), (np.float64, 5e-13)])
def test_large_kernels_equal_the_small_ones(net, constant_norm, dtype, tolerance):
    x = inputs(dtype, constant_norm)
    some = np.array([0, 2, 3, 4, 5, 7, TILE, N1 - 1])
    for value, expected in zip(wf.Kernel(net)(x), directly(net, x[some]), strict=True):
        value = np.asarray(value)
        assert value.dtype == dtype
        assert np.all(np.isfinite(value))
        np.testing.assert_array_equal(value, value.T)
        unit = np.sqrt(np.outer(np.diagonal(expected), np.diagonal(expected))) + 1e-30
        assert np.max(np.abs(value[np.ix_(some, some)] - expected) / unit) < tolerance


def test_rectangles_have_every_row_and_column():
    net, rng = serial(nn.Gelu(), 0.1, depth=2), np.random.default_rng(1)
    x1, x2 = rng.standard_normal((N1, 5)), rng.standard_normal((N2, 5))
    rows, columns = np.array([0, TILE, N1 - 1]), np.array([0, TILE - 1, N2 - 1])
    for value, expected in zip(wf.Kernel(net)(x1, x2), directly(net, x1[rows], x2[columns]), strict=True):
        assert value.shape == (N1, N2)
        np.testing.assert_allclose(value[np.ix_(rows, columns)], expected, rtol=1e-11, atol=1e-13)


def test_curves_are_used_where_kernels_have_one_variable_and_nowhere_else():
    q = np.array([1.0, 2.0])
    assert curve_of(serial(nn.Relu(), None), q) is not None
    assert curve_of(serial(nn.Relu(), 0.1), q) is None
    assert curve_of(serial(nn.Relu(), 0.1), np.array([2.0, 2.0])) is not None
    assert curve_of(serial(nn.Relu(), None), np.zeros(2)) is None
    assert curve_of(nn.Serial(nn.Dense(3), nn.Sin(w=60.0), nn.Dense(1)), np.ones(2)) is None  # too wiggly
    assert curve_of(nn.Serial(nn.Dense(3), nn.Relu(), nn.Dropout(0.5), nn.Dense(1)), np.ones(2)) is None  # jumps at 0
    assert is_homogeneous(nn.Residual(nn.LeakyRelu(0.2), nn.Dense(3)))
    assert not is_homogeneous(nn.Residual(nn.Erf(), nn.Dense(3)))


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_gaps_are_those_of_the_definition_even_where_products_lose_them(dtype):
    rng = np.random.default_rng(2)
    x = rng.standard_normal((6, 40))
    x[1], x[2], x[3], x[4] = x[0] + 1e-6 * x[5], 3 * x[0], -x[0] + 1e-4 * x[5], 0
    x = x.astype(dtype)
    rows = rows_of(x)
    gap = gaps(rows, rows, rows.working @ rows.working.T, same=0)
    units = x.astype(np.longdouble)
    norms = np.linalg.norm(units.astype(np.float64), axis=1, keepdims=True)
    units = units / np.where(norms > 0, norms, 1)
    expected = np.sum((units[:, None] - units[None]) ** 2, axis=2) / 2
    expected[4], expected[:, 4], expected[4, 4] = 1, 1, 0
    np.testing.assert_allclose(gap, expected.astype(float), rtol=3e-5 if dtype == np.float32 else 1e-7, atol=1e-13)
    assert np.all(np.diagonal(gap) == 0)


def test_alike_layers_are_one_scan_with_the_values_of_the_layers():
    body = [nn.Dense(8, 1.1, 0.1), nn.Erf()] * 3 + [nn.Dense(8, 1.4, 0.2), nn.Erf()]
    net = nn.Serial(nn.Dense(8), *body, nn.Residual(*body, nn.Dense(8)), nn.Dense(1))
    folded = fold(net)
    assert isinstance(folded, nn.Serial)
    assert any(isinstance(layer, Run) for layer in folded.layers)
    x = np.random.default_rng(3).standard_normal((4, 5))
    for value, expected in zip(directly(folded, x), directly(net, x), strict=True):
        np.testing.assert_allclose(value, expected, rtol=1e-13)


def test_few_alike_layers_and_different_ones_stay_as_they_are():
    net = nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(8), nn.Relu(), nn.Dense(9), nn.Erf(), nn.Dense(1))
    folded = fold(net)
    assert isinstance(folded, nn.Serial)
    assert repr(folded) == repr(net)


def test_a_product_of_everything_with_itself_is_computed_in_one_triangle_only(monkeypatch):
    written, write = [], tiled.write
    monkeypatch.setattr(
        tiled, "write", lambda out, i, j, *rest, **how: written.append((i, j)) or write(out, i, j, *rest, **how)
    )
    tiled.vectors(serial(nn.Relu(), 0.1, depth=1), inputs(np.float32), None)
    assert sorted(written) == [(0, 0), (0, TILE), (TILE, TILE)]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("block", [100, 500])
def test_values_of_a_curve_do_not_depend_on_how_many_are_evaluated_at_once(dtype, block, monkeypatch):
    net, x = serial(nn.Relu(), None), np.concatenate([inputs(dtype), inputs(dtype)[::-1] + dtype(1)])
    square, rectangle = tiled.vectors(net, x, None), tiled.vectors(net, x[:700], x)
    monkeypatch.setattr(curved, "_BLOCK", block)
    rtol = 2e-6 if dtype == np.float32 else 1e-12
    for value, right in zip(tiled.vectors(net, x, None), square, strict=True):
        np.testing.assert_array_equal(value, np.asarray(value).T)
        np.testing.assert_allclose(value, right, rtol=rtol)
    for value, right, whole in zip(tiled.vectors(net, x[:700], x), rectangle, square, strict=True):
        np.testing.assert_allclose(value, right, rtol=rtol)
        np.testing.assert_allclose(value, whole[:700], rtol=rtol, atol=rtol * np.max(whole))


@pytest.mark.parametrize(("dtype", "tolerance"), [(np.float32, 1e-6), (np.float64, 5e-13)])
@pytest.mark.parametrize(("low", "high"), [(-0.2, 0.2), (-0.8, 0.8), (0.5, 0.98), (-0.999, 0.1), (0.31, 0.31)])
@pytest.mark.parametrize("activation", [nn.Relu(), nn.Erf()], ids=["relu", "erf"])
def test_curves_over_a_range_are_those_over_all_angles(activation, low, high, dtype, tolerance):
    q, net = np.ones(64, dtype), serial(activation, None, depth=3)
    whole = curve_of(net, q)
    assert whole is not None
    short = whole.within(low, min(high, 0.989) if dtype == np.float32 else high, np.dtype(dtype))
    cosine = np.linspace(max(low, -0.989) if dtype == np.float32 else low, high, 64)[None].astype(dtype)
    cosine = np.minimum(cosine, short.high if short.of_cosine else np.cos(short.low)).astype(dtype)
    with jax.enable_x64(True):
        found = short.kernels_of_cosines(q[:1], q, cosine, None)
        cov = tiled._entering(jnp.ones(1), jnp.ones(64), jnp.asarray(1 - cosine.astype(np.float64)))
        expected = net.cov(cov)
    for value, right, unit in zip(found, (expected.nngp, expected.ntk), whole.equal, strict=True):
        np.testing.assert_allclose(value, right, atol=tolerance * unit, rtol=0)
    assert short._passes <= whole._passes


def test_small_ranges_of_cosines_need_few_terms_and_no_angle():
    curve = curve_of(serial(nn.Relu(), None, depth=20), np.ones(2))
    assert curve is not None
    short = curve.within(-0.2, 0.2, np.dtype(np.float32))
    assert short.of_cosine
    assert short.coefficients.shape[1] <= 12 < curve.coefficients.shape[1]


def test_hyperparameters_are_differentiated_for_many_inputs_without_jit():
    x = np.random.default_rng(1).standard_normal((400, 3)).astype(np.float32)
    total = lambda w, rows: jnp.sum(wf.Kernel(nn.Serial(nn.Dense(1, w), nn.Relu(), nn.Dense(1))).ntk(rows))  # noqa: E731
    np.testing.assert_allclose(jax.grad(total)(1.5, x), 2 * total(1.5, x) / 1.5, rtol=1e-4)  # Θ is w² times a constant
