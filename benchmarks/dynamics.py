"""Training dynamics: many times beside one `eigh`, and a large kernel from products alone.

    python benchmarks/dynamics.py [--large] [--repeats 3] [--points 3000]

Without `--large`: 100 times and 10 outputs on N = 3,000 points by square loss, alternating with one float64 `eigh` of
that size. With `--large`: N = 20,000 points without eigenvectors, to a relative error of 1e-6, with the memory beyond
the kernel (the process's peak resident size less that before), and the time of another hundred times.
"""

import argparse
import os
import platform
import resource
import statistics
import time
from collections.abc import Callable

import numpy as np
import scipy
from scipy.linalg import eigh

import wideflow as wf
from wideflow import dynamics, nn

TIMES = np.geomspace(1e-2, 1e4, 100)
OUTPUTS = 10


def problem(points: int) -> tuple[np.ndarray, np.ndarray]:
    """A ReLU network's NTK in float64 on vectors of 20 numbers, and noisy targets."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((points, 20))
    net = nn.Serial(*[part for _ in range(3) for part in (nn.Dense(512, 1.4, 0.1), nn.Relu())], nn.Dense(1))
    y = np.tanh(x @ rng.standard_normal((20, OUTPUTS))) + 0.1 * rng.standard_normal((points, OUTPUTS))
    return wf.gram(wf.Kernel(net), x), y


def seconds(call: Callable) -> float:
    """Wall time of one call."""
    start = time.perf_counter()
    call()
    return time.perf_counter() - start


def peak() -> float:
    """The largest resident size so far, in GiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20


def beside_eigh(points: int, repeats: int) -> None:
    """The whole trajectory on the training points against one `eigh`."""
    kernel, y = problem(points)
    ours = lambda: wf.Trajectory(kernel, y, wf.GradientFlow()).train(TIMES)  # noqa: E731
    plain = lambda: eigh(kernel, driver="evd")  # noqa: E731
    for call in (ours, plain):
        call()
    taken = [(seconds(ours), seconds(plain)) for _ in range(repeats)]
    trajectory, factor = (statistics.median(column) for column in zip(*taken, strict=True))
    print(
        f"N = {points:,}, {len(TIMES)} times, {OUTPUTS} outputs: {trajectory:.2f} s, "
        f"eigh {factor:.2f} s, {trajectory / factor:.2f} ×, medians of {repeats}: "
        + ", ".join(f"{a:.2f}/{b:.2f}" for a, b in taken)
    )


def without_eigenvectors(points: int) -> None:
    """Products alone: time, memory and the error that was estimated."""
    kernel, y = problem(points)
    before = peak()
    print(dynamics.plan(kernel), flush=True)
    print(f"kernel computed, resident at most {before:.2f} GiB so far", flush=True)
    tr = wf.Trajectory(kernel, y, wf.GradientFlow(), solver=dynamics.Krylov(progress=True))
    for name, times in (("first hundred times", TIMES), ("another hundred", 1.01 * TIMES[:-1]), ("t = ∞", None)):
        taken = seconds(lambda times=times: tr.train(times))
        print(f"{name}: {taken:.1f} s, {tr.filter.effort}, {peak() - before:.2f} GiB beyond the kernel", flush=True)


def main() -> None:
    """Print what was measured."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large", action="store_true", help="N = 20,000 from products alone")
    parser.add_argument("--points", type=int)
    parser.add_argument("--repeats", type=int, default=3)
    arguments = parser.parse_args()
    print(f"{platform.processor() or platform.machine()}, {os.cpu_count()} cores, ", end="")
    print(f"NumPy {np.__version__}, SciPy {scipy.__version__}, load {os.getloadavg()[0]:.1f}", flush=True)
    if arguments.large:
        without_eigenvectors(arguments.points or 20_000)
    else:
        beside_eigh(arguments.points or 3_000, arguments.repeats)


if __name__ == "__main__":
    main()
