"""The accuracy on real images of a classifier that was trained on samples."""

from pathlib import Path

from experiment_jax import train
from experiment_jax.evaluation.classification_score import classification_accuracy_score

RECIPE = """
import runpy
shipped = runpy.run_path({shipped!r})
get_config = shipped["get_config"]
VARIANTS = shipped["VARIANTS"] | {variants!r}
"""


def score(folder, reference, samples, **variants):
    """By the recipe of the shipped judge, with other variants."""
    path = folder / "judge.py"
    path.write_text(RECIPE.format(shipped=str(Path("configs/judge_digits.py").resolve()), variants=variants))
    names = reference.judge.class_names
    return classification_accuracy_score(f"{path}:smoke", names, samples, reference.real.test, train)


def test_the_classifier_of_samples_is_trained_by_the_recipe_of_the_judge_s_file_whatever_its_variant(
    reference, tmp_path
):
    quick = {"data.validation": 0, "classifier.steps": 1, "classifier.batch_size": 20, "classifier.widths": (4,)}
    found = score(tmp_path, reference, reference.real.test, smoke={"classifier.steps": 10**9}, cas=quick)
    assert 0 <= found < 1


def test_a_classifier_trained_on_real_images_recognises_real_images(reference, tmp_path):
    shorter = {"data.validation": 0, "classifier.steps": 150, "classifier.batch_size": 64}
    samples = reference.real.train
    assert score(tmp_path, reference, samples, cas=shorter) > 0.95
