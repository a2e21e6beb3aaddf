"""A linear network with one hidden layer on any number of examples: gradient descent in closed form."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float

from ..dynamics.learning_rate import largest_eigenvalue
from ..nn import Dense, Layer, Serial, learning_rates


@dataclass(frozen=True)
class LinearRun:
    """Training of a linear network by gradient descent of the rate `lr`.

    `losses [T + 1]` before training and after every step. `networks`: the state after each of `steps [R]`; after
    an overflow, which makes losses infinite, there are none.
    """

    lr: float
    losses: Float[np.ndarray, " T1"]
    steps: tuple[int, ...]
    networks: tuple["LinearNetwork", ...]

    @property
    def diverged(self) -> bool:
        """Whether anything overflowed."""
        return not bool(np.isfinite(self.losses).all())

    @property
    def curvatures(self) -> Float[np.ndarray, " R"]:
        """The largest eigenvalue of Θ/D at the recorded steps."""
        return np.array([network.curvature for network in self.networks])


@dataclass(frozen=True, eq=False)
class LinearNetwork:
    """A network f(x) = x W V/√n without biases, W `[d, n]`, V `[n, K]`, as gradient descent sees it.

    Under L = 1/(2D) Σ ‖f(x_α) − y_α‖² the hidden units H = XW `[D, n]` and V enter through their inner products alone,

        P = [H; Vᵀ][H; Vᵀ]ᵀ = [[M, √n f], [√n fᵀ, S]]    [D + K, D + K],    M = XWWᵀXᵀ,  S = VᵀV  (|v|² for K = 1),

    and with G = XXᵀ, r = f − y a step is exactly P' = A P Aᵀ, A = I − η/(D√n) [[0, G r], [rᵀ, 0]]; written out

        f' = f − η/(nD) (M r + G r S) + η²/(nD²) G r fᵀ r
        M' = M − η/D (f rᵀG + G r fᵀ) + η²/(nD²) G r S rᵀ G
        S' = S − η/D (fᵀr + rᵀf) + η²/(nD²) rᵀ M r.

    So a step costs O((D + K)² K) whatever the width, and `draw` makes networks of any width without their weights. P
    stays positive semidefinite, which for D = 1 is λ ≥ 2|f|/√n of `TwoScalarModel`.

    `inner [D, D]`: G, inner products of the inputs as they meet W. `products [D + K, D + K]`: P. `y [D, K]`.
    `width`: n.
    Source: Lewkowycz et al. 2020, section 2 and appendix; the form with P here.

    ```python
    network = LinearNetwork.draw(x, y, width=1e8)
    run = network.run(lr=3 / network.curvature, steps=200)
    run.losses.max(), run.networks[-1].curvature
    ```
    """

    inner: Float[np.ndarray, "D D"]
    products: Float[np.ndarray, "P P"]
    y: Float[np.ndarray, "D K"]
    width: float

    @staticmethod
    def from_weights(W: Any, V: Any, x: Any, y: Any) -> "LinearNetwork":
        """From weights W `[d, n]`, V `[n, K]`, inputs `x [D, d]` and targets `y [D, K]`, all in float64."""
        W, V, (x, y) = np.asarray(W, np.float64), np.asarray(V, np.float64), _checked(x, y)
        if W.ndim != 2 or V.ndim != 2 or W.shape[1] != len(V) or V.shape[1] != y.shape[1] or len(W) != x.shape[1]:
            raise ValueError(
                f"LinearNetwork: wanted W [d, n], V [n, K], x [D, d], y [D, K], got shapes {W.shape}, {V.shape}, "
                f"{x.shape}, {y.shape}"
            )
        units = np.concatenate([x @ W, V.T])
        return LinearNetwork(x @ x.T, units @ units.T, y, float(len(V)))

    @staticmethod
    def from_network(net: Layer, params: Any, x: Any, y: Any) -> "LinearNetwork":
        """From a network of layers, `nn.Serial(nn.Dense(n), nn.Dense(K))`, and its parameters.

        Its factors w/√fan_in are put into the inputs: f = x̂ W V/√n, x̂ = w₁w₂/√d x, trains alike.
        Errors: ValueError for another network, biases, other parameterizations, and factors of the learning rate.
        """
        layers = _plain_layers(net)
        if not layers or any(factor != 1 for rates in learning_rates(net, params) for factor in rates.values()):
            raise ValueError(
                "LinearNetwork.from_network: wanted nn.Serial(nn.Dense(n, w=…), nn.Dense(K, w=…)), without biases, in "
                f"NTK parameterization, all learning rates equal, got {net!r}"
            )
        x, y = _checked(x, y)
        first, second = (float(layer.w) for layer in layers)
        scale = first * second / x.shape[1] ** 0.5
        return LinearNetwork.from_weights(params[0]["W"], params[1]["W"], scale * x, y)

    @staticmethod
    def draw(x: Any, y: Any, width: float, seed: int = 0) -> "LinearNetwork":
        """Draw a network with standard normal weights, of a whole number `width` ≥ D + K of any size.

        P has the Wishart distribution of `width` degrees of freedom and scale blockdiag(G, I), drawn by Bartlett's
        decomposition in O((D + K)³). Inputs meet W as they are: divide by √d for a network in NTK parameterization.
        Source: Bartlett 1933.
        """
        x, y = _checked(x, y)
        size = sum(y.shape)
        if width < size or width != round(width):
            raise ValueError(f"LinearNetwork.draw: wanted a whole width of at least D + K = {size}, got {width}")
        random, triangle = np.random.default_rng(seed), np.zeros((size, size))
        triangle[np.diag_indices(size)] = np.sqrt(random.chisquare(width - np.arange(size)))
        triangle[np.tril_indices(size, -1)] = random.standard_normal(size * (size - 1) // 2)
        inner = x @ x.T
        values, vectors = np.linalg.eigh(inner)
        units = triangle.copy()
        units[: len(x)] = vectors @ (np.sqrt(np.clip(values, 0, None))[:, None] * triangle[: len(x)])
        return LinearNetwork(inner, units @ units.T, y, float(width))

    @property
    def outputs(self) -> Float[np.ndarray, "D K"]:
        """f."""
        return self.products[: len(self.y), len(self.y) :] / self.width**0.5

    @property
    def hidden(self) -> Float[np.ndarray, "D D"]:
        """M = XWWᵀXᵀ."""
        return self.products[: len(self.y), : len(self.y)]

    @property
    def readout(self) -> Float[np.ndarray, "K K"]:
        """S = VᵀV."""
        return self.products[len(self.y) :, len(self.y) :]

    @property
    def ntk(self) -> Float[np.ndarray, "D K D K"]:
        """Θ = (G ⊗ S + M ⊗ I)/n, all pairs of outputs, without 1/D."""
        eye = np.eye(self.y.shape[1])
        terms = np.einsum("ij,ab->iajb", self.inner, self.readout) + np.einsum("ij,ab->iajb", self.hidden, eye)
        return terms / self.width

    @property
    def curvature(self) -> float:
        """λ, the largest eigenvalue of Θ/D."""
        size = self.y.size
        return largest_eigenvalue(self.ntk.reshape(size, size)) / len(self.y)

    @property
    def loss(self) -> float:
        """1/(2D) Σ ‖f − y‖²."""
        return float(np.sum((self.outputs - self.y) ** 2) / (2 * len(self.y)))

    def step(self, lr: float) -> "LinearNetwork":
        """The network after one step of gradient descent."""
        D, K = self.y.shape
        r = self.outputs - self.y
        A = np.eye(D + K)
        A[:D, D:] -= lr / (D * self.width**0.5) * self.inner @ r
        A[D:, :D] -= lr / (D * self.width**0.5) * r.T
        return LinearNetwork(self.inner, A @ self.products @ A.T, self.y, self.width)

    def run(self, lr: float, steps: int, every: int = 1) -> LinearRun:
        """Train for `steps` steps; states are kept at the start, after `every` steps, and at the end."""
        if not 0 < lr < np.inf or steps < 1 or every < 1:
            raise ValueError(f"LinearNetwork.run: wanted positive lr, steps and every, got {lr}, {steps}, {every}")
        network, losses = self, np.full(steps + 1, np.inf)
        kept: dict[int, LinearNetwork] = {0: self}
        losses[0] = self.loss
        with np.errstate(over="ignore", invalid="ignore"):
            for t in range(1, steps + 1):
                network = network.step(lr)
                if not np.isfinite(network.products).all() or not np.isfinite(network.loss):
                    break
                losses[t] = network.loss
                if t % every == 0 or t == steps:
                    kept[t] = network
        return LinearRun(lr, losses, tuple(kept), tuple(kept.values()))


def _plain_layers(net: Layer) -> list[Dense]:
    """The two dense layers of a linear network without biases in NTK parameterization; none of any other."""
    layers = net.layers if isinstance(net, Serial) else ()
    plain = [one for one in layers if isinstance(one, Dense) and one.b is None and one.parameterization == "ntk"]
    return plain if len(plain) == len(layers) == 2 else []


def _checked(x: Any, y: Any) -> tuple[np.ndarray, np.ndarray]:
    """Inputs [D, d] and targets [D, K], finite, in float64."""
    x, y = np.asarray(x, np.float64), np.asarray(y, np.float64)
    if x.ndim != 2 or y.ndim != 2 or len(x) != len(y) or not (np.isfinite(x).all() and np.isfinite(y).all()):
        raise ValueError(
            f"LinearNetwork: wanted finite inputs [D, d] and targets [D, K], got shapes {x.shape} and {y.shape}"
        )
    return x, y
