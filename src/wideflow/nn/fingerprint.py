"""What tells arrays and functions from others: digests of contents, for runs that are taken up again."""

import hashlib
import re
from collections.abc import Callable, Iterator
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

_ADDRESS = re.compile(r"0x[0-9a-fA-F]+")  # of an object in memory, different in every process


def fingerprint(tree: Any) -> str:
    """A digest of all leaves of a tree: dtype, shape and bytes of arrays, `repr` of anything else."""
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(tree):
        digest.update(_bytes(leaf))
    return digest.hexdigest()


def fingerprint_of_function(f: Callable[..., Any], *arguments: Any) -> str:
    """A digest of a JAX function by the operations it does on arguments of these shapes, and the arrays it holds.

    The function is traced, not run. Two functions of one digest do the same, up to operations that JAX cannot see
    into; the same function may have another digest under another version of JAX.
    """
    closed = jax.make_jaxpr(f)(*arguments)
    return fingerprint([_ADDRESS.sub("", str(closed)), *_constants(closed)])


def _constants(closed: Any) -> Iterator[Any]:
    """The arrays a jaxpr holds, with those of the jaxprs within."""
    yield from getattr(closed, "consts", ())
    for equation in getattr(closed, "jaxpr", closed).eqns:
        for value in jax.tree.leaves(list(equation.params.values()), is_leaf=_is_jaxpr):
            if _is_jaxpr(value):
                yield from _constants(value)


def _is_jaxpr(value: Any) -> bool:
    return hasattr(getattr(value, "jaxpr", value), "eqns")


def _bytes(leaf: Any) -> bytes:
    if isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key):
        leaf = jax.random.key_data(leaf)
    if not isinstance(leaf, (jax.Array, np.ndarray, np.generic)):
        return f"{_ADDRESS.sub('', repr(leaf))};".encode()
    array = np.asarray(leaf)
    return f"{array.dtype}{array.shape};".encode() + array.tobytes()
