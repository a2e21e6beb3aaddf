"""Models of Equinox."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import equinox as eqx
import jax

from .model import Model, ModelFunction, described


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

    Errors: TypeError for what cannot be called and for another `state`; ValueError for a model without parameters; when
    `f` is called, ValueError for a result that is not one array, and the model's own errors, among them missing keys of
    a model that draws random numbers in inference mode too.

    ```python
    f, params = wf.finite.from_equinox(eqx.nn.MLP(3, 1, 64, 2, key=key))
    wf.EmpiricalKernel(f, params).ntk(x)  # x: [n, 3]
    ```
    """
    name = getattr(model, "__qualname__", type(model).__qualname__)
    if not callable(model):
        raise TypeError(f"from_equinox: wanted a model that is called with one example, got {model!r}")
    if state is not None and not isinstance(state, eqx.nn.State):
        raise TypeError(f"from_equinox: state must be an equinox.nn.State, as make_with_state gives it, got {state!r}")
    params, rest = eqx.partition(eqx.nn.inference_mode(model), eqx.is_inexact_array)
    if not jax.tree.leaves(params):
        raise ValueError(f"from_equinox: {name} has no parameters (arrays of floating point numbers)")
    call = _EquinoxCall(name, rest, state, dict(arguments or {}))
    return Model(ModelFunction(name, call, state, output=output), params)


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
