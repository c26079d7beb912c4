"""Twenty seconds of `benchmarks/soak.py`, of the trials that need no process of their own."""

import os
import subprocess
import sys

import pytest


@pytest.mark.parametrize("name", ["damage", "write", "override", "file"])
def test_five_seconds_find_nothing_wrong(name, request):
    root = request.config.rootpath
    done = subprocess.run(
        [sys.executable, "benchmarks/soak.py", "--minutes", str(5 / 60), "--only", name],
        cwd=root,
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert f"| {name} | " in done.stdout and f"| {name} | 0 |" not in done.stdout
