"""Any function of a tree of parameters as a real function of real arrays, for one input at a time."""

import math
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax import Array

from .function_check import noting
from .parameter_check import kind_of

Network = Callable[[Any, Any], Any]


class RealView:
    """`f(params, x)` for one row of x: `outputs(leaves, row)`, a real vector of all outputs.

    `leaves`: the floating point arrays of the parameters that train, complex ones as two, real and imaginary part;
    `names` their paths, `origin` the number of the array in `params` that each comes from. All other leaves stay as
    they are. Outputs are the entries of all output arrays in the order of `jax.tree.leaves`; where they are complex,
    all real parts come before all imaginary parts, and `complex` is set.
    """

    def __init__(self, f: Network, params: Any, trains: Callable[[int], bool], x: Any):
        self.f = f
        everything, self.treedef = jax.tree_util.tree_flatten_with_path(params)
        self.everything = [leaf for _, leaf in everything]
        self.origin, self.names, self.leaves = [], [], []
        for i, (path, leaf) in enumerate(everything):
            if eqx.is_inexact_array(leaf) and leaf.size and trains(i):
                parts = [leaf.real, leaf.imag] if jnp.iscomplexobj(leaf) else [leaf]
                self.leaves += [jnp.asarray(part) for part in parts]
                self.origin += [i] * len(parts)
                self.names += [jax.tree_util.keystr(path) or "params"] * len(parts)
        self.row = jax.tree.map(lambda a: jax.ShapeDtypeStruct(a.shape[1:], a.dtype), x)
        self._check_outputs()

    def _check_outputs(self) -> None:
        one = jax.tree.map(lambda a: jax.ShapeDtypeStruct((1, *a.shape), a.dtype), self.row)
        params = self.params(self.leaves)
        with noting("EmpiricalKernel", params, one):
            outputs = eqx.filter_eval_shape(self.f, params, one)
        self.shapes = [np.shape(leaf)[1:] for leaf in jax.tree.leaves(outputs)]
        for leaf in jax.tree.leaves(outputs):
            if np.shape(leaf)[:1] != (1,) or not jnp.issubdtype(leaf.dtype, jnp.inexact):
                raise ValueError(
                    "f: wanted arrays of real or complex numbers [n, …] for a batch of n inputs, got "
                    f"{kind_of(leaf)} for one input; return outputs alone, with the batch first"
                )
        if not self.shapes:
            raise ValueError("f: wanted at least one array of outputs, got none")
        if not self.entries:
            raise ValueError(f"f: wanted at least one output for each input, got shapes {self.shapes}")
        self.complex = any(jnp.issubdtype(leaf.dtype, jnp.complexfloating) for leaf in jax.tree.leaves(outputs))

    @property
    def shape(self) -> tuple[int, ...]:
        """The shape of one input's outputs; of several arrays, their number of entries together."""
        return self.shapes[0] if len(self.shapes) == 1 else (self.entries,)

    @property
    def entries(self) -> int:
        """The number of outputs of one input, complex ones counted once."""
        return sum(math.prod(shape) for shape in self.shapes)

    def params(self, leaves: list[Array]) -> Any:
        """The tree that `f` takes."""
        everything, parts = list(self.everything), {}
        for i, leaf in zip(self.origin, leaves, strict=True):
            parts.setdefault(i, []).append(leaf)
        for i, some in parts.items():
            everything[i] = some[0] if len(some) == 1 else jax.lax.complex(*some)
        return jax.tree.unflatten(self.treedef, everything)

    def outputs(self, leaves: list[Array], row: Any) -> Array:
        """All outputs of one input, `[entries]`, or `[2 entries]` where they are complex."""
        outputs = jax.tree.leaves(self.f(self.params(leaves), jax.tree.map(lambda a: a[None], row)))
        dtype = jnp.result_type(*(leaf.dtype for leaf in outputs))
        flat = jnp.concatenate([jnp.ravel(leaf).astype(dtype) for leaf in outputs])
        return jnp.concatenate([flat.real, flat.imag]) if self.complex else flat

    def values(self, x: Any) -> Array:
        """Outputs of a batch, `[n, entries]`, complex where they are."""
        flat = jax.vmap(lambda row: self.outputs(self.leaves, row))(x)
        return jax.lax.complex(flat[:, : self.entries], flat[:, self.entries :]) if self.complex else flat
