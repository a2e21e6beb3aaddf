"""Pairs of functions (init, apply), as Haiku has them."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from .function_check import arguments_in, takes
from .model import Model, ModelFunction, checked_arguments, described


def from_haiku(
    transformed: Any,
    params: Any,
    state: Any = None,
    arguments: Mapping[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
) -> Model:
    """What `hk.transform` makes of a function, as `(f, params)`: `f(params, x)` is `apply(params, None, x)`.

    `transformed`: an object with `apply(params, rng, x)`, or the function apply itself; with `state`, as from
    `hk.transform_with_state`, `apply(params, state, rng, x)`, of whose result, a pair, the new state is left out.
    Random numbers are not on offer: rng is None. Batch normalisation needs its running averages (`state`) and an
    argument that asks for them, as `arguments={"is_training": False}`; with statistics of the batch the outputs of an
    example depend on the others, and kernels of single examples are not those of the model (`Model.checked` sees it).

    `arguments`: further keyword arguments of the call. `output`: picks the outputs from what the call returns; needed
    where that is not one array.

    Errors: TypeError for what has no apply; ValueError for empty parameters; when `f` is called, ValueError for results
    that are not one array, and the model's own errors, among them a missing rng: turn dropout off by `arguments`.

    ```python
    f, params = wf.finite.from_haiku(transformed, transformed.init(key, x))
    wf.EmpiricalKernel(f, params).ntk(x)
    ```
    """
    apply = getattr(transformed, "apply", transformed)
    if not callable(apply):
        raise TypeError(f"from_haiku: wanted an object with apply(params, rng, x), got {transformed!r}")
    named = dict(checked_arguments(arguments, "from_haiku"))
    if not jax.tree.leaves(params):
        raise ValueError(
            "from_haiku: params must be what init returns (its first part, where it has a state), got none"
        )
    if state is None and isinstance(params, tuple) and all(isinstance(part, Mapping) for part in params):
        raise ValueError("from_haiku: got parameters and a state as one; give both: params, state = init(…)")
    if not takes(apply, 3 if state is None else 4, named):
        wanted = "apply(params, rng, x)" if state is None else "apply(params, state, rng, x)"
        raise TypeError(
            f"from_haiku: wanted {wanted}, got a function of {arguments_in(apply)}; a function f(params, x) needs no "
            "adapter, and one with a state wants state=…"
        )
    name = getattr(apply, "__qualname__", type(apply).__qualname__)
    call = _HaikuCall(name, apply, state, named)
    return Model(ModelFunction(name, call, state, output=output), params)


@dataclass(frozen=True)
class _HaikuCall:
    name: str
    apply: Callable[..., Any]
    state: Any
    arguments: dict[str, Any]

    def __call__(self, params: Any, x: Any) -> Any:
        if self.state is None:
            return self.apply(params, None, x, **self.arguments)
        result = self.apply(params, self.state, None, x, **self.arguments)
        if not isinstance(result, tuple) or len(result) != 2:
            raise ValueError(
                f"{self.name}: with a state, wanted a call that returns (outputs, state), got {described(result)}"
            )
        return result[0]
