"""What was seen of training, and how far one path is from another."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Float, Int

from ..dynamics import Loss
from .training_data import accuracies

On = Literal["train", "test"]


@dataclass(frozen=True)
class Evaluation:
    """Outputs `[T, n, *out]` on some points along training, their mean losses `[T]` and accuracies `[T]`.

    Both are in float64, from the outputs. `accuracies` is None where targets are not classes.
    """

    outputs: Float[np.ndarray, "T n *out"]
    losses: Float[np.ndarray, " T"]
    accuracies: Float[np.ndarray, " T"] | None

    @classmethod
    def of(cls, loss: Loss, outputs: np.ndarray, targets: np.ndarray) -> "Evaluation":
        """Outputs and what they are worth for these targets, in the form `loss.checked` gives them."""
        with jax.enable_x64(True):
            y = jnp.asarray(targets)
            losses = np.asarray(jax.vmap(lambda f: loss.mean(f, y))(jnp.asarray(outputs)))
        return cls(outputs, losses, accuracies(loss, outputs, targets))


@dataclass(frozen=True)
class MemberPath:
    """One network, polynomial or kernel along training.

    `steps [T]`: after how many steps it was looked at. `train`, `test`: outputs, losses and accuracies on both sets of
    points; `test` is None without test points. `changes`: ‖θ_t − θ_0‖/‖θ_0‖, each `[T]`: of all parameters together
    under "all", of every array of them under its place in the tree, like "[0]['W']"; empty for kernels. `ntk
    [R, k, k]`: the NTK (averaged over outputs) at `ntk_steps [R]`. `seconds [T]`: time spent on training so far, the
    compilation included. `params`: the last parameters, None for kernels.
    """

    steps: Int[np.ndarray, " T"]
    train: Evaluation
    test: Evaluation | None
    changes: dict[str, np.ndarray]
    ntk_steps: Int[np.ndarray, " R"]
    ntk: Float[np.ndarray, "R k k"]
    seconds: Float[np.ndarray, " T"]
    params: Any = field(repr=False)

    @property
    def diverged(self) -> int | None:
        """The first recorded step with outputs that are not finite; None where all are."""
        parts = [part.outputs for part in (self.train, self.test) if part is not None]
        wrong = ~np.all([np.isfinite(part.reshape(len(part), -1)).all(axis=1) for part in parts], axis=0)
        return int(self.steps[np.argmax(wrong)]) if wrong.any() else None

    @property
    def ntk_changes(self) -> Float[np.ndarray, " R"]:
        """‖Θ_t − Θ_first‖_F/‖Θ_first‖_F for every snapshot of the NTK."""
        norms = lambda matrices: np.linalg.norm(matrices, axis=(1, 2))  # noqa: E731
        return norms(self.ntk - self.ntk[:1]) / norms(self.ntk[:1])


@dataclass(frozen=True)
class PairedPaths(Mapping[str, MemberPath]):
    """The paths of several members by name, and how far they are from each other. Printable.

    `interrupted`: Ctrl-C ended the run; paths then end at the last step that all members have. Comparisons are on the
    test points where there are any, else, or with `on="train"`, on the training points.
    """

    paths: dict[str, MemberPath]
    interrupted: bool = False

    def __getitem__(self, name: str) -> MemberPath:
        return self.paths[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.paths)

    def __len__(self) -> int:
        return len(self.paths)

    @property
    def steps(self) -> Int[np.ndarray, " T"]:
        """The recorded steps."""
        return next(iter(self.paths.values())).steps

    def rmse(self, one: str, other: str, on: On | None = None) -> Float[np.ndarray, " T"]:
        """Root mean square of the difference of two members' outputs, over points and outputs, along training.

        Not finite where one of them diverged.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            difference = self._outputs(one, on) - self._outputs(other, on)
            return np.sqrt(np.mean(difference**2, axis=1))

    def cosine_similarity(self, one: str, other: str, on: On | None = None) -> Float[np.ndarray, " T"]:
        """Cosine of two members' changes of the outputs since the first record, NaN where one has not changed.

        Source: Bai et al. 2020.
        """
        with np.errstate(over="ignore", invalid="ignore"):
            a, b = (outputs - outputs[:1] for outputs in (self._outputs(one, on), self._outputs(other, on)))
            return np.sum(a * b, axis=1) / (np.linalg.norm(a, axis=1) * np.linalg.norm(b, axis=1))

    def first_deviation(self, one: str, other: str, threshold: float, on: On | None = None) -> int | None:
        """The first recorded step at which `rmse` is above a threshold, or not finite; None where it never is."""
        beyond = ~(self.rmse(one, other, on) <= threshold)
        return int(self.steps[np.argmax(beyond)]) if beyond.any() else None

    def _outputs(self, name: str, on: On | None) -> np.ndarray:
        """`[T, n · out]`."""
        if name not in self.paths:
            raise ValueError(f"{name!r}: no such member; there are {', '.join(self.paths)}")
        path = self.paths[name]
        if on == "test" and path.test is None:
            raise ValueError('on="test": the run had no test points')
        part = path.train if on == "train" or path.test is None else path.test
        return part.outputs.reshape(len(part.outputs), -1)

    def __str__(self) -> str:
        first = next(iter(self.paths))
        rows = [["", "train loss", "test loss", "accuracy", f"rmse to {first}", "‖Δθ‖/‖θ‖", "‖ΔΘ‖/‖Θ‖"]]
        for name, path in self.paths.items():
            test_losses = None if path.test is None else path.test.losses
            accuracy = (path.test or path.train).accuracies
            changes = path.changes.get("all"), path.ntk_changes
            numbers = [path.train.losses, test_losses, accuracy, self.rmse(name, first), *changes]
            rows.append([name, *("–" if n is None or not len(n) else f"{n[-1]:.4g}" for n in numbers)])
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        return "\n".join("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)

    __repr__ = __str__
