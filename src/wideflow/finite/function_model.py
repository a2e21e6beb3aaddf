"""Plain functions as models."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, Literal

import jax

from .function_check import check_function
from .model import Model, ModelFunction, checked_arguments

Takes = Literal["batch", "example"]


def from_function(
    function: Callable[..., Any],
    params: Any,
    takes: Takes = "batch",
    arguments: Mapping[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
) -> Model:
    """A plain function `function(params, x, **arguments)` as `(f, params)`.

    `takes`: what the function's x is, "batch" `[n, …]` or "example" `[…]`; then it is mapped over the batch. A function
    of batches that returns one array needs no adapter. `output`: picks the outputs, with the batch first, from what the
    function returns; needed where that is not one array, as outputs with auxiliary values.

    Errors: TypeError for what cannot be called; ValueError for `takes`, and for results that are not one array when `f`
    is called.

    ```python
    f, params = wf.finite.from_function(of_one_image, params, takes="example")
    ```
    """
    named = dict(checked_arguments(arguments, "from_function"))
    check_function(partial(function, **named) if callable(function) and named else function, "from_function")
    if takes not in ("batch", "example"):
        raise ValueError(f'from_function: takes must be "batch" or "example", got {takes!r}')
    name = getattr(function, "__qualname__", type(function).__qualname__)
    call = _FunctionCall(function, takes, named)
    return Model(ModelFunction(name, call, output=output), params)


@dataclass(frozen=True)
class _FunctionCall:
    function: Callable[..., Any]
    takes: Takes
    arguments: dict[str, Any]

    def __call__(self, params: Any, x: Any) -> Any:
        if self.takes == "batch":
            return self.function(params, x, **self.arguments)
        return jax.vmap(lambda row: self.function(params, row, **self.arguments))(x)
