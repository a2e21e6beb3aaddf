"""Numbers that compare kernel matrices, against their definitions written out with traces and explicit H."""

import numpy as np
import pytest

from wideflow.finite import effective_rank, kernel_alignment, kernel_distance, kernel_velocity, target_alignment

N = 6
RNG = np.random.default_rng(2)
FEATURES, OTHERS = RNG.standard_normal((2, N, 4)) + 1.0
K, K2 = FEATURES @ FEATURES.T, OTHERS @ OTHERS.T
H = np.eye(N) - np.ones((N, N)) / N
Y = RNG.standard_normal((N, 2)) + 0.5


def cosine(A, B):
    return np.trace(A @ B.T) / np.sqrt(np.trace(A @ A.T) * np.trace(B @ B.T))


def test_distance_is_one_minus_the_cosine_and_zero_for_multiples():
    np.testing.assert_allclose(kernel_distance(K, K2), 1 - cosine(K, K2), rtol=1e-12)
    np.testing.assert_allclose(kernel_distance(K[:3], K2[:3]), 1 - cosine(K[:3], K2[:3]), rtol=1e-12)
    assert kernel_distance(K, 1e200 * K) < 1e-30


def test_a_small_distance_keeps_its_digits():
    """S(K, K + εE) with tr(K Eᵀ) = 0 is ε²‖E‖²/(2 ‖K‖²), far below the rounding of a cosine at ε = 1e-9."""
    E = K2 - np.sum(K2 * K) / np.sum(K * K) * K
    expected = 1e-18 * np.sum(E * E) / (2 * np.sum(K * K))
    np.testing.assert_allclose(kernel_distance(K, K + 1e-9 * E), expected, rtol=1e-5)


def test_velocity_is_distance_by_time():
    got = kernel_velocity([K, K2, K], [0.0, 0.5, 2.5])
    np.testing.assert_allclose(got, (1 - cosine(K, K2)) / np.array([0.5, 2.0]), rtol=1e-12)


def test_alignments_are_cosines_of_centred_kernels():
    np.testing.assert_allclose(kernel_alignment(K, K2), cosine(H @ K @ H, H @ K2 @ H), rtol=1e-12)
    np.testing.assert_allclose(kernel_alignment(K, K2, centred=False), cosine(K, K2), rtol=1e-12)
    np.testing.assert_allclose(kernel_alignment(K, K + 3.0), 1, rtol=1e-12)


def test_target_alignment_is_its_formula_for_one_and_several_outputs():
    y = Y[:, 0]
    np.testing.assert_allclose(target_alignment(K, y), y @ K @ y / (np.linalg.norm(K) * (y @ y)), rtol=1e-12)
    several = np.trace(Y.T @ K @ Y) / (np.linalg.norm(K) * np.linalg.norm(Y @ Y.T))
    np.testing.assert_allclose(target_alignment(K, Y), several, rtol=1e-12)
    centred = H @ K @ H
    expected = y @ centred @ y / (np.linalg.norm(centred) * (y @ H @ y))
    np.testing.assert_allclose(target_alignment(K, y, centred=True), expected, rtol=1e-12)
    np.testing.assert_allclose(target_alignment(Y @ Y.T, Y), 1, rtol=1e-12)


def test_effective_rank_is_the_participation_ratio_of_eigenvalues():
    values = np.linalg.eigvalsh(K)
    np.testing.assert_allclose(effective_rank(K), values.sum() ** 2 / (values**2).sum(), rtol=1e-12)
    np.testing.assert_allclose([effective_rank(np.eye(5)), effective_rank(np.ones((5, 5)))], [5, 1])


def test_degenerate_kernels_and_targets_are_errors_that_say_what_to_do():
    with pytest.raises(ValueError, match="two: the kernel matrix is zero"):
        kernel_distance(K, 0 * K)
    with pytest.raises(ValueError, match="constant where centred"):
        kernel_alignment(K, np.full((N, N), 0.3))
    with pytest.raises(ValueError, match="targets are all equal or zero"):
        target_alignment(K, np.full(N, 0.1), centred=True)
    with pytest.raises(ValueError, match=r"shapes \(6, 6\) and \(3, 6\)"):
        kernel_distance(K, K[:3])
    with pytest.raises(ValueError, match="NaN or infinity"):
        effective_rank(np.full((2, 2), np.nan))
    with pytest.raises(ValueError, match="ascending times"):
        kernel_velocity([K, K2], [1.0, 1.0])
    with pytest.raises(ValueError, match="wanted a square"):
        effective_rank(K[:3])
