"""The entry scripts' preparations for the CPU backend."""

import ctypes
import os
import subprocess
import sys

import jax
import numpy as np
import pytest

from experiment_jax.devices import cpu

# The file alone, because importing the whole package takes longer than the test.
PROGRAM = """
import resource, runpy
import jax
import jax.numpy as jnp

runpy.run_path("experiment_jax/devices/cpu.py")["keep_freed_pages"]()

@jax.jit
def raised(x, times):  # needs 80 MB in between: the copy of x that the loop changes
    return jnp.sum(jax.lax.fori_loop(0, times, lambda _, y: y + 1, x))

def pages():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    jax.block_until_ready(raised(x, 2))
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

x = jnp.ones((4500, 4500))
print(min(pages() for _ in range(8)))
"""


@pytest.mark.skipif(not hasattr(ctypes.CDLL(None), "gnu_get_libc_version"), reason="not glibc: nothing happens")
def test_a_step_takes_its_memory_from_the_one_before(request):
    done = subprocess.run([sys.executable, "-c", PROGRAM], cwd=request.config.rootpath, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < 1000  # 80 MB are 20,000 pages


@pytest.mark.skipif(jax.__version_info__[:2] != (0, 10), reason="of jaxlib 0.10: the flag may not be known to others")
@pytest.mark.parametrize("chosen", ["", "--xla_cpu_experimental_ynn_fusion_type=LIBRARY_FUSION_TYPE_DOT"])
def test_convolutions_are_not_ynnpacks_and_a_choice_of_the_users_stays(chosen, monkeypatch):
    monkeypatch.setenv("XLA_FLAGS", f"--xla_cpu_multi_thread_eigen=true {chosen}")
    cpu.convolve_on_all_cores()
    *others, last = os.environ["XLA_FLAGS"].split()
    assert others[:1] == ["--xla_cpu_multi_thread_eigen=true"]
    assert last == (chosen or "--xla_cpu_experimental_ynn_fusion_type=-LIBRARY_FUSION_TYPE_INDIVIDUAL_CONVOLUTION")
    cpu.convolve_on_all_cores()
    assert os.environ["XLA_FLAGS"].count("ynn_fusion_type") == 1


def test_one_program_may_convolve_on_all_cores_and_finds_the_same():
    def convolved(x, kernel):
        return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))

    x, kernel = jax.random.normal(jax.random.key(0), (2, 7, 9, 4)), jax.random.normal(jax.random.key(1), (3, 3, 4, 5))
    expected = jax.jit(convolved)(x, kernel)
    np.testing.assert_allclose(cpu.jit_on_all_cores(convolved)(x, kernel), expected, rtol=1e-4, atol=1e-5)
