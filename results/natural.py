"""The tables of natural images: classes of CIFAR and faces64, and faces found from low-resolution ones."""

from documents import Results, Row, Table, columns
from lsdm import restored


def natural(results: Results) -> dict[str, Table]:
    """Vectors and latents with places."""
    return {"colour": _classes(results), "sr_places": _super_resolution(results)}


def _classes(results: Results) -> Table:
    """Each data set has a judge of its own: rows of different judges are not to be compared."""
    rows = [
        results.run("lsdm_cifar10_jpeg_cpu", config="lsdm_cifar10.py:jpeg_cpu"),
        results.run("lsdm_cifar10_jpeg_places_cpu", config="lsdm_cifar10.py:jpeg_places_cpu"),
        results.run("lsdm_faces64_cpu", config="lsdm_faces64.py:cpu"),
        results.run("lsdm_faces64_places_cpu", config="lsdm_faces64.py:places_cpu"),
    ]
    accuracies = "{accuracy_gen:.3f} / {accuracy_recon:.3f} / {accuracy_real:.3f}"
    vgg16 = " / ".join(f"{{{key}_vgg16:.2f}}" for key in ("fd_gen", "fd_recon", "fd_floor"))
    shown = {"config": "`{config}`", "`protocol`": "`{protocol}`", "`judge`": "`{judge}`"}
    shown |= {"`fd_gen`": "{fd_gen:.3f}", "`fd_recon`": "{fd_recon:.3f}", "`fd_floor`": "{fd_floor:.3f}"}
    shown |= {"VGG16: samples / reconstructions / floor": vgg16}
    shown |= columns("precision / recall", "`spread`", "`copied`")
    shown |= {"accuracy: samples / reconstructions / real": accuracies}
    return Table(shown, rows, caption=False)


def _super_resolution(results: Results) -> Table:
    """Samples of three recipes, their rivals and reconstructions."""
    variants = "few", "few_places", "few_places_sharp"
    few, places, sharp = (_restored(f"`:{name}`", results.run(f"lsdm_sr_faces64_{name}")) for name in variants)
    shown = columns("`fd_gen`", **{"": "{of}"}) | {"VGG16": "{fd_gen_vgg16:.1f}", "`lpips`": "{lpips:.4f}"}
    shown |= columns("`perceptual`", "`psnr`", "`ssim`", "`lr_consistency`", "`spread_skill`")
    return Table(shown, [few[0], places[0], sharp[0], few[1], places[1], few[2], few[3], places[3], sharp[3]])


def _restored(of: str, run: Row) -> tuple[Row, ...]:
    """Samples, the regression, bicubic interpolation, and reconstructions."""
    samples, regression, bicubic, recon = restored(run, f"{of}, ")
    recon = {**recon, "fd_gen_vgg16": run["fd_recon_vgg16"]}
    return samples, {**regression, "of": f"{of}, L1 regression"}, bicubic, recon
