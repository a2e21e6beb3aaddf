"""Sweeps over learning rates, against networks trained in NumPy, and the phases of real networks."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import wideflow as wf
from wideflow import datasets, nn
from wideflow.beyond import LearningRateSweep, LinearNetwork
from wideflow.dynamics import Nesterov, SoftmaxCrossEntropy, batch_order

D, STEPS = 6, 12
RNG = np.random.default_rng(4)
X, Y = RNG.standard_normal((D, 3)), RNG.standard_normal((D, 1))
LABELS = np.array([0, 1, 2, 2, 1, 0])


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"] / params["out"].shape[0] ** 0.5


def family(outputs):
    """Networks of any width with weights of a fixed draw, as `(f, draw)`."""

    def member(width):
        rng = np.random.default_rng(width)
        weights = {"in": rng.standard_normal((3, width)), "out": rng.standard_normal((width, outputs))}
        return network, lambda key: jax.tree.map(jnp.asarray, weights)

    return member


def weights_of(width, outputs):
    return {name: np.asarray(leaf) for name, leaf in family(outputs)(width)[1](None).items()}


class Numpy:
    """tanh network with one hidden layer under a loss with `slope(f, y)`, in NumPy."""

    def __init__(self, weights, slope):
        self.A, self.B, self.slope = weights["in"], weights["out"], slope

    def outputs(self):
        return np.tanh(X @ self.A) @ self.B / len(self.B) ** 0.5

    def gradient(self, A, B, rows, y):
        n, h = len(B) ** 0.5, np.tanh(X[rows] @ A)
        r = self.slope(h @ B / n, y[rows]) / len(rows)
        return X[rows].T @ ((1 - h**2) * (r @ B.T / n)), h.T @ r / n

    def train(self, y, lr, batches, beta=0.0, ahead=0.0):
        va, vb = 0 * self.A, 0 * self.B
        for rows in batches:
            a, b = self.gradient(self.A - lr * ahead * va, self.B - lr * ahead * vb, rows, y)
            va, vb = beta * va + a, beta * vb + b
            self.A, self.B = self.A - lr * va, self.B - lr * vb
        return self

    def jacobian(self):
        """∂f(x_α)_k/∂θ, [D, K, P]."""
        n, h, K = len(self.B) ** 0.5, np.tanh(X @ self.A), self.B.shape[1]
        into = np.einsum("di,dj,jk->dkij", X, 1 - h**2, self.B) / n
        out = np.einsum("dj,kl->dkjl", h, np.eye(K)) / n
        return np.concatenate([into.reshape(D, K, -1), out.reshape(D, K, -1)], axis=2)


def test_square_loss_sweep_is_that_of_networks_trained_in_numpy(x64):
    c, widths = [1.2, 2.4, 3.3], [16, 40]
    table = LearningRateSweep(c, STEPS).run(family(1), widths, X, Y)
    for w, width in enumerate(widths):
        start = Numpy(weights_of(width, 1), lambda f, y: f - y)
        theta = np.einsum("dkp,ekp->de", start.jacobian(), start.jacobian())
        lam0 = np.linalg.eigvalsh(theta)[-1] / D
        np.testing.assert_allclose(table.lam0[w], lam0, rtol=1e-6)
        for i, ci in enumerate(c):
            lr, every = ci / table.lam0[w, 0], [np.arange(D)] * STEPS
            losses = []
            for t in range(STEPS + 1):
                f = Numpy(weights_of(width, 1), lambda f, y: f - y).train(Y, lr, every[:t]).outputs()
                losses.append(np.sum((f - Y) ** 2) / (2 * D))
            np.testing.assert_allclose(table.losses[w, 0, 0, i], losses[:-1], rtol=1e-9)
            np.testing.assert_allclose(table.peak[w, 0, 0, i], max(losses) / losses[0], rtol=1e-9)
            for moment, steps in ((table.equal_steps, STEPS), (table.equal_time, max(1, round(STEPS * 1.2 / ci)))):
                end = Numpy(weights_of(width, 1), lambda f, y: f - y).train(Y, lr, every[:steps])
                assert moment.steps[i] == steps
                after = np.einsum("dkp,ekp->de", end.jacobian(), end.jacobian())
                at = (w, 0, 0, i)
                np.testing.assert_allclose(moment.loss[at], losses[steps], rtol=1e-9)
                np.testing.assert_allclose(moment.ntk[at], np.linalg.eigvalsh(after)[-1] / D / lam0, rtol=1e-4)
                np.testing.assert_allclose(moment.curvature[at], moment.ntk[at])
                change = np.linalg.norm(after - theta) / np.linalg.norm(theta)
                np.testing.assert_allclose(moment.kernel_change[at], change, rtol=1e-8)
                right = np.mean((end.outputs() > 0) == (Y > 0))
                np.testing.assert_allclose(moment.accuracy[at], right, rtol=1e-6)


def test_cross_entropy_by_nesterov_on_minibatches_is_that_of_numpy(x64):
    onehot = np.eye(3)[LABELS]

    def softmax(f):
        return np.exp(f) / np.exp(f).sum(axis=1, keepdims=True)

    sweep = LearningRateSweep([1.5], STEPS, SoftmaxCrossEntropy(), Nesterov(momentum=0.6), batch=4, seed=2)
    table = sweep.run(family(3), [20], X, LABELS)
    start = Numpy(weights_of(20, 3), lambda f, y: softmax(f) - y)
    p, J = softmax(start.outputs()), start.jacobian()
    inner = np.einsum("dk,kl->dkl", p, np.eye(3)) - np.einsum("dk,dl->dkl", p, p)
    gauss_newton = np.einsum("dkp,dkl,dlq->pq", J, inner, J) / D
    np.testing.assert_allclose(table.lam0[0, 0], np.linalg.eigvalsh(gauss_newton)[-1], rtol=1e-5)
    batches = [rows[rows >= 0] for rows in batch_order(D, 4, STEPS, seed=2)]
    end = start.train(onehot, 1.5 / table.lam0[0, 0], batches, 0.6, 0.6)
    loss = -np.mean(np.log(softmax(end.outputs())[np.arange(D), LABELS]))
    np.testing.assert_allclose(table.equal_steps.loss[0, 0, 0, 0], loss, rtol=1e-8)
    right = np.mean(end.outputs().argmax(axis=1) == LABELS)
    np.testing.assert_allclose(table.equal_steps.accuracy[0, 0, 0, 0], right, rtol=1e-6)
    J0, J1 = J.reshape(D * 3, -1), end.jacobian().reshape(D * 3, -1)
    ratio = np.linalg.norm(J1, 2) ** 2 / np.linalg.norm(J0, 2) ** 2
    np.testing.assert_allclose(table.equal_steps.ntk[0, 0, 0, 0], ratio, rtol=1e-4)


def test_quadratic_model_of_a_linear_network_is_the_network_and_both_are_the_exact_map(x64):
    net, c = nn.Serial(nn.Dense(60), nn.Dense(1)), [1.5, 2.8, 7.0]
    sweep = LearningRateSweep(c, 40, orders=(None, 1, 2))
    table = sweep.run(lambda n: net, [60], X, Y)
    params = net.init(jax.random.fold_in(jax.random.key(0), 0), X)
    exact = LinearNetwork.from_network(net, params, X, Y)
    for i, ci in enumerate(c):
        run = exact.run(ci / table.lam0[0, 0], 39)
        first = np.isfinite(run.losses) & (run.losses < 1e6)  # rounding grows along what diverges
        for model in (0, 2):
            np.testing.assert_allclose(table.losses[0, model, 0, i][first], run.losses[first], rtol=1e-9)
    assert table.diverged[0, :, 0].tolist() == [[False, False, True], [False, False, False], [False, False, True]]
    assert table.peak[0, 1, 0, 1] > 1e6 > 100 > table.peak[0, 0, 0, 1]  # the linearization grows without end
    np.testing.assert_allclose(table.equal_steps.ntk[0, 1, 0, :2], 1, rtol=1e-3)
    assert table.equal_steps.ntk[0, 2, 0, 1] < 0.9


def test_table_is_printed_and_networks_of_a_width_differ():
    table = LearningRateSweep([0.5, 1.0], 3, networks=2).run(
        lambda n: nn.Serial(nn.Dense(n), nn.Tanh(), nn.Dense(1)), [8], X, Y
    )
    assert len(str(table).splitlines()) == 4
    assert "network" in str(table)
    assert table.lam0[0, 0] != table.lam0[0, 1]
    assert table.losses.dtype == np.float64


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"c": [0.0]}, "positive and finite"),
        ({"c": [1.0], "steps": 0}, "at least 1"),
        ({"c": [1.0], "orders": (0,)}, "orders must be None"),
    ],
)
def test_options_that_make_no_sweep_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        LearningRateSweep(**options)


def test_networks_and_targets_that_do_not_fit_are_refused():
    sweep = LearningRateSweep([1.0], 2)
    with pytest.raises(ValueError, match="factors of the learning rate"):
        sweep.run(lambda n: nn.Serial(nn.Dense(n, lr_w=0.5), nn.Dense(1)), [4], X, Y)
    with pytest.raises(ValueError, match=r"have shape \(6, 1\), the targets want \(6, 2\)"):
        sweep.run(lambda n: nn.Serial(nn.Dense(n), nn.Dense(1)), [4], X, np.ones((D, 2)))
    with pytest.raises(TypeError, match="which go in steps"):
        LearningRateSweep([1.0], rule=wf.GradientFlow())
    with pytest.raises(ValueError, match="no floating point arrays"):
        sweep.run(lambda n: (lambda params, x: x[:, :1], lambda key: {"n": 3}), [4], X, Y)


ACTIVATIONS = {
    "linear": lambda n: nn.Serial(nn.Dense(n), nn.Dense(1)),
    "relu": lambda n: nn.Serial(nn.Dense(n, w=2**0.5), nn.Relu(), nn.Dense(1)),
    "tanh": lambda n: nn.Serial(nn.Dense(n), nn.Tanh(), nn.Dense(1)),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", ACTIVATIONS)
def test_phases_of_wide_networks_are_those_of_the_model(name):
    """Isotropic inputs: lazy below 2, peak and fall of the NTK between 2 and 4, at two widths alike."""
    rng = np.random.default_rng(1)
    x, y = rng.standard_normal((32, 32)), np.sign(rng.standard_normal((32, 1)))
    table = LearningRateSweep([1.0, 1.8, 2.6, 3.2, 7.0], 120, orders=(None, 2)).run(
        ACTIVATIONS[name], [1024, 2048], x, y
    )
    ends = table.equal_steps
    assert np.all(table.peak[..., :2] == 1)
    assert np.abs(ends.ntk[..., :2] - 1).max() < 0.06
    assert np.all(table.peak[..., 2:4] > 1.2)
    assert np.all(ends.ntk[..., 2:4] < 0.85)
    assert np.all(table.eta_curvature[..., 2:4] < 2.1)
    assert np.all(ends.loss[..., 2:4] < 0.1)
    assert np.all(table.diverged[..., 4])
    assert not table.diverged[..., :4].any()


def images(count):
    data = datasets.load("digits")
    return data.x[:count].reshape(count, 8, 8, 1) / 16.0, np.asarray(data.y[:count]).astype(int)


def resnet(n):
    branch = nn.Serial(nn.Relu(), nn.Conv(n, 3, w=2**0.5), nn.Relu(), nn.Conv(n, 3))
    head = nn.Serial(nn.Relu(), nn.AvgPool(2), nn.Flatten(), nn.Dense(10))
    return nn.Serial(nn.Conv(n, 3, w=2**0.5), nn.Residual(branch), head)


def conv(n):
    return nn.Serial(nn.Conv(n, 3, w=2**0.5), nn.Relu(), nn.Conv(n, 3, stride=2), nn.Relu(), nn.Flatten(), nn.Dense(10))


@pytest.mark.slow
@pytest.mark.parametrize(("architecture", "width"), [(conv, 48), (resnet, 32)])
@pytest.mark.parametrize("batch", [None, 16])
def test_catapult_of_convolutional_networks_on_images(architecture, width, batch):
    """Beyond c = 2 the linearization overflows or grows without end; the network trains and its NTK falls."""
    x, labels = images(32)
    y = np.eye(10)[labels] - 0.1
    table = LearningRateSweep([1.0, 3.5], 40, batch=batch, orders=(None, 1)).run(architecture, [width], x, y)
    ends = table.equal_steps
    assert not table.diverged[0, 0].any()
    assert table.peak[0, 1, 0, 1] > 1e3
    assert ends.ntk[0, 0, 0, 1] < 0.8 * ends.ntk[0, 0, 0, 0]
    assert ends.loss[0, 0, 0, 1] < table.losses[0, 0, 0, 1, 0] / 2


@pytest.mark.slow
def test_cross_entropy_falls_faster_beyond_the_lazy_phase():
    x, labels = images(64)
    sweep = LearningRateSweep([1.0, 3.0], 60, SoftmaxCrossEntropy())
    deep = nn.Serial(nn.Flatten(), nn.Dense(256, w=2**0.5), nn.Relu(), nn.Dense(256, w=2**0.5), nn.Relu(), nn.Dense(10))
    table = sweep.run(lambda n: deep, [256], x, labels)
    assert table.equal_steps.loss[0, 0, 0, 1] < table.equal_steps.loss[0, 0, 0, 0]
    assert table.equal_steps.ntk[0, 0, 0, 0] > 2  # under cross-entropy the NTK grows in the lazy phase already


def test_start_of_a_polynomial_is_traced_so_that_networks_share_a_compilation():
    from wideflow.beyond.descent import Model

    seen = []

    def counted(params, x):
        seen.append(1)
        return network(params, x)

    one, two = ({k: jnp.asarray(v, jnp.float32) for k, v in weights_of(n, 1).items()} for n in (16, 16))
    two = jax.tree.map(lambda leaf: leaf + 1, two)
    rest = jax.tree.map(lambda _: None, one)
    apply, x = eqx.filter_jit(lambda model, params, x: model(params, x)), jnp.asarray(X, jnp.float32)
    first = apply(Model(counted, one, rest, 2), two, x)
    traces = len(seen)
    second = apply(Model(counted, two, rest, 2), one, x)
    assert len(seen) == traces
    assert not np.allclose(first, second)
