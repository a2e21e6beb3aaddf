"""Hyperparameters of a kernel as a vector of logarithms."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import equinox as eqx
import jax
import numpy as np
from jaxtyping import Float

NOISE = "noise"


@dataclass(frozen=True)
class Hyperparameters:
    """Which numbers of a kernel may vary, and the vector of their logarithms: one entry for each of `names`.

    `leaves`, `structure`: the kernel as a flat list. `places[i]`: the leaves that entry i sets, none for the noise.
    """

    leaves: tuple[Any, ...]
    structure: Any
    names: tuple[str, ...]
    places: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, kernel: Any, names: Sequence[str] | None, shared: bool) -> "Hyperparameters":
        """The chosen hyperparameters, see `fit_hyperparameters`; ValueError for names that fit none."""
        with_paths, structure = jax.tree_util.tree_flatten_with_path(kernel)
        paths = [jax.tree_util.keystr(path).removeprefix(".") for path, _ in with_paths]
        leaves = tuple(leaf for _, leaf in with_paths)
        numbers = [i for i, leaf in enumerate(leaves) if eqx.is_inexact_array_like(leaf) and np.ndim(leaf) == 0]
        chosen = _standard_deviations(paths) if names is None else [(name, _ends(paths, name)) for name in names]
        entries = []
        for name, places in chosen:
            found = [i for i in places if i in numbers]
            if name == NOISE or (shared and found):
                entries.append((name, tuple(found)))
            elif found:
                entries += [(paths[i], (i,)) for i in found]
            elif names is not None:
                known = sorted({paths[i].rpartition(".")[2] for i in numbers})
                raise ValueError(
                    f"names: {name!r} is no number of this kernel. Use one of {', '.join([*known, NOISE])}, or the end "
                    f"of a path like {paths[numbers[0]] if numbers else 'net.layers[0].w'}"
                )
        return cls(leaves, structure, *_checked(entries, leaves))

    def start(self, noise: float) -> Float[np.ndarray, " p"]:
        """The logarithms of the values that the kernel has, and of `noise`."""
        return np.log([float(self.leaves[places[0]]) if places else noise for places in self.places])

    def kernel(self, logs: Float[np.ndarray, " p"], as_arrays: bool = False) -> Any:
        """The kernel with these values: numbers, or arrays, which are what derivatives are taken in."""
        leaves = list(self.leaves)
        for value, places in zip(np.exp(logs), self.places, strict=True):
            for place in places:
                leaves[place] = np.asarray(value) if as_arrays else float(value)
        return jax.tree.unflatten(self.structure, leaves)

    def noise(self, logs: Float[np.ndarray, " p"], fixed: float) -> float:
        """The noise among these values, or `fixed` where it is not one of them."""
        return float(np.exp(logs[self.names.index(NOISE)])) if NOISE in self.names else fixed

    def slopes(self, logs: Float[np.ndarray, " p"], kernel: Any, noise: float) -> Float[np.ndarray, " p"]:
        """Slopes in the logarithms, from those in the values: of a kernel-shaped gradient and the noise."""
        leaves = self.structure.flatten_up_to(kernel)
        slopes = [sum(float(leaves[i]) for i in places) if places else noise for places in self.places]
        return np.exp(logs) * np.array(slopes)


def _standard_deviations(paths: list[str]) -> list[tuple[str, list[int]]]:
    """The `w` and `b` of all layers with weights, which are those that have a factor of the learning rate."""
    layers = [path.removesuffix("lr_w") for path in paths if path.endswith(".lr_w")]
    chosen = [
        (name, [i for i, path in enumerate(paths) if path in {f"{layer}{name}" for layer in layers}]) for name in "wb"
    ]
    return [*chosen, (NOISE, [])]


def _ends(paths: list[str], name: str) -> list[int]:
    """Which paths end in `name`, as a whole word; the name of the noise is no path."""
    return [i for i, path in enumerate(paths) if name != NOISE and f".{path}".endswith(f".{name}")]


def _checked(entries: list[tuple[str, tuple[int, ...]]], leaves: tuple[Any, ...]) -> tuple[tuple, tuple]:
    """Names and places apart; ValueError for values that have no logarithm, and where nothing is to be fitted."""
    if not entries:
        raise ValueError("names: give at least one hyperparameter to fit")
    for name, places in entries:
        values = {float(leaves[i]) for i in places}
        if any(not 0 < value < np.inf for value in values):
            raise ValueError(
                f"{name} = {min(values)}: hyperparameters are fitted as logarithms. Start from a positive value, or "
                "leave this one out by naming the others"
            )
        if len(values) > 1:
            raise ValueError(
                f"{name}: to be shared by all layers, it must start from one value in all of them, got "
                f"{', '.join(f'{value:g}' for value in sorted(values))}"
            )
    return tuple(name for name, _ in entries), tuple(places for _, places in entries)
