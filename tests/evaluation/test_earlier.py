"""No evaluation is lost to one that measured less."""

import json

import numpy as np

from experiment_jax import evaluate, load_run
from experiment_jax.comparison import kept
from experiment_jax.evaluation import earlier
from experiment_jax.evaluation.files import save_samples
from experiment_jax.evaluation.plan import Plan

FULL = {"protocol": "test_10k", "judge": "a", "evaluation_seed": 0, "fd_gen": 1.0, "cas": 0.5, "extractor_lpips": "x"}
PLAIN = {"protocol": "test_10k", "judge": "a", "evaluation_seed": 0, "fd_gen": 1.5}


def test_what_the_same_evaluation_measured_besides_stays(tmp_path):
    earlier.write(tmp_path, FULL)
    assert earlier.joined(tmp_path, PLAIN) == {**FULL, "fd_gen": 1.5}
    for other in ({"judge": "b"}, {"evaluation_seed": 1}, {"extractors": "vgg16"}, {"witness_resnet8": "c"}):
        assert earlier.joined(tmp_path, {**PLAIN, **other}) == {**PLAIN, **other}
    assert "cas" not in earlier.joined(tmp_path, {**PLAIN, "extractor_lpips": "another file"})


def test_an_evaluation_with_other_marks_is_kept_beside_the_last(tmp_path):
    quick = {**PLAIN, "protocol": "test_100"}
    for metrics in (FULL, quick, {**quick, "judge": "b"}, quick):
        earlier.write(tmp_path, earlier.joined(tmp_path, metrics))
    assert json.loads((tmp_path / "metrics.json").read_text()) == quick
    assert [each for each in earlier.read_all(tmp_path) if each["protocol"] == "test_10k"] == [FULL]
    assert len(earlier.read_all(tmp_path)) <= 4
    assert earlier.joined(tmp_path, PLAIN)["cas"] == 0.5  # from where it was kept


def test_damaged_metrics_are_none(tmp_path):
    for content in ("{", "[]", "\0"):
        (tmp_path / "metrics.json").write_text(content)
        assert earlier.joined(tmp_path, PLAIN) == PLAIN
    earlier.write(tmp_path, PLAIN)
    assert earlier.read_all(tmp_path) == [PLAIN]


def test_a_run_evaluated_again_keeps_what_was_measured(copied, evaluated):
    path = copied / "eval" / "4" / "metrics.json"
    path.write_text(json.dumps({**evaluated[1], "cas": 0.5}))
    run = load_run(copied)
    assert evaluate(run, num_samples=90)["cas"] == 0.5 == json.loads(path.read_text())["cas"]
    assert "cas" not in evaluate(run, num_samples=120)

    def never(*arguments, **options):
        raise AssertionError("measured again")

    found, _ = kept.measured(copied, run.config, Plan(num_samples=90, with_cas=True), never)
    assert found["cas"] == 0.5 and found["num_samples"] == 90


def test_more_samples_are_kept_beside_fewer(copied):
    run = load_run(copied)
    save_samples(run, 30)
    save_samples(run, 20)
    save_samples(run, 25)
    counts = {}
    for path in (copied / "eval" / "4").glob("samples*.npz"):
        with np.load(path) as saved:
            counts[path.name] = len(saved["labels"])
    assert counts == {"samples.npz": 25, "samples-30.npz": 30}
