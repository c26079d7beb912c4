"""The tables of LSDM: a function a subject, from the results to its tables by name."""

from collections.abc import Mapping

from documents import DISTANCES, RESTORED, SAMPLED, Results, Row, Table, Written, asked, columns, reached

# Representations of Fashion-MNIST whose files are not kept: recipe, steps, fd_recon, accuracy_recon, mae_recon.
EARLIER = (
    ("strided encoder, 32-d, L1, noise 0.1 (the recipe that this one replaced)", "4,000", "1.207", "0.833", "0.0799"),
    ("sub-pixel encoder and decoder, 64-d, L1, noise 0.05", "2,000", "0.973", "0.850", "0.0758"),
    ("… with 0.2 · (1 − SSIM) and perceptual weight 1", "2,000", "0.613", "0.869", "0.0744"),
    ("… with perceptual weight 3, no SSIM", "2,000", "0.569", "0.871", "0.0744"),
)


def fashion(results: Results) -> dict[str, Table]:
    run = results.run
    critic = run("lsdm_fashion_mnist", matcher="critic", latents="253,000", images="11,100", time="19 min")
    sinkhorn = run("lsdm_fashion_mnist_sinkhorn", matcher="sinkhorn", latents="246,000", images="11,200")
    flow = run("lsdm_fashion_mnist_flow", matcher="flow", latents="252,000", images="11,200", time="22 min")
    score = run("lsdm_fashion_mnist_score", matcher="score", latents="5,970", images="3,970", time="29 min")
    speed = {"latents/s": "{latents}", "images/s": "{images}", "steps": "{step:,}", "training": "{time}"}
    matchers = columns("`nfe`", "`fd_gen`", "`fd_gen_vs_recon`", *SAMPLED, "`cas`", matcher="{matcher}") | speed
    every, few, alone = (dict(labels=n, unpaired=m) for n, m in (("60,000", "0"), ("600", "59,400"), ("600", "0")))
    labels = [
        critic | every,
        sinkhorn | every,
        run("lsdm_fashion_mnist_few", matcher="critic", **few),
        run("lsdm_fashion_mnist_few_sinkhorn", matcher="sinkhorn", **few),
        run("lsdm_fashion_mnist_paired_only", matcher="critic", **alone),
        run("lsdm_fashion_mnist_paired_only_sinkhorn", matcher="sinkhorn", **alone),
    ]
    names = "of", "steps", "fd_recon", "accuracy_recon", "mae_recon"
    recipes = [dict(zip(names, map(Written, recipe), strict=True)) for recipe in EARLIER]
    recipes.append(flow | dict(of="… the same, longer: what ships", steps="6,000"))
    by_labels = dict(labels="{labels}", unpaired="{unpaired}", matcher="{matcher}")
    recipe = {"representation": "{of}", "steps": "{steps}", "`mae_recon`": "{mae_recon:.4f}"}
    recipe |= columns("`fd_recon`") | {"`accuracy_recon`": "{accuracy_recon:.3f}"}
    return {
        "fashion_decoder": Table(recipe, recipes, caption=False),
        "fashion_matchers": Table(matchers, [flow, critic, score, sinkhorn], smallest=["`fd_gen`"]),
        "fashion_labels": Table(columns(*DISTANCES, *SAMPLED, "`cas`", **by_labels), labels),
        "fashion_asked": fashion_asked(*labels),
    }


def fashion_asked(critic: Row, sinkhorn: Row, few: Row, few_sinkhorn: Row, alone: Row, alone_sinkhorn: Row) -> Table:
    least = critic["accuracy_recon"] - 0.03
    recon = critic["fd_recon"] / float(EARLIER[0][2])
    both = dict(critic=critic, sinkhorn=sinkhorn)
    accuracy = {name: row["accuracy_gen"] for name, row in both.items()}
    spread = {name: row["spread"] for name, row in both.items()}
    distance = {name: row["fd_gen"] / row["fd_recon"] for name, row in both.items()}
    shares = dict(critic=few["fd_gen"] / alone["fd_gen"], sinkhorn=few_sinkhorn["fd_gen"] / alone_sinkhorn["fd_gen"])
    return asked(
        {
            "`accuracy_recon` ≥ 0.88": reached("{:.3f}", 0.88, _=critic["accuracy_recon"]),
            f"`fd_recon` ≤ half of the first recipe's {EARLIER[0][2]}": reached("{:.0%}", 0, 0.5, _=recon),
            f"all labels: `accuracy_gen` ≥ `accuracy_recon` − 0.03 = {least:.3f}": reached("{:.3f}", least, **accuracy),
            "all labels: `spread` 0.9–1.1": reached("{:.3f}", 0.9, 1.1, **spread),
            "all labels: `fd_gen` ≤ 1.3 × `fd_recon`": reached("{:.2f} ×", 0, 1.3, **distance),
            "600 labels: `fd_gen` with unpaired images ≤ 60% of that without": reached("{:.0%}", 0, 0.6, **shares),
        }
    )


def representations(results: Results) -> dict[str, Table]:
    """A row a representation, with its runs by sampler."""
    samplers = "prior", "gmm", "vae", "critic"
    cells = {f"`{name}`": f"{{{name}[fd_gen]:.3f}}, {{{name}[recall]:.2f}}" for name in samplers}
    cells |= {f"`{name}`": f"{cells[f'`{name}`']}, {{{name}[spread]:.2f}}" for name in samplers[1:]}
    shown = {"": "`{kind}`", "`fd_recon`": "{prior[fd_recon]:.3f}", "`mae_recon`": "{prior[mae_recon]:.3f}", **cells}

    def table(members: Mapping[str, Row]) -> Table:
        kinds = dict.fromkeys(name.partition("-")[0] for name in members)
        rows = [{"kind": kind, **{name: members[f"{kind}-{name}"] for name in samplers}} for kind in kinds]
        return Table(shown, rows, smallest=list(cells), across=True, caption=False)

    names = "representations_digits", "representations_fashion_mnist"
    return {name: table(results.sweep(f"study_{name}")) for name in names}


def super_resolution(results: Results) -> dict[str, Table]:
    digits, fashion = results.run("lsdm_sr_digits"), results.run("lsdm_sr_fashion_mnist")
    few, alone = results.run("lsdm_sr_faces64_few"), results.run("lsdm_sr_faces64_paired_only")
    shown = columns(*RESTORED, "`spread_skill`", "`mean_psnr`", **{"": "{of}"})
    full = shown | {"accuracy": "{accuracy:.3f}", "`recall`": "{recall:.2f}", "`copied`": "{copied:.3f}"}
    samples, regression, bicubic, recon = restored(few, "`:few`, ")
    samples_alone, _, _, recon_alone = restored(alone, "`:paired_only`, ")
    faces = [samples, samples_alone, regression, bicubic, recon, recon_alone]
    return {
        "sr_digits": Table(full, restored(digits)),
        "sr_fashion": Table(full, restored(fashion)),
        "sr_faces": Table(shown | columns("`fidelity`"), faces),
        "sr_asked": sr_asked(fashion),
    }


def restored(run: Row, name: str = "") -> list[Row]:
    """Samples, their two rivals and reconstructions, a row each."""

    def part(prefix: str) -> dict[str, float]:
        return {key.removeprefix(prefix): value for key, value in run.items() if key.startswith(prefix)}

    recon = dict(of=f"{name}reconstructions", fd_gen=run["fd_recon"], accuracy=run["accuracy_recon"])
    return [
        {**run, "of": f"{name}samples", "accuracy": run["accuracy_gen"]},
        {**part("regression_"), "of": "L1 regression"},
        {**part("bicubic_"), "of": "bicubic"},
        {**part("recon_"), **recon},
    ]


def sr_asked(run: Row) -> Table:
    rivals = {key: min(run[f"regression_{key}"], run[f"bicubic_{key}"]) for key in ("fd_gen", "perceptual")}
    below = {
        f"`{key}` below both rivals', of which the lower is {rival:.3f}": reached("{:.3f}", 0, rival, _=run[key])
        for key, rival in rivals.items()
    }
    ratio = run["lr_consistency"] / run["recon_lr_consistency"]
    psnr = dict(samples=run["psnr"] - run["regression_psnr"], mean=run["mean_psnr"] - run["regression_psnr"])
    return asked(
        {
            **below,
            "`lr_consistency` at most 1.2 times the reconstructions'": reached("{:.2f} times", 0, 1.2, _=ratio),
            "`spread_skill` 0.7 to 1.3": reached("{:.3f}", 0.7, 1.3, _=run["spread_skill"]),
            "PSNR beside the regression's": reached("{:+.2f} dB", **psnr),
        }
    )
