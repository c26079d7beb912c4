"""Compiled programs are kept in the user's cache folder, unless the user keeps them elsewhere."""

import os
import subprocess
import sys

import pytest

# The file alone, because importing the whole package takes longer than the test.
PROGRAM = """
import runpy
import jax
runpy.run_path("experiment_jax/devices/cache.py")["keep_compiled_programs"]()
jax.jit(lambda x: 2.0 * x)(3.0)
"""


@pytest.mark.parametrize("own", [False, True])
def test_compiled_programs_are_kept_where_the_user_says_or_in_the_cache_folder(own, tmp_path, request):
    chosen = {"JAX_COMPILATION_CACHE_DIR": str(tmp_path / "own") if own else ""}
    environment = {**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache"), **chosen}
    subprocess.run([sys.executable, "-c", PROGRAM], cwd=request.config.rootpath, env=environment, check=True)
    kept = tmp_path / "own" if own else tmp_path / "cache" / "lsdm_jax" / "compiled"
    assert any(kept.iterdir())
    assert own != (tmp_path / "cache" / "lsdm_jax").exists()
