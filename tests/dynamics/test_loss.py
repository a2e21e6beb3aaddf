"""Losses: values, gradients, curvature bounds, and the form of targets."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from dynamics.loss_cases import CASES, OUT, D
from wideflow.dynamics import CustomLoss, HuberLoss, LogisticLoss, Loss, SoftmaxCrossEntropy, SquareLoss

F = 3 * np.random.default_rng(2).standard_normal((D, OUT))


@pytest.mark.parametrize("name", CASES)
def test_gradients_are_those_written_out_and_the_derivatives_of_the_value(name, x64):
    case = CASES[name]
    y = jnp.asarray(case.loss.checked(case.targets, D))
    gradients = np.asarray(case.loss.gradients(jnp.asarray(F), y))
    np.testing.assert_allclose(gradients, case.gradient(F, case.numbers), rtol=1e-12, atol=1e-13)
    of_value = jax.grad(case.loss.mean)(jnp.asarray(F), y)
    np.testing.assert_allclose(D * np.asarray(of_value), gradients, rtol=1e-11, atol=1e-13)


@pytest.mark.parametrize("name", CASES)
def test_no_hessian_has_an_eigenvalue_above_the_bound_and_some_come_near(name, x64):
    case = CASES[name]
    y = jnp.asarray(case.loss.checked(case.targets, D))
    outputs = np.concatenate([F / 30, F, np.asarray(y) + F / 30, [[9.0, 9, -9]] * D])
    y = jnp.concatenate([y] * 4)
    hessians = jax.jit(jax.vmap(jax.hessian(case.loss.value)))(jnp.asarray(outputs), y)
    largest = np.linalg.eigvalsh(np.asarray(hessians)).max()
    assert 0.9 * case.loss.curvature < largest <= case.loss.curvature * (1 + 1e-12)


def test_values_are_those_of_the_formulas(x64):
    f, y = jnp.asarray([0.5, -1.0, 3.0]), jnp.asarray([1.0, 0.0, 0.0])
    np.testing.assert_allclose(SquareLoss().value(f, y), 0.5 * (0.25 + 1 + 9))
    np.testing.assert_allclose(SoftmaxCrossEntropy().value(f, y), np.log(np.exp(np.asarray(f)).sum()) - 0.5)
    np.testing.assert_allclose(HuberLoss(2.0).value(f, y), 0.5 * (0.25 + 1) + 2 * (3 - 1))
    np.testing.assert_allclose(LogisticLoss().value(f[:1], -y[:1]), np.log(1 + np.exp(0.5)))


def test_cross_entropy_survives_huge_logits_in_float32():
    f, y = jnp.asarray([[1e4, -1e4, 0.0]], jnp.float32), jnp.asarray([[0.0, 1.0, 0.0]], jnp.float32)
    assert np.isfinite(SoftmaxCrossEntropy().mean(f, y))
    np.testing.assert_array_equal(SoftmaxCrossEntropy().gradients(f, y), [[1.0, -1.0, 0.0]])


def test_labels_and_one_hot_rows_are_the_same_targets():
    labels = np.array([0, 2, 1])
    np.testing.assert_array_equal(SoftmaxCrossEntropy().checked(labels, 3), np.eye(3)[labels])
    np.testing.assert_array_equal(SoftmaxCrossEntropy().checked(np.eye(3, dtype=int)[labels], 3), np.eye(3)[labels])
    assert SoftmaxCrossEntropy(classes=5).checked(labels, 3).shape == (3, 5)


def test_float32_probabilities_are_made_to_sum_to_one():
    rows = np.full((4, 3), 1 / 3, np.float32)
    np.testing.assert_allclose(SoftmaxCrossEntropy().checked(rows, 4).sum(axis=1), 1, rtol=1e-15)


@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        (SquareLoss(), np.zeros(4), r"wanted \[D\] or \[D, out\] with D = 3"),
        (SquareLoss(), [0.0, np.nan, 1.0], "NaN or infinity, first in row 1"),
        (SoftmaxCrossEntropy(), [0.0, 1.0, 2.0], "labels of classes must be integers, got float64"),
        (SoftmaxCrossEntropy(), [0, 1], "with D = 3 training points, got shape"),
        (SoftmaxCrossEntropy(classes=2), [0, 2, 1], r"labels must be in 0 … 1, got 2 in row 1"),
        (SoftmaxCrossEntropy(), [0, -1, 1], r"got -1 in row 1"),
        (SoftmaxCrossEntropy(), [[0.5, 0.5], [0.4, 0.4], [1.0, 0.0]], "rows must be probabilities.*row 1"),
        (SoftmaxCrossEntropy(), [[0.5, 0.5], [1.5, -0.5], [1.0, 0.0]], "rows must be probabilities.*row 1"),
        (SoftmaxCrossEntropy(classes=3), np.eye(3)[:, :2], "wanted 3 columns"),
        (SoftmaxCrossEntropy(), [0, 0, 0], "at least two classes, got 1"),
        (LogisticLoss(), [0, 1, 1], r"must be -1 or \+1, got 0, 1; for labels 0 and 1 use 2 \* y - 1"),
        (CustomLoss(lambda f, y: f), np.zeros(2), "with D = 3 training points"),
        (CustomLoss(lambda f, y: f), ["a", "b", "c"], "wanted numbers"),
    ],
)
def test_targets_in_the_wrong_form_are_errors_that_say_what_to_do(loss, targets, message):
    with pytest.raises(ValueError, match=message):
        loss.checked(targets, 3)


def test_huber_refuses_a_delta_that_is_not_positive():
    with pytest.raises(ValueError, match="delta must be positive"):
        HuberLoss(0.0)


def test_custom_loss_keeps_integer_targets_and_says_the_shape_of_outputs(x64):
    loss = CustomLoss(lambda f, y: -jax.nn.log_softmax(f)[y], outputs=(3,))
    labels = loss.checked([2, 0], 2)
    assert labels.dtype == np.int64
    assert loss.output_shape(labels) == (3,)
    f = jnp.asarray(F[:2])
    built_in = SoftmaxCrossEntropy(3)
    expected = built_in.gradients(f, jnp.asarray(built_in.checked(labels, 2)))
    np.testing.assert_allclose(loss.gradients(f, jnp.asarray(labels)), expected, atol=1e-15)


def test_a_subclass_needs_a_value_alone(x64):
    class Quartic(Loss):
        def value(self, f, y):
            return jnp.sum((f - y) ** 4) / 4

    np.testing.assert_allclose(Quartic().gradients(jnp.asarray(F), jnp.zeros((D, OUT))), F**3, rtol=1e-12)
