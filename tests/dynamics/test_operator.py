"""Products with kernel matrices in every form against NumPy, without a copy in another dtype."""

import tracemalloc
from dataclasses import dataclass

import numpy as np
import pytest

from wideflow import gram, max_learning_rate
from wideflow.dynamics import KernelOperator, MatrixOperator, ProductOperator
from wideflow.dynamics.duplicates import equal_rows, kernel_duplicates, named
from wideflow.dynamics.extremes import extremes
from wideflow.dynamics.nystrom import Nystrom
from wideflow.kernels import Kernels

RNG = np.random.default_rng(0)


@dataclass(frozen=True)
class FeatureKernel:
    """Two feature maps, larger than the number of points."""

    def __call__(self, x1, x2=None):
        mixes = np.random.default_rng(0).standard_normal((2, 3, 80))
        x2 = x1 if x2 is None else x2
        return Kernels(*(np.tanh(x1 @ mix.astype(x1.dtype)) @ np.tanh(x2 @ mix.astype(x1.dtype)).T for mix in mixes))


KERNEL = FeatureKernel()
X = RNG.standard_normal((50, 3))
V = RNG.standard_normal((50, 4))


@pytest.mark.parametrize("get", ["ntk", "nngp"])
def test_products_of_a_kernel_that_is_not_held_equal_those_of_its_matrix(get):
    K = gram(KERNEL, X, get=get)
    operator = KernelOperator(KERNEL, X, get, tile=16)
    np.testing.assert_allclose(operator.product(V), K @ V, rtol=1e-12, atol=1e-12)
    assert len(operator) == 50
    assert operator.duplicates() == []


def test_float32_matrices_are_multiplied_in_float64_panel_by_panel():
    n = 3000
    A = RNG.random((n, n), dtype=np.float32)
    v = RNG.standard_normal((n, 2))
    operator = MatrixOperator(A)
    tracemalloc.start()
    product = operator.product(v)
    used = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert used < 66 * 2**20 + v.nbytes * 4  # a panel; the whole in float64 would be 69 MiB
    assert operator.epsilon == np.finfo(np.float32).eps
    np.testing.assert_allclose(product[::100], A[::100].astype(np.float64) @ v, rtol=1e-12)


def test_memory_mapped_matrices_are_read_where_they_lie(tmp_path):
    K = gram(KERNEL, X, out=tmp_path / "k.npy")
    operator = MatrixOperator(K)
    assert operator.matrix is K
    np.testing.assert_allclose(operator.product(V), np.array(K) @ V, rtol=1e-13)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_duplicates_are_found_in_the_inputs_and_in_the_kernel(dtype):
    x = X.astype(dtype)
    x[[7, 31]] = x[2]
    x[40] = x[12]
    for found in (equal_rows(x), kernel_duplicates(gram(KERNEL, x), rows=9)):
        assert found == [(2, 7, 31), (12, 40)]
    assert named(found) == "rows 2 = 7 = 31, 12 = 40"
    assert named([]) == ""
    assert named([(i, i + 10) for i in range(8)]).endswith("4 = 14 and 3 more groups")


def test_minus_zero_is_zero():
    assert equal_rows(np.array([[0.0, 1.0], [-0.0, 1.0]])) == [(0, 1)]


def test_the_largest_eigenvalue_lies_between_the_ritz_value_and_its_bound():
    for power in (0.05, 1.0, 3.0):  # from a crowded upper end to a lonely one
        values = np.arange(1.0, 201) ** -power
        vectors = np.linalg.qr(RNG.standard_normal((200, 200)))[0]
        ends = extremes(MatrixOperator((vectors * values) @ vectors.T))
        assert ends.largest <= 1 + 1e-13
        assert ends.largest + ends.error >= 1 - 1e-13
        assert ends.error <= 1e-6
        assert ends.smallest >= values[-1] - 1e-13


def test_learning_rates_from_products_equal_those_from_eigenvalues():
    K = gram(KERNEL, X)
    for rule_or_momentum in (0.0, 0.9):
        limit = max_learning_rate(K, rule_or_momentum)
        for operator in (MatrixOperator(K), KernelOperator(KERNEL, X), ProductOperator(lambda v: K @ v, 50)):
            from_products = max_learning_rate(operator, rule_or_momentum)
            np.testing.assert_allclose(from_products, limit, rtol=1e-9)
            assert from_products <= limit * (1 + 1e-13)


def test_nystrom_is_exact_for_matrices_of_low_rank_and_never_above():
    J = RNG.standard_normal((60, 5))
    low = Nystrom.of(MatrixOperator(J @ J.T), rank=20)
    np.testing.assert_allclose(low.values[:5], np.linalg.eigvalsh(J @ J.T)[:-6:-1], rtol=1e-9)
    full = J @ J.T + np.diag(RNG.random(60))
    some = Nystrom.of(MatrixOperator(full), rank=20)
    gap = full - (some.vectors * some.values) @ some.vectors.T
    assert np.linalg.eigvalsh(gap)[0] >= -1e-10 * full.max()
    assert np.linalg.cond(full) > 20 * np.linalg.cond(some.precondition(full, 0.0))


def test_functions_that_are_no_symmetric_products_are_refused():
    with pytest.raises(ValueError, match=r"wanted products of shape \(5, 2\), got \(2, 5\)"):
        ProductOperator(lambda v: v.T, 5).checked()
    with pytest.raises(ValueError, match="not symmetric"):
        ProductOperator(lambda v: np.triu(np.ones((5, 5))) @ v, 5).checked()
    with pytest.raises(ValueError, match=r"wanted a square matrix \[D, D\], got shape \(3, 2\)"):
        MatrixOperator(np.ones((3, 2)))
