"""The tables of docs/table1.md: all systems under one protocol, what they cost, and the rates that were tried."""

from collections.abc import Mapping

from documents import Results, Row, Table, columns

from experiment_jax.metrics.variety import COLLAPSED
from rivals_jax.reported import reported

NAMES = {
    "ns_gan": "NS GAN",
    "lsgan": "LSGAN",
    "wgan_gp": "WGAN-GP",
    "began": "BEGAN",
    "vae": "VAE",
    "cv_vae": "CV-VAE",
    "wae": "WAE",
    "rae_sn": "RAE-SN",
    "two_stage_vae": "2-Stage VAE",
    "lvpga": "LVPGA",
    "critic": "LSDM, `critic`",
    "flow": "LSDM, `flow`",
    "sharpened_flow": "LSDM, `flow`, sharpened",
    "regene_neighbours": "ReGene, neighbours",
    "regene_sharpened": "ReGene, neighbours, sharpened",
}
WGAN_GP = {"wgan_gp": "WGAN-GP, five steps of D", "wgan_gp_one": "WGAN-GP, one step of D"}
FACTORS = {"0.25": "low", "1": "middle", "4": "high"}
DISTANCES = "fd_gen", "fd_recon", "fd_gen_vs_recon"
FALLING = 0.8  # share of a quarter's `fd_gen` under which the whole training was too short


def table1(results: Results) -> dict[str, Table]:
    fashion, rates = results.sweep("table1_fashion_mnist"), results.sweep("table1_rates")
    return {
        "table1_fashion_mnist": _systems(fashion, "fashion_mnist"),
        "table1_seeds": _seeds(fashion, results.sweep("table1_fashion_mnist_seed1")),
        "table1_mnist": _systems(results.sweep("table1_mnist"), "mnist"),
        "table1_costs": _costs(fashion),
        "table1_longer": _longer(rates, results.sweep("table1_fashion_mnist_validation")),
        "table1_rates": _rates(rates),
    }


def _systems(found: Mapping[str, Row], data: str) -> Table:
    """How near to real images each system's are, in each extractor; what a system has not is an empty cell."""
    rows = []
    for key, of in _measured(found).items():
        row = {**found[key], "of": of + (", collapsed" if found[key]["pixel_spread"] < COLLAPSED else "")}
        rows.append(row | ({"paper": reported(key, data)} if reported(key, data) else {}))
    shown = {"": "{of}"} | {f"`{key}`": f"{{{key}:.3f}}" for key in DISTANCES}
    best = ["`fd_gen`"]
    if any("fd_gen_vgg16" in row for row in rows):
        shown |= {f"`{key}_vgg16`": f"{{{key}_vgg16:.1f}}" for key in DISTANCES}
        best.append("`fd_gen_vgg16`")
    shown |= columns("precision / recall", "`accuracy_gen`") | {"`pixel_spread`": "{pixel_spread:.2f}"}
    shown |= {"the paper's FID": "{paper}"} if any("paper" in row for row in rows) else {}
    return Table(shown, rows, smallest=best, caption=False)


def _costs(found: Mapping[str, Row]) -> Table:
    """What each system takes to train and to sample."""
    rows = [
        {**found[key], "of": of, "minutes": found[key]["training_seconds"] / 60} for key, of in _measured(found).items()
    ]
    shown = {"": "{of}", "minutes of training": "{minutes:.1f}", "`parameters`": "{parameters:,.0f}"}
    return Table(shown | columns("`nfe`") | {"images/s": "{images_per_second:,.0f}"}, rows, caption=False)


def _longer(rates: Mapping[str, Row], whole: Mapping[str, Row]) -> Table:
    """`fd_gen` to validation images of a quarter of the training, at the best of its rates, and of all of it."""
    rows = []
    for key, of in _measured(whole).items():
        tried = [rates.get(f"{name}-{factor}", {}) for name in _recipes(key) for factor in FACTORS]
        short = [row["fd_gen"] for row in tried if "fd_gen" in row]
        if short:
            left = whole[key]["fd_gen"] / min(short)
            falling = {"falling": "still falling"} if left < FALLING else {}
            rows.append({"of": of, "short": min(short), "long": whole[key]["fd_gen"], "left": left, **falling})
    shown = {"`fd_gen`": "{of}", "a quarter": "{short:.2f}", "all of it": "{long:.2f}", "left": "{left:.0%}"}
    return Table(shown | {"mark": "{falling}"}, rows, caption=False)


def _seeds(*seeds: Mapping[str, Row]) -> Table:
    """The systems that were trained with a second seed, beside the first."""
    forms = {"fd_gen": ".3f", "fd_recon": ".3f", "fd_gen_vgg16": ".1f", "fd_recon_vgg16": ".1f"}
    rows = [
        {"of": of, **{f"{name}_{seed}": value for seed, run in enumerate(seeds) for name, value in run[key].items()}}
        for key, of in _measured(seeds[-1]).items()
    ]
    shown = {f"`{name}`": f"{{{name}_0:{form}}}; {{{name}_1:{form}}}" for name, form in forms.items()}
    return Table({"seeds 0; 1": "{of}", **shown}, rows, caption=False)


def _rates(found: Mapping[str, Row]) -> Table:
    """`fd_gen` of each system by the factor of its learning rates."""
    rows = []
    for key, of in (pair for system in NAMES for pair in _recipes(system).items()):
        tried = {column: found.get(f"{key}-{factor}", {}) for factor, column in FACTORS.items()}
        row = {column: run["fd_gen"] for column, run in tried.items() if "fd_gen" in run}
        rows += [{"of": of, **row}] if len(row) == len(FACTORS) else []
    shown = {"learning rates": "{of}", **{f"× {factor}": f"{{{column}:.2f}}" for factor, column in FACTORS.items()}}
    return Table(shown, rows, smallest=[f"× {factor}" for factor in FACTORS], across=True, caption=False)


def _recipes(key: str) -> dict[str, str]:
    """The names of what a system's rates were tried with: two recipes of WGAN-GP, one of any other."""
    return WGAN_GP if key in WGAN_GP else {key: NAMES[key]}


def _measured(found: Mapping[str, Row]) -> dict[str, str]:
    """The names of the systems that a sweep has numbers of, in the table's order."""
    return {key: of for key, of in NAMES.items() if "fd_gen" in found.get(key, {})}
