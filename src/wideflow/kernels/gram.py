"""Kernel matrices of any size, computed in tiles."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from pathlib import Path
from typing import Any, Literal, Protocol, runtime_checkable

import jax
import numpy as np

from .batch import checked_pair
from .kernel import Kernel, Kernels, kernels_within
from .plan import plan_of
from .progress import Progress
from .store import Tile, TileStore
from .tile import padded_part


@runtime_checkable
class KernelLike(Protocol):
    """Anything that is called like `Kernel`."""

    def __call__(self, x1: Any, x2: Any = None) -> Kernels:
        """Both kernels between two batches."""
        ...


def gram(
    kernel: KernelLike,
    x1: Any,
    x2: Any = None,
    get: Literal["ntk", "nngp"] = "ntk",
    out: str | Path | None = None,
    progress: bool = False,
    tile: int | None = None,
    memory: int | None = None,
    devices: Sequence[Any] | None = None,
) -> np.ndarray:
    """The kernel matrix `[n1, n2, *pixels]` as a NumPy array, computed in tiles of bounded memory.

    Where `x2` is None the matrix is symmetric: one triangle is computed, the other mirrored. `tile` is the number of
    rows and columns of a tile (any number; a remainder is fine); by default it is chosen so that a tile's work stays
    near 512 MiB, counting every pair of pixels where the network needs them. `memory`: bytes that the matrix and a
    tile's work may take together; `kernel.plan` tells them beforehand. Values do not depend on the tiling beyond the
    rounding of the matrix product of the inputs, and for nonlinearities by quadrature, whose rule is chosen tile by
    tile, beyond 1e-5 in float32 and 1e-12 in float64.

    `out`: a path; the matrix is written there (`.npy`, memory-mapped) and a run that was killed goes on where it
    stopped. `progress`: print tiles done and the time left to standard error. `devices`: JAX devices that compute tiles
    at the same time, by default all of them (a CPU is one device that uses all its cores); the values are the same.

    Errors: those of the kernel, before any tile is computed; ValueError for `get` or `tile`, and where `out` holds
    the tiles of another matrix.
    """
    if get not in ("ntk", "nngp"):
        raise ValueError(f'gram: get must be "ntk" or "nngp", got {get!r}')
    if getattr(kernel, "outputs", None) == "full":
        raise ValueError("gram: a kernel of all pairs of outputs is no matrix; call it, it goes block by block")
    x1, x2 = checked_pair(x1, x2)
    x1, x2 = np.asarray(x1), None if x2 is None else np.asarray(x2)
    shape = (len(x1), len(x1) if x2 is None else len(x2), *_pixels(kernel, x1, get))
    net = kernel.net if isinstance(kernel, Kernel) else None
    plan = plan_of(net, shape, x1.shape[1:], x1.dtype, x2 is None, tile, memory, out is None)
    tile = plan.tile
    key = () if out is None else (_identity(kernel, x1, x2), get, x1, x2)
    store = TileStore.open(shape, x1.dtype, tile, out, key)
    tiles = [t for t in _tiles(shape, tile, symmetric=x2 is None) if t not in store.done]
    within = kernel if net is None else lambda x1, x2=None: kernels_within(net, x1, x2, plan.room)
    compute = lambda at: _tile(within, x1, x2, get, at[0], at[1], tile)  # noqa: E731
    with Progress(len(tiles), "tiles", enabled=progress) as bar:
        for at, values in zip(tiles, _on_devices(compute, tiles, devices), strict=True):
            store.write(at, values, mirror=x2 is None and at[0] != at[1])
            bar.advance()
    return store.finish()


def _identity(kernel: KernelLike, x1: np.ndarray, x2: np.ndarray | None) -> str:
    """What tells a kernel from others: its `identity` where it has one, since functions look alike when printed."""
    identity = getattr(kernel, "identity", None)
    return repr(kernel) if identity is None else identity(x1, x2)


def _on_devices(
    compute: Callable[[Tile], np.ndarray], tiles: list[Tile], devices: Sequence[Any] | None
) -> Iterator[np.ndarray]:
    """The tiles in order, one round after another, each round one tile on every device."""
    if devices is None:
        devices = [] if jax.default_backend() == "cpu" else jax.local_devices()
    if len(devices) < 2:
        with jax.default_device(devices[0]) if devices else nullcontext():
            yield from map(compute, tiles)
        return
    wide = bool(jax.config.jax_enable_x64)  # type: ignore[attr-defined]  # a thread starts with the default

    def on_device(device: Any, tile: Tile) -> np.ndarray:
        with jax.default_device(device), jax.enable_x64(wide):
            return compute(tile)

    with ThreadPoolExecutor(len(devices)) as pool:
        for start in range(0, len(tiles), len(devices)):
            yield from pool.map(on_device, devices, tiles[start : start + len(devices)])


def _tile(kernel: KernelLike, x1: np.ndarray, x2: np.ndarray | None, get: str, i: int, j: int, tile: int) -> np.ndarray:
    """One tile; its rows and columns are padded to full size so that every tile has one shape and compiles once."""
    rows = padded_part(x1, i * tile, tile)
    if x2 is None and i == j:
        values = kernel(rows)
    else:
        values = kernel(rows, padded_part(x1 if x2 is None else x2, j * tile, tile))
    n1, n2 = (len(x) - at * tile for x, at in ((x1, i), (x1 if x2 is None else x2, j)))
    return np.asarray(getattr(values, get))[:n1, :n2]


def _tiles(shape: tuple[int, ...], tile: int, symmetric: bool) -> Iterator[tuple[int, int]]:
    rows, columns = (-(-n // tile) for n in shape[:2])
    for i in range(rows):
        for j in range(i if symmetric else 0, columns):
            yield i, j


def _pixels(kernel: KernelLike, x: np.ndarray, get: str) -> tuple[int, ...]:
    """The pixel axes of the kernel's result; vectors have none, unless outputs of a finite network are apart."""
    if x.ndim == 2 and getattr(kernel, "outputs", "trace") in ("trace", "pseudo"):
        return ()
    if isinstance(kernel, Kernel):
        return kernel.plan(x[:1]).shape[2:]
    return getattr(kernel(x[:1]), get).shape[2:]
