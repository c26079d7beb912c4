"""The tables of sharpened runs beside those that they go on from."""

import math
import statistics
from collections.abc import Mapping

from documents import Results, Row, Table, columns

FLOW = "lsdm_fashion_mnist_flow"


def sharpened(results: Results) -> dict[str, Table]:
    """What sharpening brings each recipe."""
    run = results.run
    rows = [
        run(FLOW, of="Fashion-MNIST, LSDM `flow`", sharpened="no"),
        run(f"{FLOW}_sharp", of="Fashion-MNIST, LSDM `flow`", sharpened="yes"),
        run(
            "regene_fashion_mnist_neighbours_untested", of="Fashion-MNIST, ReGene neighbours, untested", sharpened="no"
        ),
        run(
            "regene_fashion_mnist_neighbours_untested_sharp",
            of="Fashion-MNIST, ReGene neighbours, untested",
            sharpened="yes",
        ),
    ]
    return {
        "sharpened": _table(rows),
        "sharpened_mnist": _table([run("lsdm_mnist_flow_sharp", of="MNIST", sharpened="yes")]),
    }


def _table(rows: list[Row]) -> Table:
    shown = {"": "{of}", "sharpened": "{sharpened}", "`fd_recon`": "{fd_recon:.3f}", "`fd_gen`": "{fd_gen:.3f}"}
    shown |= columns("`fd_gen_vs_recon`")
    shown |= {"VGG16: reconstructions / samples": "{fd_recon_vgg16:.1f} / {fd_gen_vgg16:.1f}"}
    shown |= {"`lpips_recon`": "{lpips_recon:.4f}", "`mae_recon`": "{mae_recon:.4f}"}
    shown |= {"accuracy: reconstructions / samples": "{accuracy_recon:.3f} / {accuracy_gen:.3f}"}
    return Table(shown | columns("precision / recall", "`spread`", "`cas`", "`copied`"), rows)


def seeds(results: Results) -> dict[str, Table]:
    """Three samplers on one sharpened representation."""
    keys = ("fd_gen", "fd_gen_vs_recon", "accuracy_gen", "precision", "recall", "spread", "cas")
    runs = [results.run(f"{FLOW}_sharp"), *(results.run(f"{FLOW}_sharp_seed{seed}") for seed in (1, 2))]
    values = {key: [run[key] for run in runs] for key in keys}
    errors = {f"{key}_se": statistics.stdev(found) / math.sqrt(len(runs)) for key, found in values.items()}
    row = {"of": "`flow`, sharpened", **{key: statistics.mean(found) for key, found in values.items()}, **errors}
    shown = {f"`{key}`": f"{{{key}:.3f}} ± {{{key}_se:.3f}}" for key in keys}
    return {"sharpened_seeds": Table({"": "{of}", **shown}, [row], caption=False)}


def super_resolution(results: Results) -> dict[str, Table]:
    """Super-resolution before and after."""
    before, after = results.run("lsdm_sr_fashion_mnist"), results.run("lsdm_sr_fashion_mnist_sharp")

    def reconstructions(run: Row) -> Mapping[str, object]:
        kept = {key.removeprefix("recon_"): run[key] for key in run if key.startswith("recon_")}
        return {**kept, "fd_gen": run["fd_recon"], "fd_gen_vgg16": run["fd_recon_vgg16"]}

    rows = [
        {**before, "of": "samples", "sharpened": "no"},
        {**after, "of": "samples", "sharpened": "yes"},
        {**reconstructions(before), "of": "reconstructions", "sharpened": "no"},
        {**reconstructions(after), "of": "reconstructions", "sharpened": "yes"},
    ]
    shown = {"": "{of}", "sharpened": "{sharpened}", "`fd_gen`": "{fd_gen:.3f}", "VGG16": "{fd_gen_vgg16:.1f}"}
    shown |= {"`lpips`": "{lpips:.4f}"} | columns("`psnr`", "`ssim`", "`lr_consistency`", "`spread_skill`")
    return {"sharpened_sr": Table(shown, rows, caption=False)}
