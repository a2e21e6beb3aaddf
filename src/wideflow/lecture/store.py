"""What was found before, claim by claim, kept by everything it depends on."""

import hashlib
import re
from importlib.metadata import version
from pathlib import Path
from typing import Any

from ..report import read_json, write_json
from .claim import Claim
from .setting import Setting

FOLDER = "claims"
_NOT_NUMBERS = ("report", "cli")  # parts that change how a result looks and not what it is
_BELOW = ("jax", "jaxlib", "equinox", "diffrax", "optax", "lineax", "numpy", "scipy")


def library_fingerprint() -> str:
    """A digest of the library's source and of the versions below it: what is changed is computed again."""
    digest = hashlib.sha256(" ".join(version(name) for name in _BELOW).encode())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in _NOT_NUMBERS:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Store:
    """Entries of results.json, each in a file of `FOLDER/claims` as soon as it is known, one for every setting."""

    def __init__(self, folder: Path):
        self.folder = folder / FOLDER
        self.fingerprint = library_fingerprint()

    def find(self, claim: Claim, setting: Setting) -> dict[str, Any] | None:
        """The entry of the same claim, setting and library, if there is one."""
        try:
            kept = read_json(self._path(claim, setting))
        except (OSError, ValueError):  # neither JSON nor text
            return None
        return kept["entry"] if kept.get("key") == self._key(setting) else None

    def keep(self, claim: Claim, setting: Setting, entry: dict[str, Any]) -> None:
        """Write an entry, whole or not at all."""
        write_json({"key": self._key(setting), "entry": entry}, self._path(claim, setting))

    def _path(self, claim: Claim, setting: Setting) -> Path:
        named = f"{setting.scale}-{setting.data}-{setting.seed}"
        plain = re.sub(r"[^A-Za-z0-9_.-]+", "-", named)[-80:]
        digest = "" if plain == named else f"-{hashlib.sha256(named.encode()).hexdigest()[:8]}"
        return self.folder / f"{claim.id}-{plain}{digest}.json"

    def _key(self, setting: Setting) -> dict[str, Any]:
        named = {"scale": setting.scale, "data": setting.data, "seed": setting.seed}
        return named | {"content": _content(setting.data), "fingerprint": self.fingerprint}


def _content(data: str) -> str | None:
    """A digest of the data where it is a file, which may change; None for a name."""
    path = Path(data)
    known = path.suffix.lower() in (".npz", ".csv") and path.is_file()
    return hashlib.sha256(path.read_bytes()).hexdigest()[:16] if known else None
