"""An installed wheel: what it holds, and that recipes and judges are found from any directory."""

import os
import shutil
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

PROJECT = Path(__file__).resolve().parent.parent
SOURCES = ("experiment_jax", "lsdm_jax", "regene_jax", "configs", "judges")
FILES = ("pyproject.toml", "setup.py", "requirements.txt", "README.md", "LICENSE")
PROGRAM = """
from pathlib import Path
import experiment_jax
from experiment_jax import load_config, train
from experiment_jax.extractors import judges

config = load_config("lsdm_digits:few", {"stages": ("representation",), "representation.steps": 0})
assert Path(experiment_jax.__file__).is_relative_to(SITE)
assert load_config("configs/regene_digits.py").method == "regene"
judge = judges.find(config.judge, config.data, train)
assert judge.folder.is_relative_to(SITE), judge.folder
train(config, "run")
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel, built of a copy of the sources."""
    source, out = tmp_path_factory.mktemp("source"), tmp_path_factory.mktemp("wheel")
    for name in SOURCES:
        shutil.copytree(PROJECT / name, source / name, ignore=shutil.ignore_patterns("__pycache__"))
    for name in FILES:
        shutil.copy(PROJECT / name, source / name)
    command = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(out), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    [path] = out.glob("*.whl")
    return path


def test_a_wheel_holds_the_packages_alone_and_in_them_each_recipe_and_judge(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert {name.split("/")[0] for name in names if ".dist-info" not in name} == set(SOURCES[:3])
    for place in ("configs", "judges"):
        own = [path.relative_to(PROJECT) for path in (PROJECT / place).rglob("*") if path.is_file()]
        own = [str(path) for path in own if "__pycache__" not in path.parts]
        assert {f"experiment_jax/shipped/{name}" for name in own} <= set(names)
    [entries] = [name for name in names if name.endswith("entry_points.txt")]
    assert b"lsdm-eval = experiment_jax.commands.scripts:evaluate" in zipfile.ZipFile(wheel).read(entries)


def test_recipes_and_judges_are_found_from_any_directory(wheel, tmp_path):
    site, elsewhere = tmp_path / "site", tmp_path / "elsewhere"
    zipfile.ZipFile(wheel).extractall(site)
    elsewhere.mkdir()
    program = PROGRAM.replace("SITE", repr(str(site)))
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=elsewhere, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert (elsewhere / "run" / "config.json").is_file()


def test_the_lock_pins_what_the_requirements_ask_for_within_their_bounds():
    def requirements(name):
        lines = (line.partition("#")[0].strip() for line in (PROJECT / name).read_text().splitlines())
        return {canonicalize_name(each.name): each.specifier for each in map(Requirement, filter(None, lines))}

    asked, pinned = requirements("requirements.txt"), requirements("requirements.lock")
    assert asked.keys() < pinned.keys() and {"jaxlib", "tensorstore"} < pinned.keys()
    assert not {"pytest", "ruff", "lsdm-jax"} & pinned.keys()
    for name, specifier in pinned.items():
        [pin] = specifier
        assert pin.operator == "==" and (name not in asked or asked[name].contains(pin.version)), name
