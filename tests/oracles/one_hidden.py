"""A tanh network with one hidden layer, written out: outputs, training by gradient flow, O_3. NumPy and SciPy alone.

Parameters are `w [d, N]` and `a [N]` in NTK parameterization; L = 1/(2D) Σ (f − y)².
"""

import numpy as np
from scipy.integrate import solve_ivp


def draw(width, seed, inputs=3):
    rng = np.random.default_rng(seed)
    return {"w": rng.standard_normal((inputs, width)), "a": rng.standard_normal(width)}


def outputs(p, x):
    return np.tanh(x @ p["w"] / np.sqrt(x.shape[1])) @ p["a"] / np.sqrt(len(p["a"]))


def ntk(p, x1, x2):
    h1, h2 = (np.tanh(x @ p["w"] / np.sqrt(x.shape[1])) for x in (x1, x2))
    s1, s2 = 1 - h1**2, 1 - h2**2
    return (h1 @ h2.T + (x1 @ x2.T) / x1.shape[1] * ((s1 * p["a"] ** 2) @ s2.T)) / len(p["a"])


def trained(p, x, y, times, rtol=1e-11):
    """The parameters at each time."""
    d, N = p["w"].shape

    def unpack(theta):
        return {"w": theta[: d * N].reshape(d, N), "a": theta[d * N :]}

    def velocity(_, theta):
        at = unpack(theta)
        h = np.tanh(x @ at["w"] / np.sqrt(d))
        r = (h @ at["a"] / np.sqrt(N) - y) / len(y)
        by_w = x.T @ (r[:, None] * (1 - h**2) * at["a"]) / np.sqrt(d * N)
        return -np.concatenate([by_w.ravel(), h.T @ r / np.sqrt(N)])

    start = np.concatenate([p["w"].ravel(), p["a"]])
    run = solve_ivp(velocity, (0, times[-1]), start, "DOP853", times, rtol=rtol, atol=1e-13)
    return [unpack(theta) for theta in run.y.T]


def third_tensor(p, x):
    """O_3(a, b, c) by the sum over hidden units that the definition gives."""
    d, N = p["w"].shape
    k = x @ x.T / d
    phi = np.tanh(x @ p["w"] / np.sqrt(d))
    d1 = 1 - phi**2
    d2 = -2 * phi * d1
    a, n = p["a"], len(x)
    out = np.zeros((n, n, n))
    for i, j, m in np.ndindex(n, n, n):
        once = 2 * d1[i] * d1[j] * phi[m] * k[i, j]
        once = once + d1[i] * phi[j] * d1[m] * k[i, m] + phi[i] * d1[j] * d1[m] * k[j, m]
        cubed = d2[i] * d1[j] * d1[m] * k[i, m] + d1[i] * d2[j] * d1[m] * k[j, m]
        out[i, j, m] = (a * once + a**3 * k[i, j] * cubed).sum() / N**1.5
    return out
