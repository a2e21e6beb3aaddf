"""A model of another library, as everything in `finite` takes it."""

import hashlib
from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..nn.values import values_of

Statistics = Literal["frozen", "batch"]
_SAME_EXAMPLE = 1e-3  # of the largest output: how far an example alone may be from itself in a batch, for rounding


class Model(NamedTuple):
    """A model as a function `f(params, x [n, …]) -> y [n, …]` and its parameters, which `EmpiricalKernel`, `linearize`,
    `taylor`, `diagnose`, `hierarchy` and `NetworkTraining` take.

    `params` holds what trains. Running averages, rates of dropout and all else that does not are part of `f`, with the
    values they had when the model was adapted: what happens to the model later changes nothing here.

    ```python
    f, params = wf.finite.from_nnx(model)
    wf.EmpiricalKernel(f, params).ntk(x)
    ```
    """

    f: Callable[[Any, Any], Any]
    params: Any

    def checked(self, x: Any) -> "Model":
        """This model, once it is certain on the batch `x` that kernels with derivatives of each example are its own.

        Evaluates `f` twice. Errors: ValueError where outputs have another first axis than `x`, are not finite, or where
        an example's outputs depend on the rest of the batch; those of the model.
        """
        rows = len(jax.tree.leaves(x)[0])
        whole = jax.tree.leaves(self.f(self.params, x))
        for leaf in whole:
            if leaf.shape[:1] != (rows,):
                raise ValueError(f"f: wanted outputs [n, …] for {rows} examples, got shape {list(leaf.shape)}")
            bad = ~np.isfinite(np.asarray(leaf)).reshape(rows, -1).all(axis=1)
            if bad.any():
                raise ValueError(f"f: the outputs of example {int(np.argmax(bad))} are not finite")
        alone = jax.tree.leaves(self.f(self.params, jax.tree.map(lambda a: a[:1], x)))
        for batch, one in zip(whole, alone, strict=True):
            if np.abs(np.asarray(batch)[0] - np.asarray(one)[0]).max() > _SAME_EXAMPLE * np.abs(batch).max():
                raise ValueError(
                    "f: the first example has other outputs alone than in the batch, so that kernels of single "
                    "examples are not those of the model; freeze what it computes from the batch"
                )
        return self

    def __repr__(self) -> str:
        leaves = [leaf for leaf in jax.tree.leaves(self.params) if eqx.is_inexact_array(leaf)]
        count = sum(np.size(leaf) for leaf in leaves)
        return f"Model({getattr(self.f, '__qualname__', self.f)}, {count:,} parameters in {len(leaves)} arrays)"


class ModelFunction:
    """`f(params, x)` of an adapted model: one array of outputs, or what `output` picks.

    `call(params, x)`: the model's own result. `held`: arrays that it holds beside the parameters; a digest of them is
    in the name, so that a kernel matrix is not resumed with other running averages.
    """

    def __init__(
        self,
        name: str,
        call: Callable[[Any, Any], Any],
        held: Any = None,
        statistics: Statistics = "frozen",
        output: Callable[[Any], Any] | None = None,
    ):
        self.name, self.call, self.statistics, self.output = name, call, statistics, output
        if statistics not in ("frozen", "batch"):
            raise ValueError(f'{name}: statistics must be "frozen" or "batch", got {statistics!r}')
        if output is not None and not callable(output):
            raise TypeError(f"{name}: output must be a function of the model's result, got {output!r}")
        self.__qualname__ = f"{name} {_digest(held)}" if jax.tree.leaves(held) else name

    def __call__(self, params: Any, x: Any) -> Any:
        """The model's outputs on a batch."""
        shapes = [jnp.shape(leaf) for leaf in jax.tree.leaves(x)]
        if self.statistics == "batch" and any(shape[:1] == (1,) for shape in shapes):
            raise ValueError(
                f"{self.name}: a batch of one example, for a model that is normalised by the statistics of the batch "
                "(kernels take examples one by one): an example's outputs depend on the others, and the kernel of "
                'single examples is another model\'s. Take statistics="frozen"; or the whole batch as one input, '
                'EmpiricalKernel(lambda p, x: f(p, x[0])[None], params, outputs="full").ntk(x[None])[0, 0]'
            )
        result = self.call(params, x)
        if self.output is not None:
            return self.output(result)
        if not isinstance(result, jax.Array):
            raise ValueError(
                f"{self.name}: wanted one array of outputs, the model returned {described(result)}; pick what counts, "
                "for instance output=lambda result: result[0]"
            )
        return result

    def __repr__(self) -> str:
        return self.__qualname__


def checked_arguments(arguments: Any, name: str) -> Mapping[str, Any]:
    """Further arguments of a model's call by name; TypeError for anything else."""
    if arguments is not None and not isinstance(arguments, Mapping):
        raise TypeError(f'{name}: arguments must be a dictionary, as {{"train": False}}, got {arguments!r}')
    return arguments or {}


def described(result: Any) -> str:
    """What a model returned, in words for a message."""
    size = f" of {len(result)}" if isinstance(result, (tuple, list, dict)) else ""
    return f"a {type(result).__name__}{size}"


def _digest(held: Any) -> str:
    digest = hashlib.sha256()
    for leaf in jax.tree.leaves(held):
        if jnp.issubdtype(jnp.result_type(leaf), jax.dtypes.prng_key):
            leaf = jax.random.key_data(leaf)
        digest.update(b"traced" if (known := values_of(leaf)) is None else known.tobytes())
    return digest.hexdigest()[:12]
