"""The notebook in `examples/`: it runs, in a kernel where there is one, and holds no outputs."""

import json
import os
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

PROJECT = Path(__file__).resolve().parent.parent
NOTEBOOK = PROJECT / "examples" / "first_steps.ipynb"
# Reads the notebook's path, runs it in a kernel in the working directory, and prints the kinds of its outputs.
KERNEL = """
import sys, nbformat
from nbclient import NotebookClient
found = NotebookClient(nbformat.read(sys.argv[1], 4), timeout=600, kernel_name="python3").execute()
print([sorted(output.data) for cell in found.cells for output in cell.get("outputs", ()) if "data" in output])
"""


@pytest.fixture(scope="module")
def cells():
    return json.loads(NOTEBOOK.read_text())["cells"]


def sources(cells):
    return ["".join(cell["source"]) for cell in cells if cell["cell_type"] == "code"]


def test_the_notebook_runs_from_any_directory(cells, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(PROJECT), "XLA_FLAGS": ""}
    kernel = all(find_spec(name) for name in ("nbclient", "nbformat", "ipykernel"))
    program = [KERNEL, NOTEBOOK] if kernel else ["\n\n".join(sources(cells))]
    done = subprocess.run(
        [sys.executable, "-c", *program], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    if kernel:
        assert done.stdout.count("'image/png'") == 3 and done.stdout.count("['text/plain']") == 2
    run = tmp_path / "runs" / "first_steps"
    metrics = json.loads((run / "eval" / "2" / "metrics.json").read_text())
    assert metrics["num_samples"] == 100 and metrics["method"] == "lsdm"


def test_the_notebook_holds_no_outputs_and_no_magics(cells):
    assert not any(cell.get("outputs") or cell.get("execution_count") for cell in cells)
    for source in sources(cells):
        compile(source, str(NOTEBOOK), "exec")
