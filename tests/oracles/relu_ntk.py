"""Finite networks without biases drawn in NumPy: their NTK on one input by explicit forward and backward passes."""

import numpy as np


def sampled_ntk(widths, networks, seed, leak=0.0, dimension=3):
    """Θ̂(x, x) [networks] on x = (1, …, 1), weights of variance 2/(1 + leak²), so that its mean is L + 1."""
    rng = np.random.default_rng(seed)
    scale = np.sqrt(2 / (1 + leak**2))
    forward, weights, gates = [np.ones((networks, dimension))], [], []
    for n in widths:
        h = forward[-1]
        W = rng.standard_normal((networks, h.shape[1], n)) * scale / np.sqrt(h.shape[1])
        z = np.einsum("sd,sdn->sn", h, W)
        gate = np.where(z > 0, 1.0, leak)
        forward.append(gate * z)
        weights.append(W)
        gates.append(gate)
    ntk = (forward[-1] ** 2).mean(axis=1)  # of the readout, whose own variance is 1
    backward = rng.standard_normal((networks, widths[-1])) / np.sqrt(widths[-1])
    for level in range(len(widths) - 1, -1, -1):
        backward = backward * gates[level]
        ntk = ntk + scale**2 * (forward[level] ** 2).mean(axis=1) * (backward**2).sum(axis=1)
        backward = np.einsum("sn,sdn->sd", backward, weights[level])
    return ntk


def ratio_with_error(ntk, batches=40):
    """E[Θ̂²]/E[Θ̂]² and its standard error, from batches."""
    parts = ntk.reshape(batches, -1)
    each = (parts**2).mean(axis=1) / ntk.mean() ** 2 - 2 * (parts.mean(axis=1) / ntk.mean() - 1) * (ntk**2).mean() / (
        ntk.mean() ** 2
    )
    return (ntk**2).mean() / ntk.mean() ** 2, each.std(ddof=1) / np.sqrt(batches)


def random_kernels(x, widths, w, b, phi, networks, seed):
    """K̂ [networks, n, n] of the outputs of networks with hidden layers of these widths, by drawing every weight."""
    rng = np.random.default_rng(seed)
    h = np.broadcast_to(x, (networks, *x.shape))
    for n, weight, bias in zip(widths, w[:-1], b[:-1], strict=True):
        W = rng.standard_normal((networks, h.shape[2], n))
        z = weight / np.sqrt(h.shape[2]) * h @ W + bias * rng.standard_normal((networks, 1, n))
        h = phi(z)
    return w[-1] ** 2 / h.shape[2] * h @ np.swapaxes(h, 1, 2) + b[-1] ** 2
