"""The tables of runs that the fixed judges measured: a function a subject, from the results to its tables by name."""

import json
import math
import statistics
from collections.abc import Mapping, Sequence

from documents import ROOT, SAMPLED, Results, Row, Table, Written, columns


def noisy(key: str, decimals: int = 3) -> str:
    """The format of a metric with its standard error."""
    return f"{{{key}:.{decimals}f}} ± {{{key}_se:.{decimals}f}}"


def judges(_: Results) -> dict[str, Table]:
    """The shipped judges, from their cards."""
    rows = []
    for path in sorted((ROOT / "judges").glob("*/card.json")):
        card = json.loads(path.read_text())
        size = (path.parent / "weights.safetensors").stat().st_size / 1e6
        rows.append(dict(card, name=path.parent.name, short=card["sha256"][:12], size=size, **card["data"]))
    shown = {"judge": "`{name}`", "digest": "`{short}`", "recipe": "`{recipe}`", "MB": "{size:.2f}"}
    shown |= {"training images": "{images:,}", "accuracy on test": "{accuracy_test:.4f}"}
    return {"judges": Table(shown, rows, caption=False)}


def digits(results: Results) -> dict[str, Table]:
    """Both methods beside what was asked, and two ways to match with 100 labels."""
    goal = dict(accuracy_gen=Written("≥ 0.95"), spread=Written("0.85–1.15"), w1_ratio=Written("≤ 1.10"))
    rows = [
        dict(of="asked of LSDM", **goal),
        results.run("lsdm_digits", of="LSDM, all labels"),
        results.run("lsdm_digits_few", of="LSDM, 100 labels"),
        results.run("regene_digits", of="ReGene, all labels"),
    ]
    measured = {"`fd_gen`": noisy("fd_gen"), **columns(*SAMPLED, "`cas`")}
    ways = {"": "pseudo", "_pairs": "pairs"}
    few = [results.run(f"lsdm_digits_few{ending}", of=f"`{way}`") for ending, way in ways.items()]
    return {
        "digits": Table({"digits 8×8": "{of}", **measured}, rows),
        "digits_few": Table({"`matching.labels`": "{of}", **measured}, few),
    }


def fashion(results: Results) -> dict[str, Table]:
    run = results.run
    rows = [
        run("lsdm_fashion_mnist_flow", of="LSDM, `flow`", labels="60,000"),
        run("lsdm_fashion_mnist", of="LSDM, `critic`", labels="60,000"),
        run("lsdm_fashion_mnist_few_pairs", of="LSDM, `critic`", labels="600"),
        run("regene_fashion_mnist_neighbours", of="ReGene, neighbours", labels="60,000"),
        run("regene_fashion_mnist", of="ReGene, random partners", labels="60,000"),
    ]
    distances = ("fd_gen", "fd_gen_vgg16", "kid_gen_vgg16")
    shown = {"": "{of}", "labels": "{labels}", **{f"`{key}`": noisy(key) for key in distances}}
    shown |= {"`fd_recon`": "{fd_recon:.3f}", "`fd_recon_vgg16`": "{fd_recon_vgg16:.3f}"}
    shown |= {"`lpips_recon`": "{lpips_recon:.4f}", "`accuracy_gen`": noisy("accuracy_gen")}
    shown |= {"precision / recall": "{precision:.2f} / {recall:.2f}"}
    shown |= {"the same, VGG16": "{precision_vgg16:.2f} / {recall_vgg16:.2f}"}
    shown |= columns("`spread`", "`copied`")
    best = [f"`{key}`" for key in (*distances, "fd_recon", "fd_recon_vgg16", "lpips_recon")]
    return {"fashion": Table(shown, rows, smallest=best, largest=["`accuracy_gen`"]), "fashion_seeds": seeds(results)}


def seeds(results: Results) -> Table:
    """Mean and standard error over three trainings, each with another seed."""
    keys = ("fd_gen", "fd_recon", "accuracy_gen", "precision", "recall", "spread")
    members = {
        "`flow`, 60,000 labels": "lsdm_fashion_mnist_flow",
        "`critic`, 60,000 labels": "lsdm_fashion_mnist",
        "`critic`, 600 labels": "lsdm_fashion_mnist_few_pairs",
    }
    rows = [{"of": of, **over_seeds(results, name, keys)} for of, name in members.items()]
    shown = {"": "{of}", **{f"`{key}`": noisy(key) for key in keys}}
    return Table(shown, rows, smallest=["`fd_gen`"], largest=["`accuracy_gen`"], caption=False)


def over_seeds(results: Results, name: str, keys: Sequence[str]) -> Row:
    """Means of metrics over the trainings NAME, NAME_seed1 and NAME_seed2, and their standard errors as KEY_se."""
    runs = [results.run(name), *(results.run(f"{name}_seed{seed}") for seed in (1, 2))]
    values = {key: [run[key] for run in runs] for key in keys}
    errors = {f"{key}_se": standard_error(found) for key, found in values.items()}
    return {**{key: statistics.mean(found) for key, found in values.items()}, **errors}


def standard_error(values: Sequence[float]) -> float:
    """Of the mean of two values or more."""
    return statistics.stdev(values) / math.sqrt(len(values))


def super_resolution(results: Results) -> dict[str, Table]:
    """Samples of one run, and what they compete with."""
    run = results.run("lsdm_sr_fashion_mnist")

    def part(prefix: str, of: str, **other: float) -> Mapping[str, object]:
        return {"of": of, **{key.removeprefix(prefix): run[key] for key in run if key.startswith(prefix)}, **other}

    rows = [
        {**run, "of": "samples", "accuracy": run["accuracy_gen"]},
        part("regression_", "L1 regression"),
        part("bicubic_", "bicubic"),
        part("recon_", "reconstructions", fd_gen=run["fd_recon"], accuracy=run["accuracy_recon"]),
    ]
    shown = columns("`fd_gen`", "`perceptual`", **{"": "{of}"}) | {"`lpips`": "{lpips:.4f}"}
    shown |= columns("`psnr`", "`ssim`", "`lr_consistency`", "`spread_skill`", "`mean_psnr`")
    shown |= {"accuracy": "{accuracy:.3f}"}
    return {"sr_fashion_fixed": Table(shown, rows)}
