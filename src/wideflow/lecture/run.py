"""The lecture from its first claim to its last, resumable after each."""

from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

from .. import __version__
from ..report.store import plain
from .claim import Claim, Outcome
from .sections import SECTIONS
from .setting import Setting
from .store import Store
from .workers import at_once, in_turn

_PACKAGES = ("jax", "equinox", "diffrax", "optax", "numpy", "scipy")


@runtime_checkable
class Watcher(Protocol):
    """Whoever follows the lecture while it runs."""

    def began(self, claim: Claim) -> Callable[[float], None]:
        """A claim is being tested, maybe beside others; the returned function is called with the share that is done."""
        ...

    def found(self, entry: dict[str, Any], kept: bool) -> None:
        """Its verdict is known; `kept`: from an earlier run."""
        ...


@dataclass(frozen=True)
class Lecture:
    """Claims, the setting they are tested in, and the folder they are kept in.

    `data`: the data set every claim shall use; None for the one that suits each best and is at hand. What was found
    before with the same settings and the same library is not computed again. `processes`: how many claims are tested at
    once; more than one for claims of the registry alone.
    """

    claims: Sequence[Claim]
    setting: Setting
    folder: Path
    data: str | None = None
    command: str = "wideflow lecture"
    processes: int = 1

    def run(self, watcher: Watcher) -> dict[str, Any]:
        """Test every claim; the results for the page. Ctrl-C ends the run, and the results hold what is finished.

        Errors: WorkerError where one of several processes dies.
        """
        results = self._frame()
        entries: dict[str, Any] = {}
        try:
            with closing(self._entries(watcher)) as found:
                for name, entry, kept in found:
                    entries[name] = entry
                    watcher.found(entry, kept)
            results |= {"status": "complete", "status_note": None}
        except KeyboardInterrupt:
            done = len(entries)
            results["status_note"] = f"{done} of {len(self.claims)} claims were tested; the same command goes on."
        results["claims"] = [entries[claim.id] for claim in self.claims if claim.id in entries]
        return results

    def _entries(self, watcher: Watcher) -> Generator[tuple[str, dict[str, Any], bool]]:
        """Every claim's name with its entry, and whether that is from an earlier run: those first."""
        store, waiting = Store(self.folder), []
        for claim in self.claims:
            setting = self.setting.with_data(claim.data, self.data)
            entry = store.find(claim, setting)
            if entry is None:
                waiting.append((claim, setting))
            else:
                yield claim.id, entry, True
        several = self.processes > 1 and len(waiting) > 1
        tested = at_once(waiting, self.processes, watcher.began) if several else in_turn(waiting, watcher.began)
        with closing(tested):
            for claim, setting, outcome, seconds in tested:
                extra = {"setting": shown(setting), "seconds": round(seconds, 2)}
                entry = plain(claim.entry(self._noted(claim, setting, outcome)) | extra)
                if outcome.passed is not None:  # what could not run may run the next time
                    store.keep(claim, setting, entry)
                yield claim.id, entry, False

    def _noted(self, claim: Claim, setting: Setting, outcome: Outcome) -> Outcome:
        """Say so where another data set than the one that suits the claim best was taken for lack of it."""
        best = next(iter(claim.data), "")
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


def shown(setting: Setting) -> dict[str, Any]:
    """A setting for results.json."""
    return {"scale": setting.scale, "data": setting.data, "seed": setting.seed}
