"""Every nonlinearity: its finite function, and its kernels against a brute-force integral over the plane."""

from functools import cache

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from activation_cases import BY_QUADRATURE, CASES, CLOSED
from dual_oracle import expectation
from network_cases import WIDTH, relative, rows

import wideflow as wf
from wideflow import nn
from wideflow.kernels.inputs import input_cov

W = 1.3  # weight standard deviation of the layer below; no biases, so that a zero row stays zero


def each(cases):
    return pytest.mark.parametrize("case", cases, ids=lambda case: case.source)


class OneOf(nn.Activation):
    """The nonlinearity with a given number: quadrature is compiled once for all of them."""

    number: jax.Array
    layers: tuple[nn.Activation, ...]

    def phi(self, z):
        return jax.lax.switch(self.number, [lambda z, f=f: f.phi(z) for f in self.layers], z)


def kernels_after(layer, first):
    k = layer.cov(first)
    return k.nngp, k.ntk


@jax.jit
def kernels_of_all(layers, x1, x2=None):
    """Both kernels after a dense layer and each of the nonlinearities, in one compilation."""
    first = nn.Dense(WIDTH, W).cov(input_cov(x1, x2, nn.Demand.EQUAL))
    return [kernels_after(layer, first) for layer in layers]


LAYERS = [case.layer for case in CLOSED]
SWITCHED = tuple(case.layer for case in BY_QUADRATURE)


def by_quadrature(number, x1, x2=None):
    return kernels_of_all([OneOf(jnp.asarray(number), SWITCHED)], x1, x2)[0]


@cache
def whole():
    """NNGP and NTK of the six rows in float64, for each case."""
    with jax.enable_x64(True):
        x = jnp.asarray(rows())
        found = kernels_of_all(LAYERS, x) + [by_quadrature(i, x) for i in range(len(BY_QUADRATURE))]
        return {case.source: tuple(map(np.asarray, k)) for case, k in zip(CASES, found, strict=True)}


@cache
def reference(case):
    K = W**2 * rows() @ rows().T / WIDTH
    q11, q22 = (np.broadcast_to(q, K.shape).ravel() for q in (np.diagonal(K)[:, None], np.diagonal(K)))
    scale = np.sqrt(q11 * q22)
    delta = np.clip(1 - K.ravel() / np.where(scale > 0, scale, 1), 0, 2)
    nngp, slopes = (expectation(f, q11, q22, delta).reshape(K.shape) for f in (case.phi, case.slope))
    return nngp, slopes * K


@each(CASES)
def test_both_kernels_equal_the_brute_force_integral(case):
    tolerance = 1e-12 if case in CLOSED else 1e-10
    for value, expected in zip(whole()[case.source], reference(case), strict=True):
        assert value.dtype == np.float64
        assert np.all(relative(value - expected, expected) <= tolerance)


@each(CASES)
def test_kernels_are_symmetric_and_positive_semidefinite(case):
    for K in whole()[case.source]:
        np.testing.assert_allclose(K, K.T, rtol=1e-14, atol=1e-15)
        assert np.linalg.eigvalsh(K)[0] >= -1e-13 * np.abs(K).max()


@cache
def finite():
    """φ and φ' of each case on a grid, float64."""
    with jax.enable_x64(True):
        z = jnp.asarray(GRID)
        layers = [case.layer for case in CASES]
        both = jax.jit(lambda z: [jax.jvp(layer.phi, (z,), (jnp.ones_like(z),)) for layer in layers])(z)
        return {case.source: tuple(map(np.asarray, b)) for case, b in zip(CASES, both, strict=True)}


GRID = np.concatenate([np.linspace(-4, 4, 16), [-1e-3, 1e-3, 30.0, -30.0]])


@each(CASES)
def test_finite_layer_is_the_function_of_its_name(case):
    value, slope = finite()[case.source]
    np.testing.assert_allclose(value, case.phi(GRID), rtol=1e-12, atol=1e-15)
    np.testing.assert_allclose(slope, np.broadcast_to(case.slope(GRID), GRID.shape), rtol=1e-11, atol=1e-15)


def test_float32_rectangles_agree_with_the_whole_in_float64():
    x = jnp.asarray(rows(np.float32))
    names = ("ABRelu(0.3, -1.2)", "Step()", "Sign()", "RectifiedMonomial(2)", "Rbf(gamma=0.4)", "Hermite(4)")
    layers = [case.layer for case in CASES if case.source in names]
    for name, found in zip(names, kernels_of_all(layers, x[:2], x), strict=True):
        for value, expected in zip(found, whole()[name], strict=True):
            assert value.dtype == np.float32
            error = np.asarray(value, np.float64) - expected[:2]
            assert np.all(relative(np.pad(error, ((0, 4), (0, 0))), expected) <= 2e-6), name


def test_rules_under_jit_equal_those_of_one_layer_alone(x64):
    x = rows()
    for source in ("RectifiedMonomial(2)", "Gaussian(a=1.3, b=0.6)"):
        case = next(c for c in CASES if c.source == source)
        alone = wf.Kernel(nn.Serial(nn.Dense(WIDTH, W), case.layer))(x)
        for value, expected in zip(alone, whole()[source], strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-15)


# A layer of each way in which hyperparameters or zeros are treated; the duals are differentiated in their own tests.
DIFFERENTIATED = [
    nn.ABRelu(0.3, -1.2),
    nn.Step(),
    nn.RectifiedMonomial(2),
    nn.Erf(1.4, 0.6, 0.3),
    nn.Gaussian(1.3, 0.6),
    nn.Rbf(0.4),
    nn.Polynomial((0.3, -1.0, 0.5)),
    nn.ExpNormalized(0.7),
]


@jax.jit
@jax.value_and_grad
def total_and_gradient(layers_and_x):
    """The weighted sum of every entry of both kernels of each layer, and its gradient."""
    layers, x = layers_and_x
    weights = jnp.cos(jnp.arange(36.0, dtype=x.dtype)).reshape(6, 6)
    return sum(jnp.sum(weights * k) for pair in kernels_of_all(layers, x) for k in pair)


def as_arrays(tree):
    return jax.tree.map(lambda v: jnp.asarray(v, jnp.float64), tree)


@pytest.mark.slow
def test_gradients_are_finite_at_equal_opposite_parallel_and_zero_rows(x64):
    _, gradient = total_and_gradient(as_arrays((DIFFERENTIATED, rows())))
    assert all(np.all(np.isfinite(g)) for g in jax.tree.leaves(gradient))


@pytest.mark.slow
def test_gradients_in_hyperparameters_and_inputs_equal_finite_differences(x64):
    rng = np.random.default_rng(3)
    at = as_arrays((DIFFERENTIATED, rng.standard_normal((6, WIDTH))))
    _, gradient = total_and_gradient(at)
    direction = jax.tree.map(lambda v: jnp.asarray(rng.standard_normal(v.shape)), at)
    slope = sum(jnp.sum(a * b) for a, b in zip(*map(jax.tree.leaves, (gradient, direction)), strict=True))
    h = 1e-4
    f = lambda s: total_and_gradient(jax.tree.map(lambda v, d: v + s * h * d, at, direction))[0]  # noqa: E731
    np.testing.assert_allclose(slope, (8 * (f(1) - f(-1)) - (f(2) - f(-2))) / (12 * h), rtol=1e-8)


def test_quadrature_is_used_where_no_closed_form_is_given():
    assert all(type(case.layer).moments is nn.Activation.moments for case in BY_QUADRATURE)


@each(CASES)
def test_repr_reads_like_the_source(case):
    assert repr(case.layer) == case.source
    assert eqx.tree_equal(eval(repr(case.layer), vars(nn)), case.layer)


def test_polynomial_takes_any_sequence_or_an_array():
    assert repr(nn.Polynomial([1, 2.5])) == "Polynomial((1.0, 2.5))"
    z = jnp.asarray([-1.0, 2.0])
    np.testing.assert_array_equal(nn.Polynomial(jnp.asarray([1.0, 2.0, 3.0])).phi(z), 1 + 2 * z + 3 * z**2)


@pytest.mark.slow
def test_special_cases_are_the_general_ones(x64):
    names = ("Sin()", "Erf()", "Relu()", "Step()")
    general = [nn.Gabor(b=0.0), nn.Erf(1.0, 1.0, 0.0), nn.ABRelu(0.0, 1.0), nn.RectifiedMonomial(0)]
    for name, pair in zip(names, kernels_of_all(general, jnp.asarray(rows())), strict=True):
        for value, expected in zip(pair, whole()[name], strict=True):
            np.testing.assert_allclose(value, expected, rtol=1e-13, atol=1e-15)


def test_selu_keeps_unit_variance():
    np.testing.assert_allclose(reference_moment(nn.Selu()), 1, rtol=1e-6)


def reference_moment(layer):
    z = np.linspace(-12, 12, 200_001)
    return (
        np.sum(np.asarray(layer.phi(jnp.asarray(z, jnp.float32))) ** 2 * np.exp(-(z**2) / 2))
        * (z[1] - z[0])
        / np.sqrt(2 * np.pi)
    )


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: nn.LeakyRelu(float("nan")), r"LeakyRelu\(slope=nan\): slope must be a finite number, got nan"),
        (lambda: nn.ABRelu(0.0, 0.0), r"ABRelu\(0.0, 0.0\): one of the slopes a and b must differ from zero"),
        (lambda: nn.Gaussian(b=-1.0), r"Gaussian\(b=-1.0\): b must be a finite number of at least 0, got -1.0"),
        (lambda: nn.Gabor(b=-1.0), r"Gabor\(b=-1.0\): b must be"),
        (lambda: nn.Rbf(-0.1), r"Rbf\(gamma=-0.1\): gamma must be"),
        (lambda: nn.ExpNormalized(-0.1), r"ExpNormalized\(gamma=-0.1\): gamma must be"),
        (lambda: nn.Exp(float("inf")), r"Exp\(a=inf\): a must be"),
        (lambda: nn.RectifiedMonomial(-1), r"RectifiedMonomial\(degree=-1\): the degree must lie between 0 and 16"),
        (lambda: nn.Monomial(34), r"Monomial\(degree=34\): the degree must lie between 0 and 33"),
        (lambda: nn.Hermite(-2), r"Hermite\(degree=-2\): the degree must lie"),
        (lambda: nn.Polynomial(()), r"Polynomial: wanted 1 to 34 coefficients, lowest degree first, got 0"),
        (lambda: nn.Polynomial((1.0, float("nan"))), r"Polynomial: coefficients must be finite, got nan"),
    ],
)
def test_bad_hyperparameters_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


# Maps of kernels


def test_exp_normalized_equals_its_formula(x64):
    x = rows()
    K = W**2 * x @ x.T / WIDTH
    scale = np.sqrt(np.outer(np.diagonal(K), np.diagonal(K)))
    decay = np.exp(0.7 * (np.where(scale > 0, K / np.where(scale > 0, scale, 1), 0) - 1))
    k = wf.Kernel(nn.Serial(nn.Dense(WIDTH, W), nn.ExpNormalized(0.7)))(x)
    np.testing.assert_allclose(k.nngp, scale * decay, rtol=1e-13)
    np.testing.assert_allclose(k.ntk, K * 0.7 * decay, rtol=1e-12, atol=1e-15)


class Square(nn.KernelMap):
    """K' = q12²."""

    def dual(self, q11, q12, q22):
        return q12**2, 2 * q12


def test_maps_of_kernels_follow_one_another_and_can_be_written_by_a_user(x64):
    x = rows()
    k = wf.Kernel(nn.Serial(nn.Dense(WIDTH), Square(), Square()))(x)
    K = x @ x.T / WIDTH
    np.testing.assert_allclose(k.nngp, K**4, rtol=1e-13)
    np.testing.assert_allclose(k.ntk, 4 * K**4, rtol=1e-13)


def test_map_of_kernels_has_no_finite_form():
    net = nn.Serial(nn.Dense(WIDTH), nn.ExpNormalized(0.5), nn.Dense(1))
    x = rows(np.float32)
    with pytest.raises(NotImplementedError, match=r"ExpNormalized\(gamma=0.5\) has no finite form: it maps kernels"):
        net.apply(net.init(jax.random.key(0), x), jnp.asarray(x))
