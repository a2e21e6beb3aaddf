"""Kernels of infinite networks: time, compilation and error, beside a plain baseline in the same run.

    python benchmarks/kernels.py [--only WORDS] [--repeats 7] [--out FILE.md]

Times are medians of wall times of alternating calls. Before each, no thread may be at work: XLA gives back the memory
of a call after its result is there, which takes 0.1 s for the plain recursion of depth 20 and would slow down the next.
`floor` is the float32 (float64) product X Xᵀ for vectors, and for images one read and one write of both kernels for
every layer and pixel pair at 10 GB/s. `error`: largest difference from float64 in units of √(K_ii K_jj), over both
kernels.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import baseline
import jax
import jax.numpy as jnp
import numpy as np

import wideflow as wf
from wideflow import nn

BYTES_PER_SECOND = 10e9
IDLE = 0.02  # seconds


@dataclass
class Work:
    """One row of the table; `entries` divides the times where a row is per entry."""

    name: str
    ours: Callable[[], tuple]
    plain: Callable[[], tuple] | None
    floor: Callable[[], object] | float
    exact: Callable[[], tuple]
    entries: int = 1


def vectors(activation: str, depth: int, d: int, dtype: type, b: float | None = None, n: int = 2000) -> Work:
    """A fully connected network on `n` vectors."""
    x = np.random.default_rng(0).standard_normal((n, d)).astype(dtype)
    layer, dual = {
        "relu": (nn.Relu(), baseline.relu),
        "erf": (nn.Erf(), baseline.erf),
        "gelu": (nn.Gelu(), baseline.gelu),
    }[activation]
    w = 1.4
    net = nn.Serial(*[part for _ in range(depth) for part in (nn.Dense(512, w, b), layer)], nn.Dense(1, w, b))
    kernel, few = wf.Kernel(net), x[:50].astype(np.float64)
    bias = "" if b is None else f" b={b}"
    device = in_dtype(dtype, lambda: jnp.asarray(x))
    product = jax.jit(lambda x: x @ x.T)
    return Work(
        f"{activation} depth {depth}, d = {d}, N = {n}, {np.dtype(dtype).name}{bias}",
        lambda: kernel(x),
        lambda: in_dtype(dtype, lambda: baseline.fully_connected(dual, depth, w, b or 0.0, device)),
        lambda: in_dtype(dtype, lambda: product(device)),
        lambda: kernel(few),
    )


def images(
    size: int, pooled: bool, n1: int, n2: int, depth: int = 21, plain: bool = True, dtype: type = np.float32
) -> Work:
    """A 3 × 3 convolutional network on images, per entry."""
    rng = np.random.default_rng(0)
    x1, x2 = (rng.standard_normal((n, size, size, 3)).astype(dtype) for n in (n1, n2))
    tail = nn.GlobalAvgPool() if pooled else nn.Flatten()
    net = nn.Serial(*[part for _ in range(depth) for part in (nn.Conv(64, 3, 1.4), nn.Relu())], tail, nn.Dense(1))
    kernel = wf.Kernel(net)
    pairs = size**4 if pooled else size**2
    few = [jnp.asarray(x[:1]) for x in (x1, x2)]
    return Work(
        f"CNN {depth} layers, {size}×{size}, {type(tail).__name__}, {np.dtype(dtype).name}, an entry",
        lambda: kernel(x1, x2),
        (lambda: baseline.convolutional(depth, 1.4, pooled, *few)) if plain else None,
        n1 * n2 * pairs * depth * 2 * 2 * np.dtype(dtype).itemsize / BYTES_PER_SECOND,
        lambda: kernel(x1[:1].astype(np.float64), x2[:1].astype(np.float64)),
        n1 * n2,
    )


def myrtle(depth: int, size: int, n: int) -> Work:
    """The Myrtle networks of Shankar et al. 2020: pooling inside."""
    rng = np.random.default_rng(0)
    x1, x2 = (rng.standard_normal((n, size, size, 3)).astype(np.float32) for _ in range(2))
    conv = (nn.Conv(64, 3, 2**0.5), nn.Relu())
    blocks = {5: (2, 1, 1), 10: (3, 3, 3)}[depth]
    body = [part for times in blocks for part in (*conv * times, nn.AvgPool(2))]
    kernel = wf.Kernel(nn.Serial(*body, nn.GlobalAvgPool(), nn.Dense(1)))
    return Work(
        f"Myrtle-{depth}, {size}×{size}, float32, an entry",
        lambda: kernel(x1, x2),
        None,
        n * n * size**4 * 2 * 2 * 2 * 4 / BYTES_PER_SECOND,
        lambda: kernel(x1[:1].astype(np.float64), x2[:1].astype(np.float64)),
        n * n,
    )


def all_work() -> list[Work]:
    """Every row of the table."""
    f32, f64 = np.float32, np.float64
    fully = [vectors("relu", depth, d, f32) for d in (784, 32) for depth in (1, 5, 20)]
    fully += [vectors("relu", 20, 32, f32, 0.1)] + [vectors("relu", depth, 784, f64) for depth in (1, 5, 20)]
    fully += [vectors(name, 20, 32, f32, 0.1) for name in ("erf", "gelu")]
    return [
        *fully,
        images(32, False, 32, 32),
        images(8, True, 64, 64),
        images(16, True, 32, 32),
        images(32, True, 8, 32, plain=False),
        images(32, True, 4, 32, plain=False, dtype=np.float64),
        myrtle(5, 16, 8),
        myrtle(10, 16, 8),
    ]


def in_dtype(dtype: type, compute: Callable) -> object:
    """`compute()` with 64-bit types where `dtype` is float64."""
    if dtype == np.float64:
        with jax.enable_x64(True):
            return compute()
    return compute()


def settle() -> None:
    """Wait until no thread of this process works: what a call frees after its result must not slow down the next."""
    while True:
        before = time.process_time()
        time.sleep(IDLE)
        if time.process_time() - before < IDLE / 10:
            return


def seconds(call: Callable) -> float:
    """Wall time of one call."""
    settle()
    start = time.perf_counter()
    jax.block_until_ready(call())
    return time.perf_counter() - start


def error(work: Work) -> float:
    """The largest difference from float64 over both kernels, in units of √(K_ii K_jj), or of the entry for images."""
    worst = 0.0
    for value, right in zip(work.ours(), work.exact(), strict=True):
        right = np.asarray(right)
        part = np.asarray(value, np.float64)[tuple(map(slice, right.shape))]
        square = right.shape[0] == right.shape[1] > 1
        unit = np.sqrt(np.outer(np.diagonal(right), np.diagonal(right))) if square else np.abs(right)
        worst = max(worst, float(np.max(np.abs(part - right) / unit)))
    return worst


def row(work: Work, repeats: int) -> str:
    """One line of the table."""
    first = seconds(work.ours)
    calls = [work.ours, *([] if work.plain is None else [work.plain])]
    calls += [work.floor] if callable(work.floor) else []
    firsts = [seconds(call) for call in calls]
    times = [[] for _ in calls]
    for _ in range(repeats):
        for call, taken in zip(calls, times, strict=True):
            taken.append(seconds(call))
    medians = [statistics.median(taken) for taken in times]
    ours = medians[0] / work.entries
    plain = medians[1] if work.plain is not None else None
    floor = medians[-1] if callable(work.floor) else work.floor / work.entries
    cells = [
        work.name,
        f"{ours * 1e3:.3g}",
        "–" if plain is None else f"{plain * 1e3:.3g}",
        "–" if plain is None else f"{plain / ours:.1f} ×",
        f"{floor * 1e3:.3g}",
        f"{ours / floor:.1f} ×",
        f"{max(0.0, first - medians[0]):.1f}",
        "–" if plain is None else f"{max(0.0, firsts[1] - medians[1]):.1f}",
        f"{error(work):.0e}",
    ]
    return f"| {' | '.join(cells)} |"


def product_rate(n: int = 2000) -> float:
    """Operations a second of a large product of NumPy: how fast this machine is."""
    x = np.ones((n, n), np.float32)
    return 2 * n**3 / statistics.median(seconds(lambda: x @ x) for _ in range(5))


def processor() -> str:
    """The name of the processor, as far as the system tells."""
    info = Path("/proc/cpuinfo")
    names = [line.split(":")[1].strip() for line in info.read_text().splitlines() if line.startswith("model name")]
    return names[0] if names else platform.processor()


def main() -> None:
    """Print the table row by row; write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    lines = [
        f"# Kernels on {processor()}, {os.cpu_count()} cores",
        "",
        f"JAX {jax.__version__}, NumPy {np.__version__}, Python {platform.python_version()}. Times in ms, medians of "
        f"{arguments.repeats}; compile: seconds of the first call beyond the median. A float32 product of NumPy has "
        f"{product_rate() / 1e9:.0f} GFLOP/s here. See `benchmarks/kernels.py`.",
        "",
        "| work | wideflow | baseline | faster | floor | above floor | compile | baseline's | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for work in all_work():
        if arguments.only in work.name:
            lines.append(row(work, arguments.repeats))
            print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
