"""The kernels of a finite network."""

import hashlib
from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..dynamics import ProductOperator
from ..kernels import Kernels
from ..nn.fingerprint import fingerprint, fingerprint_of_function
from ..nn.values import values_of
from .empirical_plan import METHODS, EmpiricalPlan, Method
from .empirical_work import Question, Work
from .function_check import check_function
from .output_sets import NAMES, Outputs
from .parameter_check import check_arrays, check_finite, factor_of_each, kind_of
from .products import product
from .real_view import RealView


class EmpiricalKernel(eqx.Module):
    """The NTK and NNGP kernels of one finite network: any `f(params, x [n, …]) -> [n, *out]`, called like `Kernel`.

    `ntk`: Θ(x1, x2) = Σ_μ r_μ ∂f(x1)/∂θ_μ ∂f(x2)/∂θ_μ. `nngp`: the same with outputs in place of their gradients, of
    this one network; its mean over draws is the NNGP kernel. No 1/D, no learning rate. With `outputs="trace"` entries
    are numbers, and `gram` and all of `dynamics` take it. Outputs of an input must depend on no other input of the
    batch, which is checked on two of them. Inputs and outputs may be trees; of several arrays of outputs all entries
    are one vector, in the order of `jax.tree.leaves`.

    `outputs`: which are compared.
      "trace": the mean over outputs, 1/out Σ_o Θ_oo, `[n1, n2]`; tends to `Kernel(net).ntk` as the width grows.
      "channels": the mean over the last axis, at equal pixels: `[n1, n2, *pixels]`.
      "diagonal": every output with itself, `[n1, n2, *out]`. "full": all pairs, `[n1, n2, *out, *out]`.
      "pseudo": the gradient of (Σ_o f_o)/√out with itself, `[n1, n2]`, for one backward pass (Mohamadi et al. 2023).
    `rates`: r, the factor of every parameter's learning rate: a tree like `params` of numbers or arrays that broadcast
    to the parameters, as `nn.learning_rates(net, params)` gives it. None: 1.
    `subset`: the parameters that train, picked from a tree like `params`: `lambda p: (p["W"], p["b"])`; None: all.
    Leaves that are not floating point arrays never train.
    `method`: "jacobian" (gradients by automatic differentiation, contracted), "products" (Jacobian-vector products
    along each gradient), "structured" (weights that are used once, in a matrix product, a convolution or as a table
    whose rows are read, from inputs and cotangents of that product, also inside jit, scan and checkpoint; all others
    as in "jacobian", where gradients of biases and scales are their cotangents). All are exact; "auto" takes the one
    with the fewest operations that fits into `memory` bytes of work arrays; `plan` tells. A function with a
    `while_loop` over parameters is differentiated forwards, an entry at a time.

    A complex parameter is two real ones, its real and its imaginary part, and of complex outputs the second factor is
    conjugated: Θ is Hermitian, and for a holomorphic f twice J J^†.

    Computed in the widest dtype of parameters and outputs, float32 at least; float64 parameters with JAX's x64 flag off
    give NumPy arrays.
    Errors: TypeError for what is no function; ValueError for unknown options, inputs without rows or that do not fit
    together, outputs that are not finite, not [n, …] or mix inputs, and where `memory` is too little. Source: Jacot et
    al. 2018; Novak et al. 2022 (methods).

    ```python
    kernel = wf.EmpiricalKernel(net.apply, params)
    ens = wf.Trajectory(wf.gram(kernel, x_train), y_train, wf.GradientFlow())
    ```
    """

    f: Callable[[Any, Any], Any]
    params: Any
    method: Method = eqx.field(static=True, default="auto")
    outputs: Outputs = eqx.field(static=True, default="trace")
    rates: Any = None
    subset: Callable[[Any], Any] | None = eqx.field(static=True, default=None)
    memory: int = eqx.field(static=True, default=2**30)

    def __check_init__(self):
        check_function(self.f, "EmpiricalKernel")
        check_arrays(self.params, "EmpiricalKernel")
        if self.outputs not in NAMES:
            raise ValueError(f"EmpiricalKernel: outputs must be one of {', '.join(NAMES)}, got {self.outputs!r}")
        if self.method not in ("auto", *METHODS):
            raise ValueError(f"EmpiricalKernel: method must be one of auto, {', '.join(METHODS)}, got {self.method!r}")
        if not isinstance(self.memory, int | np.integer) or not (self.subset is None or callable(self.subset)):
            given = f"memory={self.memory!r} and subset={self.subset!r}"
            raise TypeError(
                f"EmpiricalKernel: wanted a number of bytes and a function that picks parameters, got {given}"
            )
        self._rates()

    def __call__(self, x1: Any, x2: Any = None) -> Kernels:
        """Both kernels between two batches."""
        return self._run(_both, x1, x2)

    def ntk(self, x1: Any, x2: Any = None) -> Any:
        """The NTK alone."""
        return self._run(_ntk, x1, x2)

    def nngp(self, x1: Any, x2: Any = None) -> Any:
        """The products of outputs alone."""
        return self._run(_nngp, x1, x2)

    def diag(self, x: Any) -> Kernels:
        """Both kernels of every input with itself, without the rest of the matrix; a first axis n for n1, n2."""
        return self._run(_diag, x, None)

    def layers(self, x1: Any, x2: Any = None) -> Any:
        """The share of every parameter array in the NTK: a tree like `params`, None where none trains; they add up."""
        return self._run(_layers, x1, x2)

    def product(self, x1: Any, vectors: Any, x2: Any = None) -> Any:
        """Θ(x1, x2) times vectors, without the matrix: a backward pass over x2 and a Jacobian-vector product over x1.

        `vectors`: `[n2, m]` for "trace" and "pseudo", `[n2 · out, m]` (outputs innermost) for "full" and "diagonal",
        where each output's kernel takes its own part of a vector, `[n2 · pixels, m]` for "channels"; the result has
        rows for x1. Cost: about five evaluations of f for each vector of "full" and "pseudo", and of the others for
        each output of each vector. Vectors may be complex where outputs are; the result then is. Raises ValueError for
        vectors of another length.
        """
        return self._run(_product, x1, x2, vectors)

    def operator(self, x: Any) -> ProductOperator:
        """Θ(x, x) for the solvers of `dynamics`, known by its products alone; see `product`."""
        work = self._plan_work(x, None)
        if work.view.complex:
            raise ValueError("operator: the solvers take real symmetric kernels; `product` has complex ones too")
        points = _rows(x) * work.sets.rows
        epsilon = float(jnp.finfo(work.dtype).eps)
        return ProductOperator(lambda v: self.product(x, v), points, epsilon, "the empirical NTK")

    def plan(self, x1: Any, x2: Any = None) -> EmpiricalPlan:
        """How a call with inputs of these shapes is computed, and what each method would take; computes nothing."""
        return self._plan_work(x1, x2).plan

    def identity(self, x1: Any, x2: Any = None) -> str:
        """A digest of what is computed on inputs of these shapes: function, parameters and options; see `gram`."""
        return self._run(_identity, x1, x2, jit=False)

    def _plan_work(self, x1: Any, x2: Any) -> Work:
        return self._run(_work, x1, x2, jit=False)

    def _run(self, compute: Callable, x1: Any, x2: Any, *more: Any, jit: bool = True) -> Any:
        """`compute(kernel, x1, x2, …)`, compiled, in the precision of the parameters."""
        check_inputs(x1, x2)
        wide = any(getattr(leaf, "dtype", None) in (np.float64, np.complex128) for leaf in jax.tree.leaves(self.params))
        numpy = wide and not jax.config.jax_enable_x64  # type: ignore[attr-defined]
        with jax.enable_x64(True) if numpy else nullcontext():
            kernel, x1, x2, more = jax.tree.map(_as_array, (self, x1, x2, more))
            if not jit:
                return compute(kernel, x1, x2, *more)
            result, mixing = _computed(kernel, compute, x1, x2, more)
        _check_mixing(self, mixing)
        if not numpy:
            return result
        known = lambda a: a if values_of(a) is None else values_of(a)  # noqa: E731
        return jax.tree.map(known, result)

    def _rates(self) -> tuple[Any, ...]:
        """A factor, or None, for each array of the parameters."""
        if self.rates is None:
            return (None,) * len(jax.tree.leaves(self.params))
        return factor_of_each(self.params, self.rates, "rates")

    def _trains(self) -> Callable[[int], bool]:
        """Whether the parameter array of this number trains."""
        if self.subset is None:
            return lambda _: True
        leaves, treedef = jax.tree.flatten(self.params)
        chosen = set(jax.tree.leaves(self.subset(jax.tree.unflatten(treedef, range(len(leaves))))))
        if not chosen <= set(range(len(leaves))) or not chosen:
            raise ValueError("subset: wanted a function that picks parts of the parameters; it returned none of them")
        if not any(eqx.is_inexact_array(_as_array(leaves[i])) for i in chosen):
            raise ValueError("subset: none of the parameters that it picks is a floating point array, so none trains")
        return chosen.__contains__

    def __repr__(self) -> str:
        name = getattr(self.f, "__qualname__", type(self.f).__name__)
        count = sum(np.size(leaf) for leaf in jax.tree.leaves(self.params))
        digest = hashlib.sha256()  # a kernel matrix that is resumed must not be that of other parameters
        for leaf in jax.tree.leaves((self.params, self.rates)):
            digest.update(b"traced" if (known := values_of(leaf)) is None else known.tobytes())
        options = f"{count:,} parameters {digest.hexdigest()[:12]}, outputs={self.outputs!r}, method={self.method!r}"
        return f"EmpiricalKernel({name}, {options})"


def _as_array(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else leaf


def _rows(x: Any) -> int:
    return len(jax.tree.leaves(x)[0])


def check_inputs(x1: Any, x2: Any) -> None:
    """ValueError for batches without rows, or that do not fit together."""
    for name, x in (("x1", x1),) if x2 is None else (("x1", x1), ("x2", x2)):
        leaves = jax.tree.leaves(x)
        if any(isinstance(leaf, np.ndarray) and leaf.dtype.kind in "OSU" for leaf in leaves):
            raise ValueError(f"{name}: wanted numbers, got {', '.join(map(kind_of, leaves))}")
        shapes = [np.shape(leaf) for leaf in leaves]
        if not shapes or any(not shape or shape[0] != shapes[0][0] or 0 in shape for shape in shapes):
            listed = f"{shapes[:3]} …" if len(shapes) > 3 else shapes
            hint = "; a list is a tree of inputs: make it an array, jnp.asarray(x)" if isinstance(x, list) else ""
            raise ValueError(f"{name}: wanted a batch of inputs [n, …] with no empty axis, got shapes {listed}{hint}")
    shapes = [[np.shape(leaf)[1:] for leaf in jax.tree.leaves(x)] for x in (x1, x1 if x2 is None else x2)]
    if shapes[0] != shapes[1]:
        raise ValueError(f"x1 and x2: inputs must have one shape, got {shapes[0]} and {shapes[1]}")


@eqx.filter_jit
def _computed(kernel: EmpiricalKernel, compute: Callable, x1: Any, x2: Any, more: tuple) -> tuple[Any, Any]:
    return compute(kernel, x1, x2, *more), _mixing(kernel, x1)


def _mixing(kernel: EmpiricalKernel, x: Any) -> Any:
    """By how much outputs of the first and the last input change when they are one batch, over the largest output.

    Zero for one input; NaN where these outputs are not finite.
    """
    two = jax.tree.map(lambda a: a[jnp.asarray([0, -1])], x)
    apart = RealView(kernel.f, kernel.params, lambda _: False, x).values(two)
    if _rows(x) < 2:
        return jnp.where(jnp.isfinite(apart).all(), 0.0, jnp.nan)
    leaves = jax.tree.leaves(kernel.f(kernel.params, two))
    if any(leaf.shape[:1] != (2,) for leaf in leaves):
        raise ValueError(f"f: wanted outputs [n, …] for 2 inputs, got shapes {[leaf.shape for leaf in leaves]}")
    together = jnp.concatenate([leaf.reshape(2, -1).astype(apart.dtype) for leaf in leaves], axis=1)
    largest = jnp.maximum(jnp.max(jnp.abs(apart)), jnp.finfo(apart.dtype).tiny)
    return jnp.where(jnp.isfinite(apart).all(), jnp.max(jnp.abs(together - apart)) / largest, jnp.nan)


def _check_mixing(kernel: EmpiricalKernel, mixing: Any) -> None:
    """Raises ValueError where rounding, which deep networks amplify, does not explain the change, and for NaN."""
    known = values_of(mixing)
    if known is None:
        return
    if np.isnan(known):
        check_finite(kernel.params, "EmpiricalKernel")
        raise ValueError(
            "EmpiricalKernel: outputs of the first or the last input are not finite, and the parameters are; does the "
            "input hold NaN, or do values grow too large?"
        )
    if known > float(jnp.finfo(known.dtype).eps) ** 0.25:
        raise ValueError(
            f"f: outputs of an input change by {known:.1e} of the largest output with the other inputs of the batch, "
            "as those of batch normalization in training do; use it with fixed statistics, and without dropout"
        )


def _view(kernel: EmpiricalKernel, x: Any) -> RealView:
    view = RealView(kernel.f, kernel.params, kernel._trains(), x)
    if kernel.outputs == "channels" and not (len(view.shapes) == 1 and view.shape):
        raise ValueError(f'outputs="channels": wanted one array [n, *pixels, channels] of outputs, got {view.shapes}')
    return view


def _work(kernel: EmpiricalKernel, x1: Any, x2: Any, apart: bool = False) -> Work:
    question = Question(kernel.outputs, kernel.method, kernel.memory, kernel._rates(), apart)
    return Work(_view(kernel, x1), question, _rows(x1), None if x2 is None else _rows(x2))


def _identity(kernel: EmpiricalKernel, x1: Any, _: Any) -> str:
    arrays, static = eqx.partition(kernel.params, eqx.is_array)
    f = fingerprint_of_function(lambda arrays, x: kernel.f(eqx.combine(arrays, static), x), arrays, x1)
    trained = [i for i in range(len(jax.tree.leaves(kernel.params))) if kernel._trains()(i)]
    return fingerprint([f, arrays, kernel.rates, trained, kernel.method, kernel.outputs])


def _ntk(kernel: EmpiricalKernel, x1: Any, x2: Any) -> Any:
    work = _work(kernel, x1, x2)
    return work.total(work.kernels(x1, x2), (work.task.n1, work.task.n2))


def _nngp(kernel: EmpiricalKernel, x1: Any, x2: Any) -> Any:
    work = _work(kernel, x1, x2)
    y1 = work.values(x1)
    return work.sets.of_outputs(y1, y1 if x2 is None else work.values(x2))


def _both(kernel: EmpiricalKernel, x1: Any, x2: Any) -> Kernels:
    return Kernels(_nngp(kernel, x1, x2), _ntk(kernel, x1, x2))


def _diag(kernel: EmpiricalKernel, x: Any, _: None) -> Kernels:
    work = _work(kernel, jax.tree.map(lambda a: a[:1], x), None)
    of_one = lambda y: work.sets.of_outputs(y[None], y[None])[0, 0]  # noqa: E731
    return Kernels(jax.vmap(of_one)(work.values(x)), work.total(work.diagonal(x), (_rows(x),)))


def _layers(kernel: EmpiricalKernel, x1: Any, x2: Any) -> Any:
    work = _work(kernel, x1, x2, apart=True)
    shares, shape = work.kernels(x1, x2), (work.task.n1, work.task.n2)
    leaves, treedef = jax.tree.flatten(kernel.params)
    trained = set(work.view.origin)
    return jax.tree.unflatten(
        treedef,
        [
            work.total({i: shares[i]} if i in shares else {}, shape) if i in trained else None
            for i in range(len(leaves))
        ],
    )


def _product(kernel: EmpiricalKernel, x1: Any, x2: Any, vectors: Any) -> Any:
    return product(_work(kernel, x1, x2), x1, x1 if x2 is None else x2, vectors)
