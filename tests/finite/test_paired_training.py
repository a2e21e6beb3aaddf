"""Members trained side by side: against kernels, loops written out, brute force, and themselves after a kill."""

import subprocess
import sys
import time

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

from wideflow.beyond import fit_slope
from wideflow.dynamics import (
    GradientDescent,
    GradientFlow,
    HeavyBall,
    KernelSGD,
    LogisticLoss,
    Nesterov,
    SoftmaxCrossEntropy,
    SquareLoss,
    batch_order,
)
from wideflow.finite import EmpiricalKernel, PairedTraining, TrainingData, empirical_ntk, relative_changes, taylor
from wideflow.finite import training_members as members_of
from wideflow.finite.training_data import accuracies
from wideflow.finite.training_log import TrainingLog

D, M, STEPS = 8, 3, 40
EVERY = np.arange(STEPS + 1)
SOME = [0, 5, 10, 20, 30, 40]
RNG = np.random.default_rng(9)
X = RNG.standard_normal((D + M, 2))
SIGNS = np.sign(RNG.standard_normal((D + M, 1)))
ORDER = batch_order(D, 3, STEPS, seed=1)


def network(params, x):
    return jnp.tanh(x @ params["in"]) @ params["out"] / np.sqrt(len(params["out"])).astype(x.dtype)


def start(dtype=jnp.float32, width=16, outputs=1, seed=1):
    weights = np.random.default_rng(seed)
    shapes = (("in", (2, width)), ("out", (width, outputs)))
    return {name: jnp.asarray(weights.standard_normal(s), dtype) for name, s in shapes}


def data(y=SIGNS, dtype=np.float32):
    return X[:D].astype(dtype), y[:D], X[D:].astype(dtype), y[D:]


def numbers(path):
    """Everything about a path but the time it took."""
    parts = [(part.outputs, part.losses, part.accuracies) for part in (path.train, path.test)]
    return [path.steps, parts, path.changes, path.ntk_steps, path.ntk, path.params]


def assert_same_bits(one, other):
    assert list(one) == list(other)
    for name in one:
        a, b = (jax.tree.flatten(numbers(paths[name])) for paths in (one, other))
        assert a[1] == b[1]
        for left, right in zip(a[0], b[0], strict=True):
            np.testing.assert_array_equal(np.asarray(left), np.asarray(right))


@pytest.mark.parametrize(
    ("loss", "rule"),
    [
        (SquareLoss(), HeavyBall(0.3, 0.8)),
        pytest.param(LogisticLoss(), Nesterov(0.5, 0.8), marks=pytest.mark.slow),
    ],
    ids=repr,
)
def test_linearization_equals_its_own_kernel_at_every_step(loss, rule, x64):
    params, sets = start(jnp.float64), data(dtype=np.float64)
    members = members_of(network, params, kernel=EmpiricalKernel(network, params))
    paths = PairedTraining(loss, rule, ORDER, EVERY).run(members, params, sets)
    for on in ("train", "test"):
        assert paths.rmse("linear", "kernel", on).max() < 1e-12
        assert paths.rmse("network", "kernel", on)[-1] > 1e-3
    theta, f0 = np.asarray(empirical_ntk(network, params, X)), np.asarray(network(params, X))
    if isinstance(rule, HeavyBall):  # and that kernel's path is the one of KernelSGD
        run = KernelSGD(loss, theta[:D, :D], SIGNS[:D], rule, ORDER)
        np.testing.assert_allclose(paths["kernel"].train.outputs, run.train(EVERY, f0[:D]), rtol=1e-9)
        expected = run.test(EVERY, theta[D:, :D], f0[:D], f0[D:])
        np.testing.assert_allclose(paths["linear"].test.outputs, expected, rtol=1e-9)


def readout(params, x):
    """Linear in what trains, so that its kernel is the same for every output and never changes."""
    return jnp.tanh(x @ jnp.asarray(np.linspace(-2, 2, 32).reshape(2, 16), x.dtype)) @ params["out"] / 4


@pytest.mark.slow
def test_several_classes_with_a_rate_for_every_step_equal_the_kernel_in_float32():
    params, labels = {"out": start(outputs=3)["out"]}, np.array([0, 2, 1, 1, 0, 2, 2, 1, 0, 1, 1])
    members = members_of(readout, params, kernel=EmpiricalKernel(readout, params))
    rates = np.linspace(2, 0.1, STEPS)
    paths = PairedTraining(SoftmaxCrossEntropy(), HeavyBall(9.0, 0.8), ORDER, EVERY, rates).run(
        members, params, data(labels)
    )
    for name in ("network", "linear"):
        np.testing.assert_allclose(paths[name].train.outputs, paths["kernel"].train.outputs, rtol=1e-5, atol=1e-5)
        np.testing.assert_allclose(paths[name].test.outputs, paths["kernel"].test.outputs, rtol=1e-5, atol=1e-5)
    path, shares = paths["network"], np.eye(3)[labels]
    for part, y in ((path.train, shares[:D]), (path.test, shares[D:])):
        powers = np.exp(part.outputs)
        losses = -np.log(np.sum(powers / powers.sum(-1, keepdims=True) * y, axis=-1)).mean(axis=1)
        np.testing.assert_allclose(part.losses, losses, rtol=1e-12)
        right = [
            [f.argmax() == label.argmax() for f, label in zip(outputs, y, strict=True)] for outputs in part.outputs
        ]
        np.testing.assert_allclose(part.accuracies, np.mean(right, axis=1))
    assert path.train.losses[-1] < path.train.losses[0] / 2


def test_adam_with_clipping_and_a_schedule_equals_a_loop_of_optax_written_out(x64):
    params, (x, y, x_test, y_test) = start(jnp.float64), data(dtype=np.float64)
    adam = optax.chain(optax.clip_by_global_norm(0.5), optax.adam(optax.piecewise_constant_schedule(0.1, {20: 0.1})))
    paths = PairedTraining(LogisticLoss(), adam, ORDER, SOME).run({"net": network}, params, (x, y, x_test, y_test))

    @jax.jit
    def step(params, state, x, y):
        mean = lambda p: jnp.mean(jnp.log1p(jnp.exp(-y * network(p, x))))  # noqa: E731
        with jax.numpy_dtype_promotion("standard"):
            updates, state = adam.update(jax.grad(mean)(params), state, params)
        return optax.apply_updates(params, updates), state

    now, state, path = params, adam.init(params), paths["net"]
    for i, batch in enumerate(ORDER):
        if i in SOME:
            t = SOME.index(i)
            np.testing.assert_allclose(path.train.outputs[t], network(now, x), rtol=1e-10, atol=1e-13)
            np.testing.assert_allclose(path.test.outputs[t], network(now, x_test), rtol=1e-10, atol=1e-13)
            for name, change in relative_changes(now, params).items():
                np.testing.assert_allclose(path.changes[f"[{name!r}]"][t], change, rtol=1e-9)
            assert path.train.losses[t] == pytest.approx(np.log1p(np.exp(-y * path.train.outputs[t])).mean(), rel=1e-12)
            assert path.train.accuracies[t] == np.mean(y * path.train.outputs[t] > 0)
        rows = batch[batch >= 0]
        now, state = step(now, state, jnp.asarray(x[rows]), jnp.asarray(y[rows]))
    np.testing.assert_allclose(path.params["in"], now["in"], rtol=1e-9)
    together = [np.concatenate([np.ravel(leaf) for leaf in jax.tree.leaves(tree)]) for tree in (now, params)]
    change = np.linalg.norm(together[0] - together[1]) / np.linalg.norm(together[1])
    assert path.changes["all"][-1] == pytest.approx(change, rel=1e-9)


def test_taylor_polynomials_start_at_the_linearization_and_close_in_on_the_network(x64):
    params, sets = start(jnp.float64), data(dtype=np.float64)
    members = members_of(network, params, orders=(1, 3, 7)) | {"polynomial": taylor(network, params, 1)}
    paths = PairedTraining(SquareLoss(), HeavyBall(0.2, 0.5), None, SOME).run(members, params, sets)
    assert paths.rmse("linear", "polynomial").max() < 1e-13
    errors = [paths.rmse("network", name)[-1] for name in ("linear", "order 3", "order 7")]
    assert errors[0] > 2 * errors[1] > 4 * errors[2] > 0
    early = [paths.rmse("network", name)[1] for name in ("linear", "order 3", "order 7")]
    assert early[0] > 10 * early[1] > 100 * early[2] > 0
    a, b = (paths[name].test.outputs - paths[name].test.outputs[:1] for name in ("network", "linear"))
    cosine = [np.sum(u * v) / np.sqrt(np.sum(u * u) * np.sum(v * v)) for u, v in zip(a[1:], b[1:], strict=True)]
    np.testing.assert_allclose(paths.cosine_similarity("network", "linear")[1:], cosine, rtol=1e-12)
    rmse = np.sqrt([np.mean((u - v) ** 2) for u, v in zip(a, b, strict=True)])
    np.testing.assert_allclose(paths.rmse("network", "linear"), rmse, rtol=1e-9, atol=1e-15)
    beyond = [step for step, value in zip(SOME, rmse, strict=True) if value > rmse[2]]
    assert paths.first_deviation("network", "linear", rmse[2] * (1 + 1e-9)) == beyond[0]
    assert paths.first_deviation("network", "linear", 1e9) is None


@pytest.mark.slow
def test_snapshots_are_the_ntk_at_the_parameters_of_their_steps_and_factors_enter_both():
    params, factors, sets = start(), {"in": 0.5, "out": 2.0}, data()
    kernel = EmpiricalKernel(network, params, rates=factors)
    settings = {"factors": factors, "ntk_inputs": X[2:6].astype(np.float32)}
    training = PairedTraining(SquareLoss(), GradientDescent(0.3), None, SOME[:5], ntk_every=2, **settings)
    paths = training.run(members_of(network, params, kernel=kernel), params, sets)
    path = paths["network"]
    assert path.ntk_steps.tolist() == [0, 10, 30]
    for ntk, at in ((path.ntk[0], params), (path.ntk[2], path.params)):
        expected = empirical_ntk(network, at, settings["ntk_inputs"], rates=factors)
        np.testing.assert_allclose(ntk, expected, rtol=1e-5, atol=1e-6)
    change = np.linalg.norm(path.ntk[2] - path.ntk[0]) / np.linalg.norm(path.ntk[0])
    assert path.ntk_changes[2] == pytest.approx(change, rel=1e-12)
    assert change > 0.01
    assert paths["linear"].ntk_changes.max() < 1e-6
    np.testing.assert_allclose(paths["kernel"].ntk[2], path.ntk[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(paths["linear"].test.outputs, paths["kernel"].test.outputs, rtol=1e-5, atol=1e-5)


class StoppedError(Exception):
    pass


class StopAfter:
    """A progress callback that raises once so many steps are done."""

    def __init__(self, steps, error):
        self.left, self.error = steps, error

    def __call__(self, steps):
        self.left -= steps
        if self.left <= 0:
            raise self.error


def test_a_run_that_is_stopped_anywhere_goes_on_to_the_same_bits(tmp_path):
    params, sets = start(), data()
    members = members_of(network, params, orders=(), kernel=EmpiricalKernel(network, params))
    training = PairedTraining(SquareLoss(), HeavyBall(0.3, 0.8), ORDER, SOME, ntk_inputs=sets[0][:3], ntk_every=2)
    whole, done = training.run(members, params, sets), []
    for steps in (1, 20, 31):  # in three goes, each stopped further on
        with pytest.raises(StoppedError):
            training.run(members, params, sets, tmp_path / "run", StopAfter(steps, StoppedError))
    resumed = training.run(dict(members), params, sets, tmp_path / "run", done.append)
    assert sum(done) == 2 * STEPS
    assert done[0] == 2 * 10  # three records were there
    assert_same_bits(whole, resumed)
    assert_same_bits(whole, training.run(members, params, sets, tmp_path / "run"))
    assert np.all(np.diff(resumed["network"].seconds) >= 0)


def test_state_of_adam_with_its_count_survives_and_ctrl_c_returns_what_all_members_have(tmp_path):
    params, sets = start(), data()
    adam = optax.adam(optax.exponential_decay(0.1, 10, 0.5))
    training, members = PairedTraining(LogisticLoss(), adam, ORDER, SOME), members_of(network, params)
    whole = training.run(members, params, sets)
    part = training.run(members, params, sets, tmp_path / "run", StopAfter(45, KeyboardInterrupt))
    assert part.interrupted
    assert not whole.interrupted
    assert part.steps.tolist() == [0, 5, 10, 20]
    np.testing.assert_array_equal(part["linear"].test.outputs, whole["linear"].test.outputs[:4])
    expected = np.asarray(network(part["network"].params, sets[0]))
    np.testing.assert_allclose(part["network"].train.outputs[-1], expected, rtol=1e-5, atol=1e-6)
    assert part.rmse("network", "linear").shape == (4,)
    assert_same_bits(whole, training.run(members, params, sets, tmp_path / "run"))
    with pytest.raises(KeyboardInterrupt):
        PairedTraining(LogisticLoss(), adam, ORDER, [7]).run(
            members, params, sets, None, StopAfter(1, KeyboardInterrupt)
        )


SCRIPT = """
import hashlib, sys
import jax, numpy as np, optax
import wideflow as wf
net = wf.nn.Serial(wf.nn.Dense(32), wf.nn.Tanh(), wf.nn.Dense(1))
x = np.random.default_rng(0).standard_normal((12, 3)).astype(np.float32)
y = np.sign(x[:, :1])
params = net.init(jax.random.key(0), x)
order = wf.dynamics.batch_order(12, 5, 20000)
training = wf.finite.PairedTraining(wf.dynamics.LogisticLoss(), optax.adam(1e-3), order, range(0, 20001, 500))
paths = training.run(wf.finite.training_members(net.apply, params), params, (x, y), sys.argv[1])
seen = [paths[name].train.outputs for name in paths]
print(hashlib.sha256(np.stack(seen).tobytes()).hexdigest())
"""


@pytest.mark.slow
def test_a_killed_process_goes_on_to_the_same_bits(tmp_path):
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    command = lambda folder: [sys.executable, str(script), str(tmp_path / folder)]  # noqa: E731
    whole = subprocess.run(command("whole"), capture_output=True, text=True, check=True).stdout
    for records in (2, 9):
        process = subprocess.Popen(command("killed"), stdout=subprocess.DEVNULL)
        while process.poll() is None and not (tmp_path / "killed" / f"record-{records:05d}.npz").exists():
            time.sleep(0.001)
        process.kill()  # SIGKILL
        assert process.wait() != 0, "the process was faster than the kill"
    there = len(list((tmp_path / "killed").glob("record-*.npz")))
    assert 9 < there < 41
    resumed = subprocess.run(command("killed"), capture_output=True, text=True, check=True).stdout
    assert resumed == whole


def test_a_folder_of_another_run_is_refused_with_what_differs(tmp_path):
    params, sets, folder = start(), data(), tmp_path / "run"
    members = {"network": network, "order 2": taylor(network, params, 2)}

    def run(optimizer, members=members, params=params, sets=sets, loss=SquareLoss(), steps=(0, 1)):  # noqa: B008
        PairedTraining(loss, optimizer, ORDER, steps).run(members, params, sets, folder)

    run(optax.sgd(optax.piecewise_constant_schedule(0.1, {500: 0.1})))
    for differs, attempt in {
        "optimizer": lambda: run(optax.sgd(optax.piecewise_constant_schedule(0.1, {501: 0.1}))),
        "params": lambda: run(optax.sgd(0.1), params=start(seed=2)),
        "loss": lambda: run(optax.sgd(0.1), loss=LogisticLoss()),
        "steps": lambda: run(optax.sgd(0.1), steps=[0, 2]),
        "data": lambda: run(optax.sgd(0.1), sets=data(-SIGNS)),
        "member order 2": lambda: run(optax.sgd(0.1), members | {"order 2": taylor(network, params, 3)}),
        "member linear": lambda: run(optax.sgd(0.1), members | {"linear": network}),
    }.items():
        with pytest.raises(ValueError, match=f"is that of another run, which differs in: .*{differs}.*start anew"):
            attempt()
    run(optax.sgd(optax.piecewise_constant_schedule(0.1, {500: 0.1})), dict(members))
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("")
    training = PairedTraining(SquareLoss(), optax.sgd(0.1), ORDER, [0])
    with pytest.raises(ValueError, match="exists and is not that of a training run"):
        training.run(members, params, sets, tmp_path / "mine")


def test_a_member_that_diverges_is_recorded_and_the_others_go_on():
    params, sets = start(), data()
    bounded = lambda p, x: jnp.tanh(network(p, x))  # noqa: E731
    members = {"network": bounded, "order 2": taylor(bounded, params, 2), "kernel": EmpiricalKernel(bounded, params)}
    training = PairedTraining(SquareLoss(), GradientDescent(40.0), None, [0, 1, 50, 100, 2000])
    done = []
    paths = training.run(members, params, sets, progress=done.append)
    assert sum(done) == 3 * 2000
    assert paths["network"].diverged is None
    assert np.isfinite(paths["network"].test.losses).all()
    path = paths["order 2"]
    assert path.diverged == 50
    assert np.isfinite(path.test.outputs[:2]).all()
    assert np.isnan(path.train.accuracies[2:]).all()
    assert np.isnan(path.train.outputs[3:]).all()
    assert np.isnan(path.changes["all"][3:]).all()
    assert paths["kernel"].diverged in (100, 2000)
    assert paths.first_deviation("network", "order 2", np.inf) == 50
    assert "nan" in str(paths)


def test_parameters_that_are_modules_with_functions_train_and_integer_labels_need_not_all_be_there():
    model = eqx.nn.MLP(2, 3, 8, 1, key=jax.random.key(0))
    labels = np.array([0, 1] * 5 + [2])
    training = PairedTraining(SoftmaxCrossEntropy(), optax.adam(0.1), None, [0, 30])
    paths = training.run({"model": lambda m, x: jax.vmap(m)(x)}, model, data(labels))
    path = paths["model"]
    assert path.train.losses[1] < path.train.losses[0]
    np.testing.assert_allclose(jax.vmap(path.params)(X[:D].astype(np.float32)), path.train.outputs[1], rtol=1e-5)
    assert ".layers[0].weight" in path.changes


def test_full_batches_by_default_are_batches_of_all_points_without_test_points_too():
    params, (x, y, _, _) = start(), data()
    paths = [
        PairedTraining(SquareLoss(), GradientDescent(0.3), batches, [0, 9]).run({"net": network}, params, (x, y))["net"]
        for batches in (None, np.tile(np.arange(D), (9, 1)))
    ]
    np.testing.assert_allclose(paths[0].train.outputs, paths[1].train.outputs, rtol=1e-5)
    assert paths[0].test is None


def several(params, x):
    """Networks that share nothing, one in each output."""
    return jax.vmap(network, in_axes=(0, None), out_axes=1)(params, x)[..., 0]


@pytest.mark.slow
def test_deviation_from_the_linearization_falls_with_width_and_comes_later():
    widths, steps, seeds = (64, 128, 256, 512), [0, 8, 16, 32, 64, 128], range(24)
    x, y = data()[0], np.tile(SIGNS[:D], (1, len(seeds)))
    training, runs = PairedTraining(LogisticLoss(), GradientDescent(0.5), None, steps), []
    for width in widths:
        params = jax.tree.map(
            lambda *leaves: jnp.stack(leaves), *[start(width=width, seed=1000 * width + s) for s in seeds]
        )
        runs.append(training.run(members_of(several, params), params, (x, y)))
    outputs = [[paths[name].train.outputs[3] for name in ("network", "linear")] for paths in runs]
    deviations = np.array([np.sqrt(np.mean((a - b) ** 2, axis=0)) for a, b in outputs])
    slope = fit_slope(np.array(widths), deviations)
    assert -1.2 < slope.value < -0.6, f"{slope}"
    first = [paths.first_deviation("network", "linear", 0.03) or np.inf for paths in runs]
    assert first == sorted(first)
    assert first[0] < first[-1]


def test_accuracies_count_signs_and_largest_outputs_and_are_none_for_numbers():
    f = np.array([[[0.3, -2.0], [0.1, 0.4], [0.0, -1.0]], [[np.nan, 1.0], [1.0, 2.0], [1.0, 2.0]]])
    hot, signs = np.array([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]]), np.array([[1.0, -1.0], [1.0, -1.0], [1.0, -1.0]])
    np.testing.assert_array_equal(accuracies(SquareLoss(), f, hot), [2 / 3, np.nan])
    np.testing.assert_array_equal(accuracies(SquareLoss(), f, 2 * hot - 1), [2 / 3, np.nan])
    np.testing.assert_array_equal(accuracies(LogisticLoss(), f, signs), [4 / 6, np.nan])  # an output 0 is wrong
    np.testing.assert_array_equal(accuracies(SquareLoss(), f[:, :, 0], signs[:, 0]), [2 / 3, np.nan])
    assert accuracies(SquareLoss(), f, f[0]) is None


def test_a_state_with_random_keys_and_half_precision_survives(tmp_path):
    state = {"key": jax.random.key(3), "half": jnp.arange(3, dtype=jnp.bfloat16), "count": jnp.asarray(2)}
    log = TrainingLog.open(tmp_path / "run", {"steps": "1"})
    assert log.read(state)[0] == []
    log.write(0, [{"outputs": np.arange(4.0)}, {}], state)
    other = {"key": jax.random.key(9), "half": jnp.zeros(3, jnp.bfloat16), "count": jnp.asarray(0)}
    records, back = TrainingLog.open(tmp_path / "run", {"steps": "1"}).read(other)
    np.testing.assert_array_equal(records[0][0]["outputs"], np.arange(4.0))
    assert jax.random.bits(back["key"]) == jax.random.bits(state["key"])
    assert back["half"].dtype == jnp.bfloat16
    assert (back["half"] == state["half"]).all()
    assert back["count"] == 2


@pytest.mark.parametrize("name", ["settings.json", "state.eqx", "record-00001.npz"])
@pytest.mark.parametrize("left", [0, 20])
def test_a_file_of_the_run_that_is_cut_short_is_named(name, left, tmp_path):
    params, training = start(), PairedTraining(SquareLoss(), GradientDescent(0.1), None, [0, 1, 2])
    training.run({"network": network}, params, data(), tmp_path / "run")
    file = tmp_path / "run" / name
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(
        ValueError, match=f"{name} is damaged or cut short, .* delete .*run to start anew, or name anot"
    ):
        training.run({"network": network}, params, data(), tmp_path / "run")


def make(optimizer=None, **settings):
    optimizer = optimizer or GradientDescent(0.1)
    return PairedTraining(SquareLoss(), optimizer, ORDER, settings.pop("steps", [0, 3]), **settings)


def run(training, members=None, sets=None):
    params = start()
    return training.run(members or {"network": network}, params, sets or data())


@pytest.mark.parametrize(
    ("attempt", "message"),
    [
        (lambda: run(make(optax.adam(0.1)), {"f": network, "k": EmpiricalKernel(network, start())}), "a kernel knows"),
        (lambda: run(make(), {"k": EmpiricalKernel(network, start())}), "wanted at least one function"),
        (lambda: make(optax.adam(0.1), rates=[0.1] * 3), "an optax optimizer has its own"),
        (lambda: make(Nesterov(0.1, 0.5), rates=[0.1] * 3), "not for Nesterov"),
        (lambda: make(rates=[0.1] * 2), "step 3 was asked for"),
        (lambda: make(steps=[3, 0]), "must be ascending"),
        (lambda: make(ntk_every=0), "ntk_every must be at least 1"),
        (lambda: make(rates=0.1), "rates: wanted one entry for every step, got 0.1"),
        (lambda: run(make(factors={"in": 1.0})), "factors: wanted a tree like the parameters"),
        (lambda: run(make(ntk_inputs=X[:, :1])), r"ntk_inputs: wanted inputs like x, \[k, 2\], got shape"),
        (lambda: run(make(), sets=data(np.ones((D + M, 2)))), "outputs for one input have shape"),
        (lambda: TrainingData(X, SIGNS, X), "x_test and y_test go together"),
        (lambda: TrainingData(X, SIGNS, X[:, :1], SIGNS), "of one shape each"),
        (lambda: run(make()).rmse("network", "linear"), "'linear': no such member; there are network"),
        (lambda: run(make(), sets=data()[:2]).rmse("network", "network", "test"), "had no test points"),
    ],
)
def test_bad_input_is_an_error_that_names_it(attempt, message):
    with pytest.raises(ValueError, match=message):
        attempt()


def test_a_rule_in_continuous_time_is_refused():
    with pytest.raises(TypeError, match="which go in steps"):
        make(GradientFlow())
