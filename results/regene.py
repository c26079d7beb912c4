"""The tables of ReGene: a function a subject, from the results to its tables by name."""

import math
import statistics
from collections.abc import Mapping, Sequence

from documents import DISTANCES, Results, Row, Table, asked, columns, reached


def fashion(results: Results) -> dict[str, Table]:
    fashion = "regene_fashion_mnist"
    two = results.run(fashion, n="2", partners="random", tested="yes")
    three = results.run(f"{fashion}_n3", n="3", partners="random", tested="yes")
    five = results.run(f"{fashion}_n5", n="5", partners="random", tested="yes")
    near = results.run(f"{fashion}_neighbours", n="2", partners="neighbours", tested="yes")
    hulls = [
        two,
        results.run(f"{fashion}_untested", n="2", partners="random", tested="no"),
        near,
        results.run(f"{fashion}_neighbours_untested", n="2", partners="neighbours", tested="no"),
        three,
        five,
    ]
    untested = dict(partners="random", tested="no")
    crossed = [
        results.run("lsdm_on_classifier_fashion_mnist", n="LSDM's critic on the classifier's latents", tested="no"),
        results.run("lsdm_fashion_mnist", n="LSDM's critic on its autoencoder's latents", tested="no"),
        results.run("hull_on_autoencoder_fashion_mnist", n="2, on LSDM's autoencoder's latents", **untested),
    ]
    shown = columns(*DISTANCES, "`accuracy_gen`", n="{n}", partners="{partners}", tested="{tested}")
    shown |= {"`accuracy_gen_resnet8`": "{accuracy_gen_resnet8:.3f}"}
    shown |= columns("precision / recall", "`cas`", "`spread`", "`copied`")
    shown |= {"`acceptance_rate`": "{acceptance_rate:.2f}"}
    seeds = {
        partners: [own, *(results.run(f"{fashion}_{name}_seed{seed}") for seed in (1, 2))]
        for partners, name, own in (("random", "random", two), ("neighbours", "neighbours", near))
    }
    return {
        "regene": Table(shown, hulls + crossed),
        "regene_seeds": over_seeds(seeds),
        "regene_asked": fashion_asked(hulls + crossed, (two, three, five), seeds["random"]),
        "regene_architecture": architecture(results.sweep("study_regene_architecture")),
    }


def over_seeds(seeds: Mapping[str, Sequence[Row]]) -> Table:
    """Mean and standard error over seeds."""
    keys = "fd_gen", "spread", "precision", "recall", "accuracy_gen", "copied"

    def row(partners: str, runs: Sequence[Row]) -> Row:
        values = {key: [run[key] for run in runs] for key in keys}
        errors = {f"{key}_se": statistics.stdev(found) / math.sqrt(len(runs)) for key, found in values.items()}
        return {"partners": partners, **{key: statistics.mean(found) for key, found in values.items()}, **errors}

    shown = {f"`{key}`": f"{{{key}:.3f}} ± {{{key}_se:.3f}}" for key in keys}
    rows = [row(partners, runs) for partners, runs in seeds.items()]
    return Table({"partners": "{partners}", **shown}, rows, caption=False)


def fashion_asked(every: Sequence[Row], numbers: Sequence[Row], seeds: Sequence[Row]) -> Table:
    heads = {f"seed {number}": row["accuracy_classifier"] for number, row in enumerate(seeds)}
    judged = {f"n = {row['n']}": row["accuracy_gen"] for row in numbers}
    witnessed = {f"n = {row['n']}": row["accuracy_gen_resnet8"] for row in numbers}
    largest = max(row["fd_gen_vs_recon"] / row["fd_gen"] for row in every)
    return asked(
        {
            "classifier ≥ 0.91 on test": reached("{:.3f}", 0.91, **heads),
            "`accuracy_gen` ≥ 0.95 after acceptance": reached("{:.3f}", 0.95, **judged),
            "the same by resnet8": reached("{:.3f}", 0.95, **witnessed),
            "`fd_gen_vs_recon` < `fd_gen` in every row": reached("at most {:.2f} of it", 0, 1, _=largest),
            "trained within 40 minutes on two cores": "16 minutes on one, beside another training",
        }
    )


def architecture(members: Mapping[str, Row]) -> Table:
    """A row a latent size, its depths side by side in each cell."""
    depths = "depth1", "depth2", "depth3"
    rows = [{"size": size, **{d: members[f"{d}-latent{size}"] for d in depths}} for size in (32, 128, 512)]
    shown = {"latent size": "{size}"}
    decimals = dict(accuracy_classifier=3, latent_hoyer=2, latent_near_zero=2, mae_recon=3, fd_recon=2)
    decimals["accuracy_recon"] = 3
    for key, digits in decimals.items():
        shown[f"`{key}`"] = " / ".join(f"{{{depth}[{key}]:.{digits}f}}" for depth in depths)
    return Table(shown, rows, caption=False)
