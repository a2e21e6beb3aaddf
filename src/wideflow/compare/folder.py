"""The folder a comparison is written to, which never loses another run's results."""

import json
import re
import tempfile
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

from .. import __version__
from .settings import SettingsError

RESULTS = "results.json"
PAGE = "index.html"
_SHOWN = 3  # how many differing settings a message spells out


def default_folder(data: str, command: str = "compare") -> Path:
    """Where a comparison on a data set's name or file goes when nobody says: `runs/compare-<data>`."""
    path = Path(data)
    stem = path.stem if path.suffix.lower() in (".npz", ".csv") else data
    return Path("runs") / f"{command}-{re.sub(r'[^A-Za-z0-9_.+-]+', '-', stem).strip('-.') or 'data'}"


def check_folder(out: Path, settings: Any) -> bool:
    """Whether the folder holds results of these very settings and this version, which the run then replaces.

    `settings`: those of a comparison, or any other dataclass whose fields are options.

    Raises SettingsError, and touches nothing, for a folder with anything else in it (the message proposes a free name)
    and for one that cannot be written to.
    """
    try:
        same = _check_contents(out, settings)
        _try_writing(out)
    except OSError as error:
        raise _unwritable(out, error) from error
    return same


def check_place(out: Path, mark: str) -> None:
    """Refuse a folder that is neither empty nor has the entry `mark`, by which a run knows what it may write over.

    Raises SettingsError, and touches nothing, for anything else, and for a folder that cannot be written to.
    """
    try:
        there = _entries(out)
        if there and mark not in there:
            raise _occupied(out, f"holds files that are not a run's ({_listed(there)})")
        _try_writing(out)
    except OSError as error:
        raise _unwritable(out, error) from error


def free_name(out: Path) -> Path:
    """The next name that does not exist: demo-2 for demo, demo-3 for demo-2."""
    out = out if out.name else out.resolve()
    stem, number = re.fullmatch(r"(.*?)(?:-(\d+))?", out.name, re.DOTALL).groups()  # type: ignore[union-attr]
    last = int(number or 1)
    while (candidate := out.with_name(f"{stem}-{(last := last + 1)}")).exists():
        pass
    return candidate


def _check_contents(out: Path, settings: Any) -> bool:
    there = _entries(out)
    if not there:
        return False
    if RESULTS not in there:
        raise _occupied(out, f"holds files that are not a run's ({_listed(there)})")
    difference = _difference(_read(out / RESULTS), settings)
    if difference:
        raise _occupied(out, f"holds another run's results ({difference})")
    return True


def _entries(out: Path) -> list[str]:
    """What is in the folder, hidden files apart; nothing where there is none."""
    if not out.exists():
        return []
    if not out.is_dir():
        raise SettingsError(f"--out {out}: is a file, wanted a folder. Use --out {free_name(out)}")
    return sorted(path.name for path in out.iterdir() if not path.name.startswith("."))


def _unwritable(out: Path, error: OSError) -> SettingsError:
    return SettingsError(f"--out {out}: cannot be written to ({error.strerror or error}). Choose another folder.")


def _occupied(out: Path, reason: str) -> SettingsError:
    return SettingsError(f"--out {out}: {reason}. They are kept. Use --out {free_name(out)}")


def _read(path: Path) -> Mapping[str, Any]:
    try:
        results = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:  # neither JSON nor text
        return {}
    return results if isinstance(results, dict) else {}


def _difference(results: Mapping[str, Any], settings: Any) -> str:
    """What tells the run in the folder from this one; empty where they are the same."""
    theirs, ours = results.get("requested"), json.loads(json.dumps(asdict(settings)))
    versions = results.get("versions")
    if not isinstance(theirs, dict) or not isinstance(versions, dict):
        return f"{RESULTS} of an unknown kind"
    if versions.get("wideflow") != __version__:
        return f"wideflow {versions.get('wideflow')}, this is {__version__}"
    names = [name for name in {**ours, **theirs} if theirs.get(name, ...) != ours.get(name, ...)]
    return _listed([f"{_option(name)} {_shown(theirs.get(name))}, not {_shown(ours.get(name))}" for name in names])


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _shown(value: object) -> str:
    return "unset" if value is None else ",".join(value) if isinstance(value, list) else str(value)


def _listed(items: list[str]) -> str:
    more = f", … ({len(items)} in all)" if len(items) > _SHOWN else ""
    return ", ".join(items[:_SHOWN]) + more


def _try_writing(out: Path) -> None:
    """Make a folder and a file where the results will be, and remove them again; OSError where that fails."""
    there = next(path for path in (out, *out.absolute().parents) if path.exists())
    with tempfile.TemporaryDirectory(dir=there, prefix=".wideflow-") as scratch:
        (Path(scratch) / RESULTS).write_bytes(b"{}\n")
