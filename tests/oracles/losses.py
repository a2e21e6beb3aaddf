"""Training of linear models under any loss, literally: gradients written out, parameters, steps. NumPy and SciPy alone.

`y` is what a gradient needs: numbers, signs, or one row of probabilities for each point.
"""

import numpy as np
from scipy.integrate import solve_ivp
from scipy.special import expit


def square(f, y):
    return f - y


def cross_entropy(f, y):
    p = np.exp(f - f.max(axis=1, keepdims=True))
    return p / p.sum(axis=1, keepdims=True) - y


def logistic(f, y):
    return -y * expit(-y * f)


def huber(f, y, delta=0.8):
    return np.where(np.abs(f - y) < delta, f - y, delta * np.sign(f - y))


def log_cosh(f, y):
    return np.tanh(f - y)


def slope(J, theta, f0, y, gradient, ridge, batch=None):
    """∇ of the mean loss of a batch, plus ridge/(2D) ‖θ‖², for f = f₀ + J θ: θ is what was added to the start."""
    batch = np.arange(len(J)) if batch is None else batch
    return J[batch].T @ gradient(f0[batch] + J[batch] @ theta, y[batch]) / len(batch) + ridge / len(J) * theta


def flow(J, f0, y, gradient, times, ridge=0.0, friction=None):
    """Change of the parameters at `times`: θ' = −∇L, or θ'' + friction θ' = −∇L from rest. DOP853, rtol 1e-12."""
    shape = (J.shape[1], *f0.shape[1:])

    def rate(_, state):
        if friction is None:
            return -slope(J, state.reshape(shape), f0, y, gradient, ridge).ravel()
        theta, velocity = state.reshape(2, *shape)
        return np.stack([velocity, -slope(J, theta, f0, y, gradient, ridge) - friction * velocity]).ravel()

    start = np.zeros(shape if friction is None else (2, *shape)).ravel()
    path = solve_ivp(rate, (0, max(times)), start, "DOP853", t_eval=times, rtol=1e-12, atol=1e-13).y.T
    return path[:, : np.prod(shape)].reshape(len(times), *shape)


def sgd(J, f0, y, gradient, rates, batches, momentum=0.0, ridge=0.0, nesterov=False):
    """Change of the parameters after every step, `[steps + 1, P, *out]`: θ ← θ − η v, v ← β v + ∇L_b.

    Nesterov's in its textbook form: a gradient step from y_t = θ_t + β (θ_t − θ_{t−1}). Indices below 0 are left out.
    """
    theta = np.zeros((J.shape[1], *f0.shape[1:]))
    path, velocity, before = [theta], 0 * theta, theta
    for lr, batch in zip(rates, batches, strict=True):
        batch = batch[batch >= 0]
        if nesterov:
            ahead = theta + momentum * (theta - before)
            before, theta = theta, ahead - lr * slope(J, ahead, f0, y, gradient, ridge, batch)
        else:
            velocity = momentum * velocity + slope(J, theta, f0, y, gradient, ridge, batch)
            theta = theta - lr * velocity
        path.append(theta)
    return np.stack(path)
