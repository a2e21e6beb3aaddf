"""The result in one sentence of plain words, and verdicts as words."""

from collections.abc import Mapping, Sequence
from typing import Any

WORDS = {True: ("pass", "HOLDS", "✓"), False: ("fail", "FAILS", "✗"), None: ("not-run", "NOT RUN", "–")}


def verdict_word(passed: bool | None) -> dict[str, str]:
    """A verdict for the page: class name, word and symbol, so that colour is never the only sign."""
    return dict(zip(("kind", "word", "symbol"), WORDS[passed], strict=True))


def summary_sentence(results: Mapping[str, Any]) -> str:
    """Which networks, and whether they agree with the infinite-width theory."""
    return f"{_subject(results)} {_judgement(results.get('verdicts') or [])}"


def network_count(results: Mapping[str, Any]) -> int | None:
    """How many networks were trained, if the results say."""
    networks = (results.get("line") or {}).get("networks") or {}
    return networks.get("count") or (results.get("settings") or {}).get("networks")


def _subject(results: Mapping[str, Any]) -> str:
    count = network_count(results)
    networks = (results.get("line") or {}).get("networks") or {}
    width = networks.get("width") or (results.get("settings") or {}).get("width")
    subject = "The networks" if count is None else "1 network" if count == 1 else f"{count} networks"
    subject += "" if width is None else f" of width {width}"
    name = (results.get("data") or {}).get("name")
    return subject + ("" if name is None else f" trained on {name}")


def _judgement(verdicts: Sequence[Mapping[str, Any]]) -> str:
    failed = [str(v["title"]) for v in verdicts if v["passed"] is False]
    run = sum(v["passed"] is not None for v in verdicts)
    skipped = len(verdicts) - run
    rest = f" ({skipped} not run)" if skipped else ""
    if run == 0:
        return "were not compared with the infinite-width theory: no check was run."
    if failed:
        names = ", ".join(failed)
        return f"disagree with the infinite-width theory in {len(failed)} of {run} checks{rest}: {names}."
    checks = "the one check passes" if run == 1 else f"all {run} checks pass"
    return f"agree with the infinite-width theory: {checks}{rest}."


def lecture_sentence(results: Mapping[str, Any]) -> str:
    """How many statements of the lecture hold."""
    verdicts = [claim["passed"] for claim in results["claims"]]
    run = [passed for passed in verdicts if passed is not None]
    if not run:
        return "No statement was tested."
    failed = [claim["title"] for claim in results["claims"] if claim["passed"] is False]
    held = f"{len(run) - len(failed)} of {len(run)} statements hold"
    rest = f"; {len(verdicts) - len(run)} could not be tested here" if len(run) < len(verdicts) else ""
    return f"{held}{rest}." + (f" Those that fail: {', '.join(failed)}." if failed else "")


def lecture_data(results: Mapping[str, Any]) -> str:
    """How large the experiments were, on which data, with which seed, and how long they took."""
    claims = results["claims"]
    if not claims:
        return ""
    names = [claim["setting"]["data"] or "none" for claim in claims]
    counts = ", ".join(f"{name} ({names.count(name)})" for name in dict.fromkeys(names))
    seeds = ", ".join(str(seed) for seed in dict.fromkeys(claim["setting"]["seed"] for claim in claims))
    scales = ", ".join(dict.fromkeys(claim["setting"]["scale"] for claim in claims))
    taken = duration(_seconds(claims))
    return f"Size: {scales}. Statements by data set: {counts}. Seed: {seeds}. Taken, summed over statements: {taken}."


def _seconds(claims: Sequence[Mapping[str, Any]]) -> float:
    return sum(claim["seconds"] for claim in claims)


def duration(seconds: float) -> str:
    """A time as a person says it: under 0.1 s, 0.4 s, 13 s, 2 min 5 s, 3 h 20 min."""
    if seconds < 0.1:
        return "under 0.1 s"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min" if minutes else f"{hours} h"
