"""Every Python block of the README and of docs/, and every example, runs as a reader would run it."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from wideflow.lecture.sections import SECTIONS

ROOT = Path(__file__).parents[1]
PAGES = sorted([ROOT / "README.md", *(ROOT / "docs").glob("**/*.md")])
EXAMPLES = sorted((ROOT / "examples").glob("*.py"))
NOT_RUN = "<!-- not run -->"  # on the last non-empty line before a block that is only for reading
BLOCK = re.compile(r"^```python[^\n]*\n(.*?)^```[ \t]*$", re.DOTALL | re.MULTILINE)
SECONDS = 300


def python_of(page: str) -> str:
    """The page's Python blocks, each on its own lines of the page: a traceback names the page's line."""
    script: list[str] = []
    for block in BLOCK.finditer(page):
        if page[: block.start()].rstrip().endswith(NOT_RUN):
            continue
        first_line = page[: block.start(1)].count("\n")
        script += [""] * (first_line - len(script)) + block[1].splitlines()
    return "\n".join(script) + "\n" if script else ""


def run(script: Path, folder: Path) -> None:
    """Run a script in a fresh interpreter, warnings as errors, without a display, in an empty folder."""
    env = os.environ | {"MPLBACKEND": "Agg"}
    command = [sys.executable, "-W", "error", str(script)]
    done = subprocess.run(command, cwd=folder, env=env, capture_output=True, text=True, timeout=SECONDS)
    assert done.returncode == 0, f"{script.name} failed\n{done.stdout}\n{done.stderr}"


RUNNABLE = [page for page in PAGES if python_of(page.read_text(encoding="utf-8"))]


@pytest.mark.parametrize("page", RUNNABLE, ids=lambda page: str(page.relative_to(ROOT)))
def test_python_blocks_of_a_page_run(page, tmp_path):
    script = tmp_path / page.with_suffix(".py").name
    script.write_text(python_of(page.read_text(encoding="utf-8")), encoding="utf-8")
    run(script, tmp_path)


@pytest.mark.parametrize("example", EXAMPLES, ids=lambda example: example.name)
def test_example_runs(example, tmp_path):
    run(example, tmp_path)


def test_readme_has_an_example_that_runs():
    assert ROOT / "README.md" in RUNNABLE


@pytest.mark.parametrize("section", SECTIONS)
def test_section_of_the_lecture_has_a_tutorial_that_leads_to_the_readers_network(section):
    name = section.replace("-", "_") + ".md"
    page = (ROOT / "docs/lecture" / name).read_text(encoding="utf-8")
    before, own = page.split("## On your own network\n")
    assert len(BLOCK.findall(before)) >= 1
    assert len(BLOCK.findall(own)) >= 1
    assert f"]({name})" in (ROOT / "docs/lecture/README.md").read_text(encoding="utf-8")


def test_blocks_share_a_page_keep_their_lines_and_can_be_left_out():
    left_out = f"{NOT_RUN}\n```python\nraise\n```\n\n```bash\nls\n```"
    page = f"# Title\n\n```python\na = 1\n```\n\n{left_out}\n\n```python\nb = a\n```\n"
    script = python_of(page)
    assert script.splitlines()[3] == "a = 1"
    assert "raise" not in script
    assert "ls" not in script
    assert script.splitlines()[page.splitlines().index("b = a")] == "b = a"
    namespace: dict[str, object] = {}
    exec(script, namespace)
    assert namespace["b"] == 1


def test_links_between_pages_lead_somewhere():
    for page in PAGES:
        for target in re.findall(r"\]\(([^)#\s]+)", page.read_text(encoding="utf-8")):
            if "://" not in target and not target.startswith("mailto:"):
                assert (page.parent / target).exists(), f"{page.relative_to(ROOT)}: broken link {target}"
