"""One diagnosis from settings to results."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np

from ..compare.probes import task_of
from ..compare.run import Watcher
from ..compare.settings import SettingsError
from ..dynamics import GradientDescent, HeavyBall, Nesterov, Rule
from ..finite import Diagnosis, Model, WidthExtrapolation, critical_rate, diagnose, measure_deviation
from .model import Drawn, Source
from .sections import data_section, diagnosis_section, network_section, widths_section
from .settings import DiagnosisSettings
from .targets import targets_of
from .verdicts import verdicts_of
from .versions import versions

_FRACTION = 0.5  # of the critical rate, where no learning rate is given


class DiagnosisRun:
    """Draw, diagnose, extrapolate. `results` holds what is known so far and stays whole when the run is interrupted.

    Everything the user may have got wrong is found here, before `run`: SettingsError or DataError.
    """

    def __init__(self, settings: DiagnosisSettings, watcher: Watcher, command: str):
        self.settings, self.watcher = settings, watcher
        self.source, task = Source.of(settings), task_of(settings.comparison)
        self.inputs = [jnp.asarray(_pictures(task, x) if settings.images else x, jnp.float32) for x in _inputs(task)]
        self.width = settings.base_width(self.source.default_width) if self.source.takes_width else None
        self.widths = self._checked_widths()
        self.drawn = self._draw(self.width)
        outputs = jax.eval_shape(self.drawn.f, self.drawn.params, self.inputs[0]).shape[1:]
        self.targets = targets_of(task, settings.loss, outputs)
        with self._blamed():
            Model(eqx.filter_jit(self.drawn.f), self.drawn.params).checked(self.inputs[0])
        for width in self.widths:
            self._draw(width)
        self.results: dict[str, Any] = {
            "title": f"Is this network in the kernel regime? {Path(self.source.name).name} on {task.name}",
            "status": "interrupted",
            "status_note": "Stopped before the network was diagnosed.",
            "created": datetime.now(UTC).isoformat(timespec="seconds"),
            "command": command,
            "versions": versions(),
            "timings": {},
            "requested": asdict(settings),
            "settings": asdict(settings) | {"width": self.width, "widths": list(self.widths)},
            "data": data_section(task),
            "network": network_section(self.source.name, self.drawn.params, self.width),
            "verdicts": [],
        }

    def run(self) -> dict[str, Any]:
        """Everything, in order; Ctrl-C ends it with what is finished."""
        try:
            fraction = self._diagnose()
            self.results["status_note"] = "Stopped before the deviations of all widths were measured."
            if self.widths:
                self._extrapolate(fraction)
            self.results |= {"status": "complete", "status_note": None}
        except KeyboardInterrupt:
            pass  # `results` is whole after every line above
        return self.results

    def _diagnose(self) -> float:
        """The network itself; returns the fraction of the critical rate that it trains at."""
        with self._stage("critical learning rate", 1) as advance:
            with self._blamed():
                critical = critical_rate(
                    self.drawn.f, self.drawn.params, self._data(), self._rule(1.0), self.targets.loss
                )
            advance(1)
        rule = self._rule(self.settings.lr or _FRACTION * critical)
        self.results["settings"]["lr"] = rule.lr
        with self._stage("the network and its linearization", 1) as advance:
            loss, steps = self.targets.loss, self.settings.steps
            with self._blamed():
                found = diagnose(self.drawn.f, self.drawn.params, self._data(), rule, loss, steps, self.drawn.hidden)
            advance(1)
        self._show(found)
        return rule.lr / critical

    def _show(self, diagnosis: Diagnosis) -> None:
        self.results["diagnosis"] = diagnosis_section(diagnosis)
        self.results["verdicts"] = [verdict.as_dict() for verdict in verdicts_of(diagnosis)]

    def _extrapolate(self, fraction: float) -> None:
        """Deviations by width, each width at the same fraction of its own critical rate."""
        deviations = []
        with self._stage("deviation by width", len(self.widths)) as advance:
            for width in self.widths:
                deviations.append(self._deviation(width, fraction))
                advance(1)
        found = WidthExtrapolation(np.array(self.widths), np.array(deviations), self.settings.wanted)
        self.results["widths"] = widths_section(found, fraction)

    def _deviation(self, width: int, fraction: float) -> float:
        if width == self.width:
            return float(self.results["diagnosis"]["deviation"])
        drawn = self._draw(width)
        loss, steps = self.targets.loss, self.settings.steps
        with self._blamed():
            path = measure_deviation(drawn.f, drawn.params, self._data(), self._rule(1.0), loss, steps, fraction)
        return path.deviation

    @contextmanager
    def _blamed(self) -> Iterator[None]:
        """A ValueError inside is of the user's network: outputs that are not finite, no parameters; SettingsError."""
        try:
            yield
        except ValueError as error:
            raise SettingsError(f"{self.source.name}: {error}") from error

    def _data(self) -> tuple[Any, Any, Any, Any]:
        return self.inputs[0], self.targets.train, self.inputs[1], self.targets.test

    def _rule(self, lr: float) -> Rule:
        momentum = self.settings.momentum
        if self.settings.rule == "descent":
            return GradientDescent(lr)
        return HeavyBall(lr, momentum) if self.settings.rule == "heavy-ball" else Nesterov(lr, momentum)

    def _draw(self, width: int | None) -> Drawn:
        return self.source.draw(jax.random.key(self.settings.seed), self.inputs[0], width)

    def _checked_widths(self) -> tuple[int, ...]:
        """The widths to be measured; none for a model that has no width."""
        if not self.source.takes_width:
            if self.settings.widths or self.settings.width:
                raise SettingsError(
                    f"--widths: {self.source.name} takes no width; give its function a third argument `width`, "
                    "or leave the option out"
                )
            return ()
        if self.width is None:
            raise SettingsError(f"--width: {self.source.name} takes a width; give one, or a default in its signature")
        return replace(self.settings, widths=self.settings.measured_widths(self.width)).widths or ()

    @contextmanager
    def _stage(self, title: str, total: int) -> Iterator[Callable[[int], None]]:
        started = time.monotonic()
        yield self.watcher.stage(title, total)
        self.results["timings"][title] = round(time.monotonic() - started, 2)


def _inputs(task: Any) -> tuple[Any, Any]:
    return task.x_train, task.x_test


def _pictures(task: Any, x: Any) -> Any:
    """Rows as pictures `[n, height, width, channels]`; SettingsError where they are none."""
    if task.image_shape is None:
        raise SettingsError(f"--images: the inputs of {task.name} are no pictures; leave it out")
    return np.asarray(x).reshape(len(x), *task.image_shape)
