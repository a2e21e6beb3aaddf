"""What was found before, claim by claim, kept by everything it depends on."""

import hashlib
import json
from pathlib import Path
from typing import Any

from ..report import read_json, write_json
from .claim import Claim
from .setting import Setting

_NOT_NUMBERS = ("report", "cli")  # parts that change how a result looks and not what it is


def library_fingerprint() -> str:
    """A digest of the library's source and of the versions below it: what is changed is computed again."""
    import jax
    import numpy
    import scipy

    digest = hashlib.sha256(" ".join(m.__version__ for m in (jax, numpy, scipy)).encode())
    package = Path(__file__).parents[1]
    for path in sorted(package.rglob("*.py")):
        if path.relative_to(package).parts[0] not in _NOT_NUMBERS:
            digest.update(path.read_bytes())
    return digest.hexdigest()[:16]


class Store:
    """Entries of results.json, each in `FOLDER/claims/ID.json` as soon as it is known."""

    def __init__(self, folder: Path):
        self.folder = folder / "claims"
        self.fingerprint = library_fingerprint()

    def find(self, claim: Claim, setting: Setting) -> dict[str, Any] | None:
        """The entry of the same claim, setting and library, if there is one."""
        try:
            kept = read_json(self._path(claim))
        except (OSError, json.JSONDecodeError):
            return None
        return kept["entry"] if kept.get("key") == self._key(setting) else None

    def keep(self, claim: Claim, setting: Setting, entry: dict[str, Any]) -> None:
        """Write an entry, whole or not at all."""
        write_json({"key": self._key(setting), "entry": entry}, self._path(claim))

    def _path(self, claim: Claim) -> Path:
        return self.folder / f"{claim.id}.json"

    def _key(self, setting: Setting) -> dict[str, Any]:
        named = {"scale": setting.scale, "data": setting.data, "seed": setting.seed}
        return named | {"fingerprint": self.fingerprint}
