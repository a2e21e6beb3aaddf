"""The lecture from its first claim to its last, resumable after each."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from jax.errors import JaxRuntimeError

from .. import __version__
from ..datasets import DataError
from ..report.store import plain
from .claim import Claim, NotHereError, Outcome
from .sections import SECTIONS
from .setting import Setting
from .store import Store

_PACKAGES = ("jax", "equinox", "diffrax", "optax", "numpy", "scipy")


@runtime_checkable
class Watcher(Protocol):
    """Whoever follows the lecture while it runs."""

    def began(self, claim: Claim, number: int, of: int) -> Callable[[float], None]:
        """A claim is being tested; the returned function is called with the share that is done."""
        ...

    def found(self, entry: dict[str, Any], kept: bool) -> None:
        """Its verdict is known; `kept`: from an earlier run."""
        ...


@dataclass(frozen=True)
class Lecture:
    """Claims, the setting they are tested in, and the folder they are kept in.

    `data`: the data set every claim shall use; None for the one that suits each best and is at hand. What was found
    before with the same settings and the same library is not computed again.
    """

    claims: Sequence[Claim]
    setting: Setting
    folder: Path
    data: str | None = None
    command: str = "wideflow lecture"

    def run(self, watcher: Watcher) -> dict[str, Any]:
        """Test every claim; the results for the page. Ctrl-C ends the run, and the results hold what is finished."""
        results = self._frame()
        store = Store(self.folder)
        try:
            for number, claim in enumerate(self.claims, 1):
                results["claims"].append(self._tested(claim, number, store, watcher))
            results |= {"status": "complete", "status_note": None}
        except KeyboardInterrupt:
            done = len(results["claims"])
            results["status_note"] = f"{done} of {len(self.claims)} claims were tested; the same command goes on."
        return results

    def _tested(self, claim: Claim, number: int, store: Store, watcher: Watcher) -> dict[str, Any]:
        tell = watcher.began(claim, number, len(self.claims))
        setting = replace(self.setting.with_data(claim.data, self.data), tell=tell)
        entry = store.find(claim, setting)
        kept = entry is not None
        if entry is None:
            started = time.monotonic()
            outcome = self._noted(claim, setting, outcome_of(claim, setting))
            extra = {"setting": shown(setting), "seconds": round(time.monotonic() - started, 2)}
            entry = plain(claim.entry(outcome) | extra)
            if outcome.passed is not None:  # what could not run may run the next time
                store.keep(claim, setting, entry)
        watcher.found(entry, kept)
        return entry

    def _noted(self, claim: Claim, setting: Setting, outcome: Outcome) -> Outcome:
        """Say so where another data set than the one that suits the claim best was taken for lack of it."""
        best = claim.data[0]
        if self.data is not None or setting.data == best:
            return outcome
        note = f"On {setting.data}: {best} is not at hand (set WIDEFLOW_DATA, or --data {best} to download it)."
        return replace(outcome, note=" ".join(filter(None, (outcome.note, note))))

    def _frame(self) -> dict[str, Any]:
        setting = shown(self.setting)
        return {
            "title": "Gradient Descent in Wide, Deep Neural Networks: every statement, tested",
            "status": "interrupted",
            "status_note": "Stopped before the first claim was tested.",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": self.command,
            "versions": {"wideflow": __version__} | {name: version(name) for name in _PACKAGES},
            "settings": {"scale": setting["scale"], "data": self.data or "each claim's own", "seed": setting["seed"]},
            "sections": SECTIONS,
            "claims": [],
        }


def outcome_of(claim: Claim, setting: Setting) -> Outcome:
    """Run an experiment. What is missing here is NOT RUN with the reason; anything else that goes wrong FAILS."""
    try:
        return claim.experiment(setting)
    except (NotHereError, DataError) as reason:
        return Outcome(None, "–", note=str(reason))
    except Exception as error:  # a library that raises where the lecture promises a number has failed the claim
        if _is_machine(error):
            return Outcome(None, "–", note=f"This machine does not suffice: {type(error).__name__}: {error}")
        return Outcome(False, f"the experiment raised {type(error).__name__}", note=str(error))


def _is_machine(error: Exception) -> bool:
    """Whether memory or the disk, and not the library, is at fault."""
    exhausted = isinstance(error, JaxRuntimeError) and "RESOURCE_EXHAUSTED" in str(error)
    return exhausted or isinstance(error, MemoryError | OSError)


def shown(setting: Setting) -> dict[str, Any]:
    """A setting for results.json."""
    return {"scale": setting.scale, "data": setting.data, "seed": setting.seed}
