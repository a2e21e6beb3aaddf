"""Where a training run is written, record by record, so that it survives a kill."""

import json
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

_KEY, _STATE = "settings.json", "state.eqx"

Record = dict[str, np.ndarray]


@dataclass(frozen=True)
class TrainingLog:
    """The folder of a run: its settings, one file for each record, and the state after the last one.

    A record is on disk before the state that counts it, and every file is replaced as a whole: whenever the run is
    killed, the folder is that of a shorter run.
    """

    folder: Path

    @classmethod
    def open(cls, folder: str | Path, settings: dict[str, str]) -> "TrainingLog":
        """A new folder, or that of the same run. ValueError, and nothing is touched, for anything else."""
        folder = Path(folder)
        if (folder / _KEY).exists():
            _check_same(folder, settings)
        elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
            raise ValueError(f"folder: {folder} exists and is not that of a training run; name another one")
        else:
            try:
                folder.mkdir(parents=True, exist_ok=True)
            except OSError as error:
                raise ValueError(f"folder: {folder} cannot be made ({error.strerror}); name another one") from None
            _replace(folder / _KEY, lambda file: file.write(json.dumps(settings, indent=1).encode()))
        return cls(folder)

    def read(self, state: Any) -> tuple[list[list[Record]], Any]:
        """All records so far, each with one part for each member, and the state after the last, shaped like `state`.

        The state of a run without records is the one given.
        """
        path = self.folder / _STATE
        if not path.exists():
            return [], state
        with _undamaged(path):
            count, plain = eqx.tree_deserialise_leaves(path, (np.zeros((), np.int64), _plain(state)))
        return [self._record(k) for k in range(int(count))], _like(state, plain)

    def write(self, number: int, record: list[Record], state: Any) -> None:
        """Add record `number`, and the state after it."""
        parts: dict[str, Any] = {f"{k}.{name}": array for k, part in enumerate(record) for name, array in part.items()}
        _replace(self._path(number), lambda file: np.savez(file, members=len(record), **parts))
        counted = (np.asarray(number + 1, np.int64), _plain(state))
        _replace(self.folder / _STATE, lambda file: eqx.tree_serialise_leaves(file, counted))

    def _path(self, number: int) -> Path:
        return self.folder / f"record-{number:05d}.npz"

    def _record(self, number: int) -> list[Record]:
        path = self._path(number)
        with _undamaged(path), path.open("rb") as stream, np.load(stream) as file:
            parts: list[Record] = [{} for _ in range(int(file["members"]))]
            for key in file.files:
                if key != "members":
                    member, name = key.split(".", 1)
                    parts[int(member)][name] = file[key]
        return parts


@contextmanager
def _undamaged(path: Path) -> Iterator[None]:
    """ValueError that names the file, and what to do, for whatever goes wrong where a file is read."""
    try:
        yield
    except Exception as error:
        raise ValueError(
            f"folder: {path} is damaged or cut short, so that the run cannot go on there; delete {path.parent} to "
            "start anew, or name another folder"
        ) from error


def _check_same(folder: Path, settings: dict[str, str]) -> None:
    with _undamaged(folder / _KEY):
        theirs = dict(json.loads((folder / _KEY).read_text(encoding="utf-8")))
    other = [name for name in {**settings, **theirs} if settings.get(name) != theirs.get(name)]
    if other:
        raise ValueError(
            f"folder: {folder} is that of another run, which differs in: {', '.join(other)}. Name another folder, or "
            "delete that one to start anew"
        )


def _replace(path: Path, write: Callable[[BinaryIO], Any]) -> None:
    """Write a file as a whole: whoever reads finds the old one or the new one."""
    part = path.with_name(path.name + ".part")
    with part.open("wb") as file:
        write(file)
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _is_key(leaf: Any) -> bool:
    return isinstance(leaf, jax.Array) and jnp.issubdtype(leaf.dtype, jax.dtypes.prng_key)


def _plain(tree: Any) -> Any:
    """Random keys as numbers, which files can hold."""
    return jax.tree.map(lambda leaf: jax.random.key_data(leaf) if _is_key(leaf) else leaf, tree)


def _like(tree: Any, plain: Any) -> Any:
    """`plain` with its random keys as keys again."""
    return jax.tree.map(
        lambda leaf, data: jax.random.wrap_key_data(data, impl=jax.random.key_impl(leaf)) if _is_key(leaf) else data,
        tree,
        plain,
    )
