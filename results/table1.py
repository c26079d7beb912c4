"""The tables of docs/table1.md: all systems under one protocol, and the learning rates that were tried."""

from documents import Results, Row, Table

NAMES = {
    "ns_gan": "NS GAN",
    "lsgan": "LSGAN",
    "wgan_gp": "WGAN-GP, five steps of D",
    "wgan_gp_one": "WGAN-GP, one step of D",
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
    return {"table1_rates": _rates(results)}


def _rates(results: Results) -> Table:
    """`fd_gen` of each system by the factor of its learning rates."""
    found = results.sweep("table1_rates")

    def row(key: str, of: str) -> Row:
        tried = {column: found.get(f"{key}-{factor}", {}) for factor, column in FACTORS.items()}
        return {"of": of, **{column: run["fd_gen"] for column, run in tried.items() if "fd_gen" in run}}

    rows = [row(key, of) for key, of in NAMES.items() if "fd_gen" in found.get(f"{key}-1", {})]
    shown = {"learning rates": "{of}", **{f"× {factor}": f"{{{column}:.2f}}" for factor, column in FACTORS.items()}}
    return Table(shown, rows, smallest=[f"× {factor}" for factor in FACTORS], across=True, caption=False)
