"""Results on disk: JSON with full float precision, written whole or not at all."""

import json
import math
import os
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np


def plain(value: Any) -> Any:
    """The same value as dictionaries, lists, strings, numbers and None only, which is what JSON can hold.

    Arrays (NumPy, JAX) become nested lists, their scalars Python numbers, NaN and infinities None. So a page
    made from live results and one made from their JSON file are the same page.

    Raises TypeError for anything else, naming the type.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return float(value) if math.isfinite(value) else None
    if isinstance(value, Mapping):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    if isinstance(value, os.PathLike):
        return os.fspath(value)
    if hasattr(value, "__array__"):
        return plain(np.asarray(value).tolist())
    raise TypeError(
        f"write_json(results): expected numbers, strings, lists, arrays or dictionaries, "
        f"got {type(value).__name__}. Convert it first."
    )


def write_json(results: Mapping[str, Any], path: Path) -> Path:
    """Write results as JSON, one top-level entry a line; returns the path.

    Floats keep every digit; NaN and infinities become null. The file appears complete or not at all.
    """
    entries = (f"{_dumps(key)}: {_dumps(value)}" for key, value in plain(results).items())
    return write_bytes(("{\n" + ",\n".join(entries) + "\n}\n").encode(), path)


def read_json(path: Path) -> dict[str, Any]:
    """Results from a file of `write_json`; null stays None."""
    return json.loads(Path(path).read_text(encoding="utf-8"))


def write_bytes(content: bytes, path: Path) -> Path:
    """Write a file whole or not at all: a temporary neighbour is written, then renamed over the target."""
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.{os.getpid()}-{threading.get_ident()}.tmp")
    try:
        temporary.write_bytes(content)
        temporary.replace(path)
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _dumps(value: Any) -> str:
    return json.dumps(value, allow_nan=False, ensure_ascii=False)
