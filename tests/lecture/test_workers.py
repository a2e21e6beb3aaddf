"""Claims tested in several processes at once: the same outcomes, and one message where something ends them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from wideflow.lecture import Setting, chosen_claims
from wideflow.lecture.workers import WorkerError, at_once, in_turn

CHEAP = ("two-scalars", "peak-time", "collective-change")


def unheard(claim):
    return lambda share: None


@pytest.mark.slow
def test_processes_find_what_one_process_finds():
    waiting = [(claim, Setting("quick", seed=3)) for claim in chosen_claims(CHEAP)]
    heard = []

    def began(claim):
        heard.append(claim.id)
        return unheard(claim)

    several = {one.claim.id: one for one in at_once(waiting, 2, began)}
    assert sorted(heard) == sorted(several) == sorted(CHEAP)
    for one in in_turn(waiting, unheard):
        other = several[one.claim.id].outcome
        assert (other.passed, other.measured) == (one.outcome.passed, one.outcome.measured)
        assert other.passed


class Deadly(Setting):
    """Ends the process that receives it, as the system does to one that takes too much memory."""

    def __reduce__(self):
        return os._exit, (1,)


def test_a_process_that_dies_is_one_error_that_says_what_to_do():
    with pytest.raises(WorkerError, match="go on with --processes 1"):
        list(at_once([(claim, Deadly()) for claim in chosen_claims(CHEAP)], 2, unheard))


@pytest.mark.skipif(sys.platform == "win32", reason="sends SIGINT to a group of processes")
def test_ctrl_c_ends_the_processes_and_keeps_what_is_finished(tmp_path):
    code = "import signal; signal.signal(signal.SIGINT, signal.default_int_handler)\n"  # where tests run detached
    code += "from wideflow.cli import main; main()"
    command = [sys.executable, "-c", code, "lecture", "kernel-equation"]
    command += [
        "attention-limit",
        "convolutional-limit",
        "catapult-settings",
        "--quick",
        "--processes",
        "2",
        "--out",
        str(tmp_path / "page"),
    ]
    run = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True)
    kept = tmp_path / "page" / "claims"
    try:
        assert wait_for(lambda: list(kept.glob("*.json")), 120)
        os.killpg(run.pid, signal.SIGINT)  # as a terminal does
        _, err = run.communicate(timeout=60)
    finally:
        if run.poll() is None:
            os.killpg(run.pid, signal.SIGKILL)
            run.communicate()
    assert run.returncode == 130
    assert "of 4 claims were tested; the same command goes on" in " ".join(err.split())
    assert "Traceback" not in err
    assert wait_for(lambda: not group_of(run.pid), 10)


def group_of(leader):
    """Processes of a group that are left and run."""
    listed = subprocess.run(["ps", "-eo", "pgid=,stat="], capture_output=True, text=True, check=True).stdout
    lines = [line.split() for line in listed.splitlines()]
    return [stat for group, stat in lines if int(group) == leader and not stat.startswith("Z")]


def wait_for(condition, seconds):
    deadline = time.monotonic() + seconds
    while not condition():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.1)
    return True
