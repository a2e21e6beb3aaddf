"""Models of Equinox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax

from .function_check import arguments_in, state_indices, takes
from .model import Model, ModelFunction, checked_arguments, described


def from_equinox(
    model: Any,
    state: Any = None,
    arguments: Mapping[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
) -> Model:
    """An Equinox model of one example as `(f, params)`: `f(params, x)` is the model on each row of x.

    The model is taken in inference mode: dropout does nothing, and batch normalisation has its running averages from
    `state`, so that each example has outputs of its own. Training mode, whose outputs depend on the whole batch, is not
    on offer.

    `params`: the model with its floating point arrays alone; `eqx.combine(params, model)` is the model with trained
    ones. `state`: what `eqx.nn.make_with_state` gave, or a trained one; the call is then `model(x, state)`, of whose
    result, a pair, the new state is left out. `arguments`: further keyword arguments of the call. `output`: picks the
    outputs, with the batch first, from what the call on all rows returns; needed where that is not one array.

    Errors: TypeError for what cannot be called so, for a missing `state` and for one of another model; ValueError for a
    model without parameters; when `f` is called, ValueError for a result that is not one array, and the model's own
    errors, among them missing keys of a model that draws random numbers in inference mode too.

    ```python
    f, params = wf.finite.from_equinox(eqx.nn.MLP(3, 1, 64, 2, key=key))
    wf.EmpiricalKernel(f, params).ntk(x)  # x: [n, 3]
    ```
    """
    name = getattr(model, "__qualname__", type(model).__qualname__)
    if isinstance(model, type) or not callable(model):
        raise TypeError(f"from_equinox: wanted a model that is called with one example, got {model!r}")
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(f"from_equinox: state must be an equinox.nn.State, as make_with_state gives it, got {state!r}")
    named = dict(checked_arguments(arguments, "from_equinox"))
    _check_call(model, name, state, named)
    params, rest = eqx.partition(eqx.nn.inference_mode(model), eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        raise ValueError(f"from_equinox: {name} has no parameters (arrays of floating point numbers)")
    call = _EquinoxCall(name, rest, state, named)
    return Model(ModelFunction(name, call, state, output=output), params)


def _check_call(model: Any, name: str, state: Any, arguments: dict[str, Any]) -> None:
    """TypeError where a model cannot be called with one example, with or without a state, and the arguments."""
    indices = state_indices(model)
    if indices and state is None:
        raise TypeError(
            f"from_equinox: {name} keeps a state, as batch normalisation does, and none was given; "
            "model, state = eqx.nn.make_with_state(Model)(…), then from_equinox(model, state)"
        )
    if not takes(model, 1 if state is None else 2, arguments):
        call = ", ".join(["x", *([] if state is None else ["state"]), *(f"{key}=…" for key in arguments)])
        raise TypeError(
            f"from_equinox: {name} is called with {arguments_in(model)}, which does not fit model({call}); leave the "
            "state out of a model that has none, and give further arguments by arguments={…}"
        )
    if state is not None and not all(_is_in(index, state) for index in indices):
        raise TypeError(
            f"from_equinox: state is that of another model than this {name}; take both from one "
            "model, state = eqx.nn.make_with_state(Model)(…)"
        )


def _is_in(index: Any, state: Any) -> bool:
    try:
        state.get(index)
    except KeyError:
        return False
    return True


@dataclass(frozen=True)
class _EquinoxCall:
    name: str
    rest: Any
    state: Any
    arguments: dict[str, Any]

    def __call__(self, params: Any, x: Any) -> Any:
        return jax.vmap(partial(self._of_one, eqx.combine(params, self.rest)))(x)

    def _of_one(self, model: Any, x: Any) -> Any:
        if self.state is None:
            return model(x, **self.arguments)
        state = jax.tree.map(lambda a: a, self.state)  # a state can be used once, a copy of it again
        result = model(x, state, **self.arguments)
        if not isinstance(result, tuple) or len(result) != 2 or not isinstance(result[1], eqx.nn.State):
            raise ValueError(
                f"{self.name}: with a state, wanted a call that returns (outputs, state), got {described(result)}"
            )
        return result[0]
