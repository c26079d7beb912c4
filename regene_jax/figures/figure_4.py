"""Figure 4a: what the neutral classifier makes of combinations of 2, 3 and 5 latents."""

import numpy as np

from experiment_jax.evaluation.reference import Reference
from experiment_jax.runs.run import Run
from regene_jax.figures.numbers import NUMBERS, combining

SAMPLES = 2000


def accuracies(run: Run, reference: Reference) -> tuple[dict[str, float], dict[str, np.ndarray]]:
    """`accuracy_gen_n2`, `_n3` and `_n5`: the judge's accuracy on 2,000 samples each, equally many of every class.

    The witnesses' likewise, as in `accuracy_gen_n2_resnet56`, which is the paper's.

    With a stage `acceptance` also `accepted_n2`, …: the share of samples that passed its tests; the accuracy is of all.

    Raises:
        UserError: the run has no hull.
    """
    labels = np.resize(np.arange(run.dataset.num_classes, dtype=np.int32), SAMPLES)
    results = {}
    for number in NUMBERS:
        samples = combining(run, number).sample(labels)
        features = reference.features_of(samples.images)
        results |= reference.accuracies(f"gen_n{number}", samples.images, features, labels)
        if run.model.tests:
            results[f"accepted_n{number}"] = float(np.mean(samples.accepted))
    return results, {}
