"""(a) The tests marked `accelerator`, in a process of their own: this device's numbers beside those of the CPU."""

import os
import re
import subprocess
import sys
from collections import Counter
from pathlib import Path

from parts.report import Report, Setting

PROJECT = Path(__file__).resolve().parents[2]
# A line of `pytest -vv`: test, verdict and, where it was skipped, why.
LINE = re.compile(r"^(\S+::.+?) (PASSED|FAILED|SKIPPED|ERROR)(?: \((.*)\))?(?: +\[|$)", re.MULTILINE)
FAILURE = re.compile(r"^(?:FAILED|ERROR) (\S+.*)$", re.MULTILINE)


class Failures(Exception):
    """Tests have failed."""


def run(setting: Setting, report: Report) -> None:
    """One row: how many tests passed, failed and were skipped. Raises Failures where any failed, or none was run."""
    output = _output(report)
    found = LINE.findall(output)
    count = Counter("FAILED" if verdict == "ERROR" else verdict for _, verdict, _ in found)
    report.row(
        tests=len(found),
        passed=count["PASSED"],
        failed=count["FAILED"],
        skipped=count["SKIPPED"],
        compared=f"{setting.device.device_kind} with cpu, float32",
    )
    for why, times in Counter(why for _, verdict, why in found if verdict == "SKIPPED").items():
        report.note(f"Skipped {times}: {why}.")
    for failure in FAILURE.findall(output):
        report.note(f"Failed: {failure[:400]}")
    if count["FAILED"] or not count["PASSED"]:
        last = output.strip().rpartition("\n")[2][:300]
        raise Failures(f"{count['FAILED']} of {len(found)} tests" if found else f"no test was run: {last}")


def _output(report: Report) -> str:
    """What pytest prints, as far as it comes in the time that is left."""
    command = [sys.executable, "-m", "pytest", "-vv", "-rfE", "-W", "default", "-p", "no:cacheprovider"]
    path = os.pathsep.join(filter(None, [str(PROJECT), os.environ.get("PYTHONPATH")]))
    environment = {**os.environ, "TEST_ON_ACCELERATOR": "1", "COLUMNS": "400", "PYTHONPATH": path}
    done = subprocess.Popen(
        [*command, "-m", "accelerator", "tests/accelerator"],
        cwd=PROJECT,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    try:
        return done.communicate(timeout=max(report.left, 1.0))[0]
    except subprocess.TimeoutExpired:
        report.note("No time was left for the tests after those that are counted.")
        done.kill()
        return done.communicate()[0]
