"""Evaluation where nothing can be written: it gives its metrics, and a line says so; caches are done without."""

import errno
import json
import os
import runpy
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from experiment_jax import evaluate, load_config, load_run, train
from experiment_jax.devices import cache
from experiment_jax.evaluation.output import keeping
from experiment_jax.extractors import judge, judges

Disk = runpy.run_path(str(Path(__file__).parents[2] / "benchmarks" / "soaking" / "disk.py"))["Disk"]
PICTURE = np.zeros((4, 5, 3), np.uint8)


def untimed(metrics):
    return {key: value for key, value in metrics.items() if "second" not in key}


def test_a_run_in_a_folder_that_may_only_be_read_is_evaluated(copied, evaluated, caplog, tree):
    shutil.rmtree(copied / "eval")
    before = tree(copied)
    with Disk(copied, 0, errno.EROFS).mounted():
        metrics = evaluate(load_run(copied), num_samples=90)
    assert untimed(metrics) == untimed(evaluated[1])
    [line] = [each for each in caplog.messages if "cannot be written (Read-only file system)" in each]
    assert line.startswith("metrics and pictures are not kept: ") and "\n" not in line
    assert tree(copied) == before


def test_a_full_disk_leaves_the_evaluation_that_was_there(copied, caplog):
    run, path = load_run(copied), copied / "eval" / "4" / "metrics.json"
    before = path.read_text()
    with Disk(copied).mounted() as disk, keeping(run) as write:
        write(json.loads(before), {"samples": PICTURE})
    before = path.read_text()
    for first in range(len(disk.writes)):
        caplog.clear()
        with Disk(copied, first).mounted(), keeping(run) as write:
            write({"fd_gen": 1.0}, {"samples": PICTURE})
            write({"fd_gen": 1.0, "figure": 2.0}, {"figure": PICTURE})
        assert json.loads(path.read_text()) in (json.loads(before), {"fd_gen": 1.0})
        assert len(caplog.messages) == 1
        path.write_text(before)
    assert not list(path.parent.glob(".*"))


def test_the_metrics_are_printed_before_samples_that_cannot_be_written_are_told_of(copied, script):
    (copied / "eval" / "4" / "samples.npz").mkdir()  # in the way, for root as well
    status, output, errors = script("eval.py", "--workdir", copied, "--num_samples", 90, "--save_samples", 10)
    assert status == 2 and "fd_gen" in json.loads(output.splitlines()[-1])
    assert "samples.npz: cannot be written (Is a directory)" in errors.splitlines()[-1]


@pytest.fixture
def own_judge(tmp_path, monkeypatch):
    """(recipe, data section) of a judge that is not shipped and takes no time to train."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    recipe = tmp_path / "judge_own.py"
    shipped = Path("configs/judge_digits.py").resolve()
    recipe.write_text(
        f"import runpy\ndef get_config():\n    config = runpy.run_path({str(shipped)!r})['get_config']()\n"
        "    config.classifier.steps = 0\n    config.classifier.widths = (4,)\n    config.classifier.features = 5\n"
        "    return config\n"
    )
    return str(recipe), load_config(str(recipe)).data


def test_a_judge_is_trained_for_the_process_where_the_cache_cannot_be_written(own_judge, caplog, tmp_path):
    recipe, data = own_judge
    with Disk(tmp_path / "cache", 0, errno.EROFS).mounted():
        found = judges.find(recipe, data, train)
        assert judges.find(recipe, data, lambda *_: pytest.fail("trained again")) is found
    assert "the judge is for this process alone" in caplog.text and not (tmp_path / "cache").exists()


def test_of_two_processes_that_train_a_judge_at_once_the_first_counts(own_judge):
    recipe, data = own_judge
    digests = []

    def slower(*arguments):
        train(*arguments)
        if not digests:  # another process finishes meanwhile
            digests.append(None)
            digests.append(judges.find(recipe, data, train).digest)

    found = judges.find(recipe, data, slower)
    assert found.digest == digests[1]
    assert [judge.is_judge(folder) for folder in cache.folder("judges").iterdir()] == [True]


PROGRAM = """
import runpy
import jax
runpy.run_path("experiment_jax/devices/cache.py")["keep_compiled_programs"]()
print(jax.jit(lambda x: 2.0 * x)(3.0))
"""


def test_without_a_place_for_compiled_programs_they_are_compiled(tmp_path, request):
    (tmp_path / "cache").write_text("in the way of the folder, for root as well")
    environment = {**os.environ, "JAX_COMPILATION_CACHE_DIR": "", "XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=request.config.rootpath,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )
    assert done.stdout == "6.0\n"
    [line] = done.stderr.splitlines()
    assert line.endswith("compiled programs are not kept") and "cannot be written" in line
