"""The tables of natural images: classes of CIFAR and faces64, and faces found from low-resolution ones."""

from documents import Results, Table, columns
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
    """Samples of both recipes, their rivals and reconstructions."""
    names = {"`:few`": "lsdm_sr_faces64_few", "`:few_places`": "lsdm_sr_faces64_few_places"}
    runs = {of: results.run(name) for of, name in names.items()}
    (samples, regression, bicubic, recon), places = (restored(run, f"{of}, ") for of, run in runs.items())
    regression, places[1] = ({**row, "of": f"{of}, L1 regression"} for of, row in zip(names, (regression, places[1])))
    vgg16 = {of: run["fd_recon_vgg16"] for of, run in runs.items()}
    recon, places[3] = ({**row, "fd_gen_vgg16": far} for row, far in zip((recon, places[3]), vgg16.values()))
    shown = columns("`fd_gen`", **{"": "{of}"}) | {"VGG16": "{fd_gen_vgg16:.1f}", "`lpips`": "{lpips:.4f}"}
    shown |= columns("`perceptual`", "`psnr`", "`ssim`", "`lr_consistency`", "`spread_skill`")
    return Table(shown, [samples, places[0], regression, places[1], bicubic, recon, places[3]])
