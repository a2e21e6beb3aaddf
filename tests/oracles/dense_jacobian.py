"""The NTK of a function of whole batches, from its dense Jacobian."""

from collections.abc import Callable
from typing import Any

import jax
import numpy as np


def jacobian(f: Callable[[Any, Any], Any], params: Any, x: Any) -> np.ndarray:
    """∂f/∂θ of every output, `[n · out, P]`, by forward mode through the batch as a whole."""
    leaves = jax.tree.leaves(jax.jit(jax.jacfwd(f))(params, x))
    rows = f(params, x).size
    return np.concatenate([np.asarray(leaf, np.float64).reshape(rows, -1) for leaf in leaves], axis=1)


def ntk(f: Callable[[Any, Any], Any], params: Any, x: Any) -> np.ndarray:
    """The NTK averaged over outputs, `[n, n]`."""
    J = jacobian(f, params, x).reshape(len(x), -1, sum(np.size(leaf) for leaf in jax.tree.leaves(params)))
    return np.einsum("iop,jop->ij", J, J) / J.shape[1]
