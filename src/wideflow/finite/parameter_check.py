"""Whether parameters are what they should be, and how one tree of them differs from another, leaf by leaf."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..nn.values import values_of


def check_arrays(params: Any, name: str) -> None:
    """TypeError for parameters that are no arrays at all: a number, a list of numbers, a text, a function."""
    leaves = jax.tree.leaves(params)
    if leaves and not any(hasattr(leaf, "dtype") for leaf in leaves):
        raise TypeError(
            f"{name}: wanted params as arrays in a tree, got {kind_of(leaves[0])}; make arrays of numbers, as "
            "jax.tree.map(jnp.asarray, params), and keep the order of the arguments"
        )


def check_trainable(params: Any, name: str) -> None:
    """ValueError for parameters without an array of real floating point numbers, which alone can train."""
    check_arrays(params, name)
    leaves = _moving(params)
    if not any(np.size(leaf) for _, leaf in leaves):
        kinds = sorted({kind_of(leaf) for leaf in jax.tree.leaves(params)})
        raise ValueError(
            f"{name}: wanted real floating point parameters, which train, got {', '.join(kinds) or 'none at all'}; "
            "a network without them cannot be trained, and has no kernel of gradients"
        )
    for path, leaf in leaves:
        if jnp.issubdtype(leaf.dtype, jnp.complexfloating):
            raise ValueError(
                f"{name}: wanted real parameters, got complex ones, {place_of(path)} is {kind_of(leaf)}; hold real and "
                "imaginary parts apart"
            )


def check_finite(params: Any, name: str) -> None:
    """ValueError that names the first array of the parameters with NaN or infinity, where numbers are known."""
    for path, leaf in _moving(params):
        known = values_of(leaf)
        if known is None:
            continue
        bad = known.size - int(np.isfinite(known).sum())
        if bad:
            raise ValueError(
                f"{name}: {place_of(path)} holds NaN or infinity ({bad} of {known.size} numbers); did training "
                "diverge? Take a smaller learning rate"
            )


def parameter_change(params: Any, start: Any, name: str) -> Any:
    """θ − θ₀ of the floating point arrays: a tree like `start`, which holds those of θ₀ and None for all else.

    ValueError that names the first array which is missing, not in θ₀, or of another shape or dtype.
    """
    before, treedef = jax.tree_util.tree_flatten_with_path(start)
    after = dict(jax.tree_util.tree_flatten_with_path(params)[0])
    for path, old in before:
        if path not in after:
            raise ValueError(f"{name}: {place_of(path)} is missing from params; params0 has {kind_of(old)} there")
        if not eqx.is_inexact_array(after[path]) or _type(after[path]) != _type(old):
            raise ValueError(
                f"{name}: {place_of(path)} must keep the shape and dtype of params0, {kind_of(old)}; "
                f"got {kind_of(after[path])}"
            )
    known = {path for path, _ in before}
    for path, leaf in _moving(params):
        if path not in known:
            raise ValueError(
                f"{name}: {place_of(path)} is {kind_of(leaf)}, params0 has no such parameter; leave it out"
            )
    return jax.tree.unflatten(treedef, [after[path] - old for path, old in before])


def factor_of_each(params: Any, factors: Any, name: str) -> tuple[Any, ...]:
    """The factor of each array of the parameters; ValueError for another tree, and for one that does not broadcast."""
    leaves, treedef = jax.tree.flatten(params)
    try:
        found = tuple(treedef.flatten_up_to(factors))
    except ValueError as error:
        raise ValueError(
            f"{name}: wanted a tree like the parameters, with one factor for each array; {error}"
        ) from None
    for factor, leaf in zip(found, leaves, strict=True):
        if np.size(factor) > 1 and not _broadcasts(np.shape(factor), np.shape(leaf)):
            raise ValueError(f"{name}: factors {np.shape(factor)} do not fit parameters of shape {np.shape(leaf)}")
    return found


def place_of(path: Any) -> str:
    """A leaf of the parameters as it is written in Python: params['w'][0]."""
    return f"params{jax.tree_util.keystr(path)}"


def kind_of(leaf: Any) -> str:
    """float32[2, 3] for an array, the name of the class for anything else."""
    return f"{leaf.dtype}{list(np.shape(leaf))}" if hasattr(leaf, "dtype") else type(leaf).__qualname__


def _moving(params: Any) -> list[tuple[Any, Any]]:
    return jax.tree_util.tree_flatten_with_path(eqx.filter(params, eqx.is_inexact_array))[0]


def _type(leaf: Any) -> tuple[Any, ...]:
    return np.shape(leaf), jnp.result_type(leaf)


def _broadcasts(shape: tuple[int, ...], to: tuple[int, ...]) -> bool:
    try:
        return np.broadcast_shapes(shape, to) == to
    except ValueError:
        return False
