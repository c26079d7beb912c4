"""Draws what unpaired digits bring, from the study's sweep.csv: python results/curve.py"""

import matplotlib
from documents import ROOT, Results

matplotlib.use("Agg")
from matplotlib import pyplot

STUDY = "study_unpaired_digits"
COUNTS = (0, 100, 1000)
METRICS = {"fd_gen": "better: lower", "recall": "better: higher", "fidelity": "", "mae_recon": "better: lower"}


def main() -> None:
    """A panel a metric: means and standard errors against N, a colour for each n; solid `pairs`, dashed `posterior`."""
    members = Results().sweep(STUDY)
    figure, panels = pyplot.subplots(1, len(METRICS), figsize=(15, 3.6), layout="constrained")
    for panel, (metric, note) in zip(panels, METRICS.items(), strict=True):
        for colour, n in zip(("C0", "C1", "C2"), (20, 50, 200), strict=True):
            for way, style in (("pairs", "-"), ("posterior", "--")):
                counts = [count for count in COUNTS if f"{way}-{n}-{count}" in members]
                rows = [members[f"{way}-{n}-{count}"] for count in counts]
                values, errors = ([row[key] for row in rows] for key in (metric, f"{metric}_se"))
                places = [COUNTS.index(count) for count in counts]
                drawn = dict(fmt=f"o{style}", color=colour, capsize=3, label=f"{way}, n = {n}")
                panel.errorbar(places, values, errors, **drawn)
        panel.set(xlabel="N unpaired images", title=f"{metric} {note and f'({note})'}", xticks=range(len(COUNTS)))
        panel.set_xticklabels([f"{count:,}" for count in COUNTS])
        panel.grid(alpha=0.3)
    panels[0].set_ylim(0)
    panels[-1].legend(fontsize=8)
    path = ROOT / "results" / STUDY / "curve.png"
    figure.savefig(path, dpi=100)
    print(f"written: {path}")


if __name__ == "__main__":
    main()
