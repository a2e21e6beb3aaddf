"""Models of Flax linen."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import jax

from .model import Model, ModelFunction, Statistics, checked_arguments


def from_linen(
    module: Any,
    variables: Any,
    statistics: Statistics = "frozen",
    arguments: Mapping[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
) -> Model:
    """A Flax linen module as `(f, params)`: `f(params, x)` is `module.apply({"params": params, …}, x, **arguments)`.

    `variables`: all that `module.init` returned, or trained ones: `{"params": …}`, with batch normalisation
    `{"params": …, "batch_stats": …}`. `params` is the first; the others are constants of `f`.

    `statistics`: what normalises in batch normalisation. In linen the arguments of the call decide
    (`use_running_average`, or what the module makes of `train`), and must say the same:
      "frozen": the running averages; each example has outputs of its own, as kernels want it.
      "batch": mean and variance of the batch, as in training (running averages are not updated). An example's outputs
      then depend on the batch; `linearize`, `taylor` and `NetworkTraining` take whole batches and are right, and
      what goes example by example, as `EmpiricalKernel`, is refused.
    `arguments`: further keyword arguments of the call, as `{"train": False}` or `{"deterministic": True}`. `output`:
    picks the outputs from what the call returns; needed where that is not one array.

    Errors: TypeError for what is no linen module; ValueError for variables without parameters; when `f` is called,
    ValueError for missing variables, arguments that contradict `statistics`, random numbers (dropout), and results that
    are not one array.

    ```python
    f, params = wf.finite.from_linen(module, module.init(key, x), arguments={"train": False})
    wf.EmpiricalKernel(f, params).ntk(x)
    ```
    """
    import flax.linen

    name = type(module).__qualname__
    if not isinstance(module, flax.linen.Module):
        raise TypeError(f"from_linen: wanted a flax.linen.Module, got {module!r}; an nnx module goes to from_nnx")
    if not isinstance(variables, Mapping) or "params" not in variables:
        got = f"the keys {', '.join(map(str, variables))}" if isinstance(variables, Mapping) else repr(variables)
        raise ValueError(
            f"from_linen: variables must be what {name}.init returns, a dictionary with 'params' "
            f"(and 'batch_stats' where it has them), got {got}"
        )
    if not jax.tree.leaves(variables["params"]):
        raise ValueError(f"from_linen: {name} has no parameters, variables['params'] is empty")
    held = {key: value for key, value in variables.items() if key != "params"}
    call = _LinenCall(name, module, held, statistics, dict(checked_arguments(arguments, "from_linen")))
    return Model(ModelFunction(name, call, held, statistics, output), variables["params"])


@dataclass(frozen=True)
class _LinenCall:
    name: str
    module: Any
    held: dict[str, Any]
    statistics: Statistics
    arguments: dict[str, Any]

    def __call__(self, params: Any, x: Any) -> Any:
        from flax import errors

        updated = ["batch_stats"] if self.statistics == "batch" else []
        try:
            result, changed = self.module.apply({"params": params, **self.held}, x, mutable=updated, **self.arguments)
        except errors.InvalidRngError as error:
            raise ValueError(
                f"{self.name}: {_first_sentence(error)}; a function of parameters and inputs draws no random numbers: "
                "turn dropout off by the call's own argument, as arguments={'deterministic': True} or {'train': False}"
            ) from None
        except errors.ModifyScopeVariableError as error:
            raise ValueError(
                f"{self.name}: {_first_sentence(error)}: it normalises by the batch; ask for the running averages by "
                "the call's own argument, as arguments={'train': False}, or for statistics=\"batch\""
            ) from None
        except (errors.ScopeCollectionNotFound, errors.ScopeVariableNotFoundError) as error:
            raise ValueError(
                f"{self.name}: {_first_sentence(error)}; variables must have all that the module's init returns, "
                f"got {', '.join(['params', *self.held])}"
            ) from None
        if updated and not _moved(self.held, changed):
            raise ValueError(
                f'{self.name}: statistics="batch", but with these arguments no statistics of the batch are used; '
                "ask for them by the call's own argument, as arguments={'train': True}"
            )
        return result


def _moved(held: dict[str, Any], changed: Any) -> bool:
    """Whether running averages were updated: others than those that were given came back."""
    before = {id(leaf) for leaf in jax.tree.leaves(held)}
    return any(id(leaf) not in before for leaf in jax.tree.leaves(changed))


def _first_sentence(error: Exception) -> str:
    return str(error).split(" (http")[0].rstrip(".")
