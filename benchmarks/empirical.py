"""Kernels of finite networks: core time of every method, beside plain Jacobians and the operations that are needed.

    NPROC=1 python benchmarks/empirical.py [--only WORDS] [--repeats 9] [--out FILE.md]
    python benchmarks/empirical.py --wall [--only WORDS] [--repeats 25] [--out FILE.md]

Times are core times (`time.process_time`), least of the calls; with `NPROC=1` XLA runs on one thread. With `--wall`:
medians of wall times, on all cores. In brackets what the plan foresees, in 10⁹ operations; methods foreseen to take
over 10 times the chosen one's are not run. `plain`: `jax.jacrev` of each input, contracted, in one `jax.jit`. `floor`:
for fully connected networks the same kernel from inputs and cotangents, written out for this network alone. `above
best`: time of the method that "auto" chooses, over the least of those that were run. `error`: largest difference from
`plain`, over its largest entry.
"""

import argparse
import os
import platform
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from kernels import processor, settle
from wideflow import nn
from wideflow.finite import EmpiricalKernel

METHODS = ("structured", "jacobian", "products")


@dataclass
class Work:
    """One row of the table."""

    name: str
    f: Callable[[Any, Any], Any]
    params: Any
    x: jax.Array
    outputs: str
    hidden: int = 0  # layers, of a fully connected ReLU network whose floor is known


def normal(*shape: int) -> jax.Array:
    """Standard normal inputs."""
    return jnp.asarray(np.random.default_rng(0).standard_normal(shape), jnp.float32)


def network(name: str, net: nn.Layer, x: jax.Array, outputs: str, hidden: int = 0) -> Work:
    """A row for a network made of layers."""
    return Work(name, net.apply, net.init(jax.random.key(0), x), x, outputs, hidden)


def connected(width: int, n: int, outputs: str, out: int = 10, hidden: int = 3, d: int = 784) -> Work:
    """A fully connected ReLU network."""
    body = [part for _ in range(hidden) for part in (nn.Dense(width), nn.Relu())]
    name = f"FC {hidden} × {width}, {out} outputs, {n} inputs of {d}, {outputs}"
    return network(name, nn.Serial(*body, nn.Dense(out)), normal(n, d), outputs, hidden)


def convolutional(channels: int, size: int, n: int, outputs: str) -> Work:
    """Four 3 × 3 convolutions and 10 outputs."""
    body = [part for _ in range(4) for part in (nn.Conv(channels, 3), nn.Relu())]
    name = f"CNN 4 × {channels}, {size}×{size}, 10 outputs, {n} inputs, {outputs}"
    return network(name, nn.Serial(*body, nn.GlobalAvgPool(), nn.Dense(10)), normal(n, size, size, 3), outputs)


def recurrent(width: int, length: int, n: int) -> Work:
    """A recurrent network, its weights shared by all steps of a scan."""
    params = {"U": normal(16, width) / 4, "V": normal(width, width) / width**0.5, "out": normal(width, 4)}

    def f(p: dict, x: jax.Array) -> jax.Array:
        step = lambda h, u: (jnp.tanh(h @ p["V"] + u @ p["U"]), None)  # noqa: E731
        return jax.lax.scan(step, jnp.zeros((len(x), width)), x.swapaxes(0, 1))[0] @ p["out"]

    return Work(
        f"RNN of {width}, {length} steps, 4 outputs, {n} inputs, trace", f, params, normal(n, length, 16), "trace"
    )


def tied(width: int, d: int, n: int, outputs: str) -> Work:
    """An autoencoder whose decoder is the encoder's transpose, so that the weights have no inputs of their own."""
    f = lambda W, x: jnp.tanh(x @ W) @ W.T  # noqa: E731
    name = f"tied autoencoder of {width}, {n} inputs of {d}, {outputs}"
    return Work(name, f, normal(d, width) / d**0.5, normal(n, d), outputs)


def embedded(tokens: int, width: int, length: int, n: int) -> Work:
    """Tokens read from a table, a dense layer, and the mean over tokens."""
    params = {"table": normal(tokens, width), "W": normal(width, width) / width**0.5, "out": normal(width, 4)}
    f = lambda p, x: jnp.mean(jnp.tanh(p["table"][x] @ p["W"]), axis=1) @ p["out"]  # noqa: E731
    x = jnp.asarray(np.random.default_rng(0).integers(0, tokens, (n, length)))
    name = f"{tokens:,} tokens of {width}, {length} in each of {n} inputs, 4 outputs, trace"
    return Work(name, f, params, x, "trace")


def all_work() -> list[Work]:
    """Every row of the table."""
    return [
        *(connected(512, n, outputs) for n in (64, 256) for outputs in ("full", "trace")),
        connected(2048, 64, "full"),
        connected(64, 4, "full", out=200, hidden=1, d=32),
        connected(16, 64, "trace", hidden=2, d=8),
        convolutional(64, 32, 8, "trace"),
        convolutional(8, 8, 16, "trace"),
        recurrent(64, 20, 16),
        tied(256, 64, 16, "trace"),
        tied(64, 256, 2, "full"),
        embedded(10_000, 64, 32, 16),
    ]


def plain(work: Work) -> Callable[[Any, jax.Array], jax.Array]:
    """Jacobians of each input by reverse mode, contracted."""
    terms = "iap,jbp->ijab" if work.outputs == "full" else "iap,jap->ij"

    def kernel(params: Any, x: jax.Array) -> jax.Array:
        of_row = lambda row: jax.jacrev(lambda p: work.f(p, row[None])[0])(params)  # noqa: E731
        flat = [j.reshape(*j.shape[:2], -1) for j in jax.tree.leaves(jax.vmap(of_row)(x))]
        total = sum(jnp.einsum(terms, j, j) for j in flat)
        return total if work.outputs == "full" else total / flat[0].shape[1]

    return jax.jit(kernel)


def floor(work: Work) -> Callable[[Any, jax.Array], jax.Array]:
    """The kernel of a fully connected ReLU network without biases, written out."""

    def kernel(params: Any, x: jax.Array) -> jax.Array:
        weights = [W / len(W) ** 0.5 for W in jax.tree.leaves(params)]
        inputs = [x]
        for W in weights[:-1]:
            inputs.append(jax.nn.relu(inputs[-1] @ W))
        n, out = len(x), weights[-1].shape[1]
        delta = jnp.broadcast_to(jnp.eye(out), (n, out, out))
        total = jnp.zeros((n, out, n, out) if work.outputs == "full" else (n, n))
        for h, W in zip(inputs[::-1], weights[::-1], strict=True):
            rows = delta.reshape(n * out if work.outputs == "full" else n, -1)
            gram, products = h @ h.T / len(W), rows @ rows.T
            if work.outputs == "full":
                total += products.reshape(total.shape) * gram[:, None, :, None]
            else:
                total += products * gram / out
            delta = (delta.reshape(n * out, -1) @ W.T).reshape(n, out, -1) * (h > 0)[:, None]
        return total.swapaxes(1, 2) if work.outputs == "full" else total

    return jax.jit(kernel)


def milliseconds(call: Callable, repeats: int, wall: bool) -> float:
    """Median wall time of some calls, or the least core time."""
    clock = time.perf_counter if wall else time.process_time
    settle()
    times = []
    for _ in range(repeats):
        start = clock()
        jax.block_until_ready(call())
        times.append(1e3 * (clock() - start))
    return statistics.median(times) if wall else min(times)


def row(work: Work, repeats: int, wall: bool) -> str:
    """One line of the table."""
    auto = EmpiricalKernel(work.f, work.params, outputs=work.outputs).plan(work.x)
    foreseen = {name: cost for name, (cost, _) in auto.costs.items() if cost < 10 * auto.operations}
    kernels = {name: EmpiricalKernel(work.f, work.params, name, work.outputs) for name in METHODS if name in foreseen}
    calls = {name: (lambda kernel=kernel: kernel.ntk(work.x)) for name, kernel in kernels.items()}
    count = sum(leaf.size for leaf in jax.tree.leaves(work.params))
    others = {"floor": floor(work)} if work.hidden else {}
    if 4 * count * len(work.x) * jax.eval_shape(work.f, work.params, work.x).shape[1] < 2**30:
        others["plain"] = plain(work)
    calls |= {name: (lambda kernel=kernel: kernel(work.params, work.x)) for name, kernel in others.items()}
    values = {name: np.asarray(call()) for name, call in calls.items()}  # compiles
    right = values.get("plain", values.get("floor"))
    error = np.max(np.abs(values[auto.method] - right)) / np.max(np.abs(right))
    times = {name: milliseconds(call, repeats, wall) for name, call in calls.items()}
    best = min(times[name] for name in kernels)
    cells = [work.name, auto.method]
    cells += [f"{times[m]:.3g} ({foreseen[m] / 1e9:.2g})" if m in foreseen else "–" for m in METHODS]
    cells += [f"{times[name]:.3g}" if name in times else "–" for name in ("plain", "floor")]
    return f"| {' | '.join(cells)} | {times[auto.method] / best - 1:.0%} | {error:.0e} |"


def main() -> None:
    """Print the table row by row; write it where `--out` says."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", default="", help="rows whose name holds this")
    parser.add_argument("--wall", action="store_true", help="wall times on all cores instead of core times")
    parser.add_argument("--repeats", type=int, default=9)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    measured = "Wall times in ms, medians" if arguments.wall else "Core times in ms, least"
    lines = [
        f"# Kernels of finite networks on {processor()}, {os.environ.get('NPROC', os.cpu_count())} cores",
        "",
        f"JAX {jax.__version__}, Python {platform.python_version()}, float32. {measured} of "
        f"{arguments.repeats}; in brackets 10⁹ operations as planned. See `benchmarks/empirical.py`.",
        "",
        "| work | auto | structured | jacobian | products | plain | floor | above best | error |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    print("\n".join(lines), flush=True)
    for work in all_work():
        if arguments.only in work.name:
            lines.append(row(work, arguments.repeats, arguments.wall))
            print(lines[-1], flush=True)
    if arguments.out:
        arguments.out.write_text("\n".join(lines) + "\n")


if __name__ == "__main__":
    main()
