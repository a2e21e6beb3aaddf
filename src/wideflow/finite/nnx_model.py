"""Models of Flax nnx."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import jax
import jax.numpy as jnp

from .model import Model, ModelFunction, Statistics, checked_arguments


def from_nnx(
    model: Any,
    statistics: Statistics = "frozen",
    arguments: Mapping[str, Any] | None = None,
    output: Callable[[Any], Any] | None = None,
) -> Model:
    """A Flax nnx module as `(f, params)`: `f(params, x)` is what the module computes, without dropout.

    `params`: its `nnx.Param`s as nested dictionaries of arrays; `nnx.update(model, params)` writes trained ones back.
    The module is left as it is. All other variables (running averages) are constants of `f`.

    `statistics`: what normalises in batch normalisation, whatever mode the module is in.
      "frozen": the running averages; each example has outputs of its own, as kernels want it.
      "batch": mean and variance of the batch, as in training (running averages are not updated). An example's outputs
      then depend on the batch; `linearize`, `taylor` and `NetworkTraining` take whole batches and are right, and
      what goes example by example, as `EmpiricalKernel`, is refused.
    `arguments`: further keyword arguments of the module's call. `output`: picks the outputs from what the call returns;
    needed where that is not one array.

    Errors: TypeError for what is no nnx module; ValueError for a module without parameters, and with "batch" without
    batch normalisation; when `f` is called, ValueError for results that depend on random numbers or are not one array.

    ```python
    f, params = wf.finite.from_nnx(model)
    print(wf.diagnose(f, params, (x, y), wf.GradientDescent(0.1)))
    ```
    """
    from flax import nnx

    if not isinstance(model, nnx.Module):
        raise TypeError(f"from_nnx: wanted a flax.nnx.Module, got {model!r}; a linen module goes to from_linen")
    name = type(model).__qualname__
    model = nnx.clone(model)
    normalised = any(hasattr(part, "use_running_average") for _, part in nnx.iter_modules(model))
    if statistics == "batch" and not normalised:
        raise ValueError(f'{name}: statistics="batch", but no part of it has use_running_average; take "frozen"')
    frozen = statistics != "batch"
    model.set_attributes(deterministic=True, use_running_average=frozen, raise_if_not_found=False)
    graph, state, rest = nnx.split(model, nnx.Param, ...)
    params = nnx.to_pure_dict(state)
    if not jax.tree.leaves(params):
        raise ValueError(f"from_nnx: {name} has no parameters (nnx.Param)")
    held = nnx.to_pure_dict(rest)
    call = _NnxCall(name, graph, held, dict(checked_arguments(arguments, "from_nnx")))
    return Model(ModelFunction(name, call, held, statistics, output), params)


@dataclass(frozen=True)
class _NnxCall:
    name: str
    graph: Any
    held: Any
    arguments: dict[str, Any] = field(default_factory=dict)

    def __call__(self, params: Any, x: Any) -> Any:
        result, drew = self._run(params, self.held, x)
        if drew and self._is_random(params, x):
            raise ValueError(
                f"{self.name}: draws random numbers when it is called, so that it is no function of parameters and "
                "inputs; give it an attribute deterministic that turns them off, or do so by arguments={…}"
            )
        return result

    def _run(self, params: Any, held: Any, x: Any) -> tuple[Any, bool]:
        """What the module computes, and whether it drew random numbers: their stream has counted on."""
        from flax import nnx

        model = nnx.merge(self.graph, params, held, copy=True)  # variables of this trace, free to change
        result = model(x, **self.arguments)
        before = {id(leaf) for leaf in jax.tree.leaves(held)}
        return result, any(id(count) not in before for count in jax.tree.leaves(nnx.state(model, nnx.RngCount)))

    def _is_random(self, params: Any, x: Any) -> bool:
        """Whether results depend on the keys: recurrent cells draw one for a first state that is zero all the same."""
        leaves, treedef = jax.tree.flatten(self.held)
        where = [i for i, leaf in enumerate(leaves) if jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)]

        def with_keys(keys: list[Any]) -> Any:
            replaced = dict(zip(where, keys, strict=True))
            held = [replaced.get(i, leaf) for i, leaf in enumerate(leaves)]
            return self._run(params, jax.tree.unflatten(treedef, held), x)[0]

        two = [jnp.stack([leaves[i]] * 2) for i in where]
        try:
            jax.eval_shape(jax.vmap(with_keys, out_axes=None), two)  # refuses results that differ between keys
        except ValueError:
            return True
        return False
