"""One comparison from settings to results."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any, Protocol, runtime_checkable

from .. import __version__
from .critical import top_eigenvalues
from .probes import Probes, task_of
from .sections import data_section, kernel_change_section, line_section, loss_section, spectrum_section
from .settings import FEWEST_NETWORKS, Settings
from .theory import Theory
from .trained import Trained, train
from .verdict import Ensembles, Verdict
from .verdicts import critical_rate_verdict, ensemble_verdicts

_PACKAGES = ("jax", "equinox", "numpy", "scipy")


@runtime_checkable
class Watcher(Protocol):
    """Whoever follows a comparison while it runs."""

    def stage(self, title: str, total: int) -> Callable[[int], None]:
        """A stage begins; the returned function is called with the parts of `total` that are done."""
        ...

    def verdict(self, verdict: Verdict) -> None:
        """A verdict is known."""
        ...


class Comparison:
    """Predict, train, compare. `results` holds what is known so far and stays whole when the run is interrupted."""

    def __init__(self, settings: Settings, watcher: Watcher, command: str):
        self.settings, self.watcher = settings, watcher
        task = task_of(settings)
        self.theory = Theory(settings, Probes.of(task))
        self.theory.check_size()
        self.results: dict[str, Any] = {
            "title": f"Theory and {settings.networks} trained networks on {task.name}",
            "status": "interrupted",
            "status_note": "Stopped before any network was trained.",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "versions": {"wideflow": __version__} | {name: version(name) for name in _PACKAGES},
            "timings": {},
            "requested": asdict(settings),
            "settings": _shown_settings(settings),
            "data": data_section(self.theory.probes),
            "verdicts": [],
        }

    def run(self) -> dict[str, Any]:
        """Everything, in order; Ctrl-C ends it with what is finished. SettingsError where the rate is too large."""
        try:
            self._predict()
            self._critical_rate()
            self._compare()
            self.results |= {"status": "complete", "status_note": None}
        except KeyboardInterrupt:
            pass  # `results` is whole after every line above
        return self.results

    def _compare(self) -> None:
        """Train both ensembles and judge them; KeyboardInterrupt once what was finished is shown."""
        narrow = self._train(self.settings.narrow)
        wide = narrow if narrow.snapshots.interrupted else self._train(self.settings.width)
        self._show(wide)
        self.results["status_note"] = (
            f"Stopped by Ctrl-C after {wide.count} of {self.settings.networks} networks of width {wide.width}, "
            "which are the networks shown."
        )
        if wide is not narrow and wide.count >= FEWEST_NETWORKS:
            self._judge_ensembles(wide, narrow)
        if wide.snapshots.interrupted:
            raise KeyboardInterrupt

    def _predict(self) -> None:
        theory = self.theory
        with self._stage("theory: kernels, spectra, ensembles", 3) as advance:
            self.results["settings"] |= {"lr": theory.rule.lr, "critical_lr": theory.critical_rate}
            for kind in ("ntk", "nngp", "flow"):
                getattr(theory, kind)
                advance(1)
        self._show(None)

    def _critical_rate(self) -> None:
        widths = (self.settings.width, self.settings.narrow)
        with self._stage("critical learning rate of single networks", len(widths)) as advance:
            values = []
            for width in widths:
                values.append(top_eigenvalues(self.theory, width, 2 * self.settings.seed))
                advance(1)
        self._judge(critical_rate_verdict(self.theory, values[0], values[1]))

    def _train(self, width: int) -> Trained:
        settings = self.settings
        title = f"{settings.networks} networks of width {width}"
        with self._stage(title, settings.networks * settings.steps) as advance:
            return train(settings, self.theory, width, advance)

    def _show(self, trained: Trained | None) -> None:
        """Put the figures' numbers into the results, with the networks where there are any."""
        if trained is not None and not trained.count:
            trained = None
        self.results["line"] = line_section(self.theory, trained)
        self.results["loss"] = loss_section(self.theory, trained)
        self.results["spectrum"] = spectrum_section(self.theory, trained)

    def _judge_ensembles(self, wide: Trained, narrow: Trained) -> None:
        self.results["kernel_change"] = kernel_change_section(self.theory, [narrow, wide])
        for verdict in ensemble_verdicts(Ensembles(self.theory, wide, narrow)):
            self._judge(verdict)

    def _judge(self, verdict: Verdict) -> None:
        self.results["verdicts"].append(verdict.as_dict())
        self.watcher.verdict(verdict)

    @contextmanager
    def _stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        started = time.monotonic()
        yield self.watcher.stage(title, total)
        self.results["timings"][title] = round(time.monotonic() - started, 2)


def _shown_settings(settings: Settings) -> dict[str, Any]:
    shown = asdict(settings)
    shown["narrow_width"] = settings.narrow
    return shown
