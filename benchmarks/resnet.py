"""The NTK, traced over ten outputs, of a ResNet-18 on images of the size of CIFAR's: time and peak memory.

    python benchmarks/resnet.py [--images 256] [--memory 12] [--plan]

Group normalization, 11.2 million parameters, random images and weights. `memory`: GiB of work arrays that the kernel is
allowed. Each run is a process of its own, since the peak of a process does not fall.
"""

import argparse
import resource
import time
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from wideflow.finite import EmpiricalKernel

GROUPS = 8
STAGES = ((64, 1), (128, 2), (256, 2), (512, 2))  # channels and first stride of two blocks each


def draw(rng: np.random.Generator, *shape: int) -> jax.Array:
    """Weights of variance 2 / fan-in."""
    return jnp.asarray(rng.standard_normal(shape) * (2 / np.prod(shape[:-1])) ** 0.5, jnp.float32)


def parameters() -> dict[str, Any]:
    """11.2 million of them."""
    rng, channels, blocks = np.random.default_rng(0), 64, []
    norm = lambda c: {"scale": jnp.ones(c), "shift": jnp.zeros(c)}  # noqa: E731
    for out, stride in STAGES:
        for s in (stride, 1):
            block = {"one": draw(rng, 3, 3, channels, out), "two": draw(rng, 3, 3, out, out)}
            block |= {"norm one": norm(out), "norm two": norm(out)}
            blocks.append(block | ({"skip": draw(rng, 1, 1, channels, out)} if s > 1 else {}))
            channels = out
    return {"stem": draw(rng, 3, 3, 3, 64), "norm": norm(64), "blocks": blocks, "out": draw(rng, channels, 10)}


def convolved(x: jax.Array, weights: jax.Array, stride: int = 1) -> jax.Array:
    """A convolution that keeps the size of the image, but for its stride."""
    dims = ("NHWC", "HWIO", "NHWC")
    return jax.lax.conv_general_dilated(x, weights, (stride, stride), "SAME", dimension_numbers=dims)


def normalized(x: jax.Array, p: dict[str, jax.Array]) -> jax.Array:
    """Groups of channels of one image with mean 0 and variance 1."""
    grouped = x.reshape(len(x), -1, GROUPS, x.shape[-1] // GROUPS)
    mean = jnp.mean(grouped, axis=(1, 3), keepdims=True)
    variance = jnp.mean((grouped - mean) ** 2, axis=(1, 3), keepdims=True)
    return ((grouped - mean) * jax.lax.rsqrt(variance + 1e-5)).reshape(x.shape) * p["scale"] + p["shift"]


def resnet(params: dict[str, Any], x: jax.Array) -> jax.Array:
    """Outputs `[n, 10]` of images `[n, 32, 32, 3]`."""
    h = jax.nn.relu(normalized(convolved(x, params["stem"]), params["norm"]))
    for block in params["blocks"]:
        stride = 2 if "skip" in block else 1
        inner = jax.nn.relu(normalized(convolved(h, block["one"], stride), block["norm one"]))
        inner = normalized(convolved(inner, block["two"]), block["norm two"])
        h = jax.nn.relu(inner + (convolved(h, block["skip"], 2) if "skip" in block else h))
    return h.mean(axis=(1, 2)) @ params["out"]


def main() -> None:
    """Print the plan, then times and memory."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=int, default=256)
    parser.add_argument("--memory", type=float, default=12)
    parser.add_argument("--plan", action="store_true", help="print the plan alone")
    arguments = parser.parse_args()
    params, rng = parameters(), np.random.default_rng(1)
    x = jnp.asarray(rng.standard_normal((arguments.images, 32, 32, 3)), jnp.float32)
    kernel = EmpiricalKernel(resnet, params, memory=int(arguments.memory * 2**30))
    print(kernel.plan(x), flush=True)
    if arguments.plan:
        return
    wall, core = time.perf_counter(), time.process_time()
    theta = np.asarray(kernel.ntk(x))
    wall, core = time.perf_counter() - wall, time.process_time() - core
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    eigenvalues = np.linalg.eigvalsh(theta.astype(np.float64))
    print(f"{arguments.images} images: {wall:.0f} s, {core:.0f} core-s, first call; peak {peak:.1f} GiB; ", end="")
    print(f"eigenvalues {eigenvalues[0]:.3g} … {eigenvalues[-1]:.3g}")


if __name__ == "__main__":
    main()
