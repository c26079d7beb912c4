"""One trial each of two kinds of `benchmarks/soak.py`; what the others try is tested beside what they damage."""

import os
import subprocess
import sys

TRIALS = "damage", "override"


def test_a_trial_of_each_finds_nothing_wrong(request):
    root = request.config.rootpath
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--trials", "1", "--only", *TRIALS],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    for name in TRIALS:
        assert f"| {name} | 1 | " in done.stdout
