"""What a kernel matrix will take, told beforehand."""

import numpy as np
import pytest

import wideflow as wf
from wideflow import nn

VECTORS = wf.Kernel(nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(1)))
POOLED = wf.Kernel(nn.Serial(nn.Conv(8, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1)))


def test_a_plan_counts_tiles_bytes_and_pairs_of_pixels():
    plan = POOLED.plan(np.zeros((10, 6, 5, 2), np.float32), tile=4)
    assert plan.shape == (10, 10)
    assert (plan.tiles, plan.entries) == (6, 55)
    assert plan.pixel_pairs == 30**2
    assert plan.result_bytes == 400
    assert plan.work_bytes == 4 * 4 * plan.entry_bytes
    rectangle = POOLED.plan(np.zeros((10, 6, 5, 2)), np.zeros((3, 6, 5, 2)), tile=4)
    assert (rectangle.tiles, rectangle.entries, rectangle.result_bytes) == (3, 30, 240)


def test_a_plan_reads_like_a_table():
    assert str(VECTORS.plan(np.zeros((20_000, 784), np.float32), memory=2**31)).splitlines() == [
        "matrix   20,000 × 20,000, float32",
        "result   1.49 GiB in memory",
        "tiles    66 of 1,849 × 1,849, one triangle",
        "work     130 MiB at a time, 40 B an entry",
        "memory   1.62 GiB of 2 GiB",
        "product  3.1e+11 operations",
        "elements 2.0e+08 for every layer to visit",
    ]


@pytest.mark.slow
def test_tiles_shrink_with_the_budget_and_values_stay():
    x = np.random.default_rng(0).standard_normal((9, 4, 4, 2))
    roomy, tight = POOLED.plan(x), POOLED.plan(x, memory=9 * 9 * 8 + 20_000)
    assert tight.tile < roomy.tile
    assert tight.total_bytes <= 9 * 9 * 8 + 20_000
    K = wf.gram(POOLED, x, memory=9 * 9 * 8 + 20_000)
    np.testing.assert_allclose(K, np.asarray(POOLED.ntk(x)), rtol=1e-12)


def test_what_does_not_fit_is_refused_with_the_numbers_before_any_work(tmp_path):
    x = np.zeros((20_000, 10))
    with pytest.raises(ValueError, match=r"2 GiB of memory are too little: 2\.98 GiB for.*out=PATH.*float32"):
        wf.gram(VECTORS, x, memory=2**31)
    assert VECTORS.plan(x, memory=2**31, out=tmp_path / "K.npy").total_bytes < 2**31
    with pytest.raises(ValueError, match="for a tile of 1 × 1; give more memory"):
        wf.Kernel(nn.Serial(nn.Conv(8, 3), nn.AvgPool(2), nn.Flatten())).plan(np.zeros((3, 32, 32, 3)), memory=2**20)
