import mpmath
import numpy as np
import pytest

from oracles.relu_ntk import random_kernels
from wideflow import nn
from wideflow.beyond import nngp_correction, preactivation_moments
from wideflow.beyond.kernel_moments import kernel_moments

X = np.random.default_rng(0).standard_normal((2, 3))
ENTRIES = np.array([1.3, 0.5, 0.8])


def network(activation, widths, w, b):
    layers = []
    for n, weight, bias in zip(widths, w[:-1], b[:-1], strict=True):
        layers += [nn.Dense(n, w=weight, b=bias), activation]
    return nn.Serial(*layers, nn.Dense(1, w=w[-1], b=b[-1]))


def relu_kernel(a, c, b):
    angle = mpmath.acos(c / mpmath.sqrt(a * b))
    return mpmath.sqrt(a * b) / (2 * mpmath.pi) * (mpmath.sin(angle) + (mpmath.pi - angle) * mpmath.cos(angle))


def erf_kernel(a, c, b):
    return 2 / mpmath.pi * mpmath.asin(2 * c / mpmath.sqrt((1 + 2 * a) * (1 + 2 * b)))


@pytest.mark.parametrize(("kernel", "activation"), [(relu_kernel, nn.Relu()), (erf_kernel, nn.Erf())])
def test_derivatives_of_the_kernel_are_those_of_the_closed_form(kernel, activation):
    moments = kernel_moments(activation, ENTRIES)
    units = np.eye(3, dtype=int)
    slope = [float(mpmath.diff(kernel, tuple(ENTRIES), tuple(map(int, u)))) for u in units]
    bend = [[float(mpmath.diff(kernel, tuple(ENTRIES), tuple(map(int, u + v)))) for v in units] for u in units]
    np.testing.assert_allclose(moments.value[1], float(kernel(*ENTRIES)), rtol=1e-10)
    np.testing.assert_allclose(moments.jacobian[1], slope, rtol=1e-8)
    np.testing.assert_allclose(moments.hessian[1], bend, rtol=1e-7)


def test_derivatives_of_a_variance_are_those_of_polynomials():
    moments = kernel_moments(nn.Monomial(2), ENTRIES)  # E[u⁴] = 3 q², E[u²v²] = q11 q22 + 2 q12²
    a, c, b = ENTRIES
    np.testing.assert_allclose(moments.value, [3 * a**2, a * b + 2 * c**2, 3 * b**2], rtol=1e-10)
    np.testing.assert_allclose(moments.jacobian, [[6 * a, 0, 0], [b, 4 * c, a], [0, 0, 6 * b]], rtol=1e-9, atol=1e-10)
    wanted = np.zeros((3, 3, 3))
    wanted[0, 0, 0], wanted[2, 2, 2], wanted[1, 1, 1] = 6, 6, 4
    wanted[1, 0, 2] = wanted[1, 2, 0] = 1
    np.testing.assert_allclose(moments.hessian, wanted, atol=1e-8)
    np.testing.assert_allclose(moments.covariance[0, 0], 105 * a**4 - 9 * a**4, rtol=1e-9)
    crossed = 9 * a**2 * b**2 + 72 * a * b * c**2 + 24 * c**4  # E[u⁴ v⁴]
    np.testing.assert_allclose(moments.covariance[1, 1], crossed - (a * b + 2 * c**2) ** 2, rtol=1e-9)
    np.testing.assert_allclose(moments.covariance[0, 2], crossed - 9 * a**2 * b**2, rtol=1e-9)


def test_relu_on_one_input_has_five_over_the_width_a_layer_and_no_shift():
    widths = (20, 50, 30)
    moments = preactivation_moments(network(nn.Relu(), widths, [2**0.5] * 4, [None] * 4), X[:1])
    wanted = 5 * np.cumsum([0, *(1 / n for n in widths)])
    found = [float(m.kernel_cov[0, 0, 0, 0] / m.nngp[0, 0] ** 2) for m in moments]
    np.testing.assert_allclose(found, wanted, atol=1e-9)
    np.testing.assert_allclose(moments[-1].correction, 0, atol=1e-9)
    np.testing.assert_allclose(moments[-1].excess_kurtosis, 3 * wanted[-1], rtol=1e-8)


def test_nngp_is_the_recursion_and_one_input_agrees_with_two():
    w, b = [1.5, 1.2, 0.9], [0.2, 0.1, None]
    net = network(nn.Erf(), (8, 16), w, b)
    both, first = preactivation_moments(net, X)[-1], preactivation_moments(net, X[:1])[-1]
    K = w[0] ** 2 * X @ X.T / 3 + b[0] ** 2
    for weight, bias in ((w[1], b[1]), (w[2], 0.0)):
        inner = [[float(erf_kernel(K[i, i], K[i, j], K[j, j])) for j in (0, 1)] for i in (0, 1)]
        K = weight**2 * np.array(inner) + bias**2
    np.testing.assert_allclose(both.nngp, K, rtol=1e-9)
    np.testing.assert_allclose(both.correction[0, 0], first.correction[0, 0], rtol=1e-8)
    np.testing.assert_allclose(both.kernel_cov[0, 0, 0, 0], first.kernel_cov[0, 0, 0, 0], rtol=1e-8)


def check_against_networks(activation, phi, widths, networks, seeds):
    w, b = [1.5, 1.7, 1.3, 1.2][: len(widths) + 1], [0.1, 0.3, 0.2, 0.5][: len(widths) + 1]
    theory = preactivation_moments(network(activation, widths, w, b), X)[-1]
    K = np.concatenate([random_kernels(X, widths, w, b, phi, networks, seed) for seed in range(seeds)])
    entries = K[:, [0, 0, 1], [0, 1, 1]]
    error = entries.std(axis=0) / np.sqrt(len(K))
    shift = entries.mean(axis=0) - theory.nngp[[0, 0, 1], [0, 1, 1]]
    correction = theory.correction[[0, 0, 1], [0, 1, 1]]
    second_order = 3 * sum(1 / n for n in widths) * np.abs(correction)
    assert (np.abs(shift - correction) < 4 * error + second_order).all()
    covariance = theory.kernel_cov.reshape(4, 4)[np.ix_([0, 1, 3], [0, 1, 3])]
    scale = np.sqrt(np.outer(np.diag(covariance), np.diag(covariance)))
    allowed = 6 / np.sqrt(len(K)) + 3 * sum(1 / n for n in widths)
    assert (np.abs(np.cov(entries.T) - covariance) < allowed * scale).all()
    return shift, correction, error


def test_corrections_are_those_of_drawn_tanh_networks():
    shift, correction, error = check_against_networks(nn.Tanh(), np.tanh, (16, 32), 10_000, 3)
    assert (np.abs(correction[[0, 2]]) > 5 * error[[0, 2]]).all()  # no correction would be seen
    assert (np.abs(shift[[0, 2]]) > 4 * error[[0, 2]]).all()


@pytest.mark.slow
@pytest.mark.parametrize(
    ("activation", "phi"),
    [(nn.Relu(), lambda z: np.maximum(z, 0)), (nn.Sin(), np.sin), (nn.Softplus(), lambda z: np.logaddexp(z, 0))],
    ids=["relu", "sin", "softplus"],
)
def test_corrections_are_those_of_drawn_networks_of_three_layers(activation, phi):
    check_against_networks(activation, phi, (24, 48, 24), 5_000, 8)


@pytest.mark.slow
def test_what_the_first_order_leaves_falls_as_the_square_of_the_width():
    relative = []
    for n in (10, 20, 40):
        w, b = [2**0.5] * 4, [None] * 4
        theory = preactivation_moments(network(nn.Relu(), (n,) * 3, w, b), X[:1])[-1]
        exact = (1 + 5 / n) ** 3 - 1
        relative.append(exact - float(theory.kernel_cov[0, 0, 0, 0] / theory.nngp[0, 0] ** 2))
    slope = np.polyfit(np.log([10, 20, 40]), np.log(relative), 1)[0]
    assert slope == pytest.approx(-2, abs=0.15)


def test_correction_of_many_inputs_is_that_of_its_pairs():
    x = np.random.default_rng(1).standard_normal((3, 4))
    net = network(nn.Tanh(), (30, 40), [1.5, 1.2, 1.0], [0.1, 0.1, None])
    found = nngp_correction(net, x)
    pair = preactivation_moments(net, x[[0, 2]])[-1]
    np.testing.assert_allclose(found.correction[np.ix_([0, 2], [0, 2])], pair.correction, rtol=1e-8)
    np.testing.assert_allclose(found.std[0, 2] ** 2, pair.kernel_cov[0, 1, 0, 1], rtol=1e-8)
    np.testing.assert_allclose(found.corrected, found.nngp + found.correction)


def test_inputs_outside_the_expansion_are_refused():
    net = network(nn.Relu(), (8,), [1.0, 1.0], [None, None])
    for x, word in (
        (np.ones((3, 2)), "one or two inputs"),
        (np.zeros((1, 2)), "positive"),
        (np.ones((2, 2)), "correlation"),
        (np.ones((2, 2, 2)), "flatten"),
        (np.array([[1.0, np.nan]]), "not finite"),
    ):
        with pytest.raises(ValueError, match=word):
            preactivation_moments(net, x)
