"""The page of a diagnosis that was made in Python."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..datasets import Task
from ..finite import Diagnosis
from ..report import write_diagnosis, write_json
from .sections import data_section, diagnosis_section
from .verdicts import verdicts_of
from .versions import versions


def write_page(
    diagnosis: Diagnosis,
    out: str | Path,
    title: str = "Is this network in the kernel regime?",
    task: Task | None = None,
) -> Path:
    """Write what `wf.diagnose` found as `wideflow diagnose` would: index.html, results.json and figures in a folder.

    `task`: the data, to be described on the page. Returns the path of the page. What only the command knows (its
    settings, deviations of several widths) is left out.

    ```python
    found = wf.diagnose(f, params, task, wf.GradientDescent(0.1))
    write_page(found, "runs/mine", task=task)
    ```
    """
    folder, rule = Path(out), diagnosis.rule
    results: dict[str, Any] = {
        "title": title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": versions(),
        "settings": {"rule": type(rule).__name__, "lr": float(f"{rule.lr:.4g}"), "steps": diagnosis.steps},
        "data": None if task is None else data_section(task),
        "diagnosis": diagnosis_section(diagnosis),
        "verdicts": [verdict.as_dict() for verdict in verdicts_of(diagnosis)],
    }
    write_json(results, folder / "results.json")
    return write_diagnosis(results, folder)
