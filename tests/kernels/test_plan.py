"""What a kernel matrix will take, told beforehand."""

import jax
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.kernels.plan import WORK_BYTES, plan_of

VECTORS = wf.Kernel(nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(1)))
POOLED = wf.Kernel(nn.Serial(nn.Conv(8, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1)))


def test_a_plan_counts_tiles_bytes_and_pairs_of_pixels():
    plan = POOLED.plan(np.zeros((10, 6, 5, 2), np.float32), tile=4)
    assert plan.shape == (10, 10)
    assert (plan.tiles, plan.entries) == (6, 55)
    assert plan.pixel_pairs == 30**2
    assert plan.result_bytes == 400
    assert plan.work_bytes == 4 * 4 * plan.entry_bytes
    assert plan.products == 30**2 * 2
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


UP = nn.Serial(nn.Resize(8), nn.Conv(8, 3), nn.Relu())
DOWN = nn.Serial(nn.Resize(4), nn.Conv(8, 3))
HEAD = (nn.GlobalAvgPool(), nn.Dense(1))


@pytest.mark.parametrize(
    ("layers", "largest"),
    [
        ((nn.Conv(8, 3), nn.Relu(), nn.Resize(12), nn.Conv(8, 3), nn.Relu(), *HEAD), 12**4),
        ((nn.Conv(8, 3), nn.Relu(), nn.Resize(12, "nearest"), nn.Conv(8, 3), nn.Flatten()), 12**2),
        ((nn.Conv(8, 3), nn.Relu(), nn.ConvTranspose(8, 3, stride=3), nn.Relu(), *HEAD), 12**4),
        ((nn.LinearMap((np.eye(9, 4), None)), nn.Conv(8, 3), nn.Relu(), nn.AvgPool(2), nn.Flatten()), (9 * 4) ** 2),
        ((nn.Conv(8, 3), nn.Residual(nn.Serial(UP, DOWN)), *HEAD), 8**4),
        ((nn.Conv(8, 3), nn.Repeat(nn.Serial(UP, DOWN), 5), *HEAD), 8**4),
        ((nn.Conv(8, 3), *(UP, DOWN) * 5, *HEAD), 8**4),
        ((nn.Conv(8, 3), nn.AvgPool(2), nn.Conv(8, 3), nn.Relu(), *HEAD), 4**4),
        ((nn.Dense(8), nn.SelfAttention(8, scale="1/d"), nn.Flatten()), 4**4),
    ],
)
def test_a_plan_counts_the_largest_images_on_the_way(layers, largest):
    plan = wf.Kernel(nn.Serial(*layers)).plan(np.zeros((3, 4, 4, 2), np.float32))
    assert plan.pixel_pairs == largest
    assert plan.entry_bytes == 40 * largest


def test_a_matrix_of_enlarged_images_that_does_not_fit_is_refused():
    net = nn.Serial(nn.Conv(8, 3), nn.Relu(), nn.Resize(48), nn.Conv(8, 3), nn.Relu(), *HEAD)
    x = np.zeros((12, 16, 16, 3), np.float32)
    with pytest.raises(ValueError, match=r"202 MiB for a tile of 1 × 1; give more memory$"):
        wf.gram(wf.Kernel(net), x, memory=100 * 2**20)
    assert wf.Kernel(net).plan(x).tile == 1


def test_a_network_on_planes_holds_one_plane():
    plan = POOLED.plan(np.zeros((10, 6, 5, 2), np.float32))
    assert (plan.entry_bytes, plan.pixel_pairs) == (40 * 30, 30**2)


def test_the_diagonal_counts_all_pairs_of_pixels_and_both_inputs():
    plan = POOLED.plan(np.zeros((300, 16, 16, 3), np.float32))
    assert plan.diagonal_rows == WORK_BYTES // (2 * 40 * 256**2)
    assert POOLED.plan(np.zeros((2, 64, 64, 3))).diagonal_rows == 1


def test_the_diagonal_is_that_of_the_matrix_in_batches_and_inside_transformations():
    x = np.random.default_rng(0).standard_normal((3, 4, 4, 2)).astype(np.float32)
    diagonal = POOLED.diag(x).ntk
    np.testing.assert_allclose(diagonal, np.diagonal(POOLED.ntk(x)), rtol=1e-5)
    np.testing.assert_allclose(jax.jit(lambda kernel, x: kernel.diag(x).ntk)(POOLED, x), diagonal, rtol=1e-6)


def test_the_nngp_alone_goes_through_the_same_tiles_as_both():
    x = np.random.default_rng(0).standard_normal((22, 12, 12, 2)).astype(np.float32)
    plan = POOLED.plan(x)
    assert plan.entries * plan.pixel_pairs >= 2**22  # many enough for planes
    np.testing.assert_array_equal(POOLED.nngp(x), POOLED(x).nngp)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"tile": 0}, ValueError, "at least one row, got tile=0"),
        ({"tile": -3}, ValueError, "at least one row, got tile=-3"),
        ({"tile": 2.5}, TypeError, "tile must be a whole number of rows.*got 2.5"),
        ({"tile": True}, TypeError, "tile must be a whole number of rows"),
        ({"memory": "1GB"}, TypeError, "memory must be a number of bytes.*got '1GB'"),
        ({"memory": 0}, ValueError, "positive number of bytes, got 0"),
        ({"memory": float("nan")}, ValueError, "positive number of bytes, got nan"),
    ],
)
def test_options_that_mean_nothing_are_refused(options, error, message):
    with pytest.raises(error, match=message):
        plan_of(VECTORS.net, (3, 3), (4,), np.dtype(np.float32), symmetric=True, **options)


def test_a_plan_refuses_tiles_without_rows():
    with pytest.raises(ValueError, match="at least one row"):
        VECTORS.plan(np.zeros((3, 4)), tile=0)
