"""The tables of sharpened runs beside those that they go on from."""

from collections.abc import Sequence

from documents import Results, Row, Table, columns

FLOW = "lsdm_fashion_mnist_flow"
HULL = "regene_fashion_mnist_neighbours_untested"


def sharpened(results: Results) -> dict[str, Table]:
    """What sharpening brings each recipe. MNIST has a judge of its own, and so a table of its own."""
    lsdm, regene = "LSDM, `flow`", "ReGene, neighbours, untested"
    fashion = [
        results.run(FLOW, of=lsdm, sharpened="no"),
        results.run(f"{FLOW}_sharp", of=lsdm, sharpened="yes"),
        results.run(HULL, of=regene, sharpened="no"),
        results.run(f"{HULL}_sharp", of=regene, sharpened="yes"),
    ]
    mnist = [results.run("lsdm_mnist_flow_sharp", of=lsdm, sharpened="yes")]
    return {"sharpened": _table(fashion), "sharpened_mnist": _table(mnist)}


def _table(rows: Sequence[Row]) -> Table:
    shown = columns("`fd_recon`", "`fd_gen`", "`fd_gen_vs_recon`", **{"": "{of}", "sharpened": "{sharpened}"})
    shown |= {"VGG16: reconstructions / samples": "{fd_recon_vgg16:.1f} / {fd_gen_vgg16:.1f}"}
    shown |= {"`lpips_recon`": "{lpips_recon:.4f}", "`mae_recon`": "{mae_recon:.4f}"}
    shown |= {"accuracy: reconstructions / samples": "{accuracy_recon:.3f} / {accuracy_gen:.3f}"}
    return Table(shown | columns("precision / recall", "`spread`", "`cas`", "`copied`"), rows)
