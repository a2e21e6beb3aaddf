"""Erf units that learn from a teacher: training by order parameters alone, without data."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

_TOLERANCE = 1e-8  # relative error of the integration in time


@dataclass(frozen=True)
class OrderParameters:
    """Overlaps of the weights w_i of a student with themselves and with those w*_k of its teacher.

    `q [N, N]`: Q_ij = w_i·w_j. `r [N, M]`: R_ik = w_i·w*_k. `t [M, M]`: T_kl = w*_k·w*_l. All three may have leading
    axes, as along training. Outputs on Gaussian inputs depend on the weights by them alone.
    """

    q: Float[np.ndarray, "*T N N"]
    r: Float[np.ndarray, "*T N M"]
    t: Float[np.ndarray, "M M"]

    @staticmethod
    def of(weights: Any, teacher: Any) -> "OrderParameters":
        """Those of weights `[N, d]` and a teacher's `[M, d]`. ValueError where d differs."""
        w, b = np.asarray(weights, np.float64), np.asarray(teacher, np.float64)
        if w.ndim != 2 or b.ndim != 2 or w.shape[1] != b.shape[1]:
            raise ValueError(f"OrderParameters: wanted weights [N, d] and teacher [M, d], got {w.shape} and {b.shape}")
        return OrderParameters(w @ w.T, w @ b.T, b @ b.T)

    @property
    def joint(self) -> Float[np.ndarray, "*T K K"]:
        """The covariance of all preactivations (w_1·x … w*_M·x) under x ~ N(0, I), K = N + M."""
        t = np.broadcast_to(self.t, (*self.q.shape[:-2], *self.t.shape))
        upper = np.concatenate([self.q, self.r], axis=-1)
        lower = np.concatenate([np.swapaxes(self.r, -1, -2), t], axis=-1)
        return np.concatenate([upper, lower], axis=-2)


@dataclass(frozen=True)
class ErfUnits:
    """f(x) = N^−γ Σ_i a_i erf(w_i·x) learns f*(x) = Σ_k v_k erf(w*_k·x) from inputs x ~ N(0, I), a and v fixed.

    The w_i follow gradient flow of R = ½ E (f − f*)² at the rate N^{2γ−1}, as in `ParticleNetwork`. Then the order
    parameters obey closed equations, exact at every width and dimension:

        dQ_ij/dt = F_ij + F_ji,  dR_ik/dt = H_ik,   with   (F, H)_ij = N^{γ−1} a_i E[g'(u_i) (f* − f) u_j],

    g = erf, u the preactivations. With `noise` they also are those of SGD on one fresh example at each step of length s
    in the limit d → ∞ at fixed s·d = `noise`: dQ_ij/dt gains noise N^{2γ−2} a_i a_j E[g'(u_i) g'(u_j) (f − f*)²]. The
    equations of Saad and Solla are those of `exponent=0`: their g(z) = erf(z/√2) has weights √2 as large, their
    learning rate is η = 2 noise/N and their time α = steps/d = t/noise.

    `teacher [M, d]`: w*. `teacher_readout [M]`: v; `readout [N]`: a; None: ones. `exponent`: γ, 1 mean field, ½ NTK.
    Cost: O(N (N + M)²) a step of the integration, with noise O(N² (N + M)²), in time and memory.
    Errors: ValueError for shapes that do not fit together and a negative noise.
    Source: Saad & Solla, Physical Review E 52 (1995).

    >>> import numpy as np
    >>> from wideflow.beyond import ErfUnits, OrderParameters
    >>> task = ErfUnits(np.eye(2))
    >>> start = OrderParameters.of(0.1 * np.random.default_rng(0).standard_normal((3, 2)), task.teacher)
    >>> path = task.path(start, [0.0, 1.0, 5.0])
    >>> bool(np.all(np.diff(task.risk(path)) < 0))
    True
    """

    teacher: Any
    teacher_readout: Any = None
    readout: Any = None
    exponent: float = 1.0
    noise: float = 0.0

    def __post_init__(self):
        if not (np.isfinite(self.noise) and self.noise >= 0):
            raise ValueError(f"ErfUnits: noise is step × dimension, at least 0, got {self.noise}")
        v = self.teacher_readout
        if v is not None and np.shape(v) != np.shape(self.teacher)[:1]:
            raise ValueError(
                f"teacher_readout: wanted one number for each of {len(self.teacher)} units, got {np.shape(v)}"
            )

    def risk(self, order: OrderParameters) -> Any:
        """R = ½ E (f − f*)², of each of the order parameters."""
        c = self._readouts(order)
        return np.einsum("i,...ij,j->...", c, _outputs(order.joint), c) / 2

    def path(self, start: OrderParameters, times: Any) -> OrderParameters:
        """Order parameters at ascending times `[T]` from 0 on."""
        from scipy.integrate import solve_ivp

        times = np.atleast_1d(np.asarray(times, np.float64))
        if not np.isfinite(times).all() or (np.diff(times) <= 0).any() or times[0] < 0 or times[-1] <= 0:
            raise ValueError(f"times: wanted ascending times from 0 on, the last above 0, got {times!r}")
        n, shape = len(start.q), start.r.shape
        c = self._readouts(start)

        def slope(_: float, flat: np.ndarray) -> np.ndarray:
            q, r = flat[: n * n].reshape(n, n), flat[n * n :].reshape(shape)
            dq, dr = self._velocity(OrderParameters(q, r, start.t), c)
            return np.concatenate([dq.ravel(), dr.ravel()])

        first = np.concatenate([start.q.ravel(), start.r.ravel()])
        done = solve_ivp(slope, (0.0, times[-1]), first, "DOP853", times, rtol=_TOLERANCE, atol=1e-3 * _TOLERANCE)
        if not done.success:
            raise ValueError(f"ErfUnits: the integration failed: {done.message}")
        q, r = done.y[: n * n].T.reshape(-1, n, n), done.y[n * n :].T.reshape(-1, *shape)
        return OrderParameters(q, r, start.t)

    def drift(self, weights: Any, times: Any) -> Float[np.ndarray, " T"]:
        """Root mean square over units of |w_i(t) − w_i(0)|, from order parameters: order N^{γ−1}.

        `weights [N, d]`: at the start, which stand beside the teacher as units without readout, so that their overlaps
        with the moving weights are known: |w_i(t) − w_i(0)|² = Q_ii(t) − 2 w_i(t)·w_i(0) + Q_ii(0).
        """
        if self.noise:
            raise ValueError("drift: with noise weights wander in all d directions; give noise=0")
        w, teacher = np.asarray(weights, np.float64), np.asarray(self.teacher, np.float64)
        v = np.ones(len(teacher)) if self.teacher_readout is None else np.asarray(self.teacher_readout, np.float64)
        with_start = np.concatenate([teacher, w])
        task = ErfUnits(with_start, np.concatenate([v, np.zeros(len(w))]), self.readout, self.exponent)
        path = task.path(OrderParameters.of(w, with_start), times)
        now, before = np.diagonal(path.q, axis1=1, axis2=2), np.sum(w**2, axis=1)
        overlap = np.diagonal(path.r[:, :, len(teacher) :], axis1=1, axis2=2)
        return np.sqrt(np.maximum(np.mean(now - 2 * overlap + before, axis=1), 0))

    def _velocity(self, order: OrderParameters, c: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        n, joint = len(order.q), order.joint
        # −c weighs f* − f; N^{2γ−1} · N^−γ a_i = N^{2γ−1} c_i
        rate = n ** (2 * self.exponent - 1) * c[:n]
        pull = -rate[:, None] * (_slope_field(joint, n) @ c)
        dq = pull[:, :n] + pull[:, :n].T
        if self.noise:
            dq = dq + self.noise * np.outer(rate, rate) * _squared_error(joint, n, c)
        return dq, pull[:, n:]

    def _readouts(self, order: OrderParameters) -> Float[np.ndarray, " K"]:
        """c with f − f* = Σ c_j g(u_j): the student's N^−γ a, then −v of the teacher."""
        n, m = order.r.shape[-2:]
        a = np.ones(n) if self.readout is None else np.asarray(self.readout, np.float64)
        v = np.ones(m) if self.teacher_readout is None else np.asarray(self.teacher_readout, np.float64)
        if a.shape != (n,) or v.shape != (m,):
            raise ValueError(
                f"ErfUnits: order parameters are of {n} units and {m} of the teacher, "
                f"readouts of {a.shape} and {v.shape}"
            )
        return np.concatenate([a / n**self.exponent, -v])


def _outputs(c: Float[np.ndarray, "*T K K"]) -> Float[np.ndarray, "*T K K"]:
    """E erf(u_i) erf(u_j) = (2/π) asin(2 C_ij/√((1 + 2 C_ii)(1 + 2 C_jj)))."""
    size = np.sqrt(1 + 2 * np.diagonal(c, axis1=-2, axis2=-1))
    return 2 / np.pi * np.arcsin(np.clip(2 * c / (size[..., :, None] * size[..., None, :]), -1, 1))


def _slope_field(c: Float[np.ndarray, "K K"], n: int) -> Float[np.ndarray, "n K K"]:
    """E[g'(u_i) u_j g(u_k)], i < n: Saad and Solla's I_3 for g = erf, `[i, j, k]`.

    With C = 2 Cov: (2/π) (C_jk (1 + C_ii) − C_ij C_ik)/((1 + C_ii) √((1 + C_ii)(1 + C_kk) − C_ik²)).
    """
    c = 2 * c
    grown, rows = 1 + np.diagonal(c), c[:n]
    root = np.sqrt(grown[:n, None] * grown - rows**2)  # [i, k]
    first = c[None] - rows[:, :, None] * rows[:, None, :] / grown[:n, None, None]
    return 2 / np.pi * first / root[:, None, :]


def _squared_error(c: Float[np.ndarray, "K K"], n: int, weights: Float[np.ndarray, " K"]) -> Float[np.ndarray, "n n"]:
    """E[g'(u_i) g'(u_j) (Σ_k c_k g(u_k))²] for g = erf, by Saad and Solla's I_4.

    g'(u_i) g'(u_j) = (4/π) e^{−u_i² − u_j²} is a Gaussian weight: under it all u are Gaussian with another covariance,
    S = C − C_ij (1/2 + C_(ij))⁻¹ C_ij, and E g(u_k) g(u_l) is that of `_outputs`.
    """
    i, j = np.triu_indices(n)
    rows = np.stack([c[i], c[j]], axis=1)  # [pairs, 2, K]
    both = np.eye(2) / 2 + np.stack([rows[np.arange(len(i)), :, i], rows[np.arange(len(i)), :, j]], axis=2)
    tilted = c - np.swapaxes(rows, 1, 2) @ np.linalg.solve(both, rows)
    mass = 4 / np.pi / np.sqrt(np.linalg.det(2 * both))
    total = np.empty((n, n))
    total[i, j] = total[j, i] = mass * np.einsum("k,pkl,l->p", weights, _outputs(tilted), weights)
    return total
