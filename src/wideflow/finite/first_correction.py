"""The first finite-width correction to training with a constant kernel, in closed form."""

from collections.abc import Mapping
from typing import Any

import numpy as np
from jaxtyping import Float

from ..dynamics.spectrum import Spectrum
from .exponentials import convolved_exponentials
from .tensors import TrainingTensors, checked_times


class FirstCorrection:
    """Outputs f_NTK + g of a finite network along gradient flow under square loss, to first order in 1/width, exactly.

    With the eigenvalues λ and eigenvectors V of Θ̃ = O_2/D on the training points, c = Vᵀ (f_0 − y), and, all training
    arguments in that basis, q = O_3/D², w = O_4/D³, the kernel moves by

        Θ̃¹_·i(t) = −Σ_r q_·ir c_r e_r + Σ_rs w_·irs c_r c_s (e_r − E_rs)/λ_s,
        e_r = (1 − e^{−λ_r t})/λ_r,   E_rs = (1 − e^{−(λ_r + λ_s) t})/(λ_r + λ_s),

    and the outputs by dg/dt = −Σ_i Θ̃_·i g_i − Σ_i Θ̃¹_·i c_i e^{−λ_i t}. Both are sums of exponentials, held as
    convolutions of them, in which rates may coincide or vanish. Θ, O_3 and O_4 are those of the network that is
    trained, not their means; the error is of order 1/width² (f_NTK alone: 1/width).

    `tensors`: O_2, O_3 and O_4 by their order, as `wf.hierarchy(f, params, x, 4, x_train)` gives them, where `x` is the
    training inputs and then any others. `f0 [P]` or `[P, out]`, `y_train [D]` or `[D, out]`, L = 1/(2D) Σ ‖f − y‖².
    Float64, NumPy arrays. Times may be infinite where Θ on the training points has no eigenvalue that is zero.
    Errors: ValueError for missing orders, shapes that do not match, a kernel that is not positive semidefinite.
    Cost a time: (D·out)⁴ exponentials of 5 × 5 matrices and P (D·out)³ operations.
    Derivation: docs/derivations.md. Source: Dyer and Gur-Ari 2020, and Huang and Yau 2020 for the hierarchy.

    ```python
    tensors = wf.hierarchy(net.apply, params, x, 4, x_train)  # x: training inputs, then test inputs
    outputs = FirstCorrection(tensors, net.apply(params, x), y_train).outputs([0.0, 1.0, np.inf])
    ```
    """

    def __init__(self, tensors: Mapping[int, Any], f0: Any, y_train: Any):
        if sorted(tensors) != [2, 3, 4]:
            raise ValueError(f"FirstCorrection: wanted the tensors O_2, O_3 and O_4, got the orders {sorted(tensors)}")
        start = TrainingTensors.of(tensors, f0, y_train)
        M, D = start.y.size, start.points
        spectrum = Spectrum.of((start.tensors[0][:M] / D).astype(start.dtype), "tensors[2]")
        V, self.singular = spectrum.vectors, bool(spectrum.null.any())
        ntk, third, fourth = (tensor / D**s for s, tensor in enumerate(start.tensors, start=1))
        c = V.T @ (start.f0[:M] - start.y)
        self.start, self.rates = start, spectrum.values
        self.ntk, self.c = ntk @ V, c
        self.third = np.einsum("xab,ai,br->xir", third, V * c, V * c, optimize=True)
        self.fourth = np.einsum("xabd,ai,br,ds->xirs", fourth, V * c, V * c, V * c, optimize=True)
        self.third_modes = np.einsum("ap,air->pir", V, self.third[:M])
        self.fourth_modes = np.einsum("ap,airs->pirs", V, self.fourth[:M])

    def outputs(self, t: Any) -> np.ndarray:
        """f_NTK(t) + g(t), shaped like `f0` with a leading axis T if `t` has one."""
        return self._at(t, lambda time: self._constant_kernel(time) + self._correction(time))

    def correction(self, t: Any) -> np.ndarray:
        """g(t) alone, shaped like `f0` with a leading axis T if `t` has one."""
        return self._at(t, self._correction)

    def _at(self, t: Any, value: Any) -> np.ndarray:
        times, single = checked_times(t)
        if self.singular and np.isinf(times).any():
            raise ValueError("t: the NTK on the training points has a zero eigenvalue; wanted finite times")
        values = np.stack([value(float(time)).reshape(self.start.shape) for time in times])
        return values[0] if single else values

    def _constant_kernel(self, t: float) -> Float[np.ndarray, " P"]:
        """f_NTK = f_0 − Σ_p Θ̃_·p c_p e_p."""
        return self.start.f0 - self.ntk @ (self.c * self._convolved(t, self.rates))

    def _correction(self, t: float) -> Float[np.ndarray, " P"]:
        """g = −∫ Θ̃¹ c e^{−λt} dt − Σ_p Θ̃_·p ∫ g_p dt, g_p being the training points' part along each eigenvector.

        O_4 is moved down to O_3 by the residual s, O_3 to O_2 by r, O_2 to f by i, one after the other: the rate falls
        from λ_i + λ_r + λ_s to zero, or to λ_p and then to zero.
        """
        first = self.rates
        second = first[:, None] + first
        third = second[:, :, None] + first
        by_third = first[:, None], second
        by_fourth = first[:, None, None], second[:, :, None], third
        free = np.einsum("xir,ir->x", self.third, self._convolved(t, *by_third))
        free = free - np.einsum("xirs,irs->x", self.fourth, self._convolved(t, *by_fourth))
        third_lag, fourth_lag = first[:, None, None], first[:, None, None, None]
        lagging = np.einsum("pir,pir->p", self.third_modes, self._convolved(t, third_lag, *by_third))
        lagging = lagging - np.einsum("pirs,pirs->p", self.fourth_modes, self._convolved(t, fourth_lag, *by_fourth))
        return free - self.ntk @ lagging

    @staticmethod
    def _convolved(t: float, *rates: np.ndarray) -> np.ndarray:
        """1 ∗ e^{−a_1 ·} ∗ … at t, for rates that broadcast."""
        together = np.broadcast_arrays(np.zeros(1), *rates)
        return convolved_exponentials(np.stack(together, axis=-1), t)
