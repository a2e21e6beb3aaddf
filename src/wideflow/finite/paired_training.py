"""Networks, their linearizations, Taylor polynomials and kernels, trained side by side on the same batches."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from .. import __version__
from ..dynamics import Loss, Nesterov, Rule
from ..dynamics.batches import checked_steps
from ..nn.fingerprint import fingerprint, fingerprint_of_function
from .examples import check_loss, examples_of, inputs_in, sized_loss, targets_for
from .function_check import check_function, outputs_of
from .member_path import Evaluation, MemberPath, PairedPaths
from .members import KernelMember, KernelTask, NetworkMember
from .optimizer import optimizer_of
from .parameter_check import check_finite, check_trainable, factor_of_each
from .training import NetworkTraining
from .training_data import TrainingData
from .training_log import Record, TrainingLog


@dataclass(frozen=True)
class PairedTraining:
    """Training of several members from the same parameters, on the same batches, by the same optimizer.

    Members are functions f(params, x), as a network, its linearization and its Taylor polynomials, and kernels that
    are called like `Kernel`, infinite or empirical (`training_members` makes the usual ones). A kernel takes the steps
    of a linear model with that kernel, from the outputs of the first function at its initial parameters, so that its
    path is comparable point by point. Several outputs share the kernel, which is exact for infinite width.

    `loss`: any `dynamics.Loss`. `optimizer`: `GradientDescent`, `HeavyBall` or `Nesterov`, or any optax optimizer, with
    its schedules and clipping. Kernels need one of the first three: Adam's steps depend on the gradient of each
    parameter by itself, clipped steps on its norm, and a kernel knows neither. `batches [steps, batch]`: from
    `dynamics.batch_order`; None: all points in every step. `steps [T]`: ascending, after how many steps members are
    recorded; 0 is the start. `rates [steps]`: a learning rate for every step in place of the rule's (an optax
    optimizer has schedules). `factors`: a tree like the parameters that multiplies their learning rates,
    `nn.learning_rates(net, params)` where layers have such factors, as their kernels do. `ntk_inputs [k, …]`: inputs
    of which the NTK is recorded, at every `ntk_every`-th recorded step, with these factors.

    Errors: TypeError for a rule that does not go in steps, ValueError for settings that do not fit.

    ```python
    order = wf.dynamics.batch_order(len(x), batch=32, steps=500)
    training = wf.finite.PairedTraining(wf.dynamics.SquareLoss(), wf.HeavyBall(0.5, 0.9), order, range(0, 501, 25))
    members = wf.finite.training_members(net.apply, params, orders=(1, 2, 3), kernel=wf.Kernel(net))
    paths = training.run(members, params, wf.finite.TrainingData(x, y, x_test, y_test), folder="runs/pairs")
    paths.rmse("network", "linear")  # [T]
    ```
    """

    loss: Loss
    optimizer: Any
    batches: Any
    steps: Any
    rates: Any = None
    factors: Any = None
    ntk_inputs: Any = None
    ntk_every: int = 1

    def __post_init__(self):
        check_loss(self.loss, "PairedTraining")
        given = {"batches": self.batches, "rates": self.rates}
        for name, one in given.items():
            if one is not None and not np.ndim(one):
                raise ValueError(f"{name}: wanted one entry for every step, got {one!r}; batch_order makes batches")
        lengths = [len(one) for one in given.values() if one is not None]
        checked_steps(np.atleast_1d(self.steps), min(lengths, default=None))
        optimizer_of(self.optimizer, self.rates)
        if not isinstance(self.ntk_every, int | np.integer) or self.ntk_every < 1:
            raise ValueError(f"PairedTraining: ntk_every must be at least 1, got {self.ntk_every!r}")
        if self.rates is not None and isinstance(self.optimizer, Nesterov):
            raise ValueError("rates: not for Nesterov, whose forms differ when rates change; take HeavyBall")

    def run(
        self,
        members: Mapping[str, Any],
        params: Any,
        data: Any,
        folder: str | Path | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> PairedPaths:
        """Train all members from `params`, in turns from record to record.

        `members`: functions and kernels by name, at least one function. `data`: `(x, y)` or `(x, y, x_test, y_test)`,
        `TrainingData`, or a task of `wideflow.datasets`. `folder`: where every record is written, with parameters and
        the optimizer's state; a run that was killed goes on there and gives, bit for bit, the numbers of a run that
        was not (but for `seconds`). Kernels are computed again. `progress(k)` is called whenever k more steps of one
        member are done (or were, by an earlier run), out of `len(members) · steps[-1]`. Ctrl-C ends the run and returns
        what all members have; before the first record it is raised.

        A member whose outputs are no longer finite is recorded as it is and trained no further; the others go on.
        All is computed in the dtype of parameters and inputs, kernels' training in float64.

        Errors: ValueError, before any training, for targets in the wrong form, outputs of another shape than the
        targets, kernels with an optax optimizer, no function among the members, a kernel matrix that is no kernel, and
        a folder of another run, which says what differs.
        Cost: for each function a gradient on the batch a step, and its outputs on all points a record; three
        compilations. For kernels, as `KernelSGD` and `gram`.
        """
        if not isinstance(members, Mapping):
            raise TypeError(
                f"members: wanted a dictionary of functions and kernels by name, got {type(members).__qualname__}; "
                "training_members(f, params) makes one"
            )
        check_trainable(params, "PairedTraining")
        check_finite(params, "PairedTraining")
        return _Run(self, dict(members), params, examples_of(data)).run(folder, progress or (lambda _: None))


class _Run:
    """One run: its members, and what they share."""

    def __init__(self, settings: PairedTraining, sources: dict[str, Any], params: Any, data: TrainingData):
        self.settings, self.sources = settings, sources
        self.steps = checked_steps(np.atleast_1d(settings.steps), None)[0]
        self.arrays, self.static = eqx.partition(jax.tree.map(_as_array, params), eqx.is_array)
        with jax.numpy_dtype_promotion("standard"):
            moving = jax.tree.leaves(eqx.filter(self.arrays, eqx.is_inexact_array))
            self.x = jnp.asarray(inputs_in(data, jnp.result_type(*moving)).inputs)
        self._check_more()
        self.f0 = self._start()
        self.loss = sized_loss(settings.loss, self.f0.shape[1:])
        self.data = targets_for(data, self.loss, self.f0.shape[1:])
        self.optimizer = optimizer_of(settings.optimizer, settings.rates, settings.factors)
        members = {name: self._member(source) for name, source in sources.items()}
        self.members = dict(sorted(members.items(), key=lambda one: isinstance(one[1], NetworkMember)))  # kernels first

    def run(self, folder: str | Path | None, progress: Callable[[int], None]) -> PairedPaths:
        """Train, record, write; from where an earlier run was stopped."""
        members, records = list(self.members.values()), []
        log = None if folder is None else TrainingLog.open(folder, self._fingerprints())
        if log is not None:
            records, states = log.read([member.state for member in members])
            if records:
                self._resume(records, states, progress)
        params = [member.params for member in members]
        try:
            for number in range(len(records), len(self.steps)):
                ntk, step = number % self.settings.ntk_every == 0, int(self.steps[number])
                record = [member.record(step, ntk, progress) for member in members]
                if log is not None:
                    log.write(number, record, [member.state for member in members])
                records, params = [*records, record], [member.params for member in members]
        except KeyboardInterrupt:
            if not records:
                raise
        paths = zip(self.members, zip(*records, strict=True), params, strict=True)
        by_name = {name: self._path(parts, last) for name, parts, last in paths}
        return PairedPaths({name: by_name[name] for name in self.sources}, len(records) < len(self.steps))

    def _start(self) -> np.ndarray:
        """Outputs of the first function on all points."""
        functions = {name: f for name, f in self.sources.items() if not _is_kernel(f)}
        if not functions:
            raise ValueError("members: wanted at least one function f(params, x); kernels start from its outputs")
        for name, f in functions.items():
            check_function(f, f"members: {name}")
            outputs_of(self._of_arrays(f), self.arrays, self.x, f"members: {name}")
        first = next(iter(functions.values()))
        return np.asarray(jax.jit(self._of_arrays(first))(self.arrays, self.x), np.float64)

    def _check_more(self) -> None:
        """ValueError for inputs and factors of the settings that do not fit data and parameters."""
        probes, factors = self.settings.ntk_inputs, self.settings.factors
        if probes is not None and (np.ndim(probes) < 1 or np.shape(probes)[1:] != self.x.shape[1:]):
            raise ValueError(
                f"ntk_inputs: wanted inputs like x, [k, {', '.join(map(str, self.x.shape[1:]))}], got shape "
                f"{np.shape(probes)}"
            )
        if factors is not None:
            factor_of_each(eqx.filter(self.arrays, eqx.is_inexact_array), factors, "factors")

    def _of_arrays(self, f: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        """The function of the arrays among its parameters; what is no array, JAX cannot take."""
        return lambda arrays, x: f(eqx.combine(arrays, self.static), x)

    def _member(self, source: Any) -> NetworkMember | KernelMember:
        settings, data = self.settings, self.data
        if not _is_kernel(source):
            training = NetworkTraining(self.loss, self.optimizer, settings.batches)
            descent = training.start(self._of_arrays(source), self.arrays, self.x[: len(data.x)], data.y)
            return NetworkMember(descent, self.x, settings.ntk_inputs, settings.factors)
        rule, batches = settings.optimizer, settings.batches
        if not isinstance(rule, Rule):
            raise ValueError(
                f"members: {source!r} is a kernel, and a kernel knows neither the gradient of each parameter, which "
                "Adam divides by, nor its norm, which is clipped: only GradientDescent, HeavyBall and Nesterov leave "
                "dual weights. Give one of them as `optimizer`, or train the linearization in place of the kernel"
            )
        task = KernelTask(self.loss, rule, batches, settings.rates, self.steps, data, self.f0)
        return KernelMember(source, task, settings.ntk_inputs)

    def _resume(self, records: list[list[Record]], states: list[Any], progress: Callable[[int], None]) -> None:
        done = int(self.steps[len(records) - 1])
        for member, last, state in zip(self.members.values(), records[-1], states, strict=True):
            member.resume(done, last, state)
        progress(done * len(records[-1]))

    def _path(self, records: Sequence[Record], params: Any) -> MemberPath:
        """What was seen of one member."""
        steps, D = self.steps[: len(records)], len(self.data.x)
        outputs = np.stack([one["outputs"] for one in records])
        tested = self.data.y_test is not None
        changes = {}
        if params is not None:
            names = jax.tree_util.tree_leaves_with_path(eqx.filter(self.arrays, eqx.is_inexact_array))
            names = ["all", *(jax.tree_util.keystr(place) for place, _ in names)]
            changes = dict(zip(names, np.stack([one["changes"] for one in records], axis=1), strict=True))
        ntk = [one["ntk"] for one in records if "ntk" in one]
        return MemberPath(
            steps,
            Evaluation.of(self.loss, outputs[:, :D], self.data.y),
            Evaluation.of(self.loss, outputs[:, D:], self.data.y_test) if tested else None,
            changes,
            steps[["ntk" in one for one in records]],
            np.stack(ntk) if ntk else np.zeros((0, 0, 0)),
            np.array([one["seconds"] for one in records]),
            None if params is None else eqx.combine(params, self.static),
        )

    def _fingerprints(self) -> dict[str, str]:
        """What a run is known by: a digest of each setting."""
        settings, data = self.settings, self.data
        descent = next(one.descent for one in self.members.values() if isinstance(one, NetworkMember))
        moving, one = (
            eqx.filter(self.arrays, eqx.is_inexact_array),
            jax.eval_shape(descent.f, self.arrays, self.x[:1]),
        )
        with jax.numpy_dtype_promotion("standard"):
            update = fingerprint_of_function(self.optimizer.update, moving, descent.state, moving)
        known = {
            "versions": f"wideflow {__version__}, JAX {jax.__version__}",
            "data": fingerprint([data.x, data.y, data.x_test, data.y_test]),
            "params": fingerprint(self.arrays),
            "loss": fingerprint_of_function(self.loss.mean, one, descent.data[1][:1]),
            "optimizer": fingerprint([settings.optimizer, settings.rates, update, descent.state]),
            "batches": fingerprint(settings.batches),
            "steps": fingerprint(self.steps),
            "snapshots": fingerprint([settings.ntk_inputs, settings.ntk_every, settings.factors]),
        }
        return known | {f"member {name}": self._fingerprint(source) for name, source in self.sources.items()}

    def _fingerprint(self, source: Any) -> str:
        if _is_kernel(source):
            return source.identity(self.x) if hasattr(source, "identity") else fingerprint(repr(source))
        return fingerprint_of_function(self._of_arrays(source), self.arrays, self.x)


def _as_array(leaf: Any) -> Any:
    return jnp.asarray(leaf) if isinstance(leaf, (np.ndarray, np.generic)) else leaf


def _is_kernel(member: Any) -> bool:
    return hasattr(member, "ntk")
