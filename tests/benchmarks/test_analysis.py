"""What `benchmarks/analysis.py` reads out of programs, and one line of its table."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

BENCHMARKS = Path(__file__).parents[2] / "benchmarks"


@pytest.fixture(scope="module")
def benchmark():
    sys.path.insert(0, str(BENCHMARKS))
    try:
        import analysis
    finally:
        sys.path.remove(str(BENCHMARKS))
    return analysis


def test_collectives_count_the_bytes_of_their_results(benchmark):
    text = """
      %a = f32[480,64]{1,0} all-gather(%x), metadata={op_name="jit(f)/dot"}
      %b = (f32[], /*index=1*/bf16[10]{0}) all-reduce(%y, %z), metadata={op_name="jit(f)/sum"}
      %c = pred[3]{0} all-reduce(%w), metadata={op_name="jit(f)/while/body/and"}
      %d = f32[9]{0} add(%all-reduce.1, %a)
    """
    assert benchmark.received(text) == {"all-gather": 4 * 480 * 64, "all-reduce": 4 + 2 * 10, "all-reduce a round": 3}


@pytest.mark.parametrize(
    ("name", "size"), [("critic", 520), ("flow", 520), ("sinkhorn, joint", 512), ("labeller", 512)]
)
def test_batches_are_such_that_classes_share_them(benchmark, name, size):
    config = benchmark.config_of(name, 512, "float32", tiny=True)
    assert config[config.stages[-1]].batch_size == size


def test_a_line_of_the_table(request):
    command = [sys.executable, BENCHMARKS / "analysis.py", "--tiny", "--batch", "20", "--only", "perceptual"]
    root = request.config.rootpath
    environment = {**os.environ, "PYTHONPATH": str(root)}
    done = subprocess.run(command, cwd=root, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "| perceptual | 20 | " in done.stdout and "unknown" not in done.stdout
