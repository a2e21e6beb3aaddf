"""Where the tiles of a kernel matrix are written: memory, or a file that survives a kill."""

import hashlib
import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np

Tile = tuple[int, int]


@dataclass(frozen=True)
class TileStore:
    """A matrix under construction and the set of its finished tiles.

    `matrix`: in memory, or memory-mapped from `path`. Beside `path` lies a log with one line per finished tile, which
    is written after the tile itself and removed at the end.
    """

    matrix: np.ndarray
    tile: int
    done: set[Tile]
    log: Path | None

    @classmethod
    def open(cls, shape: tuple[int, ...], dtype: np.dtype, tile: int, path: str | Path | None, key: tuple):
        """A new store, or the one left at `path` by an interrupted run for the same `key` and tile size."""
        if path is None:
            return cls(np.empty(shape, dtype), tile, set(), None)
        path = Path(path)
        log = path.with_name(path.name + ".tiles")
        title = {"key": _fingerprint(key), "tile": tile, "shape": list(shape), "dtype": str(dtype)}
        if log.exists() and path.exists():
            done = _read_log(log, title)
            try:
                return cls(np.lib.format.open_memmap(path, mode="r+"), tile, done, log)
            except (ValueError, EOFError) as error:
                raise _damaged(path, log) from error
        if path.exists():
            raise ValueError(f"gram: {path} exists and is not an unfinished run of gram; name another file for `out`")
        matrix = np.lib.format.open_memmap(path, mode="w+", dtype=dtype, shape=shape)
        log.write_text(json.dumps(title) + "\n")
        return cls(matrix, tile, set(), log)

    def write(self, at: Tile, values: np.ndarray, mirror: bool) -> None:
        """Write a tile, and its transpose at the mirrored place where `mirror`."""
        rows, columns = (slice(k * self.tile, k * self.tile + n) for k, n in zip(at, values.shape[:2], strict=True))
        self.matrix[rows, columns] = values
        if mirror:
            self.matrix[columns, rows] = np.swapaxes(values, 0, 1)
        self.done.add(at)
        if self.log is not None:
            self.matrix.flush()  # type: ignore[attr-defined]
            with self.log.open("a") as f:
                f.write(f"{at[0]} {at[1]}\n")

    def finish(self) -> np.ndarray:
        """The whole matrix; the log is removed."""
        if self.log is not None:
            self.log.unlink()
        return self.matrix


def _read_log(log: Path, title: dict) -> set[Tile]:
    try:
        first, *lines = log.read_text().splitlines()
        theirs = json.loads(first)
    except ValueError as error:  # no line, no text or no JSON
        raise _damaged(log, log) from error
    if theirs != title:
        raise ValueError(
            f"gram: {log} belongs to another matrix (network, inputs, dtype or tile size differ); "
            "name another file for `out`, or delete that one to start anew"
        )
    whole = [line.split() for line in lines]
    return {(int(i), int(j)) for i, j in (pair for pair in whole if len(pair) == 2)}


def _damaged(path: Path, log: Path) -> ValueError:
    return ValueError(
        f"gram: {path} is damaged or cut short, so that the run cannot go on; delete {log} and the matrix beside it to "
        "start anew, or name another file for `out`"
    )


def _fingerprint(key: tuple) -> str:
    digest = hashlib.sha256()
    for part in key:
        digest.update(part.tobytes() if isinstance(part, np.ndarray) else repr(part).encode())
    return digest.hexdigest()
