"""The numbers of a diagnosis as rows of tables, and as sentences."""

from collections.abc import Mapping
from typing import Any

_NAMES = {
    "network": "the network, trained",
    "linearization": "its linearization, trained alike",
    "before": "regression with its NTK before training",
    "after": "regression with its NTK after training",
}
Rows = list[dict[str, str]]


def number_rows(results: Mapping[str, Any]) -> Rows:
    """Every number before and after training, and how far it moved."""
    found = results.get("diagnosis")
    if not found:
        return []
    off = f"off the linearization by {_share(found['deviation'])} of it"
    before, after = found["losses"]
    rows = [_row("Training loss", before, after, f"linearization: {_short(found['linear_loss'])}")]
    if found["test_path"]:
        (before, _), *_, (after, linear) = found["test_path"]["losses"]
        rows.append(_row("Test loss", before, after, f"linearization: {_short(linear)}"))
    sharp, sharp_after = found["sharpness"]
    rows += [
        _row("Outputs, training points", change=f"{_short(found['output_change'])} (rms), {off}"),
        _row("Sharpness", sharp, sharp_after, f"edge of stability: {_short(found['max_sharpness'])}"),
        _row("Parameters", change=_of_norm(found["parameter_change"])),
    ]
    rows += _kernel_rows("NTK", found["ntk"])
    rows += [_row(_layer(name), change=_of_norm(change)) for name, change in (found["hidden"] or {}).items()]
    rows += _kernel_rows("Feature kernel", found["features"])
    if found["lazy_index"] is not None:
        rows.append(_row("Lazy index κ", found["lazy_index"], None, "lazy where far below 1"))
    return rows


def score_rows(results: Mapping[str, Any]) -> Rows:
    """What the network, its linearization and its kernels are worth on held-out points."""
    scores = (results.get("diagnosis") or {}).get("after_kernel")
    if not scores:
        return []
    shown = {name: scores[key] for key, name in _NAMES.items()}
    columns = {"Accuracy": "accuracy", "Mean square error": "error"}
    there = {title: key for title, key in columns.items() if any(one[key] is not None for one in shown.values())}
    return [
        {"On held-out points": name}
        | {title: _percent(one[key]) if key == "accuracy" else _short(one[key]) for title, key in there.items()}
        for name, one in shown.items()
    ]


def summary_of(results: Mapping[str, Any]) -> str:
    """What was found, in two or three sentences."""
    found, widths = results.get("diagnosis"), results.get("widths")
    if not found:
        return "Nothing was found out: the run stopped before the network was diagnosed."
    words = found["verdict"]
    rate = f"The learning rate {_short(found['lr'])} is {_share(found['lr'] / found['critical_lr'])} of the critical"
    sentences = [f"{words[0].upper()}{words[1:]}.", f"{rate} one, {_short(found['critical_lr'])}."]
    if widths:
        words = widths["verdict"]
        sentences.append(f"{words[0].upper()}{words[1:]}.")
    return " ".join(sentences)


def _layer(name: str) -> str:
    return "Features, before the readout" if name == "features" else f"Hidden layer {name}"


def _kernel_rows(name: str, kernel: Mapping[str, Any] | None) -> Rows:
    if not kernel:
        return []
    moved = f"{_of_norm(kernel['changes'][-1])}, distance {_short(kernel['distances'][-1])}"
    velocities = ", ".join(_short(velocity) for velocity in kernel["velocities"])
    return [
        _row(name, change=moved),
        _row(f"{name}: velocity", change=f"{velocities} a step, in each part of training"),
        _row(f"{name}: alignment with targets", kernel["alignments"][0], kernel["alignments"][-1]),
        _row(f"{name}: effective rank", kernel["ranks"][0], kernel["ranks"][-1]),
    ]


def _row(name: str, before: float | None = None, after: float | None = None, change: str = "") -> dict[str, str]:
    numbers = {"Before": before, "After": after}
    return {"Number": name} | {n: "" if v is None else _short(v) for n, v in numbers.items()} | {"Change": change}


def _of_norm(change: float | None) -> str:
    return f"{_share(change)} of the norm"


def _short(value: float | None) -> str:
    """Three digits; results hold None for what is not finite."""
    return "∞" if value is None or value in (float("inf"), float("-inf")) else f"{value:.3g}"


def _share(value: float | None) -> str:
    """A part of something, which may be far more than all of it."""
    return "∞" if value is None else f"{_short(100 * value)}%"


def _percent(value: float | None) -> str:
    return "–" if value is None else f"{value:.1%}"
