"""Largest eigenvalues of Hessian and Gauss-Newton matrix, against matrices formed in full and LAPACK."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from wideflow.dynamics import (
    GradientDescent,
    HeavyBall,
    MatrixOperator,
    Nesterov,
    SoftmaxCrossEntropy,
    SquareLoss,
    largest_eigenvalue,
)
from wideflow.finite import Curvature, EmpiricalKernel, max_sharpness, top_eigenvalues

D, OUT = 5, 3
RNG = np.random.default_rng(6)
X, Y, LABELS = RNG.standard_normal((D, 2)), RNG.standard_normal((D, OUT)), np.array([0, 1, 2, 1, 0])
SHAPES = {"in": (2, 4), "out": (4, OUT)}


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"] / params["root"].astype(x.dtype)


def start(dtype):
    drawn = np.random.default_rng(1)
    weights = {name: jnp.asarray(drawn.standard_normal(shape), dtype) for name, shape in SHAPES.items()}
    return {**weights, "root": jnp.asarray(2)}


def flat_network(theta, x):
    split = theta[:8].reshape(2, 4), theta[8:].reshape(4, OUT)
    return jnp.tanh(x @ split[0]) @ split[1] / 2


def flat(params):
    return jnp.concatenate([params["in"].ravel(), params["out"].ravel()])


def cross_entropy(f):
    return -jnp.mean(jax.nn.log_softmax(f)[jnp.arange(D), LABELS])


def square(f):
    return jnp.sum((f - jnp.asarray(Y, f.dtype)) ** 2) / (2 * D)


CASES = [pytest.param(SquareLoss(), Y, square, id="square", marks=pytest.mark.slow)]
CASES += [pytest.param(SoftmaxCrossEntropy(), LABELS, cross_entropy, id="cross-entropy")]


@pytest.mark.parametrize(("loss", "y", "of_outputs"), CASES)
def test_top_eigenvalues_are_those_of_the_matrices_formed_in_full(loss, y, of_outputs, x64):
    params, x = start(jnp.float64), jnp.asarray(X)
    theta = flat(params)
    hessian = jax.jit(jax.hessian(lambda t: of_outputs(flat_network(t, x))))(theta)
    J = np.asarray(jax.jit(jax.jacobian(flat_network))(theta, x)).reshape(D * OUT, -1)
    inner = np.asarray(jax.jit(jax.hessian(of_outputs))(flat_network(theta, x))).reshape(D * OUT, -1)
    curvature = Curvature(network, params, X, y, loss)
    for operator, matrix in ((curvature.hessian, hessian), (curvature.gauss_newton, J.T @ inner @ J)):
        vectors = np.eye(len(theta))[:, [0, 9]] + 0.5
        np.testing.assert_allclose(operator.product(vectors), matrix @ vectors, atol=1e-13)
        expected = np.linalg.eigvalsh(matrix)[::-1]
        values, errors = top_eigenvalues(operator, 3, tolerance=1e-9)
        np.testing.assert_allclose(values, expected[:3], rtol=1e-9)
        assert errors.max() <= 1e-9 * expected[0]
    np.testing.assert_allclose(curvature.sharpness(), np.linalg.eigvalsh(hessian)[-1], rtol=1e-6)


def test_gauss_newton_of_the_square_loss_has_the_eigenvalues_of_the_ntk(x64):
    params = start(jnp.float64)
    theta = np.asarray(EmpiricalKernel(network, params, outputs="full").ntk(jnp.asarray(X)))
    matrix = theta.transpose(0, 2, 1, 3).reshape(D * OUT, D * OUT)
    top = top_eigenvalues(Curvature(network, params, X, Y).gauss_newton, D * OUT)
    np.testing.assert_allclose(top.values, np.linalg.eigvalsh(matrix)[::-1] / D, rtol=1e-10, atol=1e-13)
    np.testing.assert_allclose(top.values[0], largest_eigenvalue(matrix) / D, rtol=1e-10)


def test_errors_bound_the_distance_to_an_eigenvalue_when_steps_run_out():
    matrix = np.diag(np.linspace(0.5, 1, 40))
    matrix[0, 0] = -3.0  # the largest in modulus is not the largest
    values, errors = top_eigenvalues(MatrixOperator(matrix), 2, tolerance=1e-12, steps=4)
    distances = np.abs(np.diag(matrix)[:, None] - values).min(axis=0)
    assert (distances <= errors).all()
    assert errors.min() > 1e-4
    exact = top_eigenvalues(MatrixOperator(matrix), 2)
    np.testing.assert_allclose(exact.values, np.sort(np.diag(matrix))[:-3:-1], rtol=1e-6)


def test_multiple_eigenvalues_are_found_as_often_as_they_occur():
    values, _ = top_eigenvalues(MatrixOperator(np.diag([2.0, 2.0, 1.0, 0.5])), 3)
    np.testing.assert_allclose(values, [2, 2, 1], rtol=1e-12)


def test_float32_parameters_give_the_sharpness_to_single_precision():
    got = Curvature(network, start(jnp.float32), X.astype(np.float32), Y).top(2)
    with jax.enable_x64(True):
        expected = Curvature(network, start(jnp.float64), X, Y).top(2).values
    np.testing.assert_allclose(got.values, expected, rtol=1e-5)
    assert got.errors.max() < 1e-5 * got.values[0]


def test_the_edge_of_stability_is_that_of_each_rule():
    got = [max_sharpness(rule) for rule in (GradientDescent(0.1), HeavyBall(0.1, 0.9), Nesterov(0.1, 0.9))]
    np.testing.assert_allclose(got, [20, 38, 2 * 1.9 / 2.8 / 0.1], rtol=1e-14)


def test_wrong_targets_counts_and_parameters_are_errors():
    params, x = start(jnp.float32), X.astype(np.float32)
    with pytest.raises(ValueError, match=r"outputs have shape \(5, 3\), the targets want \(5, 1\)"):
        Curvature(network, params, x, Y[:, :1]).sharpness()
    with pytest.raises(ValueError, match="count must be in 1 … 20"):
        Curvature(network, params, x, Y).top(21)
    with pytest.raises(ValueError, match="real floating point parameters, which train, got int"):
        Curvature(lambda p, x: x, {"n": jnp.asarray(3)}, x, Y).sharpness()
    broken = {**params, "out": params["out"] * jnp.nan}
    with pytest.raises(ValueError, match="the Hessian: a product is not finite"):
        Curvature(network, broken, x, Y).sharpness()
