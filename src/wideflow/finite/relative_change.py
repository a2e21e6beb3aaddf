"""How far trees of arrays, as parameters or preactivations, have moved."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np


def relative_change(new: Any, old: Any) -> float:
    """‖A − B‖/‖B‖ of all numbers of two trees together, A `new` and B `old`; float64.

    Leaves that are not arrays of floating point (or complex) numbers do not count. With the width n and NTK
    parameterization, weights of input and output change by n^(−1/2) of themselves and all weights together by 1/n of
    themselves in networks with hidden n × n matrices.
    Errors: ValueError for trees of different structure or shapes, and where everything in `old` is zero.
    Source: Lee et al. 2019, figure 1.
    """
    pairs = _pairs(new, old)[0]
    if not any(_counts(b) for _, b in pairs):
        raise ValueError("relative_change: wanted arrays of floating point numbers, `old` holds none")
    change, size = (np.linalg.norm([norms[i] for norms in map(_norms, pairs)]) for i in (0, 1))
    if size == 0:
        raise ValueError("relative_change: `old` is zero everywhere, and no change is relative to it; compare ‖new‖")
    return float(change / size)


def relative_changes(new: Any, old: Any) -> Any:
    """`relative_change` leaf by leaf: a tree of numbers like `old`, None where a leaf holds no floating point numbers.

    A leaf that was zero has the change 0 if it still is, infinity otherwise. Errors: ValueError for trees that differ.
    """
    pairs, treedef = _pairs(new, old)
    return jax.tree.unflatten(treedef, [_ratio(*_norms(pair)) if _counts(pair[1]) else None for pair in pairs])


def _pairs(new: Any, old: Any) -> tuple[list[tuple[Any, Any]], Any]:
    leaves, treedef = jax.tree.flatten(old)
    moved, other = jax.tree.flatten(new)
    if other != treedef:
        raise ValueError(f"relative_change: wanted two trees of one structure, got {other} and {treedef}")
    for a, b in zip(moved, leaves, strict=True):
        if np.shape(a) != np.shape(b):
            raise ValueError(f"relative_change: wanted leaves of one shape, got {np.shape(a)} beside {np.shape(b)}")
    return list(zip(moved, leaves, strict=True)), treedef


def _counts(leaf: Any) -> bool:
    return hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact)


def _norms(pair: tuple[Any, Any]) -> tuple[float, float]:
    """‖A − B‖ and ‖B‖."""
    if not _counts(pair[1]):
        return 0.0, 0.0
    wide = np.complex128 if jnp.issubdtype(pair[1].dtype, jnp.complexfloating) else np.float64
    new, old = (np.asarray(leaf).astype(wide).ravel() for leaf in pair)
    return float(np.linalg.norm(new - old)), float(np.linalg.norm(old))


def _ratio(change: float, size: float) -> float:
    return change / size if size else (np.inf if change else 0.0)
