"""Training of linear models, literally: parameters, gradients, steps. And the formulas as dense matrix functions."""

import mpmath as mp
import numpy as np
from scipy.integrate import solve_ivp
from scipy.linalg import expm

DIGITS = 60


def residual(lam: float, lr: float, steps: int) -> mp.mpf:
    """(1 − lr λ)^steps, the inputs taken as exact."""
    with mp.workdps(DIGITS):
        return (1 - mp.mpf(lr) * mp.mpf(lam)) ** int(steps)


def progress(lam: float, lr: float, steps: int) -> mp.mpf:
    """(1 − (1 − lr λ)^steps)/λ, the sum of a geometric series."""
    with mp.workdps(DIGITS):
        return mp.mpf(lr) * int(steps) if lam == 0 else (1 - residual(lam, lr, steps)) / mp.mpf(lam)


def flow_residual(lam: float, time: float) -> mp.mpf:
    with mp.workdps(DIGITS):
        return mp.exp(-mp.mpf(lam) * mp.mpf(time))


def flow_progress(lam: float, time: float) -> mp.mpf:
    with mp.workdps(DIGITS):
        return mp.mpf(time) if lam == 0 else (1 - flow_residual(lam, time)) / mp.mpf(lam)


def slope(J, theta, theta0, f0, y, ridge):
    """∇ of 1/(2D) Σ ‖f − y‖² + ridge/(2D) ‖θ − θ₀‖² for f(θ) = f₀ + J (θ − θ₀); one column of θ an output."""
    return (J.T @ (f0 + J @ (theta - theta0) - y) + ridge * (theta - theta0)) / len(J)


def descend(J, theta0, f0, y, lr, steps, ridge=0.0):
    """Parameters after every step of gradient descent, `[steps + 1, P, out]`."""
    path = [theta0]
    for _ in range(steps):
        path.append(path[-1] - lr * slope(J, path[-1], theta0, f0, y, ridge))
    return np.stack(path)


def flow(J, theta0, f0, y, times, ridge=0.0):
    """Parameters along gradient flow at `times`, by a Runge-Kutta solver of order eight."""
    rate = lambda _, flat: -slope(J, flat.reshape(theta0.shape), theta0, f0, y, ridge).ravel()  # noqa: E731
    path = solve_ivp(rate, (0, max(times)), theta0.ravel(), "DOP853", t_eval=times, rtol=1e-12, atol=1e-13)
    return path.y.T.reshape(len(times), *theta0.shape)


def learned(kernel, ridge, lr, steps=None, time=None):
    """(1 − p((Θ + ridge)/D)) as a matrix: by powers for `steps`, by `expm` for `time`, one if neither is given."""
    D = len(kernel)
    A, one = (kernel + ridge * np.eye(D)) / D, np.eye(D)
    if steps is not None:
        return one - np.linalg.matrix_power(one - lr * A, steps)
    return one if time is None else one - expm(-time * A)


def ensemble(theta, K, n_train, y, ridge, lr, steps=None, time=None):
    """Mean and covariance of all networks, every parameter trained: C = Θ(T, X)(Θ + ridge)⁻¹(1 − p).

    `theta`, `K`: both kernels on train and test points together, training points first.
    """
    D = n_train
    C = theta[D:, :D] @ np.linalg.inv(theta[:D, :D] + ridge * np.eye(D))
    C = C @ learned(theta[:D, :D], ridge, lr, steps, time)
    return C @ y, K[D:, D:] + C @ K[:D, :D] @ C.T - C @ K[:D, D:] - K[D:, :D] @ C.T


def readout_ensemble(K, n_train, y, ridge, lr, steps=None, time=None):
    """The last layer alone trained, on targets with fresh noise of variance `ridge`: Σ over both random terms."""
    D = n_train
    C = K[D:, :D] @ np.linalg.inv(K[:D, :D] + ridge * np.eye(D)) @ learned(K[:D, :D], ridge, lr, steps, time)
    return C @ y, K[D:, D:] + C @ (K[:D, :D] + ridge * np.eye(D)) @ C.T - C @ K[:D, D:] - K[D:, :D] @ C.T
