"""The tables of sharpened runs beside those that they go on from."""

from collections.abc import Sequence

from documents import Results, Row, Table, columns
from fixed import noisy, over_seeds

FLOW, FEW = "lsdm_fashion_mnist_flow", "lsdm_fashion_mnist_few"
HULL = "regene_fashion_mnist_neighbours_untested"


def sharpened(results: Results) -> dict[str, Table]:
    """What sharpening brings each recipe. MNIST has a judge of its own, and so a table of its own."""
    lsdm, regene = "LSDM, `flow`", "ReGene, neighbours, untested"
    fashion = [
        results.run(FLOW, of=lsdm, sharpened="no"),
        results.run(f"{FLOW}_sharp", of=lsdm, sharpened="yes"),
        results.run(FEW, of="LSDM, `:few`, 600 labels", sharpened="yes"),
        results.run(HULL, of=regene, sharpened="no"),
        results.run(f"{HULL}_sharp", of=regene, sharpened="yes"),
    ]
    mnist = [results.run("lsdm_mnist_flow_sharp", of=lsdm, sharpened="yes")]
    return {
        "sharpened": _table(fashion),
        "sharpened_mnist": _table(mnist),
        "sharpened_seeds": _seeds(results),
        "sharpened_sr": _super_resolution(results),
    }


def _seeds(results: Results) -> Table:
    """Three samplers on one sharpened representation."""
    keys = ("fd_gen", "fd_gen_vs_recon", "accuracy_gen", "precision", "recall", "spread")
    row = {"of": "LSDM, `flow`, sharpened", **over_seeds(results, f"{FLOW}_sharp", keys)}
    return Table({"": "{of}", **{f"`{key}`": noisy(key) for key in keys}}, [row], caption=False)


def _super_resolution(results: Results) -> Table:
    """Samples and reconstructions before and after."""
    names = {"no": "lsdm_sr_fashion_mnist", "yes": "lsdm_sr_fashion_mnist_sharp"}
    runs = [results.run(name, of="samples", sharpened=sharpened) for sharpened, name in names.items()]

    def reconstructions(run: Row) -> Row:
        kept = {key.removeprefix("recon_"): value for key, value in run.items() if key.startswith("recon_")}
        distances = {key: run[key.replace("gen", "recon")] for key in ("fd_gen", "fd_gen_vgg16")}
        return {**kept, **distances, "of": "reconstructions", "sharpened": run["sharpened"]}

    shown = {"": "{of}", "sharpened": "{sharpened}", "`fd_gen`": "{fd_gen:.3f}", "VGG16": "{fd_gen_vgg16:.1f}"}
    shown |= {"`lpips`": "{lpips:.4f}", "`psnr`": "{psnr:.2f}", "`ssim`": "{ssim:.3f}"}
    shown |= columns("`lr_consistency`", "`spread_skill`")
    return Table(shown, [*runs, *(reconstructions(run) for run in runs)], caption=False)


def _table(rows: Sequence[Row]) -> Table:
    shown = columns("`fd_recon`", "`fd_gen`", "`fd_gen_vs_recon`", **{"": "{of}", "sharpened": "{sharpened}"})
    shown |= {"VGG16: reconstructions / samples": "{fd_recon_vgg16:.1f} / {fd_gen_vgg16:.1f}"}
    shown |= {"`lpips_recon`": "{lpips_recon:.4f}", "`mae_recon`": "{mae_recon:.4f}"}
    shown |= {"accuracy: reconstructions / samples": "{accuracy_recon:.3f} / {accuracy_gen:.3f}"}
    return Table(shown | columns("precision / recall", "`spread`", "`cas`", "`copied`"), rows)
