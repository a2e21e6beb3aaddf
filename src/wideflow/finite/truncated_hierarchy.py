"""The training of a finite network from its hierarchy of kernels, cut off at some order."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from .tensors import TrainingTensors, checked_times


class TruncatedHierarchy:
    """Outputs of a finite network along gradient flow under square loss, with the last tensor O_p held constant.

    L = 1/(2D) Σ_α ‖f(x_α) − y_α‖² over the D training points gives a closed system of differential equations,

        df/dt = −1/D Σ_α O_2(·, α) (f_α − y_α),   dO_s/dt = −1/D Σ_α O_{s+1}(…, α) (f_α − y_α)  for s < p.

    Order p = 2 is training with the constant NTK. The error at a time is of the size of O_{p+1}: 1/width for the orders
    2 and 3 and 1/width² for 4 and 5, so that an odd order improves a constant at most.

    `tensors`: O_2 … O_p by their order, as `wf.hierarchy(f, params, x, p, x_train)` gives them, where `x` is the
    training inputs and then any others. `f0 [P]` or `[P, out]`: outputs on `x` at the start. `y_train`: `[D]` or
    `[D, out]`. Float64, whatever the dtype of the tensors; NumPy arrays.
    Errors: ValueError for missing orders and shapes that do not match; RuntimeError where the outputs grow without
    bound, as those of orders 3 and above may when the residual is too large for the width.
    Cost: P (D·out)^(p−1) operations a step of the Runge-Kutta method (DOP853).
    Source: Huang and Yau 2020.

    ```python
    tensors = wf.hierarchy(net.apply, params, x, 4, x_train)  # x: training inputs, then test inputs
    outputs = TruncatedHierarchy(tensors, net.apply(params, x), y_train).outputs([0.0, 1.0, 10.0])
    ```
    """

    def __init__(self, tensors: Mapping[int, Any], f0: Any, y_train: Any):
        self.start = TrainingTensors.of(tensors, f0, y_train)

    @property
    def order(self) -> int:
        """p of the last tensor O_p."""
        return len(self.start.tensors) + 1

    def outputs(self, t: Any, rtol: float = 1e-10, atol: float = 1e-12) -> np.ndarray:
        """Outputs at finite times, shaped like `f0` with a leading axis T if `t` has one."""
        times, single = checked_times(t)
        outputs = self._integrated(times, rtol, atol)[:, : self.start.f0.size]
        outputs = outputs.reshape(len(times), *self.start.shape)
        return outputs[0] if single else outputs

    def ntk(self, t: Any, rtol: float = 1e-10, atol: float = 1e-12) -> np.ndarray:
        """The NTK at finite times, `[P, D]` with a leading axis T if `t` has one; axes P·out and D·out if out > 1."""
        times, single = checked_times(t)
        first = self.start.tensors[0]
        if self.order == 2:
            ntk = np.broadcast_to(first, (len(times), *first.shape)).copy()
        else:
            states = self._integrated(times, rtol, atol)
            ntk = states[:, len(first) : len(first) + first.size].reshape(len(times), *first.shape)
        return ntk[0] if single else ntk

    def _integrated(self, times: Float[np.ndarray, " T"], rtol: float, atol: float) -> Float[np.ndarray, "T states"]:
        """Outputs, O_2 … O_{p−1} as one row for each time."""
        from scipy.integrate import solve_ivp

        if not np.isfinite(times).all():
            raise ValueError("t: wanted finite times; take one after which nothing changes for the end of training")
        state = np.concatenate([self.start.f0, *(tensor.reshape(-1) for tensor in self.start.tensors[:-1])])
        ascending, place = np.unique(times, return_inverse=True)
        if ascending[-1] == 0:
            return np.tile(state, (len(times), 1))
        span = 0.0, float(ascending[-1])
        with np.errstate(over="ignore", invalid="ignore"):  # outputs that diverge are reported below
            run = solve_ivp(self._derivative, span, state, "DOP853", ascending, rtol=rtol, atol=atol)
        if not run.success or not np.isfinite(run.y).all():
            raise RuntimeError(
                f"TruncatedHierarchy: order {self.order} grows without bound before t = {span[1]:g}; the network is "
                "too narrow for this truncation at this time, or its residual too large"
            )
        return run.y.T[place]

    def _derivative(self, t: float, state: Float[np.ndarray, " states"]) -> Float[np.ndarray, " states"]:
        del t
        f, *moving = np.split(state, np.cumsum([self.start.f0.size, *(o.size for o in self.start.tensors[:-2])]))
        if self.order == 2:
            moving = []
        residual = (f[: self.start.y.size] - self.start.y) / self.start.points
        above = [*moving, self.start.tensors[-1]]
        return -np.concatenate([tensor.reshape(-1, residual.size) @ residual for tensor in above])
