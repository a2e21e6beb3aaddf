"""Whether what was given is a function f(params, x), and what it returns: said before any long work."""

import inspect
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp

from ..nn import Layer
from .model import Model, described
from .parameter_check import kind_of

_LONGEST = 600  # characters of parameters in a message
_RAISED = "f(params, x) raised this"


def check_function(f: Any, name: str, wanted: str = "f(params, x)") -> None:
    """TypeError where `f` is no function of two arguments; it says how one is made of what was given instead."""
    found = _in_place_of_a_function(f)
    if found is not None:
        raise TypeError(f"{name}: wanted a function {wanted}, got {found}")


def outputs_of(f: Callable[[Any, Any], Any], params: Any, x: Any, name: str) -> jax.ShapeDtypeStruct:
    """Shape and dtype of f(params, x); ValueError for anything but one array [n, …] of real floating point numbers."""
    with noting(name, params, x):
        outputs = eqx.filter_eval_shape(f, params, x)
    if not isinstance(outputs, jax.ShapeDtypeStruct):
        raise ValueError(
            f"{name}: wanted one array of outputs [n, …], got {described(outputs)}; return outputs "
            "alone, or let from_function pick them: output=lambda result: result[0]"
        )
    rows = len(jax.tree.leaves(x)[0])
    if outputs.shape[:1] != (rows,):
        raise ValueError(f"{name}: wanted outputs [n, …] for {rows} inputs, got shape {tuple(outputs.shape)}")
    if not jnp.issubdtype(outputs.dtype, jnp.floating):
        raise ValueError(
            f"{name}: wanted outputs that are real floating point numbers, got {outputs.dtype}"
            + ("; return real and imaginary parts as outputs of their own" if _is_complex(outputs) else "")
        )
    return outputs


def check_floating(outputs: Any, name: str) -> None:
    """ValueError for outputs in a tree of which none are floating point numbers, real or complex."""
    leaves = jax.tree.leaves(outputs)
    if not any(hasattr(leaf, "dtype") and jnp.issubdtype(leaf.dtype, jnp.inexact) for leaf in leaves):
        raise ValueError(
            f"{name}: wanted arrays of floating point numbers from f(params, x), got "
            f"{', '.join(map(kind_of, leaves)) or described(outputs)}; does f return its outputs?"
        )


@contextmanager
def noting(name: str, params: Any, x: Any) -> Iterator[None]:
    """Adds to an error that a user's f(params, x) raises what it was called with, which tells what is missing."""
    try:
        yield
    except Exception as error:
        if not any(_RAISED in note for note in getattr(error, "__notes__", ())):
            error.add_note(f"{name}: {_RAISED}, called with params {_shown(params)} and x {_shown(x)}")
            if holds_state(params):
                error.add_note("params are an Equinox model with a state: use f, params = from_equinox(model, state)")
        raise


def takes(f: Callable[..., Any], count: int, names: Iterable[str] = ()) -> bool:
    """Whether a function can be called with so many arguments and those of these names, as far as it tells."""
    try:
        signature = inspect.signature(f)
    except (TypeError, ValueError):
        return True
    try:
        signature.bind(*[None] * count, **dict.fromkeys(names))
    except TypeError:
        return False
    return True


def arguments_in(f: Callable[..., Any]) -> str:
    """The names of a function's arguments, for a message."""
    return f"({', '.join(inspect.signature(f).parameters)})"


def holds_state(model: Any) -> bool:
    """Whether a model of Equinox is called with a state beside its input, as batch normalisation is."""
    return bool(state_indices(model))


def state_indices(model: Any) -> list[Any]:
    """The places in its state of a model of Equinox."""
    index = eqx.nn.StateIndex
    return [leaf for leaf in jax.tree.leaves(model, is_leaf=lambda a: isinstance(a, index)) if isinstance(leaf, index)]


def _in_place_of_a_function(f: Any) -> str | None:
    """What was given in place of a function of two arguments, and what to do; None for such a function."""
    kind = type(f).__qualname__
    if isinstance(f, Model):
        return "a Model, which is a pair: unpack it, f, params = model"
    if isinstance(f, Layer):
        return f"a network ({kind}): use net.apply, with params = net.init(key, x)"
    if _is_module(f, "flax.nnx"):
        return f"a Flax nnx module ({kind}): use f, params = wf.finite.from_nnx(module)"
    if _is_module(f, "flax.linen"):
        return f"a Flax linen module ({kind}): use f, params = wf.finite.from_linen(module, variables)"
    if isinstance(f, type):
        return f"the class {f.__qualname__}: make an instance of it first"
    if hasattr(f, "ntk"):
        return f"a kernel ({kind}): use the network that it is of, as net.apply"
    if isinstance(f, eqx.Module) and _takes_one_example(f):
        return f"an Equinox module ({kind}): use f, params = wf.finite.from_equinox(module)"
    if not callable(f):
        pair = hasattr(f, "init") and hasattr(f, "apply")
        use = "use f, params = wf.finite.from_haiku(pair, params)" if pair else "is the order of the arguments right?"
        return f"{'a pair (init, apply)' if pair else 'an object that cannot be called'} ({kind}): {use}"
    if not takes(f, 2):
        return f"one of {arguments_in(f)}: wf.finite.from_function(f, params, arguments=…) gives it more arguments"
    return None


def _is_module(f: Any, library: str) -> bool:
    """Whether the object is a module of a library, which need not be imported."""
    return any(base.__name__ == "Module" and base.__module__.startswith(f"{library}.") for base in type(f).__mro__)


def _takes_one_example(f: Any) -> bool:
    """Whether an Equinox module is a model of one example, no function of parameters and inputs."""
    if type(f).__module__.startswith("equinox.nn.") or not takes(f, 2):
        return True
    try:
        names = list(inspect.signature(f).parameters)
    except (TypeError, ValueError):
        return False
    return names[1:2] in (["state"], ["key"])


def _is_complex(outputs: jax.ShapeDtypeStruct) -> bool:
    return jnp.issubdtype(outputs.dtype, jnp.complexfloating)


def _shown(tree: Any) -> str:
    shown = " ".join(eqx.tree_pformat(tree, struct_as_array=True).split())
    return shown if len(shown) <= _LONGEST else f"{shown[:_LONGEST]} …"
