"""What a kernel matrix will take, told beforehand."""

import json
import subprocess
import sys
from functools import partial
from pathlib import Path

import jax
import numpy as np
import pytest

import wideflow as wf
from wideflow import nn
from wideflow.kernels.kernel import _by_planes, kernels_within
from wideflow.kernels.plan import WORK_BYTES, plan_of
from wideflow.kernels.tile import cores

VECTORS = wf.Kernel(nn.Serial(nn.Dense(8), nn.Relu(), nn.Dense(1)))
POOLED = wf.Kernel(nn.Serial(nn.Conv(8, 3), nn.Relu(), nn.GlobalAvgPool(), nn.Dense(1)))


def test_a_plan_counts_tiles_bytes_and_pairs_of_pixels():
    plan = POOLED.plan(np.zeros((10, 6, 5, 2), np.float32), tile=4)
    assert plan.shape == (10, 10)
    assert (plan.tiles, plan.entries) == (6, 55)
    assert plan.pixel_pairs == 30**2
    assert plan.result_bytes == 400
    assert plan.work_bytes == (4 * 4 + 4 + 4) * 30**2 * plan.pair_bytes  # so few go at once
    assert plan.products == 30**2 * 2
    rectangle = POOLED.plan(np.zeros((10, 6, 5, 2)), np.zeros((3, 6, 5, 2)), tile=4)
    assert (rectangle.tiles, rectangle.entries, rectangle.result_bytes) == (3, 30, 240)


def test_a_plan_reads_like_a_table():
    assert str(VECTORS.plan(np.zeros((20_000, 784), np.float32), memory=2**31)).splitlines() == [
        "matrix   20,000 × 20,000, float32",
        "result   1.49 GiB in memory",
        "tiles    55 of 2,134 × 2,134, one triangle",
        "work     348 MiB at a time, 80 B an entry",
        "memory   1.83 GiB of 2 GiB",
        "product  3.1e+11 operations",
        "elements 2.0e+08 for every layer to visit",
    ]


@pytest.mark.slow
def test_tiles_shrink_with_the_budget_and_values_stay():
    x = np.random.default_rng(0).standard_normal((9, 4, 4, 2))
    roomy, tight = POOLED.plan(x), POOLED.plan(x, memory=9 * 9 * 8 + 60_000)
    assert tight.tile < roomy.tile
    assert tight.total_bytes <= 9 * 9 * 8 + 60_000
    K = wf.gram(POOLED, x, memory=9 * 9 * 8 + 60_000)
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
    assert plan.entry_bytes == 80 * largest


def test_a_matrix_of_enlarged_images_that_does_not_fit_is_refused():
    net = nn.Serial(nn.Conv(8, 3), nn.Relu(), nn.Resize(48), nn.Conv(8, 3), nn.Relu(), *HEAD)
    x = np.zeros((12, 16, 16, 3), np.float32)
    with pytest.raises(ValueError, match=r"1.19 GiB for a tile of 1 × 1; give more memory$"):
        wf.gram(wf.Kernel(net), x, memory=2**30)
    assert wf.Kernel(net).plan(x).tile == 1


def test_a_network_on_planes_holds_one_plane():
    plan = POOLED.plan(np.zeros((10, 6, 5, 2), np.float32))
    assert (plan.entry_bytes, plan.pixel_pairs) == (80 * 30, 30**2)


def test_small_planes_that_go_together_are_counted():
    x = np.zeros((40, 16, 16, 3), np.float32)
    plan = POOLED.plan(x, memory=2**30)
    assert not plan.goes_at_once
    assert plan.work_bytes == cores() * 2**18 * plan.pair_bytes
    assert POOLED.plan(x, memory=2**24).work_bytes < 2**24 / 1.5


def test_nonlinearities_by_quadrature_go_with_all_pairs_of_pixels():
    net = nn.Serial(nn.Conv(8, 3), nn.Tanh(), *HEAD)
    plan = wf.Kernel(net).plan(np.zeros((2, 8, 8, 3), np.float32))
    assert plan.entry_bytes == 80 * 64**2


@pytest.mark.parametrize("rectangle", [False, True])
def test_an_accelerator_takes_planes_where_all_pairs_of_pixels_do_not_fit(rectangle, monkeypatch):
    x = np.random.default_rng(0).standard_normal((5, 4, 4, 2)).astype(np.float32)
    x2 = x[1:4] if rectangle else None
    expected = POOLED(x, x2)
    monkeypatch.setattr(jax, "default_backend", lambda: "gpu")
    monkeypatch.setattr("wideflow.kernels.kernel._kernels", None)  # every pair of pixels
    for value, right in zip(kernels_within(POOLED.net, x, x2, room=80_000), expected, strict=True):
        np.testing.assert_allclose(value, right, rtol=3e-6)
    with pytest.raises(TypeError):
        kernels_within(POOLED.net, x, x2)
    monkeypatch.setattr("wideflow.kernels.kernel._by_planes", partial(_by_planes, room=80_000))
    monkeypatch.setattr("wideflow.kernels.kernel._nngp", None)
    np.testing.assert_allclose(POOLED.nngp(x, x2), expected.nngp, rtol=3e-6)


MEASURE = """
import ctypes, json, sys
import numpy as np
import wideflow as wf
from wideflow import nn

def bytes_of(name):
    rows = (line.split() for line in open("/proc/self/status"))
    return 1024 * next(int(row[1]) for row in rows if row[0] == name + ":")

def peak(work):
    work()
    ctypes.CDLL("libc.so.6").malloc_trim(0)
    open("/proc/self/clear_refs", "w").write("5")
    before = bytes_of("VmRSS")
    work()
    return bytes_of("VmHWM") - before

layers = (nn.Conv(8, 3, 1.4), nn.Relu())
HEAD = (nn.GlobalAvgPool(), nn.Dense(1))
cases = {
    "planes": (nn.Serial(*layers * 3, *HEAD), (40, 8, 8, 3), 24),
    "pairs": (nn.Serial(*layers, nn.AvgPool(2), *layers, *HEAD), (12, 12, 12, 3), 60),
    "vectors": (nn.Serial(nn.Dense(8, 1.4, 0.1), nn.Erf(), nn.Dense(1)), (3000, 20), 100),
    "quadrature": (nn.Serial(nn.Conv(8, 3), nn.Tanh(), *HEAD), (30, 8, 8, 3), 80),
}
for name, (net, shape, budget) in cases.items():
    x, memory = np.random.default_rng(0).standard_normal(shape).astype(np.float32), budget * 2**20
    print(json.dumps([name, peak(lambda: wf.gram(wf.Kernel(net), x, memory=memory)), memory]))
"""


@pytest.mark.skipif(not Path("/proc/self/clear_refs").exists(), reason="peaks of memory are read from Linux")
def test_a_matrix_takes_no_more_memory_than_it_may():
    printed = subprocess.run([sys.executable, "-c", MEASURE], capture_output=True, text=True, check=True).stdout
    rows = [json.loads(line) for line in printed.splitlines()]
    assert len(rows) == 4
    for name, taken, memory in rows:
        assert memory / 20 < taken < memory, (name, taken, memory)


def test_the_diagonal_counts_all_pairs_of_pixels_and_both_inputs():
    plan = POOLED.plan(np.zeros((300, 16, 16, 3), np.float32))
    assert plan.diagonal_rows == WORK_BYTES // (2 * 80 * 256**2)
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
