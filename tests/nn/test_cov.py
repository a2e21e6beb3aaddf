"""1 − correlation of sums, against the covariances in fifty digits."""

import jax.numpy as jnp
import mpmath
import numpy as np
import pytest

from wideflow.nn.cov import Cov

# Variances and 1 − correlation of two parts, the second of which may be a bias.
CASES = [
    (1.0, 2.0, 0.3, 0.5, 0.4, 1.7),
    (1.0, 1.0 + 1e-9, 1e-14, 1e-6, 1e-6, 1e-12),
    (1e-20, 3e-20, 0.9, 1e-18, 2e-20, 2.0),
    (1e8, 1.0, 1.999, 1e-8, 1.0, 1e-3),
    (0.0, 1.0, 1.0, 2.0, 0.5, 0.1),
]


def part(q1, q2, delta):
    q1, q2, delta = (jnp.asarray(v) for v in (q1, q2, delta))
    nngp = (jnp.sqrt(q1 * q2) * (1 - delta))[None, None]
    return Cov(q1[None], q2[None], nngp, 0 * nngp, delta[None, None])


def in_fifty_digits(p1, p2, dp, r1, r2, dr):
    with mpmath.workdps(50):
        p1, p2, dp, r1, r2, dr = map(mpmath.mpf, (p1, p2, dp, r1, r2, dr))
        cross = mpmath.sqrt(p1 * p2) * (1 - dp) + mpmath.sqrt(r1 * r2) * (1 - dr)
        return float(1 - cross / mpmath.sqrt((p1 + r1) * (p2 + r2)))


@pytest.mark.parametrize("case", CASES)
def test_sums_keep_the_digits_of_one_minus_the_correlation(case, x64):
    p1, p2, dp, r1, r2, dr = case
    found = (part(p1, p2, dp) + part(r1, r2, dr)).delta
    np.testing.assert_allclose(found, [[in_fifty_digits(*case)]], rtol=1e-10)


@pytest.mark.parametrize("case", CASES)
def test_so_do_biases(case, x64):
    p1, p2, dp, bias, *_ = case
    found = part(p1, p2, dp).affine(jnp.asarray(1.0), jnp.asarray(bias)).delta
    np.testing.assert_allclose(found, [[in_fifty_digits(p1, p2, dp, bias, bias, 0.0)]], rtol=1e-10)
