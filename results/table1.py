"""The tables of docs/table1.md: all systems under one protocol, and the learning rates that were tried."""

from documents import Results, Row, Table

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
FACTORS = {"0.25": "low", "1": "middle", "4": "high"}


def table1(results: Results) -> dict[str, Table]:
    return {"table1_digits": _systems(results, "table1_digits", vgg16=False), "table1_rates": _rates(results)}


def _systems(results: Results, name: str, vgg16: bool) -> Table:
    """The systems of one sweep, in the paper's order; what a system has not is an empty cell."""
    found = results.sweep(name)
    rows = [{**found[key], "of": of, "minutes": found[key]["training_seconds"] / 60} for key, of in NAMES.items()]
    shown = {"": "{of}", "`fd_gen`": "{fd_gen:.3f}", "`fd_recon`": "{fd_recon:.3f}"}
    shown |= {"`fd_gen_vs_recon`": "{fd_gen_vs_recon:.3f}"}
    if vgg16:
        keys = ("fd_gen", "fd_recon", "fd_gen_vs_recon")
        shown |= {f"`{key}_vgg16`": f"{{{key}_vgg16:.1f}}" for key in keys}
    shown |= {"precision / recall": "{precision:.2f} / {recall:.2f}", "`accuracy_gen`": "{accuracy_gen:.3f}"}
    shown |= {"`pixel_spread`": "{pixel_spread:.2f}", "`nfe`": "{nfe:.0f}", "`parameters`": "{parameters:,.0f}"}
    shown |= {"images/s": "{images_per_second:,.0f}", "minutes of training": "{minutes:.1f}"}
    best = ["`fd_gen`", *(["`fd_gen_vgg16`"] if vgg16 else [])]
    return Table(shown, rows, smallest=best, caption=False)


def _rates(results: Results) -> Table:
    """`fd_gen` of each system by the factor of its learning rates."""
    found = results.sweep("table1_rates")

    def row(key: str, of: str) -> Row:
        tried = {column: found.get(f"{key}-{factor}", {}) for factor, column in FACTORS.items()}
        return {"of": of, **{column: run["fd_gen"] for column, run in tried.items() if "fd_gen" in run}}

    names = {**NAMES, "wgan_gp": "WGAN-GP, five steps of D", "wgan_gp_one": "WGAN-GP, one step of D"}
    rows = [row(key, of) for key, of in names.items() if f"{key}-1" in found]
    shown = {"learning rates": "{of}", **{f"× {factor}": f"{{{column}:.2f}}" for factor, column in FACTORS.items()}}
    return Table(shown, rows, smallest=[f"× {factor}" for factor in FACTORS], across=True, caption=False)
