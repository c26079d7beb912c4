"""The memory of a step serves the next one."""

import ctypes
import subprocess
import sys

import pytest

PROGRAM = """
import resource
import jax
import jax.numpy as jnp
from experiment_jax import memory

memory.keep_freed_pages()

@jax.jit
def sorted_twice(x):  # needs 40 MB in between
    return jnp.sum(jnp.sort(jnp.sort(x, axis=0), axis=1))

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(sorted_twice(x))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

x = jnp.ones((3200, 3200))
print(min(pages() for _ in range(8)))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="not glibc: nothing happens")
def test_a_step_takes_its_memory_from_the_one_before(request):
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=request.config.rootpath, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000  # 40 MB are 10,000 pages
